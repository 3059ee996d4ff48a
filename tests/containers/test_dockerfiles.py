"""The order of the layers: what costs hours or gigabytes depends on nothing that changes with the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.containers.dockerfile import Stage, line_of, read
from worker.engines.indextts.kernels.build import ARCHITECTURES, BUILT
from worker.engines.indextts.text.wording import spanish_grammar

ROOT = Path(__file__).parents[2]
WORKER, API = read(ROOT / "Dockerfile.worker"), read(ROOT / "Dockerfile.api")
# Which distribution of IndexTTS, at which versions: changes with the engine's dependencies, never with its code.
PINS = {"compose/build/indextts"}
FLASH_ATTN_KEYS = {"CUDA", "TORCH", "FLASH_ATTN_VERSION", "FLASH_ATTN_ARCHS", "FLASH_ATTN_WHEEL"}
HOW_TO_BUILD = {"FLASH_ATTN_JOBS", "PIP_CERT"}
KERNELS = "worker/engines/indextts/kernels"


def names(stages: list[Stage]) -> list[str]:
    return list(dict.fromkeys(stage.name for stage in stages))


def reads(stages: list[Stage]) -> set[str]:
    return {path for stage in stages for each in stage.instructions for path in each.reads()}


def test_the_chain_of_the_worker_is_the_one_that_the_file_describes() -> None:
    chain = names(line_of(WORKER, "worker"))
    assert chain == ["base", "engine-espeak", "engine-kokoro", "engine-indextts", "dependencies", "worker"]
    assert names(line_of(WORKER, "flash-attn")) == [
        "flash-attn-none", "flash-attn-wheel", "flash-attn-build", "flash-attn",
    ]  # fmt: skip


def test_flash_attn_reads_nothing_of_this_project() -> None:
    assert reads(line_of(WORKER, "flash-attn")) == set()


def test_flash_attn_is_keyed_by_versions_alone() -> None:
    arguments = {each.rest.split("=")[0] for stage in line_of(WORKER, "flash-attn") for each in stage.of("ARG")}
    assert arguments <= FLASH_ATTN_KEYS | HOW_TO_BUILD
    (built,) = [stage for stage in line_of(WORKER, "flash-attn") if stage.name == "flash-attn-build"]
    assert {"CUDA", "TORCH", "FLASH_ATTN_VERSION", "FLASH_ATTN_ARCHS"} <= {each.rest for each in built.of("ARG")}


def test_the_kernels_are_compiled_again_when_their_sources_or_the_compiler_change_and_at_no_other_time() -> None:
    stages = line_of(WORKER, "kernels")
    assert names(stages) == ["kernels-none", "compiler", "kernels-build", "kernels-image", "kernels"]
    assert reads(stages) == {KERNELS}
    arguments = {each.rest for stage in stages for each in stage.of("ARG")}
    assert arguments == {"NVCC", "CUDA", "KERNELS_ARCHS", "PIP_CERT"}
    (copied,) = [place for place, each in enumerate(WORKER["worker"].instructions) if each.copies_from() == "kernels"]
    assert WORKER["worker"].instructions[copied].rest.endswith(f" {KERNELS}/{BUILT.name}")
    assert copied < min(place for place, each in enumerate(WORKER["worker"].instructions) if "farm" in each.reads())


def test_flash_attn_is_not_compiled_for_hours_against_a_torch_of_another_cuda() -> None:
    """The check stands in front of the compilation, in the layer of torch."""
    (check,) = [each.rest for each in WORKER["flash-attn-build"].of("RUN") if "torch.version.cuda" in each.rest]
    assert "pip wheel" not in check
    assert "TORCH=2.8.0 TORCHAUDIO=2.8.0" in check


def test_torch_indextts_and_its_grammars_stand_below_everything_that_changes_with_the_code() -> None:
    *below, dependencies, _ = line_of(WORKER, "worker")
    assert dependencies.name == "dependencies"
    assert reads(below) == set()
    assert reads([WORKER["indextts"]]) == PINS
    order = [
        next(place for place, each in enumerate(WORKER["engine-indextts"].instructions) if sign in each.rest)
        for sign in ("torch==", "from=indextts", "from=flash-attn", "TextNormalizer")
    ]
    assert order == sorted(order)


def test_the_grammar_of_spanish_is_built_into_the_image_as_the_engine_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []
    nemo = ModuleType("normalize")
    nemo.__dict__["Normalizer"] = lambda **options: asked.append(options)
    monkeypatch.setitem(sys.modules, "nemo_text_processing", ModuleType("nemo_text_processing"))
    monkeypatch.setitem(sys.modules, "nemo_text_processing.text_normalization", ModuleType("text_normalization"))
    monkeypatch.setitem(sys.modules, "nemo_text_processing.text_normalization.normalize", nemo)
    (build,) = [each.rest for each in WORKER["engine-indextts"].instructions if "nemo_text_processing" in each.rest]
    (code,) = re.findall(r'python -c "(from nemo_text_processing[^"]*)"', build)
    exec(code.replace("$here", str(tmp_path)))
    spanish_grammar(tmp_path)
    assert asked[0] == asked[1]


@pytest.mark.parametrize(("stages", "last"), [(WORKER, "worker"), (API, "api")], ids=["worker", "api"])
def test_packages_stand_below_the_code_and_depend_on_pyproject_and_pins_alone(
    stages: dict[str, Stage], last: str
) -> None:
    assert reads([stages["requirements"]]) == {"pyproject.toml", "constraints.txt", "compose/build/pins.py"}
    assert reads([stages["dependencies"]]) == set()
    assert {"farm", last} <= reads([stages[last]])
    assert not stages[last].of("RUN"), "it would run again with every change of the code"


@pytest.mark.parametrize(("stages", "last"), [(WORKER, "worker"), (API, "api")], ids=["worker", "api"])
def test_the_image_is_one_line_of_stages(stages: dict[str, Stage], last: str) -> None:
    copied = {each.copies_from() for stage in line_of(stages, last) for each in stage.of("COPY")}
    assert copied <= {None, "requirements", "kernels"}, "all but these small files should be built upon"


@pytest.mark.parametrize(("stages", "last"), [(WORKER, "worker"), (API, "api")], ids=["worker", "api"])
def test_the_commit_is_the_last_argument(stages: dict[str, Stage], last: str) -> None:
    keywords = [each.keyword for each in stages[last].instructions]
    assert [each.rest for each in stages[last].of("ARG")] == ["GIT_SHA=unknown"]
    assert keywords[-2:] == ["ARG", "LABEL"]


@pytest.mark.parametrize(("stages", "last"), [(WORKER, "worker"), (API, "api")], ids=["worker", "api"])
def test_the_image_has_an_unprivileged_user_an_init_and_a_health_check(stages: dict[str, Stage], last: str) -> None:
    assert [each.rest for each in stages[last].of("USER")] == ["10001:10001"]
    assert stages[last].of("ENTRYPOINT")[0].rest.startswith('["tini", "--"')
    assert len(stages[last].of("HEALTHCHECK")) == 1


@pytest.mark.parametrize("name", ["Dockerfile.worker", "Dockerfile.api"])
def test_it_builds_with_the_buildkit_of_docker_20_10(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for newer in (
        "# syntax=",
        "--link",
        "--parents",
        "--exclude",
        "<<EOF",
        "--network",
        "--checksum",
        "--start-interval",
    ):
        assert newer not in text


@pytest.mark.parametrize("name", ["Dockerfile.worker", "Dockerfile.api"])
def test_what_it_reads_is_let_through_by_dockerignore(name: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for path in reads(list(read(ROOT / name).values())):
        assert any(path == each or path.startswith(f"{each}/") for each in allowed), path


def test_a_change_of_flash_attn_in_one_place_is_one_in_all() -> None:
    """The versions and architectures that the Dockerfile, the bake file and compose speak of."""
    bake = (ROOT / "docker-bake.hcl").read_text("utf-8")
    compose = (ROOT / "compose" / "gpu.yaml").read_text("utf-8")
    for name in ("TORCH", "TORCHAUDIO", "FLASH_ATTN_VERSION", "FLASH_ATTN_ARCHS", "PYTHON_IMAGE", "KERNELS_ARCHS"):
        assert f'variable "{name}" {{ default = "{default_of(name)}" }}' in bake
    for name in ("TORCH", "TORCHAUDIO", "FLASH_ATTN", "FLASH_ATTN_ARCHS", "KERNELS_ARCHS", "NVCC"):
        assert f"{name}: ${{{name}:-{default_of(name)}}}" in compose


def test_every_image_of_a_worker_can_have_the_ear() -> None:
    (asked,) = [each.rest for each in WORKER["requirements"].of("RUN")]
    assert asked.endswith("${CHECK:+check}")
    assert "CHECK" in [each.rest for each in WORKER["requirements"].of("ARG")]
    bake = (ROOT / "docker-bake.hcl").read_text("utf-8")
    assert 'variable "CHECK" { default = "" }' in bake
    assert len(re.findall(r"CHECK +=\s+CHECK", bake)) == len(re.findall('ENGINE += "', bake)) + 1, "and that of espeak"


def test_the_kernels_are_compiled_for_the_architectures_that_their_build_has_by_itself() -> None:
    assert default_of("KERNELS_ARCHS").split(";") == list(ARCHITECTURES)


def default_of(name: str) -> str:
    (found,) = re.findall(rf'^ARG {name}="?([^"\n]+)', (ROOT / "Dockerfile.worker").read_text("utf-8"), re.MULTILINE)
    return str(found)

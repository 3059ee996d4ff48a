"""The tiny random IndexTTS-2, loaded twice: by the package, which is the oracle, and by this engine.

checkpoint   a model directory as users have one, with everything in it
references   three audio files to speak in the voice of
package      the package's own IndexTTS2 on the checkpoint
network      the engine's Network on the same

checkpoint25, package25 and network25 are the same of IndexTTS-2.5, for which the official repository must be installed;
where it is not, the tests that ask for them are skipped.

Test processes of one run (pytest -n 2) share the checkpoints: one process writes, the others wait and read. `make
test-model` builds the package's grammars of numbers before; where nobody has, the first process does (grammars.py).

MODEL=full    compares whole engines with the package itself instead of a recording of it (tests/indextts/recording.py)
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.indextts.offspring import note_known

if TYPE_CHECKING:
    from worker.engines.indextts.shapes import Network

OFFICIAL_IS_NEEDED = "needs the official repository of IndexTTS as the package indextts: docs/indextts.md"
ABSENT = [name for name in ("torch", "indextts") if find_spec(name) is None]
if not ABSENT:
    import torch
    from filelock import FileLock  # torch brings it

    torch.set_num_threads(1)  # sums in the same order on any machine, and a core for each test process


class Skipped(pytest.Module):
    """A test module that can't be imported, because what it tests is not installed."""

    def collect(self) -> NoReturn:
        pytest.skip(f"the IndexTTS tests need {' and '.join(ABSENT)}: pip install 'tts-farm[indextts]'")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first test, whose time limit would be too short."""
    fixtures = {name for item in session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    if fixtures & {"checkpoint", "checkpoint25"} and not session.config.option.collectonly:
        from tests.indextts import grammars

        grammars.build()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return Skipped.from_parent(parent, path=module_path) if ABSENT else None


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all test processes of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def once(folder: Path, write: Callable[[Path], object]) -> Path:
    """The folder as `write` fills it in the first process that asks; the others wait. A process that dies in the middle
    leaves it to the next."""
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            write(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="module")
def offspring_before() -> None:
    """For files that ask for `offspring.children`."""
    note_known()


@pytest.fixture(scope="session")
def checkpoint(common: Path) -> Path:
    from tests.indextts.checkpoint import write

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's modules are imported here for the first time
        return once(common / "indextts", write)


@pytest.fixture(scope="session")
def references(checkpoint: Path) -> list[str]:
    from tests.indextts.checkpoint import references

    return [str(path) for path in references(checkpoint)]


@pytest.fixture(scope="session")
def package(checkpoint: Path) -> Any:
    from tests.indextts.oracle import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(checkpoint)


@pytest.fixture(scope="session")
def network(checkpoint: Path) -> Network:
    from worker.engines.indextts.load.checkpoint import find_checkpoint
    from worker.engines.indextts.load.network import load_network
    from worker.engines.indextts.shapes import Precisions

    return load_network(find_checkpoint(checkpoint), torch.device("cpu"), Precisions())


@pytest.fixture(scope="session")
def checkpoint25(common: Path) -> Path:
    from worker.engines.indextts.load.package import has_25

    if not has_25():
        pytest.skip(OFFICIAL_IS_NEEDED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.indextts.checkpoint25 import write

        return once(common / "indextts25", write)


@pytest.fixture(scope="session")
def references25(checkpoint25: Path) -> list[str]:
    from tests.indextts.checkpoint import references

    return [str(path) for path in references(checkpoint25)]


@pytest.fixture(scope="session")
def package25(checkpoint25: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("HF_HUB_CACHE", str(checkpoint25 / "hf_cache"))  # the import would leave its own
        import_module("audioread.rawread")
        from indextts.infer_v2_5 import IndexTTS2
        from indextts.utils.nemo_tn import get_text_normalizer

        from worker.engines.indextts.load.package import place_of_package
        from worker.engines.indextts.text.wording import spanish_grammar

        get_text_normalizer()._cache["es"] = spanish_grammar(place_of_package())  # it would build its own for minutes
        return IndexTTS2(cfg_path=str(checkpoint25 / "config.yaml"), model_dir=str(checkpoint25), device="cpu")


@pytest.fixture(scope="session")
def network25(checkpoint25: Path) -> Network:
    from worker.engines.indextts.load.checkpoint import find_checkpoint
    from worker.engines.indextts.load.network import load_network
    from worker.engines.indextts.shapes import Precisions

    return load_network(find_checkpoint(checkpoint25), torch.device("cpu"), Precisions())

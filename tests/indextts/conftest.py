"""The tiny random IndexTTS-2, loaded twice: by the package, which is the oracle, and by this engine.

checkpoint   a model directory as users have one, with everything in it
references   three audio files to speak in the voice of
package      the package's own IndexTTS2 on the checkpoint
network      the engine's Network on the same

checkpoint25, package25 and network25 are the same of IndexTTS-2.5, for which the official repository must be installed;
where it is not, the tests that ask for them are skipped.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from worker.engines.indextts.shapes import Network

OFFICIAL_IS_NEEDED = "needs the official repository of IndexTTS as the package indextts: docs/indextts.md"
ABSENT = [name for name in ("torch", "indextts") if find_spec(name) is None]
if not ABSENT:
    import torch

    torch.set_num_threads(1)  # sums in the same order on any machine


class Skipped(pytest.Module):
    """A test module that can't be imported, because what it tests is not installed."""

    def collect(self) -> NoReturn:
        pytest.skip(f"the IndexTTS tests need {' and '.join(ABSENT)}: pip install 'tts-farm[indextts]'")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return Skipped.from_parent(parent, path=module_path) if ABSENT else None


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.indextts.checkpoint import write

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's modules are imported here for the first time
        return write(tmp_path_factory.mktemp("indextts"))


@pytest.fixture(scope="session")
def references(checkpoint: Path) -> list[str]:
    from tests.indextts.checkpoint import references

    return [str(path) for path in references(checkpoint)]


@pytest.fixture(scope="session")
def package(checkpoint: Path) -> Any:
    """Its hub client may have been imported by anyone before, so that the environment alone would come too late."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("audioread.rawread")  # when librosa reads its first file, it would warn of the end of aifc
        from huggingface_hub import constants
        from indextts.infer_v2 import IndexTTS2

        from worker.engines.indextts.load.checkpoint import find_checkpoint

        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(checkpoint / "hf_cache"))
        if "aux_paths" not in signature(IndexTTS2).parameters:
            return IndexTTS2(model_dir=str(checkpoint), device="cpu")
        files = find_checkpoint(checkpoint)  # the official repository is told where everything lies
        auxiliary = {"w2v_bert": files.semantic, "semantic_codec": files.codec, "campplus": files.speaker}
        auxiliary["bigvgan"] = files.vocoder
        return IndexTTS2(
            cfg_path=str(files.config_file), model_dir=str(checkpoint), device="cpu",
            aux_paths={name: str(path) for name, path in auxiliary.items()},
        )  # fmt: skip


@pytest.fixture(scope="session")
def network(checkpoint: Path) -> Network:
    from worker.engines.indextts.load.checkpoint import find_checkpoint
    from worker.engines.indextts.load.network import load_network
    from worker.engines.indextts.shapes import Precisions

    return load_network(find_checkpoint(checkpoint), torch.device("cpu"), Precisions())


@pytest.fixture(scope="session")
def checkpoint25(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from worker.engines.indextts.load.package import has_25

    if not has_25():
        pytest.skip(OFFICIAL_IS_NEEDED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.indextts.checkpoint25 import write

        return write(tmp_path_factory.mktemp("indextts25"))


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

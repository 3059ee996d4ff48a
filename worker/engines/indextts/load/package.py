"""The package `indextts`: which of its two distributions is installed, and the parts of it that are used.

    the indexed package        pip install 'tts-farm[indextts]'     version 2
    the official repository    at the commit named here             versions 2 and 2.5

Both have the same import name, so only one can be installed. Their modules have the same places, but for the codec of
version 2.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from farm.errors import Misconfigured

COMMIT = "ee40fa7d6c6b8a2c7f06105f9f1e65775b74868c"  # of the official repository, with which this engine was made
_INDEXED = "pip install 'tts-farm[indextts]'"
OFFICIAL = (
    "install the official repository in place of indextts2-inference: pip uninstall -y indextts2-inference && "
    f"pip install https://github.com/index-tts/index-tts/archive/{COMMIT}.tar.gz nemo_text_processing==1.2.0; "
    "or use an image built with INDEXTTS=official"
)


def check_installed(version: str) -> None:
    """Raises Misconfigured where a library of this version is missing, with the way to install it. Imports nothing."""
    missing = [name for name in ("torch", "indextts") if find_spec(name) is None]
    if missing:
        how = OFFICIAL if version == "2.5" else _INDEXED
        raise Misconfigured(f"FARM_MODEL=indextts-{version} needs {' and '.join(missing)}, not installed here: {how}")
    if version == "2.5" and not has_25():
        raise Misconfigured(
            "FARM_MODEL=indextts-2.5: the indextts that is installed here is the indexed package, which has version 2 "
            f"alone; {OFFICIAL}"
        )


def has_25() -> bool:
    """Whether the official repository is the installed one."""
    return (place_of_package() / "infer_v2_5.py").is_file()


def place_of_package() -> Path:
    """The folder of the package, which must be installed."""
    found = find_spec("indextts")
    assert found is not None
    return Path(next(iter(found.submodule_search_locations or ())))


def edition() -> dict[str, object]:
    """Versions that tell the installed code from any other. The official repository gives all its commits the version
    2.0.0, so a hash of its sources is among them."""
    versions: dict[str, object] = {}
    for name in ("indextts2-inference", "indextts", "transformers"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found = metadata.distribution(name)
            versions[name] = [found.version, json.loads(found.read_text("direct_url.json") or "{}").get("vcs_info")]
    if has_25():
        digest, folder = hashlib.sha256(), place_of_package()
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
        versions["sources"] = digest.hexdigest()[:12]
    return versions


@dataclass(frozen=True, slots=True)
class Package:
    """The parts of it that versions 2 and 2.5 use."""

    unified_voice: Any
    s2mel: Any
    build_semantic_codec: Any  # of version 2
    campplus: Any
    bigvgan: Any
    mel_spectrogram: Any
    text_normalizer: Any
    text_tokenizer: Any  # of version 2

    @classmethod
    def find(cls) -> Package:
        """Imports them. Raises Misconfigured."""
        try:
            from indextts.gpt.model_v2 import UnifiedVoice
            from indextts.s2mel.modules.audio import mel_spectrogram
            from indextts.s2mel.modules.bigvgan import bigvgan
            from indextts.s2mel.modules.campplus.DTDNN import CAMPPlus
            from indextts.s2mel.modules.commons import MyModel
            from indextts.utils.front import TextNormalizer, TextTokenizer

            try:
                from indextts.codec.maskgct_codec import build_semantic_codec  # of the official repository
            except ModuleNotFoundError:
                from indextts.utils.maskgct_utils import build_semantic_codec
        except ImportError as error:
            raise not_installed(error) from error
        return cls(
            unified_voice=UnifiedVoice,
            s2mel=MyModel,
            build_semantic_codec=build_semantic_codec,
            campplus=CAMPPlus,
            bigvgan=bigvgan,
            mel_spectrogram=mel_spectrogram,
            text_normalizer=TextNormalizer,
            text_tokenizer=TextTokenizer,
        )


@dataclass(frozen=True, slots=True)
class Official:
    """The further parts of the official repository that version 2.5 uses."""

    codec: Any
    tokenizer: Any
    language_row: Any
    japanese: Any

    @classmethod
    def find(cls) -> Official:
        """Imports them. Raises Misconfigured."""
        try:
            from indextts.codec.models import EnhancedCodec
            from indextts.utils.ja_g2p import JapaneseG2PProcessor
            from indextts.utils.tokenizer import get_tokenizer, lang_to_token
        except ImportError as error:
            raise not_installed(error, OFFICIAL) from error
        return cls(
            codec=EnhancedCodec, tokenizer=get_tokenizer, language_row=lang_to_token, japanese=JapaneseG2PProcessor
        )


def not_installed(error: ImportError, how: str = _INDEXED) -> Misconfigured:
    return Misconfigured(f"IndexTTS is not installed, or not what it needs ({error}): {how}")

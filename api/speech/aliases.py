"""Names that clients ship with, and what they stand for here.

A client that was made for OpenAI asks for its models and voices before anybody has told it of others.
FARM_SPEECH_ALIASES maps these names, or further ones, to models and voices of the farm. A model or voice of the farm
that has such a name itself goes first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx"),
    *("nova", "sage", "shimmer", "verse", "marin", "cedar"),
)
_DEFAULT = "*"  # the farm's default model, the default voice of the language


class Aliases:
    """`mapped` is the setting; a name that it maps to nothing stands for nothing."""

    def __init__(self, mapped: Mapping[str, str]) -> None:
        self._models = {**dict.fromkeys(MODELS, _DEFAULT), **mapped}
        self._voices = {**dict.fromkeys(VOICES, _DEFAULT), **mapped}

    def model(self, name: str | None, known: Collection[str]) -> str | None:
        """The name of a model, None for the default one. A name that is neither known nor an alias stays."""
        return _resolved(name, known, self._models)

    def voice(self, name: str | None, known: Collection[str]) -> str | None:
        """The name of a voice, None for that of the language. A name that is neither known nor an alias stays."""
        return _resolved(name, known, self._voices)


def _resolved(name: str | None, known: Collection[str], aliases: Mapping[str, str]) -> str | None:
    if name is None or name in known:
        return name
    target = aliases.get(name) or name
    return None if target == _DEFAULT else target

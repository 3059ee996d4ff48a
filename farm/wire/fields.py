"""What the shapes are made of: limits, texts and labels, numbers, and the two bases of requests and answers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_CHARACTERS = 5_000_000
MAX_CHAPTERS = 2_000
MAX_BATCH_JOBS = 50_000
MAX_JSON_BYTES = 10_000_000
MAX_JSONL_BYTES = 200_000_000
MAX_VOICE_BYTES = 20_000_000
MAX_DOCUMENT_BYTES = 50_000_000
TRIM_DBFS, ROOM_TONE_DBFS = -50, -65  # where no other is asked for

# Control characters and surrogates: on one line all of them, in a text all but line breaks and tabs. One search of
# 5,000,000 characters takes 40 ms.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_A_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def speakable(text: str) -> str:
    """Refuses what no engine could say: blank text, control characters, lone surrogates."""
    _refuse(_NOT_IN_A_TEXT, text)
    if not text or text.isspace():
        raise ValueError("is blank; there is nothing to speak")
    return text


def _refuse(forbidden: re.Pattern[str], text: str) -> None:
    """Raises ValueError with the first forbidden character and its place."""
    found = forbidden.search(text)
    if found is not None:
        code, position = ord(found[0]), found.start()
        if 0xD800 <= code <= 0xDFFF:
            raise ValueError(f"contains a lone surrogate (U+{code:04X}) at character {position}; send valid Unicode")
        raise ValueError(f"contains the control character U+{code:04X} at character {position}; remove it")


def _spoken(value: object) -> object:
    """Before pydantic reads the string: it refuses a lone surrogate too, but can't say where."""
    return speakable(value) if isinstance(value, str) else value


def _allowed(value: object) -> object:
    """As _spoken, but it may be blank."""
    if isinstance(value, str):
        _refuse(_NOT_IN_A_TEXT, value)
    return value


def _line(value: object) -> object:
    """Titles and names are text too: wide and narrow spaces, joiners, directions and new emoji belong in them."""
    if isinstance(value, str):
        _refuse(_NOT_IN_A_LINE, value)
    return value


def number(value: object) -> object:
    """Before pydantic reads it, which would take "1" and true for 1. The document says number, and means it."""
    if isinstance(value, str | bool):
        raise ValueError("should be a number")
    return value


# The same for the document, where a surrogate can't stand; blank is what Python takes for space.
_CONTROLS = r"\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f"
_BLANKS = r"\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TEXT_PATTERN = f"^[^{_CONTROLS}]*[^{_CONTROLS}{_BLANKS}][^{_CONTROLS}]*$"
_LABEL_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]*$"

Text = Annotated[
    str, Field(max_length=MAX_CHARACTERS, json_schema_extra={"pattern": _TEXT_PATTERN}), BeforeValidator(_spoken)
]
Words = Annotated[
    str,
    Field(max_length=MAX_CHARACTERS, json_schema_extra={"pattern": f"^[^{_CONTROLS}]*$"}),
    BeforeValidator(_allowed),
]
Label = Annotated[str, Field(max_length=200, json_schema_extra={"pattern": _LABEL_PATTERN}), BeforeValidator(_line)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=500)]], Field(max_length=16)
]
LanguageTag = Annotated[str, Field(max_length=20, pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{1,8})*$")]
Speed = Annotated[float, Field(ge=0.5, le=2.0), BeforeValidator(number)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1), BeforeValidator(number)]
Weight = Annotated[float, Field(ge=0, le=1.5), BeforeValidator(number)]
Switch = Annotated[bool, Field(strict=True)]
Milliseconds = Annotated[int, Field(ge=0, le=60_000), BeforeValidator(number)]
ChapterNumber = Annotated[int, Field(ge=0, lt=MAX_CHAPTERS), BeforeValidator(number)]  # the first is 0
Target = Annotated[int, Field(ge=100, le=86_400_000), BeforeValidator(number)]  # milliseconds, up to a day
LexiconRef = Annotated[str, Field(max_length=71, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(@[1-9][0-9]{0,5})?$")]
Markup = Literal["none", "ssml", "tags"]
WebhookEvent = Literal["job.succeeded", "job.failed", "job.canceled", "batch.completed"]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A value is its own copy. Pydantic copies a default each time it uses one: that was three quarters of reading
        a job's spec, which every look at a job does."""
        return self


class Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

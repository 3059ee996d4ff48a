"""Markup in the text of a job: SSML or short tags, read into a script, or refused by its place.

means      what the model can do, and what the job has settled
ssml       <speak> … </speak>
tags       [voice:anna] … [/voice]
composer   the script, and the rules that both share
say_as     what <say-as> says
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from farm.errors import BadInput, FieldError
from farm.markup import ssml, tags
from farm.markup.means import Fault, Means
from farm.script import Script
from farm.wire import Markup

__all__ = ["Fault", "Means", "read", "refusals"]


def read(text: str, markup: Markup, means: Means) -> tuple[Script, list[Fault]]:
    """The script of a chapter without chapter markers, and what is refused; the script counts where that is nothing."""
    if markup == "none":
        return Script.plain(text), []
    return ssml.read(text, means) if markup == "ssml" else tags.read(text, means)


def refusals(faults: Iterable[Fault], text: str, pointer: str, chapter: int | None = None) -> Iterator[BadInput]:
    """Each with its line and column in the text, both from 1, and its chapter, where there are several."""
    for position, message in faults:
        line = text.count("\n", 0, position) + 1
        column = position - text.rfind("\n", 0, position)
        where = "" if chapter is None else f"chapter {chapter + 1}, "
        said = f"{where}line {line}, column {column}: {message}"
        yield BadInput(said, code="bad_markup", fields=[FieldError(pointer, said, position)])

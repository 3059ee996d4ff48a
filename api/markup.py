"""The text of a request with its markup: the chapters that the job will have, and what of the markup is refused.

The job keeps the text as it was written, and the desk reads the markup again when it plans. So what is accepted here
and what is planned there are read by the same functions, with the same means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from farm.errors import BadInput
from farm.markup import Fault, Means, read, refusals
from farm.markup.tags import parts as cut_at_markers
from farm.pronunciation import faults as mispronounced
from farm.script import Laid
from farm.speech import Parameter
from farm.text_document import StoredChapter, Turn
from farm.wire import MAX_CHAPTERS, Chapter, JobRequest, Model

MAX_MARKS = 100_000  # of a job; each takes some 20 µs of the API's processor
MAX_BATCH_MARKS = 1_000_000
_NAMED = 12  # faults that a refusal lists at most
_MARK = {"ssml": "<", "tags": "["}


@dataclass(slots=True)
class Written:
    """`parts` are the chapters as the job has them, `spoken` the same with what is said as their input."""

    parts: list[Chapter] = field(default_factory=list)
    spoken: list[Chapter] = field(default_factory=list)
    faults: list[BadInput] = field(default_factory=list)


def marks_in(request: JobRequest) -> int:
    """Signs that may begin an element or a tag: what it costs to read the markup."""
    mark = _MARK.get(request.markup)
    return 0 if mark is None else sum(part.input.count(mark) for part in request.parts())


def written(request: JobRequest, card: Model, means_of: Callable[[Chapter], Means]) -> Written:
    """`means_of` a chapter says what its markup may ask for."""
    chapters = request.parts()
    if request.markup == "none":
        marks_count = Parameter.PRONUNCIATION in card.parameters
        refused = list(islice(_bad_marks(request, chapters), _NAMED)) if marks_count else []
        return Written(chapters, chapters, refused)
    if (marks := marks_in(request)) > MAX_MARKS:
        return Written(chapters, chapters, [_too_many_marks(marks, request)])
    found = Written()
    for number, chapter in enumerate(chapters):
        pointer, place = ("/input", None) if request.chapters is None else (f"/chapters/{number}/input", number)
        faults = list(_read(request, chapter, means_of(chapter), found))
        found.faults += islice(refusals(sorted(faults), chapter.input, pointer, place), _NAMED - len(found.faults))
    if len(found.parts) > MAX_CHAPTERS:
        found.faults.append(_too_many(len(found.parts), request))
    return found


def _read(request: JobRequest, chapter: Chapter, means: Means, found: Written) -> Iterator[Fault]:
    for part in _cut(request, chapter):
        if isinstance(part, Fault):
            yield part
            continue
        begin, own = part
        script, faults = read(own.input, request.markup, means)
        laid = Laid(script)
        found.parts.append(own)
        found.spoken.append(own.model_copy(update={"input": laid.text}))
        if not faults and means.honours(Parameter.PRONUNCIATION):
            faults = [
                Fault(laid.source(fault.position, fault.position + 1)[0], f"the mark {fault.quoted!r} {fault.trouble}")
                for fault in mispronounced(laid.text)
            ]
        yield from (fault._replace(position=begin + fault.position) for fault in faults)


def _cut(request: JobRequest, chapter: Chapter) -> Iterator[tuple[int, Chapter] | Fault]:
    """The chapters that its markers open, each with the place where its text begins; faults of the markers."""
    if request.markup != "tags":
        yield 0, chapter
        return
    parts, faults = cut_at_markers(chapter.input)
    yield from faults
    if len(parts) > 1 and chapter.target_duration_ms is not None:
        yield Fault(parts[1].at, "a chapter with a target_duration_ms can't be cut by markers; give each part its own")
    for part in parts:
        headings = [place - part.start for place in chapter.headings if part.start <= place < part.end]
        changed: dict[str, object] = {"input": chapter.input[part.start : part.end], "headings": headings}
        if isinstance(chapter, StoredChapter):
            changed["turns"] = tuple(_within(chapter.turns, part.start, part.end))
        if part.title is not None:
            changed["title"] = part.title
        yield part.start, chapter.model_copy(update=changed)


def _within(turns: Iterable[Turn], start: int, end: int) -> Iterator[Turn]:
    """With their places in the part."""
    for turn in turns:
        first, last = max(turn.start, start), min(turn.end, end)
        if first < last:
            yield Turn(first - start, last - start, turn.voice)


def _bad_marks(request: JobRequest, chapters: list[Chapter]) -> Iterator[BadInput]:
    """Refuses pronunciation marks that the model would misread."""
    for number, part in enumerate(chapters):
        pointer = "/input" if request.chapters is None else f"/chapters/{number}/input"
        for fault in mispronounced(part.input):
            yield BadInput(fault.message, code="bad_pronunciation", pointer=pointer)


def _too_many(count: int, request: JobRequest) -> BadInput:
    return BadInput(
        f"chapter markers make {count:,} chapters, more than {MAX_CHAPTERS:,}; split the job",
        code="too_many_chapters", pointer=_text_of(request),
    )  # fmt: skip


def _too_many_marks(count: int, request: JobRequest) -> BadInput:
    return BadInput(
        f"the markup has {count:,} times {_MARK[request.markup]!r}, more than {MAX_MARKS:,}; split the job",
        code="too_many_marks", pointer=_text_of(request),
    )  # fmt: skip


def _text_of(request: JobRequest) -> str:
    return "/input" if request.chapters is None else "/chapters"

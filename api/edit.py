"""An edit: what a job that has ended is to be from now on, said as what changes.

    the job's spec and text ──> the request that asks for just that ──> with the fields of the edit ──> admission

So an edited job is resolved, limited and refused like a new one, and its next revision is what a new job with the same
request would be. What the edit leaves alone stays as it was resolved: recordings of voices and versions of lexicons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from api.admission import Catalog
from farm.errors import BadInput
from farm.job import Lane
from farm.presets import without_preset
from farm.segment import Segment
from farm.spec import Spec
from farm.store import jobs
from farm.text_document import StoredChapter, Turn, read_text, write_text
from farm.wire import MAX_CHARACTERS, NARRATOR, JobEdit, JobRequest, Output, SegmentEdit


@dataclass(frozen=True, slots=True)
class Edited:
    """The next revision of a job. `text` is its text document, None where that stays."""

    spec: Spec
    text: str | None
    characters: int
    retention_s: int


@dataclass(frozen=True, slots=True)
class Requested:
    """`left_out`: chapters that are kept beside those of the request, each by its number among all of them."""

    request: JobRequest
    left_out: Mapping[int, StoredChapter] = field(default_factory=dict)


def requested(job: jobs.JobRecord, document: bytes, edit: JobEdit, row: Callable[[int], Segment]) -> Requested:
    """The request of the job as it is, with the fields of the edit. `document` is its text; `row` finds a segment by
    its number. Raises BadInput."""
    spec = Spec.model_validate_json(job.spec)
    chapters = read_text(document)
    if edit.segments is not None:
        chapters = with_sentences(chapters, edit.segments, row)
    if edit.left_out is not None:
        chapters = _without(chapters, edit.left_out)
    left_out = {number: chapter for number, chapter in enumerate(chapters) if chapter.left_out}
    manner = spec.manner
    as_it_is: dict[str, Any] = {
        "model": job.model, "priority": job.lane, "custom_id": spec.custom_id, "expires_after": job.retention_s,
        "voice": None if NARRATOR in spec.voices else spec.voice, "voices": spec.voices, "language": spec.language,
        "markup": spec.markup, "lexicons": list(spec.lexicons), "target_duration_ms": spec.target_duration_ms,
        "speed": manner.speed, "pitch": manner.pitch, "seed": manner.seed, "emotion": None,
        "normalize": manner.normalize, "checks": manner.checks, "output": spec.output, "on_error": spec.on_error,
        "on_review": spec.on_review, "metadata": spec.metadata, "webhook": spec.webhook,
        "input": None, "chapters": [chapter for chapter in chapters if not chapter.left_out], "document": None,
    }  # fmt: skip
    request = JobRequest.model_construct(**as_it_is)
    if edit.renews_text:
        left_out = {}
    return Requested(request.model_copy(update=_changes(request, edit)), left_out)


def edited(job: jobs.JobRecord, document: bytes, edit: JobEdit, wanted: Requested, catalog: Catalog) -> Edited | None:
    """None where the edit changes nothing. `wanted` is as `requested` made it, with the chapters of its document.
    Raises BadInput."""
    spec = Spec.model_validate_json(job.spec)
    known = replace(catalog, uploads={**catalog.uploads, **_pinned(spec, edit)}, highest=Lane.INTERACTIVE)
    for number, each in enumerate(edit.segments or ()):
        if each.voice is not None:
            known.check_voice(wanted.request, each.voice, f"/segments/{number}/voice")
    order = known.admit(wanted.request)
    after_text = _whole(order.text, len(wanted.request.parts()), wanted.left_out)
    manner = order.spec.manner
    if "emotion" not in edit.model_fields_set:
        manner = replace(manner, emotion=spec.manner.emotion)
    text = None if after_text.encode() == document else after_text
    kept = {"manner": manner, "seeds": spec.seeds, "text": spec.text}
    if not edit.renews_text:
        kept["document"] = spec.document
    after = order.spec.model_copy(update=kept)
    if text is None and after == spec and order.retention_s == job.retention_s:
        return None
    return Edited(after, text, order.characters, order.retention_s)


def _changes(request: JobRequest, edit: JobEdit) -> dict[str, object]:
    """The fields that the edit sets: each as a whole, but of `output` those that it names."""
    said = edit.changed - {"segments", "left_out"}
    changes = {name: getattr(edit, name) for name in said}
    if "output" in said:
        changes["output"] = _merged(request.output, edit.output)
    if NARRATOR in edit.voices and "voice" not in said:
        changes["voice"] = None  # the narrator speaks in its place
    if edit.input is not None or edit.document is not None:
        changes["chapters"] = None
    return changes


def _merged(before: Output, said: Output) -> Output:
    """Another preset decides what the one before had decided."""
    if "preset" in said.model_fields_set and said.preset != before.preset:
        before = without_preset(before)
    fields = {name: getattr(said, name) for name in said.model_fields_set}
    if "pause_ms" in fields:
        pauses = {name: getattr(said.pause_ms, name) for name in said.pause_ms.model_fields_set}
        fields["pause_ms"] = before.pause_ms.model_copy(update=pauses)
    return before.model_copy(update=fields)


def _pinned(spec: Spec, edit: JobEdit) -> Mapping[str, str]:
    """Names of voices that keep the recording that the job has: all that the edit does not name."""
    named = {edit.voice, *edit.voices.values(), *(chapter.voice for chapter in edit.chapters or ())}
    return {name: digest for name, digest in spec.uploads.items() if name not in named}


# --- sentences --------------------------------------------------------------------------------------------------------


def with_sentences(
    chapters: Sequence[StoredChapter], edits: Sequence[SegmentEdit], row: Callable[[int], Segment]
) -> list[StoredChapter]:
    """The chapters with other words or voices for segments, the last of a chapter first, so that places stay right."""
    found: dict[int, tuple[int, Segment, SegmentEdit]] = {}
    for number, each in enumerate(edits):
        if each.index in found:
            raise BadInput(f"segment {each.index} is changed twice", pointer=f"/segments/{number}/index")
        try:
            found[each.index] = number, row(each.index), each
        except IndexError:
            raise BadInput(f"there is no segment {each.index}", pointer=f"/segments/{number}/index") from None
    of_chapter: defaultdict[int, list[tuple[int, Segment, SegmentEdit]]] = defaultdict(list)
    spoken = [number for number, chapter in enumerate(chapters) if not chapter.left_out]
    for index in sorted(found, reverse=True):
        of_chapter[spoken[found[index][1].chapter]].append(found[index])
    changed = list(chapters)
    for chapter, replaced in of_chapter.items():
        changed[chapter] = _rewritten(chapters[chapter], replaced)
    if sum(len(chapter.input) for chapter in changed) > MAX_CHARACTERS:
        raise BadInput(f"the text has more than {MAX_CHARACTERS:,} characters then", pointer="/segments")
    return changed


def _rewritten(chapter: StoredChapter, replaced: Sequence[tuple[int, Segment, SegmentEdit]]) -> StoredChapter:
    text, headings, turns = chapter.input, list(chapter.headings), list(chapter.turns)
    for _, row, edit in replaced:
        words = text[row.start : row.end] if edit.text is None else edit.text
        text = text[: row.start] + words + text[row.end :]
        longer = len(words) - (row.end - row.start)
        headings = [place + longer if place >= row.end else place for place in headings]
        turns = list(_turned(turns, row, len(words), edit))
    if not text.strip():
        number = replaced[0][0]
        why = "leaves its chapter without a text; leave the chapter out by left_out, which keeps it"
        raise BadInput(why, pointer=f"/segments/{number}/text")
    return chapter.model_copy(update={"input": text, "headings": headings, "turns": tuple(turns)})


def _turned(turns: Sequence[Turn], row: Segment, length: int, edit: SegmentEdit) -> Iterator[Turn]:
    """The turns once the segment is so long, and spoken by whom the edit says, or by whoever spoke its beginning."""
    longer = length - (row.end - row.start)
    before = next((turn.voice for turn in turns if turn.start <= row.start < turn.end), None)
    voice = edit.voice if edit.says_voice else before
    for turn in turns:
        if turn.start < row.start:
            yield turn._replace(end=min(turn.end, row.start))
    if voice is not None and length:
        yield Turn(row.start, row.start + length, voice)
    for turn in turns:
        if turn.end > row.end:
            yield Turn(max(turn.start, row.end) + longer, turn.end + longer, turn.voice)


# --- chapters ---------------------------------------------------------------------------------------------------------


def _without(chapters: Sequence[StoredChapter], numbers: Sequence[int]) -> list[StoredChapter]:
    for place, number in enumerate(numbers):
        if number >= len(chapters):
            why = f"there is no chapter {number}; the last one is {len(chapters) - 1}"
            raise BadInput(why, pointer=f"/left_out/{place}")
    if len(set(numbers)) == len(chapters):
        raise BadInput("leaves nothing to speak; take one chapter in at least", pointer="/left_out")
    out = frozenset(numbers)
    return [chapter.model_copy(update={"left_out": number in out}) for number, chapter in enumerate(chapters)]


def _whole(text: str, asked: int, left_out: Mapping[int, StoredChapter]) -> str:
    """The text as it was admitted, with the chapters that are left out in their places again."""
    if not left_out:
        return text
    spoken = read_text(text)
    if len(spoken) != asked:
        why = "a marker can't open a chapter while others are left out; take them in, and leave them out after that"
        raise BadInput(why, code="conflicting_fields", pointer="/segments")
    rest = iter(spoken)
    return write_text([left_out.get(number) or next(rest) for number in range(len(spoken) + len(left_out))])

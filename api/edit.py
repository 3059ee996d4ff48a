"""An edit: what a job that has ended is to be from now on, said as what changes.

    the job's spec and text ──> the request that asks for just that ──> with the fields of the edit ──> admission

So an edited job is resolved, limited and refused like a new one, and its next revision is what a new job with the same
request would be. What the edit leaves alone stays as it was resolved: recordings of voices and versions of lexicons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from api.admission import Catalog
from farm.errors import BadInput
from farm.job import Lane
from farm.plan import Segment
from farm.presets import without_preset
from farm.spec import Spec, read_text
from farm.store import jobs
from farm.wire import MAX_CHARACTERS, NARRATOR, Chapter, JobEdit, JobRequest, Output, SegmentEdit


@dataclass(frozen=True, slots=True)
class Edited:
    """The next revision of a job. `text` is its text document, None where that stays."""

    spec: Spec
    text: str | None
    characters: int
    retention_s: int


def requested(job: jobs.JobRecord, document: bytes, edit: JobEdit, row: Callable[[int], Segment]) -> JobRequest:
    """The request of the job as it is, with the fields of the edit. `document` is its text; `row` finds a segment by
    its number. Raises BadInput."""
    spec = Spec.model_validate_json(job.spec)
    chapters = read_text(document)
    if edit.segments is not None:
        chapters = _with_sentences(chapters, edit.segments, row)
    manner = spec.manner
    as_it_is: dict[str, Any] = {
        "model": job.model, "priority": job.lane, "custom_id": spec.custom_id, "expires_after": job.retention_s,
        "voice": None if NARRATOR in spec.voices else spec.voice, "voices": spec.voices, "language": spec.language,
        "markup": spec.markup, "lexicons": list(spec.lexicons), "target_duration_ms": spec.target_duration_ms,
        "speed": manner.speed, "pitch": manner.pitch, "seed": manner.seed, "emotion": None,
        "normalize": manner.normalize, "checks": manner.checks, "output": spec.output, "on_error": spec.on_error,
        "on_review": spec.on_review, "metadata": spec.metadata, "webhook": spec.webhook,
        "input": None, "chapters": chapters, "document": None,
    }  # fmt: skip
    request = JobRequest.model_construct(**as_it_is)
    return request.model_copy(update=_changes(request, edit))


def edited(job: jobs.JobRecord, document: bytes, edit: JobEdit, request: JobRequest, catalog: Catalog) -> Edited | None:
    """None where the edit changes nothing. `request` is as `requested` made it, with the chapters of its document.
    Raises BadInput."""
    spec = Spec.model_validate_json(job.spec)
    known = replace(catalog, uploads={**catalog.uploads, **_pinned(spec, edit)}, highest=Lane.INTERACTIVE)
    order = known.admit(request)
    manner = order.spec.manner
    if "emotion" not in edit.model_fields_set:
        manner = replace(manner, emotion=spec.manner.emotion)
    text = None if order.text.encode() == document else order.text
    after = order.spec.model_copy(update={"manner": manner, "seeds": spec.seeds, "text": spec.text})
    if text is None and after == spec and order.retention_s == job.retention_s:
        return None
    return Edited(after, text, order.characters, order.retention_s)


def _changes(request: JobRequest, edit: JobEdit) -> dict[str, object]:
    """The fields that the edit sets: each as a whole, but of `output` those that it names."""
    said = edit.changed - {"segments"}
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


def _with_sentences(
    chapters: Sequence[Chapter], edits: Sequence[SegmentEdit], row: Callable[[int], Segment]
) -> list[Chapter]:
    """The chapters with other words in place of segments, the last of a chapter first, so that places stay right."""
    found: dict[int, tuple[int, Segment, str]] = {}
    for number, each in enumerate(edits):
        if each.index in found:
            raise BadInput(f"segment {each.index} is changed twice", pointer=f"/segments/{number}/index")
        try:
            found[each.index] = number, row(each.index), each.text
        except IndexError:
            raise BadInput(f"there is no segment {each.index}", pointer=f"/segments/{number}/index") from None
    of_chapter: defaultdict[int, list[tuple[int, Segment, str]]] = defaultdict(list)
    for index in sorted(found, reverse=True):
        of_chapter[found[index][1].chapter].append(found[index])
    changed = list(chapters)
    for chapter, replaced in of_chapter.items():
        changed[chapter] = _rewritten(chapters[chapter], replaced)
    if sum(len(chapter.input) for chapter in changed) > MAX_CHARACTERS:
        raise BadInput(f"the text has more than {MAX_CHARACTERS:,} characters then", pointer="/segments")
    return changed


def _rewritten(chapter: Chapter, replaced: Sequence[tuple[int, Segment, str]]) -> Chapter:
    text, headings = chapter.input, list(chapter.headings)
    for _, row, words in replaced:
        text = text[: row.start] + words + text[row.end :]
        longer = len(words) - (row.end - row.start)
        headings = [place + longer if place >= row.end else place for place in headings]
    if not text.strip():
        number = replaced[0][0]
        why = "leaves its chapter without a text; give chapters, and leave that one out"
        raise BadInput(why, pointer=f"/segments/{number}/text")
    return chapter.model_copy(update={"input": text, "headings": headings})

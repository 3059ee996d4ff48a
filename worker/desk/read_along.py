"""The read-along of a job that asked for it in output.also: a book in which each sentence is marked while it is heard.
The book is the document of the job where that is an EPUB 3, else a plain one of its text.

Its times are the places in the manifest, less the beginning of the chapter's file, as those of subtitles are.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from farm.documents.metadata import Cover
from farm.errors import ObjectMissing
from farm.layout import document_key
from farm.plan import Plan
from farm.pronunciation import plain
from farm.spec import Spec
from farm.storage import Storage
from farm.store import jobs
from farm.text_document import read_spoken, stored_text_key
from worker.desk.book import Book
from worker.desk.digest import digest
from worker.desk.stitch import Stitched
from worker.desk.subtitles import on_one_line, sentences_in
from worker.readalong.overlay import AUDIO, Heard
from worker.readalong.plain_book import About, Page, Shown, write_plain_book
from worker.readalong.source_book import Narration, Unfit
from worker.readalong.source_process import write_apart

log = logging.getLogger(__name__)

_ZIP = b"PK"
Table = Sequence[Mapping[str, Any]]  # the rows of a manifest


@dataclass(frozen=True, slots=True)
class Made:
    """`facts` are what the manifest tells of the file."""

    path: Path
    facts: Mapping[str, Any]


class ReadAlong:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def make(
        self, folder: Path, job: jobs.JobRecord, spec: Spec, plan: Plan, stitched: Stitched, table: Table, book: Book,
        check: Callable[[], None],
    ) -> Made:  # fmt: skip
        """Writes the book into `folder`. Raises ObjectMissing where the text of the job is gone."""
        target, note = folder / "readalong.epub", ""
        heard, about = list(heard_in(stitched, plan, table)), _about(job, spec, plan, book)
        try:
            marked = self._in_document(target, job, spec, stitched, about, heard, check)
        except Unfit as unfit:
            note = str(unfit)
            if spec.document:
                log.info("the read-along of %s is a plain book: %s", job.id, note)
            pages = self._pages(job, spec, plan, stitched, table, heard)
            audio, markup = AUDIO[stitched.format], spec.markup != "none"
            marked = write_plain_book(target, about, pages, audio, check, markup=markup)
        facts = {
            "bytes": target.stat().st_size, "sha256": digest(target, check), "book": "plain" if note else "source",
            "times": "estimated" if any(each.part for each in heard) else "exact", "marked": marked,
            "unmarked": len(heard) - marked, "note": note,
        }  # fmt: skip
        return Made(target, facts)

    def _in_document(
        self, target: Path, job: jobs.JobRecord, spec: Spec, stitched: Stitched, about: About, heard: Sequence[Heard],
        check: Callable[[], None],
    ) -> int:  # fmt: skip
        """Raises Unfit where the job has no document, or none that can be read along."""
        if not spec.document:
            raise Unfit("the job has no document")
        try:
            data = self._storage.get(document_key(job.tenant, spec.document, "source"))
        except ObjectMissing:
            raise Unfit("the document was deleted, or is past its retention; upload it again, and retry") from None
        if not data.startswith(_ZIP):
            raise Unfit("the document is no EPUB")
        source = target.with_name("source.epub")
        source.write_bytes(data)
        audio = {each.chapter: each.path for each in stitched.chapter_files}
        narration = Narration(about.narrator, about.modified, *AUDIO[stitched.format], audio)
        return write_apart(target, source, narration, heard, check)

    def _pages(
        self, job: jobs.JobRecord, spec: Spec, plan: Plan, stitched: Stitched, table: Table,
        heard: Sequence[Heard],
    ) -> list[Page]:  # fmt: skip
        of_segment: defaultdict[int, list[Heard]] = defaultdict(list)
        for each in heard:
            of_segment[each.segment].append(each)
        files = {each.chapter: each.path for each in stitched.chapter_files}
        chapters = read_spoken(self._storage.get(stored_text_key(job.id, spec)))
        return [
            Page(
                chapter,
                [
                    Shown(row["start"], row["end"], _shown(row["text"], plan), of_segment[row["index"]])
                    for row in table[planned.first : planned.first + planned.count]
                ],
                files.get(number),
            )
            for number, (chapter, planned) in enumerate(zip(chapters, plan.chapters, strict=True))
        ]


def heard_in(stitched: Stitched, plan: Plan, table: Table) -> Iterator[Heard]:
    """The sentences that are heard, each in the file of its chapter. Sentences of one segment share its time by their
    characters, as subtitles do."""
    for file in stitched.chapter_files:
        planned = plan.chapters[file.chapter]
        rows = [row for row in table[planned.first : planned.first + planned.count] if "offset_ms" in row]
        start_ms = stitched.milliseconds(file.start)
        ends = [row["offset_ms"] for row in rows[1:]] + [stitched.milliseconds(file.start + file.frames)]
        for row, end in zip(rows, ends, strict=True):
            text = _shown(row["text"], plan)
            yield from _sentences(row, text, plan.recipe.language, row["offset_ms"] - start_ms, end - start_ms)


def _sentences(row: Mapping[str, Any], text: str, language: str, begin_ms: int, end_ms: int) -> Iterator[Heard]:
    """Of a segment, whose last sentence is followed by its pause."""
    found = list(sentences_in(text, language))
    begins = [begin_ms + row["duration_ms"] * start // max(1, len(text)) for start, _ in found]
    if len(set(begins)) < len(begins):  # a short silence for a long row of signs
        found, begins = [(0, len(text))], [begin_ms]
    begins[0] = begin_ms
    at = 0
    for part, ((start, end), (begin, until)) in enumerate(zip(found, pairwise([*begins, end_ms]), strict=True)):
        yield Heard(row["index"], part, row["chapter"], text[at:start], text[start:end], begin, until)
        at = end


def _shown(text: str, plan: Plan) -> str:
    """As subtitles show it."""
    return on_one_line(plain(text) if plan.has_marks else text)


def _about(job: jobs.JobRecord, spec: Spec, plan: Plan, book: Book) -> About:
    picture = book.picture
    return About(
        identifier=f"urn:tts-farm:{job.id}:{job.revision}",
        language=plan.recipe.language,
        narrator=book.tags.get("composer") or f"{spec.voice} ({plan.recipe.model})",
        modified=f"{datetime.fromtimestamp(job.created_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        tags=book.tags,
        cover=Cover(picture.data, picture.media_type) if picture is not None else None,
    )

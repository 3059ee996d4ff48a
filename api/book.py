"""A document as the text of a job: the chapters that were chosen, spoken by the job's rules, and what the job keeps of
the book.

The job gets the text itself, so that it needs the document no more once it is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.documents import find
from api.state import AppState
from farm.documents.rules import Reading, left_out
from farm.documents.tree import Document
from farm.errors import BadInput, Conflict, NotFound, ObjectMissing
from farm.layout import document_key
from farm.wire import MAX_CHAPTERS, MAX_CHARACTERS, Chapter, DocumentChoice, JobRequest


@dataclass(frozen=True, slots=True)
class Book:
    """What a job keeps of its document."""

    metadata: str  # Metadata.to_json()
    cover: bytes
    cover_type: str
    language: str  # as the document says it; "" where it does not


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document as storage has it. `packed` is for Document.unpack()."""

    packed: bytes
    cover: bytes
    cover_type: str


async def opened(state: AppState, tenant: str, wanted: JobRequest) -> tuple[JobRequest, Book | None]:
    """The request with the chapters of its document as its text. Raises BadInput or Conflict."""
    choice = wanted.document
    if choice is None:
        return wanted, None
    return await state.blocking(_read, wanted, choice, await fetched(state, tenant, choice.id))


async def fetched(state: AppState, tenant: str, id: str) -> Fetched:
    """Raises BadInput for a document that is not there, Conflict for one that is not read yet."""
    try:
        record = await find(state, tenant, id)
    except NotFound as error:
        raise BadInput(error.message, code="unknown_document", pointer="/document/id") from None
    if record.status != "ready":
        raise Conflict(f"document {id} is not read yet; wait until its status is ready", code="document_not_ready")
    try:
        packed = await state.blocking(state.storage.get, document_key(tenant, id, "tree.json.gz"))
        cover = b""
        if record.cover_bytes:
            cover = await state.blocking(state.storage.get, document_key(tenant, id, "cover"))
    except ObjectMissing:
        raise BadInput(
            f"document {id} is no longer in storage; upload it again", code="unknown_document",
            pointer="/document/id",
        ) from None  # fmt: skip
    return Fetched(packed, cover, record.cover_type)


def _read(wanted: JobRequest, choice: DocumentChoice, found: Fetched) -> tuple[JobRequest, Book]:
    document = Document.unpack(found.packed, found.cover or None)
    chapters = chosen(document, choice)
    book = Book(document.metadata.to_json(), found.cover, found.cover_type, document.metadata.language)
    return wanted.model_copy(update={"chapters": chapters}), book


def chosen(document: Document, choice: DocumentChoice) -> list[Chapter]:
    """The chapters of a job, in the order of the document. Raises BadInput where there is nothing to speak, or too
    much."""
    named = None if choice.chapters is None else set(choice.chapters)
    _refuse_unknown(document, choice)
    out = left_out(document, choice.rules) if named is None else {}
    reading = Reading(document, choice.rules)
    chapters, characters = [], 0
    for chapter in document.chapters:
        if chapter.id in out or (named is not None and chapter.id not in named):
            continue
        spoken = reading.spoken(chapter, chosen=named is not None)
        if not spoken.text:
            if named is not None:
                raise _silent(chapter.id)
            continue
        characters += len(spoken.text)
        row = Chapter.model_construct(title=chapter.title, input=spoken.text, headings=list(spoken.headings))
        chapters.append(row)
    _refuse_too_much(len(chapters), characters)
    if not chapters:
        raise BadInput(
            "document: by these rules no chapter is spoken; name chapters, or set rules to `read`",
            code="nothing_to_speak", pointer="/document",
        )  # fmt: skip
    return chapters


def _refuse_unknown(document: Document, choice: DocumentChoice) -> None:
    known = {chapter.id for chapter in document.chapters}
    unknown = [id for id in choice.chapters or () if id not in known]
    if unknown:
        raise BadInput(
            f"document {choice.id} has no chapter {unknown[0]!r}; it has c1 to c{len(known)}",
            code="unknown_chapter", pointer="/document/chapters",
        )  # fmt: skip


def _refuse_too_much(count: int, characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise BadInput(
            f"document: the chosen chapters have {characters:,} characters, more than {MAX_CHARACTERS:,}; "
            "choose fewer in document.chapters, and narrate the rest as another job",
            code="too_many_characters", pointer="/document/chapters",
        )  # fmt: skip
    if count > MAX_CHAPTERS:
        raise BadInput(
            f"document: {count:,} chapters are chosen, more than {MAX_CHAPTERS:,}; "
            "choose fewer in document.chapters, and narrate the rest as another job",
            code="too_many_chapters", pointer="/document/chapters",
        )  # fmt: skip


def _silent(id: str) -> BadInput:
    return BadInput(
        f"chapter {id} has nothing that is spoken by these rules; leave it out, or set rules to `read`",
        code="nothing_to_speak", pointer="/document/chapters",
    )  # fmt: skip

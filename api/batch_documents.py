"""The documents that lines of a batch name: each is opened once, for all of its lines, before any line is admitted.

What the lines say of a document waits in files until they are written, because the texts of a batch must not lie in
memory. A line whose document is unknown, not read yet or has nothing to speak is told when its turn comes, like every
other fault of a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from api.book import Fetched, chosen, fetched
from api.state import AppState
from farm.documents.tree import Document
from farm.errors import BadInput, Conflict, TooLarge
from farm.order import LineBook
from farm.text_document import read_text, write_text
from farm.wire import DocumentChoice, JobRequest

MOST_LINES = 2_000  # that name a document: each reads all of it, up to some 50 ms of a processor
MOST_DOCUMENTS = 100
MOST_BYTES = 200_000_000  # of text, as much as the lines themselves may have


@dataclass(frozen=True, slots=True)
class Named:
    """A line that names a document."""

    pointer: str
    choice: DocumentChoice


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a line takes from its document."""

    text: Path
    book: LineBook
    language: str


@dataclass(slots=True)
class Shelf:
    """By the pointers of lines. `covers` are files, by document."""

    folder: Path
    covers: dict[str, Path] = field(default_factory=dict)
    _taken: dict[str, _Taken] = field(default_factory=dict)
    _faults: dict[str, BadInput] = field(default_factory=dict)
    _bytes: int = 0

    def opened(self, pointer: str, wanted: JobRequest) -> tuple[JobRequest, LineBook | None, str]:
        """The request with the text of its document, what its job keeps of it, and its language. Raises BadInput."""
        if wanted.document is None:
            return wanted, None, ""
        if (fault := self._faults.get(pointer)) is not None:
            raise fault
        taken = self._taken[pointer]
        return wanted.model_copy(update={"chapters": read_text(taken.text.read_bytes())}), taken.book, taken.language

    def refuse(self, lines: Iterable[Named], fault: BadInput) -> None:
        self._faults.update((line.pointer, fault) for line in lines)

    def take(self, id: str, lines: Iterable[Named], found: Fetched) -> None:
        """Raises TooLarge."""
        document = Document.unpack(found.packed, found.cover or None)
        book = LineBook(document.metadata.to_json(), id, len(found.cover), found.cover_type)
        if found.cover:
            self.covers[id] = self.folder / f"{id}.cover"
            self.covers[id].write_bytes(found.cover)
        for line in lines:
            try:
                text = write_text(chosen(document, line.choice)).encode()
            except BadInput as fault:
                self._faults[line.pointer] = fault
                continue
            self._bytes += len(text)
            if self._bytes > MOST_BYTES:
                raise TooLarge(
                    f"the documents of a batch have at most {MOST_BYTES:,} bytes of text; send the rest as another",
                    pointer=f"{line.pointer}/document",
                )
            file = self.folder / f"text.{len(self._taken)}"
            file.write_bytes(text)
            self._taken[line.pointer] = _Taken(file, book, document.metadata.language)


async def shelved(state: AppState, tenant: str, named: Iterable[Named], folder: Path) -> Shelf:
    """`folder` is for its files. Raises TooLarge for too many lines, documents or characters."""
    shelf, by_document = Shelf(folder), dict[str, list[Named]]()
    for number, line in enumerate(named, 1):
        if number > MOST_LINES:
            raise _too_many(f"{MOST_LINES:,} lines that name a document", line)
        by_document.setdefault(line.choice.id, []).append(line)
        if len(by_document) > MOST_DOCUMENTS:
            raise _too_many(f"{MOST_DOCUMENTS} documents", line)
    for id, lines in by_document.items():
        try:
            found = await fetched(state, tenant, id)
        except Conflict as error:
            shelf.refuse(lines, BadInput(error.message, code=error.code, pointer="/document/id"))
        except BadInput as fault:
            shelf.refuse(lines, fault)
        else:
            await state.blocking(shelf.take, id, lines, found)
    return shelf


def _too_many(what: str, line: Named) -> TooLarge:
    return TooLarge(f"a batch has at most {what}; send the rest as another", pointer=f"{line.pointer}/document")

"""A validated job, ready to be accepted; and the file of a batch, of which every line is one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from farm.job import Lane
from farm.quota import END_BYTES
from farm.spec import Shared, Spec, fields_of, patch

INLINE_BYTES = 8_000  # UTF-8; longer texts are written to storage before the job is accepted


@dataclass(frozen=True, slots=True)
class LineBook:
    """What a line of a batch says of its document, whose cover lies beside the lines."""

    metadata: str  # Metadata.to_json()
    document: str  # its id
    cover_bytes: int = 0
    cover_type: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A validated job under its id. `text` is its text document, of any length."""

    id: str
    model: str
    lane: Lane
    spec: Spec
    text: str
    characters: int
    retention_s: int
    book: LineBook | None = None  # of a line of a batch

    @property
    def stored(self) -> int:
        """Bytes that the job has in storage from its start on."""
        text = 0 if self.inline else len(self.text.encode())
        return text if self.book is None else text + len(self.book.metadata.encode()) + self.book.cover_bytes

    @property
    def inline(self) -> bool:
        """Whether the text goes to Redis with the job."""
        return len(self.text) <= INLINE_BYTES and len(self.text.encode()) <= INLINE_BYTES


@dataclass(frozen=True, slots=True)
class Written:
    """The lines of a batch that were written, and what they will take once they are jobs."""

    count: int = 0
    characters: int = 0
    lines: int = 0  # bytes of specs, of texts that go to Redis, and of outboxes
    texts: int = 0  # bytes of texts and books that go to storage
    packed: int = 0  # bytes of the file, and of the covers beside it


def write_lines(orders: Iterable[Order], file: BinaryIO, shared: Shared | None = None) -> Written:
    """Writes gzipped JSON lines. The orders are consumed one by one."""
    count = characters = lines = texts = 0
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, mtime=0) as packed:
        for order in orders:
            spec = order.spec.to_json() if shared is None else patch(order.spec, shared.fields)
            row: dict[str, Any] = {
                "id": order.id,
                "model": order.model,
                "lane": order.lane.value,
                "spec": spec,
                "text": order.text,
                "characters": order.characters,
                "retention_s": order.retention_s,
            }
            if order.book is not None:
                row["book"] = asdict(order.book)
            packed.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            count += 1
            characters += order.characters
            inline = len(order.text.encode()) if order.inline else 0
            lines += len(spec.encode()) + inline + (END_BYTES if order.spec.events else 0)
            texts += order.stored
    return Written(count, characters, lines, texts, file.tell())


def read_lines(file: BinaryIO, skip: int = 0, shared: Mapping[str, Any] | None = None) -> Iterator[Order]:
    """The orders from line `skip` on, so that a batch that was unfolded in part is taken up there. `shared` are the
    fields that the lines leave out."""
    with gzip.GzipFile(fileobj=file, mode="rb") as packed:
        for number, line in enumerate(packed):
            if number < skip:
                continue
            row = json.loads(line)
            yield Order(
                id=row["id"],
                model=row["model"],
                lane=Lane(row["lane"]),
                spec=Spec.model_validate(fields_of(row["spec"], shared or {})),
                text=row["text"],
                characters=row["characters"],
                retention_s=row["retention_s"],
                book=LineBook(**row["book"]) if "book" in row else None,
            )

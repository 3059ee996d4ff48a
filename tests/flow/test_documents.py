"""Documents are read in a process of their own, which has limits that the desk outlives, and a desk may be killed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from farm.documents.reader import read_document
from farm.documents.tree import Document
from farm.documents.view import view_of
from farm.errors import BadInput
from farm.layout import document_key, document_prefix
from farm.quota import Quota
from farm.store import documents, quotas
from farm.stored import StoredDocument
from tests.flow.house import House
from tests.flow.mortal import due_now, mortal_desks
from tests.flow.test_desk import Gated, working
from tests.patience import patient
from tests.pure.book import PNG, epub, page
from tests.until import until
from worker.desk.desk import Desk
from worker.desk.document_process import DocumentFiles, read_apart

ELEMENTS = b"<p>" + b"<b>a</b>" * 1_500_000


def test_a_book_comes_back_as_its_tree_its_view_and_its_cover() -> None:
    files = read_apart(epub({"a.xhtml": page("<p>Yes.</p>")}, cover=PNG), "a.epub", None, lambda: None)
    assert Document.unpack(files.tree, files.cover).chapters[0].blocks[0].text == "Yes."
    assert (files.cover, files.cover_type) == (PNG, "image/png")
    assert b'"first_words":"Yes."' in files.view


@pytest.mark.parametrize("limits", [{"memory_bytes": 128 << 20}, {"cpu_s": 1}], ids=["memory", "time"])
def test_a_document_is_refused_that_takes_too_much(limits: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=r"memory|processor|longer") as refused:
        read_apart(ELEMENTS, "a.html", None, lambda: None, **limits)
    assert refused.value.code == "unreadable"


def test_a_document_that_is_no_longer_wanted_ends_its_process() -> None:
    class Gone(Exception):
        pass

    def check() -> None:
        raise Gone

    with pytest.raises(Gone):
        read_apart(ELEMENTS, "a.html", None, check)


# --- others -----------------------------------------------------------------------------------------------------------


def test_who_uploads_many_slow_documents_leaves_a_place_for_that_of_another(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.desk.documents.read_apart", read_here)
    many = [uploaded(house, number, tenant="bob") for number in range(6)]
    gated = Gated(house.storage, {document_key("bob", id, "source") for id in many})
    desk = Desk(house.store, gated, house.waker, house.settings)
    with working(desk, threading.Event()):
        try:
            assert gated.asked.wait(patient(10))
            another = uploaded(house, 6, tenant="ann")
            until(lambda: kept(house, another, "ann")[0] == "ready")
            assert {kept(house, id, "bob")[0] for id in many} == {"reading"}
        finally:
            gated.open.set()


# --- kills ------------------------------------------------------------------------------------------------------------

BOOK = epub({"a.xhtml": page("<p>The lamp was lit.</p>")}, cover=PNG)


def read_here(data: bytes, filename: str, encoding: str | None, check: Any) -> DocumentFiles:
    """As read_apart, without a process."""
    document = read_document(data, filename, encoding)
    return DocumentFiles(document.pack(), view_of(document).encode(), PNG, "image/png")


def uploaded(house: House, number: int, data: bytes = BOOK, name: str = "a.epub", tenant: str = "default") -> str:
    """A document as the API leaves it to the desk."""
    id = f"doc_{number:026}"
    house.storage.put(document_key(tenant, id, "source"), data)
    record = StoredDocument(status="reading", filename=name, bytes=len(data), stored=len(data), expires_ms=4 * 10**12)
    assert house.store.run(documents.put(tenant, id, record.to_json(), bytes=len(data), due_ms=0))
    return id


def kept(house: House, id: str, tenant: str = "default") -> tuple[str, int, dict[str, bytes]]:
    """Its status, what it counts for, and its objects by their last name."""
    said = house.store.run(documents.record(tenant, id))
    record = StoredDocument.model_validate_json(said or "{}")
    keys = [found.key for found in house.storage.list(document_prefix(tenant, id))]
    return record.status, record.stored, {key.rpartition("/")[2]: house.storage.get(key) for key in keys}


def counted(house: House) -> int:
    """Bytes that count for the tenant."""
    return house.store.run(quotas.account("default")).standing.used(Quota.BYTES)


@pytest.mark.parametrize(
    ("data", "name", "status"), [(BOOK, "a.epub", "ready"), (b"%PDF-1.7 torn", "a.pdf", "refused")]
)
def test_a_document_is_read_whole_however_its_desk_is_killed(
    house: House, monkeypatch: pytest.MonkeyPatch, data: bytes, name: str, status: str
) -> None:
    monkeypatch.setattr("worker.desk.documents.read_apart", read_here)
    undisturbed = uploaded(house, 0, data, name)
    house.desk.drain()
    right = kept(house, undisturbed)
    assert (right[0], bool(right[2])) == (status, status == "ready")
    due_now(house, "document")
    house.desk.drain()
    for last, desk in enumerate(mortal_desks(house, stride=1)):
        document = uploaded(house, last + 1, data, name)
        desk.drain()
        if kept(house, document)[0] == "reading":
            due_now(house, "document")
            house.desk.drain()
            assert kept(house, document) == right, f"killed at step {last}"
        compared = slice(None if status == "ready" else 2)  # what a refused one leaves goes with its time
        assert kept(house, document)[compared] == right[compared]
        assert counted(house) == (right[1] if status == "ready" else 0)
        due_now(house, "document")  # its time is over
        house.desk.drain()
        assert (kept(house, document)[2], counted(house)) == ({}, 0)
    assert last > 3

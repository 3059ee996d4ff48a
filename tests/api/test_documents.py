"""Documents over HTTP. Those that need no reading are put into storage as the desk leaves them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.book import chosen
from api.documents import _digest
from farm.documents.reader import read_document
from farm.documents.tree import Block, Document, Kind, number
from farm.documents.view import view_of
from farm.errors import BadInput
from farm.job import Due
from farm.layout import BATCHES, DOCUMENTS, JOBS, book_cover_key, book_key, document_key, text_key
from farm.plan import decode_page
from farm.plan_order import PlanOrder, make_plan
from farm.quota import Quota
from farm.settings import Settings
from farm.storage import open_storage
from farm.store import Store, batches, documents, quotas, tasks
from farm.store import jobs as store_jobs
from farm.stored import StoredDocument
from farm.text_document import read_text
from farm.wake import Waker
from farm.wire import MAX_CHAPTERS, MAX_CHARACTERS, DocumentChoice
from tests.api.backstage import ESPEAK, LEASE_MS, Backstage
from tests.patience import patient
from tests.pure.book import PNG, epub, nav, page
from worker.desk.batch import Unfolder
from worker.desk.desk import Desk
from worker.desk.retention import Retention

BOOK = epub(
    {
        "title.xhtml": page('<section epub:type="titlepage"><h1>The Lighthouse</h1></section>'),
        "one.xhtml": page('<h1>One</h1><p>The lamp was lit<a epub:type="noteref" href="#n">1</a>.</p>'
                          '<aside epub:type="footnote" id="n"><p>By hand.</p></aside>'),
        "two.xhtml": page("<h1>Two</h1><p>It went out.</p>"),
    },
    contents=nav(("Title page", "title.xhtml"), ("One", "one.xhtml"), ("Two", "two.xhtml")),
    cover=PNG,
)  # fmt: skip


@pytest.fixture
def desk(store: Store, settings: Settings) -> Iterator[Desk]:
    """Works as soon as a document is due."""
    waker = Waker(settings.broker)
    desk, stop = Desk(store, open_storage(settings), waker, settings), threading.Event()

    def work() -> None:
        while not stop.wait(0.02):  # the wake-ups of Celery are for processes; this desk looks by itself
            if store.run(tasks.next_due((Due.DOCUMENT,))).get(Due.DOCUMENT) == 0:
                desk.drain()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield desk
    stop.set()
    thread.join()
    waker.close()


def put(backstage: Backstage, data: bytes = BOOK, name: str = "book.epub", id: str = "doc_" + "2" * 26) -> str:
    """A document as the desk leaves it; its id."""
    document = read_document(data, name)
    cover = document.metadata.cover
    record = StoredDocument(
        status="ready", filename=name, bytes=len(data), stored=len(data), cover_bytes=len(cover.data) if cover else 0,
        cover_type=cover.media_type if cover else "",
    )  # fmt: skip
    assert backstage.store.run(documents.put("default", id, record.to_json(), bytes=len(data), due_ms=10**8))
    parts = {
        "tree.json.gz": document.pack(),
        "view.json": view_of(document).encode(),
        "cover": cover.data if cover else b"",
    }
    for part, content in parts.items():
        backstage.storage.put(document_key("default", id, part), content)
    return id


def upload(api: httpx.Client, data: bytes = BOOK, name: str = "book.epub", **form: str) -> httpx.Response:
    return api.post("/v1/documents", files={"file": (name, data)}, data=form)


def narrate(api: httpx.Client, id: str, **document: Any) -> httpx.Response:
    return api.post("/v1/jobs", json={"document": {"id": id, **document}})


def texts(backstage: Backstage, job: str) -> list[tuple[str, str]]:
    rows = json.loads(backstage.storage.get(text_key(job)))["chapters"]
    return [(row.get("title", ""), row["input"]) for row in rows]


def test_a_book_becomes_chapters_and_the_chapters_a_job(api: httpx.Client, backstage: Backstage, desk: Desk) -> None:
    answer = upload(api)
    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["kind"]) == (201, "ready", "epub")
    assert (shown["metadata"]["title"], shown["metadata"]["author"]) == ("The Lighthouse", "A. Keeper")
    assert [(one["id"], one["title"], one["included"], one["left_out"]) for one in shown["chapters"]] == [
        ("c1", "Title page", False, "front_matter"), ("c2", "One", True, None), ("c3", "Two", True, None),
    ]  # fmt: skip
    assert shown["chapters"][1]["first_words"] == "One The lamp was lit."
    assert api.get(answer.headers["location"]).json() == shown
    assert api.get(shown["cover"]["url"]).content == PNG
    job = narrate(api, shown["id"])
    assert job.status_code == 202, job.text
    assert texts(backstage, job.json()["id"]) == [("One", "One\n\nThe lamp was lit."), ("Two", "Two\n\nIt went out.")]
    assert job.json()["characters"] == shown["characters"]
    assert json.loads(backstage.storage.get(book_key(job.json()["id"])))["title"] == "The Lighthouse"
    assert backstage.storage.get(book_cover_key(job.json()["id"])) == PNG


def test_a_job_takes_the_chapters_that_it_names_in_the_order_of_the_book(
    api: httpx.Client, backstage: Backstage
) -> None:
    id = put(backstage)
    job = narrate(api, id, chapters=["c3", "c1"]).json()["id"]
    assert texts(backstage, job) == [("Title page", "The Lighthouse"), ("Two", "Two\n\nIt went out.")]


def test_a_job_sets_its_own_rules(api: httpx.Client, backstage: Backstage) -> None:
    id = put(backstage)
    job = narrate(api, id, rules={"notes": "inline", "front_matter": "read", "headings": "skip"}).json()["id"]
    assert texts(backstage, job) == [("One", "The lamp was lit (By hand.)."), ("Two", "It went out.")]


def test_a_job_speaks_the_language_of_its_book_unless_it_names_one(api: httpx.Client, backstage: Backstage) -> None:
    german = epub({"a.xhtml": page("<p>Das Licht.</p>")}, metadata="<dc:language>de-AT</dc:language>")
    id = put(backstage, german)
    assert backstage.spec(narrate(api, id).json()["id"]).language == "de"
    named = api.post("/v1/jobs", json={"document": {"id": id}, "language": "en-us"}).json()
    assert named["language"] == "en-us"


def test_headings_reach_planning_with_a_pause_of_their_own(api: httpx.Client, backstage: Backstage) -> None:
    job = narrate(api, put(backstage)).json()["id"]
    document = backstage.storage.get(text_key(job))
    made = make_plan(PlanOrder("default", backstage.spec(job).to_json(), ESPEAK.model_dump_json(), document, 99))
    rows = decode_page(made.pages)
    assert [(row.text, row.pause_ms) for row in rows[:2]] == [("One", 900), ("The lamp was lit.", 1500)]


@pytest.mark.parametrize(
    ("document", "code", "pointer"),
    [
        ({"id": "doc_" + "0" * 26}, "unknown_document", "/document/id"),
        ({"chapters": ["c9"]}, "unknown_chapter", "/document/chapters"),
        ({"chapters": ["c2"], "rules": {"headings": "loud"}}, "invalid_request", "/document/rules/headings"),
        ({"chapters": []}, "invalid_request", "/document/chapters"),
    ],
)
def test_a_wrong_choice_is_named(
    api: httpx.Client, backstage: Backstage, document: dict[str, Any], code: str, pointer: str
) -> None:
    answer = narrate(api, **{"id": put(backstage), **document}).json()
    assert (answer["code"], answer["errors"][0]["pointer"]) == (code, pointer)


def test_a_book_of_which_nothing_is_spoken_is_no_job(api: httpx.Client, backstage: Backstage) -> None:
    only_a_title = epub({"a.xhtml": page('<section epub:type="titlepage"><p>Sea</p></section>')})
    shown = api.get(f"/v1/documents/{put(backstage, only_a_title)}").json()
    assert (shown["characters"], shown["chapters"][0]["left_out"]) == (0, "front_matter")
    assert narrate(api, shown["id"]).json()["code"] == "nothing_to_speak"
    assert narrate(api, shown["id"], chapters=["c1"]).status_code == 202


@pytest.mark.parametrize(
    ("count", "length", "code", "said"),
    [
        (3, MAX_CHARACTERS // 2, "too_many_characters", "7,500,000 characters"),
        (MAX_CHAPTERS + 1, 1, "too_many_chapters", "2,001 chapters"),
    ],
)
def test_too_much_is_refused_by_its_number_once_the_chapters_are_chosen(
    count: int, length: int, code: str, said: str
) -> None:
    book = Document("text", number(("", 1, [Block(Kind.PARAGRAPH, "x" * length)]) for _ in range(count)))
    id = "doc_" + "0" * 26
    with pytest.raises(BadInput, match=said) as refused:
        chosen(book, DocumentChoice(id=id))
    assert refused.value.code == code
    assert len(chosen(book, DocumentChoice(id=id, chapters=["c1", "c3"]))) == 2


# --- lines of batches -------------------------------------------------------------------------------------------------


def as_lines(*jobs: dict[str, Any]) -> dict[str, Any]:
    data = "\n".join(map(json.dumps, jobs))
    return {"content": data, "headers": {"Content-Type": "application/jsonl"}}


def unfolded(backstage: Backstage, batch: str) -> list[str]:
    """As the desk does it; the ids of the jobs."""
    (task,) = backstage.store.run(tasks.take((Due.BATCH,), want=1, lease_ms=LEASE_MS))
    Unfolder(backstage.store, backstage.storage).unfold(task)
    return [job for job, _ in backstage.store.run(batches.lines(batch, after=0, limit=100))]


@pytest.mark.parametrize("way", ["lines", "json"])
def test_lines_of_a_batch_name_documents_which_they_need_no_more_once_accepted(
    way: str, api: httpx.Client, backstage: Backstage, store: Store
) -> None:
    german = epub({"a.xhtml": page("<p>Das Licht.</p>")}, metadata="<dc:language>de-AT</dc:language>")
    book, other = put(backstage), put(backstage, german, id="doc_" + "3" * 26)
    jobs = [
        {"custom_id": "two", "document": {"id": book, "chapters": ["c3"]}},
        {"input": "A line."},
        {"custom_id": "all", "document": {"id": book}},
        {"custom_id": "de", "document": {"id": other}},
    ]
    sent = as_lines(*jobs) if way == "lines" else {"json": {"jobs": jobs}}
    answer = api.post("/v1/batches", **sent)
    assert answer.status_code == 202, answer.text
    for document in (book, other):
        assert api.delete(f"/v1/documents/{document}").status_code == 204
    counted = used(store)
    two, line, everything, licht = unfolded(backstage, answer.json()["id"])
    assert used(store) == counted, "the batch was counted for what its jobs are"
    assert spoken(backstage, two) == [("Two", "Two\n\nIt went out.")]
    assert [title for title, _ in spoken(backstage, everything)] == ["One", "Two"]
    assert spoken(backstage, line) == [("", "A line.")]
    assert [backstage.spec(job).language for job in (two, licht)] == ["en-us", "de"]
    assert all(backstage.spec(job).document for job in (two, licht)), "read-alongs are made in the document"
    for job in (two, everything):
        assert json.loads(backstage.storage.get(book_key(job)))["title"] == "The Lighthouse"
        assert backstage.storage.get(book_cover_key(job)) == PNG
    assert list(backstage.storage.list(f"{JOBS}{line}/")) == []
    assert backstage.storage.head(book_cover_key(licht)) is None


def test_a_long_text_of_a_line_counts_once_for_its_tenant(
    api: httpx.Client, backstage: Backstage, store: Store
) -> None:
    book = put(backstage, epub({"a.xhtml": page(f"<p>{'The lamp was lit. ' * 900}</p>")}, cover=PNG))
    batch = api.post("/v1/batches", json={"jobs": [{"document": {"id": book}}] * 3}).json()["id"]
    counted = used(store)
    jobs = unfolded(backstage, batch)
    assert used(store) == counted
    in_storage = sum(found.size for job in jobs for found in backstage.storage.list(f"{JOBS}{job}/"))
    assert in_storage > 3 * (16_000 + len(PNG))
    assert used(store) > in_storage


def spoken(backstage: Backstage, job: str) -> list[tuple[str, str]]:
    """The chapters of a job, wherever its text is."""
    text = backstage.store.run(store_jobs.text(job))
    rows = read_text(text if text is not None else backstage.storage.get(text_key(job)))
    return [(row.title, row.input) for row in rows]


def test_every_line_with_a_wrong_document_is_named(api: httpx.Client, backstage: Backstage) -> None:
    book, unread = put(backstage), "doc_" + "5" * 26
    reading = StoredDocument(status="reading", filename="a.txt").to_json()
    assert backstage.store.run(documents.put("default", unread, reading, bytes=1, due_ms=10**8))
    jobs = [
        {"document": {"id": "doc_" + "0" * 26}},
        {"document": {"id": book}},
        {"document": {"id": book, "chapters": ["c9"]}},
        {"document": {"id": unread}},
        {"document": {"id": book}, "input": "Both."},
    ]
    answer = api.post("/v1/batches", **as_lines(*jobs))
    assert answer.status_code == 422
    found = [(error["pointer"], error["message"]) for error in answer.json()["errors"]]
    assert [pointer for pointer, _ in found] == [
        *("/jobs/0/document/id", "/jobs/2/document/chapters", "/jobs/3/document/id", "/jobs/4")
    ]
    assert "there is no document" in found[0][1]
    assert "not read yet" in found[2][1]
    assert list(backstage.storage.list(BATCHES)) == []


@pytest.mark.parametrize(
    ("limit", "said"), [("MOST_LINES", "1 lines"), ("MOST_DOCUMENTS", "1 documents"), ("MOST_BYTES", "1 bytes")]
)
def test_documents_of_a_batch_have_limits(
    limit: str, said: str, api: httpx.Client, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"api.batch_documents.{limit}", 1)
    jobs = [{"document": {"id": put(backstage, id="doc_" + letter * 26)}} for letter in "34"]
    answer = api.post("/v1/batches", **as_lines(*jobs))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert said in answer.text
    assert list(backstage.storage.list(BATCHES)) == []


def test_a_name_in_escapes_is_a_name(api: httpx.Client, backstage: Backstage) -> None:
    line = json.dumps({"document": {"id": put(backstage)}}).replace("document", "docu\\u006dent")
    answer = api.post("/v1/batches", content=line, headers={"Content-Type": "application/jsonl"})
    assert answer.status_code == 202, answer.text


def test_the_covers_of_a_batch_go_with_it(api: httpx.Client, backstage: Backstage) -> None:
    batch = api.post("/v1/batches", json={"jobs": [{"document": {"id": put(backstage)}}]}).json()["id"]
    assert len(list(backstage.storage.list(BATCHES))) == 2
    unfolded(backstage, batch)
    assert api.delete(f"/v1/batches/{batch}").status_code == 202
    (task,) = backstage.store.run(tasks.take((Due.DELETE,), want=1, lease_ms=LEASE_MS))
    Retention(backstage.store, backstage.storage, record_days=0).delete(task)
    assert list(backstage.storage.list(BATCHES)) == []


def test_a_document_that_can_not_be_read_is_refused_and_leaves_nothing(
    api: httpx.Client, backstage: Backstage, store: Store, desk: Desk
) -> None:
    answer = upload(api, "é".encode(), "a.txt", encoding="ascii")
    said = answer.json()
    assert (answer.status_code, said["code"], said["errors"][0]["pointer"]) == (422, "wrong_encoding", "/file")
    assert list(backstage.storage.list(DOCUMENTS)) == []
    assert store.run(documents.ids("default")) == []
    assert used(store) == 0


def test_an_upload_without_a_desk_is_shown_as_being_read(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr("api.documents._LONGEST_S", 0.0)
    answer = upload(api)
    assert (answer.status_code, answer.json()["status"], answer.json()["chapters"]) == (202, "reading", [])
    job = narrate(api, answer.json()["id"])
    assert (job.status_code, job.json()["code"]) == (409, "document_not_ready")
    assert upload(api).json()["id"] == answer.json()["id"]
    assert api.delete(answer.headers["location"]).status_code == 204
    assert store.run(tasks.next_due((Due.DOCUMENT,))) == {}


@pytest.mark.parametrize(
    ("form", "pointer"), [({"encoding": "klingon"}, "/encoding"), ({"encoding": "zlib_codec"}, "/encoding")]
)
def test_an_encoding_that_is_none_is_named(api: httpx.Client, form: dict[str, str], pointer: str) -> None:
    answer = upload(api, b"text", "a.txt", **form)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_the_same_file_again_is_the_same_document_and_expires_later(
    api: httpx.Client, backstage: Backstage, store: Store
) -> None:
    id = put(backstage, id=_digest(BOOK, "book.epub", None))
    first, bytes_of_one = api.get(f"/v1/documents/{id}").json(), used(store)
    second = upload(api).json()
    assert (second["id"], second["created_at"]) == (id, first["created_at"])
    assert second["expires_at"] > first["expires_at"]
    assert used(store) == bytes_of_one == len(BOOK)


def test_a_deleted_document_is_gone_and_its_jobs_keep_their_text(
    api: httpx.Client, backstage: Backstage, store: Store
) -> None:
    id = put(backstage)
    job = narrate(api, id).json()["id"]
    left = used(store)
    assert api.delete(f"/v1/documents/{id}").status_code == 204
    assert api.get(f"/v1/documents/{id}").status_code == 404
    assert list(backstage.storage.list(DOCUMENTS)) == []
    assert used(store) < left
    assert len(texts(backstage, job)) == 2


def test_a_document_expires(api: httpx.Client, backstage: Backstage, store: Store, desk: Desk) -> None:
    id = put(backstage)
    record = store.run(documents.record("default", id))
    assert record is not None
    store.run(documents.note("default", id, record, bytes=1, due_ms=0))
    wait_until_gone(store, id)
    assert api.get(f"/v1/documents/{id}").status_code == 404
    assert list(backstage.storage.list(DOCUMENTS)) == []
    assert store.run(tasks.next_due((Due.DOCUMENT,))) == {}
    assert used(store) == 0


def test_what_was_never_uploaded_to_its_end_is_removed(store: Store, backstage: Backstage, desk: Desk) -> None:
    record = StoredDocument(status="uploading").to_json()
    assert store.run(documents.put("default", "doc_x", record, bytes=5, due_ms=0))
    backstage.storage.put(document_key("default", "doc_x", "source"), b"half")
    wait_until_gone(store, "doc_x")
    assert list(backstage.storage.list(DOCUMENTS)) == []
    assert used(store) == 0


def test_more_than_a_tenant_may_store_is_refused(api: httpx.Client, store: Store) -> None:
    store.run(quotas.limit("default", {"bytes": 100}))
    answer = upload(api)
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
    assert store.run(documents.ids("default")) == []


def wait_until_gone(store: Store, id: str) -> None:
    end = time.monotonic() + patient(20)
    while store.run(documents.record("default", id)) is not None and time.monotonic() < end:
        time.sleep(0.02)  # a desk that ends a document tells nobody


def used(store: Store) -> int:
    """Bytes that count for the tenant."""
    return store.run(quotas.account("default")).standing.used(Quota.BYTES)

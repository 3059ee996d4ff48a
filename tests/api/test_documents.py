"""Documents over HTTP, with a desk that reads them beside the API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from farm.job import Due
from farm.layout import book_cover_key, book_key, text_key
from farm.settings import Settings
from farm.storage import open_storage
from farm.store import Store, tasks
from farm.wake import Waker
from tests.api.backstage import Backstage
from tests.pure.book import PNG, epub, nav, page
from worker.desk.desk import Desk

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


@pytest.fixture(autouse=True)
def desk(store: Store, settings: Settings) -> Iterator[Desk]:
    """Works as soon as something is due."""
    waker = Waker(settings.broker)
    desk, stop = Desk(store, open_storage(settings), waker, settings), threading.Event()

    def work() -> None:
        while not stop.wait(0.02):  # the wake-ups of Celery are for processes; this desk looks by itself
            if Due.DOCUMENT in store.run(tasks.next_due((Due.DOCUMENT,))):
                desk.drain()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield desk
    stop.set()
    thread.join()
    waker.close()


def upload(api: httpx.Client, data: bytes = BOOK, name: str = "book.epub", **form: str) -> httpx.Response:
    return api.post("/v1/documents", files={"file": (name, data)}, data=form)


def narrate(api: httpx.Client, id: str, **document: Any) -> httpx.Response:
    return api.post("/v1/jobs", json={"document": {"id": id, **document}})


def texts(backstage: Backstage, job: str) -> list[tuple[str, str]]:
    rows = json.loads(backstage.storage.get(text_key(job)))["chapters"]
    return [(row.get("title", ""), row["input"]) for row in rows]


def test_a_book_becomes_chapters_and_the_chapters_a_job(api: httpx.Client, backstage: Backstage) -> None:
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

"""A real farm with API keys, and Debian's Chromium (or FARM_TEST_CHROMIUM), both for the whole session.

farm      every process of it is real; ann has a key, and olga, who operates it, another
page      signed in as ann, watched: its console said nothing, deleted jobs and conflicts aside, and it asked no other
          host
stranger  a page that has not signed in

FARM_TEST_SHOTS names a folder for pictures of the pages of a test that fails, and what their consoles said.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, expect, sync_playwright

from farm.embedded.supervisor import Local
from farm.store import Store, registry
from tests.patience import patient

CHROMIUM = Path(os.environ.get("FARM_TEST_CHROMIUM", "/usr/bin/chromium"))
FAILED = pytest.StashKey[bool]()
KEY = "farm_ann"
OPERATOR = "farm_olga"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    receivers = {"FARM_WEBHOOK_ALLOW": "127.0.0.0/8"}  # it has keys, and the tests' receivers listen here
    with Local(tmp_path_factory.mktemp("farm"), environment=receivers) as local:
        store = Store.connect(local.redis_url)
        for key, name in ((KEY, "ann"), (OPERATOR, "olga")):
            digest = hashlib.sha256(key.encode()).hexdigest()
            assert store.run(registry.put_key(digest, name, name, operator=key == OPERATOR))
        store.close()
        yield local


@pytest.fixture(scope="session")
def api(farm: Local) -> Iterator[httpx.Client]:
    """Programs beside the page."""
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=farm.url, headers=headers, trust_env=False, timeout=patient(60)) as client:
        yield client


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=1000 * patient(30))
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM} is missing: apt-get install -y --no-install-recommends chromium, or set FARM_TEST_CHROMIUM"
        )
    arguments = [
        "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
        "--autoplay-policy=no-user-gesture-required",
    ]  # fmt: skip
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=1000 * patient(60))
    yield browser
    browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def open_page(chromium: Browser, farm: Local, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """open_page(key, **options of a context)"""
    contexts: list[BrowserContext] = []
    said: list[str] = []
    elsewhere: list[str] = []
    host = urlsplit(farm.url).netloc

    def look(url: str) -> None:
        if urlsplit(url).scheme not in ("blob", "data") and urlsplit(url).netloc != host:
            elsewhere.append(url)

    def start(key: str | None = KEY, **options: object) -> Page:
        context = chromium.new_context(base_url=farm.url, **options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(1000 * patient(30))
        if key is not None:
            answer = context.request.post("v1/session", headers={"Authorization": f"Bearer {key}"})
            assert answer.status == 201
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text} {message.location['url']}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: look(request.url))
        return page

    yield start
    if request.node.stash.get(FAILED, False):
        _keep(request.node.name, contexts, said)
    for context in contexts:
        context.close()
    assert [line for line in said if not (_of_a_deleted(line, farm.url) or _of_a_conflict(line, farm.url))] == []
    assert elsewhere == []


def _of_a_deleted(line: str, url: str) -> bool:
    """Whether the browser tells of a job or batch that is deleted: the page asked a moment after, or was reading."""
    told = r"status of 4(?:04|10)|net::ERR_CONTENT_LENGTH_MISMATCH|net::ERR_INCOMPLETE_CHUNKED_ENCODING"
    found = re.search(rf"(?:{told}) .*{re.escape(url)}/v1/(jobs|batches)/(\w+)", line)
    if found is None:
        return False
    answer = httpx.get(f"{url}/v1/{found[1]}/{found[2]}", headers={"Authorization": f"Bearer {KEY}"}, trust_env=False)
    return answer.status_code == 404


def _of_a_conflict(line: str, url: str) -> bool:
    """Whether the browser tells of a 412: somebody else was faster, which the page says in words."""
    return re.search(rf"412 .*{re.escape(url)}/v1/jobs/", line) is not None


def _keep(test: str, contexts: Sequence[BrowserContext], said: Sequence[str]) -> None:
    """What somebody needs who can't watch the browser of a failed test."""
    folder = os.environ.get("FARM_TEST_SHOTS")
    if not folder:
        return
    place = Path(folder) / re.sub(r"[^\w-]+", "_", test)
    place.mkdir(parents=True, exist_ok=True)
    (place / "console.txt").write_text("\n".join(said))
    for number, page in enumerate(page for context in contexts for page in context.pages):
        with suppress(Error):  # a page that crashed has no picture
            page.screenshot(path=place / f"{number}.png", full_page=True)


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


@pytest.fixture
def stranger(open_page: Callable[..., Page]) -> Page:
    return open_page(key=None)

"""The dashboard in a real browser, on a real farm."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf
from playwright.sync_api import Page, expect

from farm.embedded.supervisor import Local
from farm.layout import text_key
from tests.browser.axe import serious, source
from tests.browser.conftest import DESKTOP, KEY, OPERATOR, PHONE
from tests.webhook.listener import Listener, answers

SENTENCES = ["It was a dark and stormy night.", "The rain fell in torrents on the roof.", "Nobody spoke a word."]
LONG = "The clerk wrote one more line into the long book of the house. " * 3000
EVIL = "<img src=x onerror=alert(1)>"


def test_a_key_signs_in_and_its_session_is_left_again(stranger: Page) -> None:
    stranger.goto("/")
    stranger.get_by_label("API key").fill(KEY)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("heading", name="Overview")).to_be_visible()
    cookies = stranger.context.cookies()
    assert [(each["name"], each["httpOnly"], each["sameSite"]) for each in cookies] == [
        ("farm_session", True, "Strict")
    ]
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.get_by_label("API key")).to_be_visible()
    stranger.reload()
    expect(stranger.get_by_label("API key")).to_be_visible()


def test_a_voice_is_heard_before_it_is_uploaded_and_after(page: Page, api: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "anna.wav").write_bytes(_recording())
    page.goto("/#/voices")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Recording").set_input_files(tmp_path / "anna.wav")
    page.get_by_label("Who agreed").fill("Anna Example agreed")
    _plays(page, "the chosen recording")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("anna is ready")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="anna")).to_be_visible()
    _plays(page, "the voice anna")
    names = page.locator(".names li")
    assert names.count() == sum(voice["kind"] == "builtin" for voice in _every(api, "/v1/voices")) > 100


def test_a_batch_is_submitted_watched_to_its_end_and_heard_sentence_by_sentence(page: Page, tmp_path: Path) -> None:
    lines = [{"custom_id": f"Chapter {number}", "input": "\n\n".join(SENTENCES * 2)} for number in (1, 2)]
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    page.goto("/#/submit")
    page.get_by_label("JSON Lines").check()
    page.get_by_label("A file with one job a line").set_input_files(tmp_path / "jobs.jsonl")
    page.get_by_label("Format").select_option("wav")
    expect(page.locator("pre.curl")).to_contain_text("--data-binary @'jobs.jsonl'")
    page.get_by_role("button", name="Submit").click()

    expect(page.get_by_role("heading", name="Batch")).to_contain_text("completed")
    expect(page.locator("tbody .succeeded")).to_have_count(2)
    assert [name.split("-")[:2] for name in _archived(page, "Download all as ZIP")] == [["001", "Chapter 1"]] * 2 + [
        ["002", "Chapter 2"]
    ] * 2
    page.get_by_role("link", name="Chapter 2").click()
    expect(page.get_by_role("heading", name="Chapter 2")).to_contain_text("succeeded")
    assert [name.split("/")[1] for name in _archived(page, "All as ZIP")] == ["Chapter 2.wav", "manifest.json"]
    expect(page.get_by_role("slider", name="position")).not_to_have_attribute("data-peaks", "0")
    _plays(page, "audio of Chapter 2")
    page.get_by_label("audio of Chapter 2").evaluate("audio => audio.pause()")

    sentences = page.locator("button.sentence")
    expect(sentences.first).to_be_enabled()
    expect(sentences).to_have_count(6)
    sentences.last.evaluate("""sentence => new Promise(marked => {
        const look = () => sentence.parentElement.classList.contains('now') && marked();
        new MutationObserver(look).observe(sentence.parentElement, {attributes: true});
        sentence.click();
    })""")
    page.wait_for_function("() => document.querySelector('audio').paused")
    ended = page.get_by_label("audio of Chapter 2").evaluate("audio => audio.duration - audio.currentTime")
    assert ended < 0.5
    page.get_by_role("slider", name="position").focus()
    page.keyboard.press("Home")
    page.wait_for_function("() => document.querySelector('audio').currentTime < 0.1")


def test_the_results_of_a_canceled_batch_that_are_there_can_be_downloaded(page: Page, api: httpx.Client) -> None:
    jobs = [{"input": "Night.", "custom_id": "Short"}, {"input": LONG, "custom_id": "Long", "priority": "bulk"}]
    batch = api.post("/v1/batches", json={"jobs": jobs}).json()["id"]
    page.goto(f"/#/batch/{batch}")
    expect(page.locator("tbody tr").filter(has_text="Short").locator(".succeeded")).to_be_visible()
    page.get_by_role("button", name="Cancel the batch").click()
    page.get_by_role("button", name="Cancel it").click()
    files = [name.split("/")[-1] for name in _archived(page, "Download 1 of 2 as ZIP")]
    assert files == ["Short.mp3", "manifest.json", "missing.json"]


def test_batches_are_listed_canceled_retried_and_deleted(page: Page, api: httpx.Client) -> None:
    for title in ("one", "two", "three"):
        lines = {"jobs": [{"input": LONG, "priority": "bulk"}] * 2, "metadata": {"shelf": "batches", "title": title}}
        assert api.post("/v1/batches", json=lines).status_code == 202
    page.goto("/#/batches?metadata=shelf%3Dbatches")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("title=three")
    rows.filter(has_text="title=two").get_by_role("checkbox").check()
    page.get_by_role("button", name="Cancel 1 selected").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 1 batch?")
    page.get_by_role("button", name="Cancel 1", exact=True).click()
    expect(rows.filter(has_text="title=two").locator("td .state.canceled").first).to_be_visible()
    page.get_by_label("Status").select_option("canceled")
    expect(rows).to_have_count(1)
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Batch")).to_contain_text("canceled")
    page.go_back()
    page.get_by_role("button", name="Retry all that match").click()
    page.get_by_role("button", name="Retry 1", exact=True).click()
    expect(page.get_by_text("Retry: 1 done")).to_be_visible()
    page.get_by_label("Status").select_option("")
    rows.filter(has_text="title=two").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Batch")).to_contain_text("running")
    page.get_by_role("button", name="Delete the batch").click()
    page.get_by_role("button", name="Delete 2", exact=True).click()
    expect(page.get_by_role("heading", name="Batches")).to_be_visible()
    page.goto("/#/batches?metadata=shelf%3Dbatches")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Delete all that match").click()
    page.get_by_role("button", name="Delete 2", exact=True).click()
    expect(page.get_by_text("No batch matches")).to_be_visible()
    assert api.get("/v1/batches?metadata[shelf]=batches").json()["data"] == []


def test_a_webhook_is_sent_again(page: Page, api: httpx.Client, hook: str, heard: list[bytes]) -> None:
    job = _submit(api, input="Night.", webhook={"url": hook})
    page.goto(f"/#/job/{job}")
    delivery = page.get_by_role("row").filter(has_text="job.succeeded")
    expect(delivery).to_contain_text("delivered")
    expect(delivery.locator("[data-label=attempts]")).to_have_text("1")
    delivery.get_by_role("button", name="Send again").click()
    expect(delivery.locator("[data-label=attempts]")).to_have_text("2")
    assert sum(job.encode() in request for request in heard) == 2


def test_the_chapters_of_a_job_are_listed_and_saved(page: Page, api: httpx.Client, tmp_path: Path) -> None:
    chapters = [{"title": title, "input": "It burned all night."} for title in ("The Lamp", "What / why?")]
    asked = api.post("/v1/jobs", json={"chapters": chapters, "output": {"format": "wav", "per_chapter": True}})
    job = api.get(f"/v1/jobs/{asked.json()['id']}", params={"wait": 60}).json()
    assert job["status"] == "succeeded"
    page.goto(f"/#/job/{job['id']}")
    listed = page.get_by_role("region", name="Chapters").get_by_role("listitem")
    expect(listed).to_have_text([re.compile("^01 The Lamp.wav"), re.compile("^02 What _ why_.wav")])
    with page.expect_download() as download:
        listed.nth(1).get_by_role("link").click()
    assert download.value.suggested_filename == f"{job['id']}-02.wav"
    download.value.save_as(tmp_path / "a.wav")
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"


def test_an_older_manifest_has_no_waveform_and_the_audio_is_drawn(page: Page, api: httpx.Client) -> None:
    job = _submit(api, input="Night.")
    manifest = api.get(f"/v1/jobs/{job}?wait=60") and api.get(f"/v1/jobs/{job}/manifest").json()
    wave = page.get_by_role("slider", name="position")
    page.goto(f"/#/job/{job}")
    expect(wave).to_have_attribute("data-from", "manifest")
    expect(wave).to_have_attribute("data-peaks", str(manifest.pop("waveform")["length"]))
    page.route("**/manifest", lambda route: route.fulfill(json=manifest))
    page.reload()
    expect(wave).to_have_attribute("data-from", "audio")
    expect(wave).not_to_have_attribute("data-peaks", "0")


def test_lists_and_pages_say_how_many_segments_somebody_should_listen_to(page: Page, api: httpx.Client) -> None:
    job = _submit(api, input="Night.")
    shown = api.get(f"/v1/jobs/{job}?wait=60").json()
    shown["result"]["needs_review"] = 3
    page.route("**/v1/jobs?*", lambda route: route.fulfill(json={"data": [shown], "has_more": False}))
    page.route(f"**/v1/jobs/{job}", lambda route: route.fulfill(json=shown))
    page.goto("/#/jobs")
    expect(page.get_by_role("row").filter(has_text=job)).to_contain_text("3 to listen to")
    page.goto(f"/#/job/{job}")
    expect(page.get_by_text("3 to listen to")).to_be_visible()


def test_a_text_is_submitted_and_canceled_while_it_is_rendered(page: Page) -> None:
    page.goto("/#/submit")
    expect(page.locator("#voices option").nth(100)).to_be_attached()  # a page of the API's list has 100
    page.get_by_label("Title").fill("A long book")
    page.get_by_label("Text", exact=True).fill(LONG)
    page.get_by_label("Metadata").fill("shelf=long")
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="A long book")).to_contain_text("canceled")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


def test_all_failed_jobs_that_match_are_retried_and_deleted_after_their_count_was_shown(
    page: Page, api: httpx.Client, farm: Local
) -> None:
    for number in range(3):
        _fail(api, farm, input=LONG, custom_id=f"Volume {number}", metadata={"set": "bulk"}, priority="bulk")
    _submit(api, input="Night.", custom_id="Another", metadata={"set": "other"})
    page.goto("/#/jobs?status=failed&metadata=set%3Dbulk")
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("tbody .why")).to_have_count(3)
    page.get_by_role("button", name="Retry all that match").click()
    expect(page.get_by_role("dialog")).to_contain_text("Retry 3 jobs?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("tbody .failed")).to_have_count(3)
    page.get_by_role("button", name="Retry all that match").click()
    page.get_by_role("button", name="Retry 3", exact=True).click()
    expect(page.get_by_text("Retry: 3 done")).to_be_visible()
    expect(page.locator("tbody .failed")).to_have_count(0)

    page.get_by_label("Status").select_option("")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_label("select Volume 1").check()
    page.get_by_role("button", name="Delete 1 selected").click()
    page.get_by_role("button", name="Delete 1", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Delete all that match").click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete 2 jobs?")
    page.get_by_role("button", name="Delete 2", exact=True).click()
    expect(page.get_by_text("No job matches")).to_be_visible()
    assert [job["custom_id"] for job in api.get("/v1/jobs?metadata[set]=other").json()["data"]] == ["Another"]


def test_the_url_holds_the_filter(page: Page, api: httpx.Client) -> None:
    for title in ("Emma", "Persuasion"):
        _submit(api, input="Night.", custom_id=title, metadata={"author": "austen"})
    page.goto("/#/jobs")
    page.get_by_label("Metadata").fill("author=austen")
    page.get_by_label("Metadata").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Title").fill("emma")
    page.get_by_label("Title").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.get_by_label("Title")).to_have_value("emma")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("link", name="Persuasion")).to_be_visible()


def test_a_new_job_appears_and_ends_without_a_reload(page: Page, api: httpx.Client) -> None:
    page.goto("/#/jobs?custom_id=live")
    expect(page.get_by_text("No job matches")).to_be_visible()
    _submit(api, input=" ".join(SENTENCES), custom_id="live")
    expect(page.locator("tbody .succeeded")).to_have_count(1)


def test_what_is_deleted_while_somebody_looks_at_it_says_so(page: Page, api: httpx.Client) -> None:
    job = _submit(api, input="Night.")
    batch = api.post("/v1/batches", json={"jobs": [{"input": "Night."}] * 3}).json()["id"]
    api.get(f"/v1/batches/{batch}?wait=60")
    with page.expect_response("**/v1/events*"):
        page.goto("/")
    for name, id, path in (("Job", job, "jobs"), ("Batch", batch, "batches")):
        page.goto(f"/#/{name.lower()}/{id}")
        expect(page.get_by_role("button", name="Delete").first).to_be_visible()
        assert api.delete(f"/v1/{path}/{id}").is_success
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{name} deleted")


def test_an_operator_sees_the_workers_and_a_tenant_does_not(open_page: Callable[..., Page]) -> None:
    operator, tenant = open_page(OPERATOR), open_page(KEY)
    for page in (operator, tenant):
        page.goto("/")
        expect(page.locator(".uplot")).to_have_count(2)
        expect(page.locator("section").first.get_by_role("rowheader", name="espeak")).to_be_visible()
    worker = operator.get_by_role("row").filter(has=operator.get_by_text("just now"))
    expect(worker).to_contain_text("cpu")
    expect(tenant.get_by_role("heading", name="Workers")).to_have_count(0)


def test_one_stream_feeds_the_page_and_rests_while_nobody_looks(page: Page) -> None:
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "v1/events" in request.url else None)
    page.goto("/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.wait_for_function("() => performance.getEntriesByType('resource').length > 0")
    assert len(streams) == 1
    with page.expect_event("requestfailed", lambda request: "v1/events" in request.url):
        page.evaluate("""() => {
            Object.defineProperty(document, 'hidden', {configurable: true, get: () => true});
            document.dispatchEvent(new Event('visibilitychange'));
        }""")
    with page.expect_request(lambda request: "v1/events" in request.url):
        page.evaluate("""() => {
            delete document.hidden;
            document.dispatchEvent(new Event('visibilitychange'));
        }""")
    assert len(streams) == 2


def test_text_is_never_markup(page: Page, api: httpx.Client) -> None:
    job = _submit(api, input=f"{EVIL} said the clerk.", custom_id=EVIL, metadata={EVIL[:20]: EVIL})
    made = api.post("/v1/batches", json={"jobs": [{"input": "Night.", "custom_id": EVIL}], "metadata": {"title": EVIL}})
    api.get(f"/v1/jobs/{job}?wait=60")
    pages = (f"#/job/{job}", "#/jobs", f"#/batch/{made.json()['id']}", f"#/jobs?custom_id={EVIL}", f"#/{EVIL}")
    for where in pages:
        page.goto(f"/{where}")
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        if EVIL not in where:
            expect(page.get_by_text(EVIL).first).to_be_visible()
        assert page.locator("#app img").count() == 0, where


def test_an_error_that_quotes_text_is_shown_as_text(page: Page) -> None:
    problem = {"title": EVIL, "detail": EVIL, "errors": [{"pointer": "/voice", "message": EVIL}]}
    page.route("**/readyz", lambda route: route.fulfill(json={"status": "unavailable", "checks": {"storage": EVIL}}))
    page.goto("/#/voices")
    expect(page.get_by_role("alert")).to_have_text(f"The storage {EVIL}")
    shown = page.evaluate(
        """async (problem) => (await import('./dashboard/farm.js')).Refusal
        && new (await import('./dashboard/farm.js')).Refusal(422, problem).message""",
        problem,
    )
    assert shown == f"/voice {EVIL}"


@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", PHONE), ("dark", PHONE), ("light", DESKTOP)], ids=["light", "dark", "desktop"]
)
def test_every_page_can_be_used_by_everybody(
    open_page: Callable[..., Page], shown: Mapping[str, str], script: str, scheme: str, viewport: dict[str, int]
) -> None:
    page = open_page(viewport=viewport, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    page.add_init_script(script)
    page.goto("/")

    def look(where: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, where
        assert serious(page) == [], where

    for where, ready in shown.items():
        page.evaluate("where => { location.hash = where }", where)
        expect(page.locator(ready).first).to_be_visible()
        look(where)
    page.get_by_role("button", name="Delete the batch").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look("a dialog")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    look("signing in")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Listener]:
    listener = Listener(answers(204))
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def hook(receiver: Listener) -> str:
    """A URL that takes webhooks."""
    return receiver.url


@pytest.fixture(scope="module")
def heard(receiver: Listener) -> list[bytes]:
    """The requests that came to the hook."""
    return receiver.requests


@pytest.fixture(scope="module")
def script() -> str:
    return source()


@pytest.fixture(scope="module")
def shown(api: httpx.Client, hook: str) -> Mapping[str, str]:
    """Every page, with long words and with all that it can show: the part of the URL -> what is there once all is."""
    wide = {"w" * 60: "W" * 400}
    hooked = {"webhook": {"url": hook}}
    job = _submit(api, input=" ".join(SENTENCES), custom_id="W" * 150, metadata=wide, **hooked)
    batch = api.post("/v1/batches", json={"jobs": [{"input": "Night."}], "metadata": wide, **hooked}).json()["id"]
    running = _submit(api, input=LONG, custom_id="Running", priority="bulk")
    canceled = _submit(api, input=LONG, custom_id="Canceled", priority="bulk")
    assert api.post(f"/v1/jobs/{canceled}/cancel").status_code == 202
    api.post("/v1/voices", data={"name": "wide", "consent": "true"}, files={"audio": ("wide.wav", _recording())})
    for ended in (f"jobs/{job}", f"batches/{batch}"):
        api.get(f"/v1/{ended}?wait=60")
    return {
        "#/": ".uplot",
        "#/jobs": "tbody tr",
        f"#/job/{job}": "#deliveries",
        f"#/book/{job}": ".said",
        f"#/book/{job}?at=0": ".sentence-card",
        f"#/job/{running}": "progress",
        f"#/job/{canceled}": "button.main",
        "#/submit": "pre.curl",
        "#/voices": "text=wide",
        "#/batches": "tbody tr",
        "#/lost": "h1",
        f"#/batch/{batch}": "#deliveries",
    }


def test_the_keyboard_reaches_the_content_and_shows_where_it_is(page: Page) -> None:
    page.goto("/#/jobs")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Status")).to_be_focused()
    outline = page.get_by_label("Status").evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"


def _fail(api: httpx.Client, farm: Local, **job: object) -> str:
    """A job that failed, because its text was not to be had when it was planned once more. Now the text is back."""
    id = _submit(api, **job)
    assert api.post(f"/v1/jobs/{id}/cancel").status_code == 202
    text = farm.data / "storage" / text_key(id)
    hidden = text.rename(text.with_suffix(".hidden"))
    assert api.post(f"/v1/jobs/{id}/retry").status_code == 202
    assert api.get(f"/v1/jobs/{id}?wait=60").json()["status"] == "failed"
    hidden.rename(text)
    return id


def _archived(page: Page, link: str) -> list[str]:
    """The names in the archive behind the link."""
    with page.expect_download() as download:
        page.get_by_role("link", name=link, exact=True).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def _recording() -> bytes:
    """Three seconds of a hum that comes and goes, as WAV."""
    rate = 16_000
    time = np.arange(3 * rate) / rate
    file = io.BytesIO()
    hum = 0.3 * np.sin(2 * np.pi * 180 * time) * (np.sin(2 * np.pi * 3 * time) > 0)
    sf.write(file, hum, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _submit(api: httpx.Client, **job: object) -> str:
    answer = api.post("/v1/jobs", json=job)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _every(api: httpx.Client, path: str) -> list[dict[str, Any]]:
    """All members of a list."""
    rows: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = api.get(path, params=after).json()
        rows += page["data"]
        if not page["has_more"]:
            return rows
        after = {"after": page["next_cursor"]}


def _plays(page: Page, label: str) -> None:
    """The player with the label, from its beginning: its time moves."""
    audio = page.get_by_label(label)
    expect(audio).to_be_visible()
    audio.evaluate("audio => audio.play()")
    page.wait_for_function(
        "label => document.querySelector(`audio[aria-label='${label}']`).currentTime > 0.2", arg=label
    )

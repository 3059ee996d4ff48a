"""A job as a book in a real browser: read, heard, followed, and changed sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE

# In paragraphs, each is a segment of its own.
STORM = ["It was a dark and stormy night.", "The rain fell on the roof of the inn.", "Siobhan spoke a word."]
MORNING = ["The storm was over.", "Siobhan opened the door."]
LONG = 10_000  # sentences
HIDE, SHOW = (
    f"""() => {{
        Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});
        document.dispatchEvent(new Event('visibilitychange'));
    }}"""
    for hidden in ("true", "false")
)


def narrated(api: httpx.Client, **request: object) -> str:
    answer = api.post("/v1/jobs", json={"output": {"format": "wav"}, **request})
    assert answer.status_code == 202, answer.text
    job = str(answer.json()["id"])
    assert api.get(f"/v1/jobs/{job}?wait=60").json()["status"] == "succeeded"
    return job


def chapter(title: str, sentences: Iterable[str]) -> dict[str, str]:
    return {"title": title, "input": "\n\n".join(sentences)}


def revision(api: httpx.Client, job: str) -> int:
    """Of the job once it has ended."""
    return int(api.get(f"/v1/jobs/{job}?wait=60").json()["revision"])


def test_a_book_is_changed_sentence_by_sentence_and_tells_the_cost_before(page: Page, api: httpx.Client) -> None:
    job = narrated(api, chapters=[chapter("Storm", STORM), chapter("Morning", MORNING)], custom_id="A Long Night")
    page.goto(f"/#/job/{job}")
    page.get_by_role("link", name="Read and edit").click()
    said = page.locator(".said")
    expect(said).to_have_text(STORM)
    page.locator("audio").evaluate("audio => { audio.currentTime = audio.duration - 3; audio.play(); }")
    expect(said).to_have_text(MORNING)  # the page follows what is heard
    expect(page.locator(".said.now")).to_have_count(1)
    page.locator("audio").evaluate("audio => audio.pause()")
    page.get_by_role("button", name="Storm", exact=True).click()
    expect(said).to_have_text(STORM)
    cost, panel = page.get_by_role("region", name="Changes"), page.get_by_role("region", name="Sentence")

    said.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(said.nth(1)).to_have_class("said now chosen")  # it is heard, and nothing behind it
    page.wait_for_function("() => document.querySelector('audio').paused")
    panel.get_by_label("Words").fill("The rain was over by nine.")
    expect(cost).to_contain_text("1 of 5 segments will be rendered")
    page.keyboard.press("Escape")
    expect(said.nth(1)).to_be_focused()

    said.nth(2).click()
    panel.get_by_label("Voice").select_option("de")
    expect(cost).to_contain_text("2 of 5 segments will be rendered")
    panel.get_by_text("A word is said wrong").click()
    panel.get_by_label("Word, as it is written").fill("Siobhan")
    panel.get_by_label("Said as").fill("shivawn")
    panel.get_by_role("button", name="Put it into the lexicon").click()
    expect(cost).to_contain_text("3 of 5 segments will be rendered")
    page.get_by_label("speak Morning").uncheck()
    expect(cost).to_contain_text("2 of 3 segments will be rendered")
    cost.get_by_text("What will be said").click()
    expect(cost.get_by_role("listitem")).to_have_text(
        ["en-us: The rain was over by nine.", "de: shivawn spoke a word."]
    )

    page.evaluate(HIDE)  # a page that nobody sees hears of nothing
    assert api.patch(f"/v1/jobs/{job}", json={"segments": [{"index": 0, "text": "Night."}]}).status_code == 202
    assert revision(api, job) == 2
    cost.get_by_role("button", name="Render").click()
    expect(cost).to_contain_text("Somebody else has changed this book meanwhile")
    page.get_by_role("button", name="Load it").click()
    expect(said.nth(0)).to_have_text("Night.")
    expect(said.nth(1)).to_have_text("The rain was over by nine.")
    expect(cost).to_contain_text("2 of 3 segments will be rendered")
    page.evaluate(SHOW)
    cost.get_by_role("button", name="Render").click()
    expect(cost).to_have_count(0)
    assert revision(api, job) == 3
    told = api.get(f"/v1/jobs/{job}").json()
    assert (told["rendered"], told["reused"], told["lexicons"]) == (2, 1, ["words@1"])
    expect(said).to_have_text(["Night.", "The rain was over by nine.", STORM[2]])
    expect(page.locator("audio")).to_have_attribute("src", re.compile("revision=3"))
    said.nth(1).click()
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0.2")


def test_a_long_book_is_read_along_while_it_is_rendered(open_page: Callable[..., Page], api: httpx.Client) -> None:
    days = (f"On day {day} the clerk wrote one more line into the long book." for day in range(LONG))
    request = {"chapters": [chapter("Days", days)], "priority": "bulk", "custom_id": "Days"}
    job = api.post("/v1/jobs", json=request).json()["id"]
    page = open_page(viewport=PHONE)
    page.goto(f"/#/book/{job}")
    said, panel = page.locator(".said"), page.get_by_role("region", name="Sentence")
    expect(said).to_have_count(300)
    page.get_by_role("button", name="Listen now").click()
    expect(page.locator(".said.now")).to_have_text("On day 0 the clerk wrote one more line into the long book.")
    expect(page.locator(".said.now")).to_have_text("On day 1 the clerk wrote one more line into the long book.")
    said.nth(4).click()
    expect(page.locator(".said.now")).to_have_text("On day 4 the clerk wrote one more line into the long book.")
    expect(page.get_by_text("It can be changed once it has ended.")).to_be_visible()
    expect(panel.get_by_label("Words")).to_have_count(0)
    page.locator("audio").evaluate("audio => audio.pause()")
    page.get_by_role("button", name="On", exact=True).click()
    expect(said.first).to_have_text("On day 300 the clerk wrote one more line into the long book.")
    assert said.count() == 300
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.goto("/#/jobs")
    assert api.delete(f"/v1/jobs/{job}").status_code == 204

"""A job is heard in the browser while it is rendered, by hls.js under the policy of the dashboard."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page, expect

from farm.client import Farm
from farm.embedded.supervisor import Local
from tests.browser.conftest import KEY
from tests.patience import patient

# No sentence twice: a clip of before would be taken again, and the job would end before anything is heard.
LONG = " ".join(f"On day {day} the clerk wrote one more line into the long book of the house." for day in range(4000))
SHORT = "The tide went out.\n\nNobody saw it go."
PLAY_TO_ITS_END = """async (address) => {
    const { default: Hls } = await import('/dashboard/vendor/hls.js');
    const audio = document.createElement('audio');
    const hls = new Hls({ enableWorker: false, startPosition: 0 });
    hls.loadSource(address);
    hls.attachMedia(audio);
    await new Promise((ended) => { audio.onended = ended; audio.play(); });
    return audio.duration;
}"""


def test_a_job_is_heard_from_its_first_segment_on_while_the_rest_is_rendered(page: Page, api: httpx.Client) -> None:
    job = api.post("/v1/jobs", json={"input": LONG, "priority": "bulk", "custom_id": "A long night"}).json()["id"]
    page.goto(f"/#/job/{job}")
    page.get_by_role("button", name="Listen now").click()
    audio = page.get_by_label("A long night, as far as it is rendered")
    audio.evaluate("""audio => new Promise((heard) => {
        audio.addEventListener('timeupdate', () => audio.currentTime > 1.5 && heard());
    })""")
    assert audio.evaluate("audio => audio.error") is None
    assert api.get(f"/v1/jobs/{job}").json()["status"] == "running"
    length = audio.evaluate("audio => audio.duration")
    page.wait_for_function("length => document.querySelector('audio').duration > length", arg=length)  # the list grows
    page.goto("/#/jobs")  # the player leaves before the job does
    expect(page.locator("audio")).to_have_count(0)
    assert api.delete(f"/v1/jobs/{job}").status_code == 204


def test_a_job_is_heard_to_its_end(page: Page, api: httpx.Client, farm: Local) -> None:
    job = api.post("/v1/jobs", json={"input": SHORT}).json()["id"]
    result = api.get(f"/v1/jobs/{job}", params={"wait": 60}).json()["result"]
    with Farm(farm.url, KEY) as client:
        address = client.listen(job)
    page.goto("/")
    page.set_default_timeout(1000 * patient(60))
    heard = page.evaluate(PLAY_TO_ITS_END, address)
    assert abs(heard - result["duration_seconds"]) < 0.05

"""A job that is heard while it is rendered, by the real engine and a real player: FFmpeg, which reads the playlist over
HTTP. What is heard early are the samples of the file that comes later."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import av
import httpx
import numpy as np
import pytest
import soundfile as sf

from api.listening import playlist as api_playlist
from api.listening import shelf
from farm.job import Status
from farm.layout import clip_key
from farm.plan_reader import PlanReader
from farm.sound.flac import Pcm
from farm.store import segments
from tests.api.conftest import Served
from tests.flow.house import House, Unwell
from tests.flow.test_revisions import reseed
from tests.patience import patient

CHAPTERS = [
    {"title": "Morning", "input": "The tide went out.\n\nNobody saw it go. In the morning there were ships."},
    {"title": "Noon", "input": "And then? * * *\n\nIt came back, slowly."},
]
SOUNDS: list[dict[str, Any]] = [
    {"format": "flac"},
    {"format": "flac", "pause_ms": {"segment": 137, "before_chapter": 511, "chapter": 1201, "end": 333}},
    {"format": "flac", "trim_dbfs": -45, "pause_ms": {"segment": 0, "end": 11_000, "before_chapter": 21_000}},
]


@pytest.fixture
def server(house: House) -> Iterator[Served]:
    server = Served(house.settings)
    yield server
    server.stop()


@pytest.fixture
def api(server: Served) -> Iterator[httpx.Client]:
    with server.client(follow_redirects=True) as client:
        yield client


def address(api: httpx.Client, job: str) -> str:
    return str(api.get(f"/v1/jobs/{job}/stream.m3u8", follow_redirects=False).next_request.url)  # type: ignore[union-attr]


def played(url: str) -> Pcm:
    """All of it, until the list ends."""
    with av.open(url, options={"live_start_index": "0"}) as container:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])


def names(playlist: str) -> list[str]:
    return re.findall(r"^\S+\.m4s$", playlist, re.MULTILINE)


def result(house: House, job: str) -> Pcm:
    return sf.read(io.BytesIO(house.storage.get(house.outcome(job).audio_key)), dtype="int16")[0]  # type: ignore[no-any-return]


def planned(house: House, **fields: Any) -> str:
    job = house.submit(**{"chapters": CHAPTERS, "output": {"format": "flac"}, **fields})
    house.desk.drain()
    return job


def settle(house: House, job: str, *indices: int) -> None:
    """Segments whose clips are in storage."""
    house.store.run(segments.settle("0", [segments.Settled(job, index, 100) for index in indices]))


def clip_of(house: House, job: str, index: int) -> str:
    return clip_key(PlanReader(house.storage, job).row(index).digest)


@pytest.fixture
def spoken(house: House) -> House:
    """A house that has the clips of every chapter."""
    planned(house)
    house.finish()
    return house


@pytest.mark.parametrize("output", SOUNDS)
def test_what_is_heard_early_are_the_samples_of_the_result(
    house: House, api: httpx.Client, output: dict[str, Any]
) -> None:
    job = planned(house, output=output)
    house.renderer().drain()
    assert house.record(job).status is Status.ASSEMBLING
    early = played(address(api, job))
    house.finish()
    assert np.array_equal(early, result(house, job))
    assert np.array_equal(played(address(api, job)), early)


def test_a_player_follows_a_job_to_its_end_while_it_is_rendered(spoken: House, api: httpx.Client) -> None:
    job = planned(spoken)
    total = spoken.record(job).total
    settle(spoken, job, 0)
    left = iter(range(1, total))
    heard: list[Pcm] = []
    with av.open(address(api, job), options={"live_start_index": "0"}) as container:
        for frame in container.decode(audio=0):
            heard.append(frame.to_ndarray().reshape(-1))
            settle(spoken, job, *[index for index in [next(left, None)] if index is not None])
    spoken.desk.drain()
    assert np.array_equal(np.concatenate(heard), result(spoken, job))


def test_a_clip_is_listed_once_all_before_it_are(spoken: House, api: httpx.Client) -> None:
    job = planned(spoken)
    url = address(api, job)
    settle(spoken, job, 0, 2)
    first = api.get(url).text
    assert [name.split("-")[0] for name in names(first)] == ["0"]
    settle(spoken, job, 1)
    second = api.get(url).text
    assert [name.split("-")[0] for name in names(second)] == ["0", "1", "2"]
    assert second.startswith(first)
    assert "#EXT-X-ENDLIST" not in second
    settle(spoken, job, *range(3, spoken.record(job).total))
    assert api.get(url).text.endswith("#EXT-X-ENDLIST\n")


def test_a_clip_that_is_missing_or_damaged_holds_the_list_until_it_is_there_again(
    spoken: House, api: httpx.Client
) -> None:
    job = planned(spoken)
    key = clip_of(spoken, job, 1)
    clip = spoken.storage.get(key)
    settle(spoken, job, 0, 1, 2)
    url = address(api, job)
    for damage in (lambda: spoken.storage.delete(key), lambda: spoken.storage.put(key, b"fLaC" + bytes(100))):
        damage()
        assert [name.split("-")[0] for name in names(api.get(url).text)] == ["0"]
    spoken.storage.put(key, clip)
    assert len(names(api.get(url).text)) == 3


def test_a_segment_that_died_is_passed_over_as_the_result_passes_it_over(
    house: House, api: httpx.Client, server: Served
) -> None:
    unwell = Unwell(house.engine, stumbles_at="ships")  # type: ignore[arg-type]
    job = planned(house, output={"format": "flac", "pause_ms": {"segment": 137, "chapter": 1201}}, on_error="skip")
    while house.record(job).status is Status.RUNNING:
        house.renderer(unwell).drain()
    url = address(api, job)
    early = played(url)
    listed = api.get(url).text
    house.desk.drain()
    assert (house.record(job).status, house.record(job).dead) == (Status.SUCCEEDED, 1)
    assert np.array_equal(early, result(house, job))
    later = Served(house.settings)  # which reads of the dead segment in the manifest
    try:
        with later.client(follow_redirects=True) as client:
            assert client.get(f"/v1/jobs/{job}/stream.m3u8").text == listed
    finally:
        later.stop()


def test_a_listener_who_waits_hears_of_the_first_clip_when_it_is_settled(spoken: House, api: httpx.Client) -> None:
    job = planned(spoken)
    url = address(api, job)
    settled_at: list[float] = []

    def first() -> None:
        settle(spoken, job, 0)
        settled_at.append(time.monotonic())

    waiting = threading.Timer(0.3, first)  # seconds in which the request below has begun to wait; else it passes too
    waiting.start()
    answer = api.get(url)
    answered = time.monotonic()
    waiting.join()  # the answer can be here before the thread that settled the clip has noted when
    assert len(names(answer.text)) == 1
    assert answered - settled_at[0] < patient(1)


def test_a_poll_costs_one_call_of_the_store_and_looks_at_fresh_clips_alone(
    spoken: House, api: httpx.Client, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned(spoken)
    url = address(api, job)
    settle(spoken, job, 0, 1)
    api.get(url)
    state = server.app.state.farm
    calls: list[str] = []
    run, get = state.store.run, state.storage.get

    def ran(call: Any) -> Any:
        calls.append(call.verb)
        return run(call)

    def got(key: str, *of: Any) -> bytes:
        calls.append(key.partition("/")[0])
        return bytes(get(key, *of))

    monkeypatch.setattr(state.store, "run", ran)
    monkeypatch.setattr(state.storage, "get", got)
    api.get(url)
    assert calls == ["settled"]
    settle(spoken, job, 2)
    api.get(url)
    assert calls == ["settled", "settled", "segments"]


def test_a_long_list_is_made_again_in_steps(
    spoken: House, api: httpx.Client, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned(spoken)
    total = spoken.record(job).total
    settle(spoken, job, *range(total))
    monkeypatch.setattr(api_playlist, "AT_ONCE", 2)
    url = address(api, job)
    lengths = [len(names(api.get(url).text)) for _ in range(-(-total // 2))]
    assert lengths == [*range(2, total, 2), total]


def test_a_list_that_was_dropped_for_others_is_the_same_when_it_is_made_again(
    spoken: House, api: httpx.Client, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "MOST_FRAGMENTS", 3)
    urls = []
    for _ in range(2):
        job = planned(spoken)
        settle(spoken, job, 0, 1)
        urls.append(address(api, job))
    lists = [api.get(url).text for url in urls]
    kept = list(server.app.state.shelf._kept)
    assert [job in urls[1] for job in kept] == [True]
    assert [api.get(url).text for url in urls] == lists


def test_fragments_of_before_a_retry_with_other_clips_are_gone(
    spoken: House, api: httpx.Client, server: Served
) -> None:
    job = planned(spoken)
    settle(spoken, job, 0)
    url = address(api, job)
    name = names(api.get(url).text)[0]
    index, mark, *rest = name.split("-")
    assert api.get(urljoin(url, name)).status_code == 200
    other = "-".join((index, "0" * len(mark), *rest))
    gone = api.get(urljoin(url, other))
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")


def test_a_job_that_is_deleted_while_it_is_heard_is_unknown_from_then_on(spoken: House, api: httpx.Client) -> None:
    job = planned(spoken)
    settle(spoken, job, 0)
    url = address(api, job)
    fragment = urljoin(url, names(api.get(url).text)[0])
    assert api.get(fragment).status_code == 200
    assert api.delete(f"/v1/jobs/{job}").status_code == 204
    assert [api.get(each).status_code for each in (url, fragment)] == [404, 404]


def test_after_an_edit_the_list_is_that_of_the_new_revision(house: House, api: httpx.Client) -> None:
    job = planned(house)
    house.finish()
    url = address(api, job)
    before = names(api.get(url).text)
    reseed(house, job, 1, 7)
    house.finish()
    after = names(api.get(url).text)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, *[True] * (len(after) - 2)]
    assert [api.get(urljoin(url, name)).status_code for name in (before[1], after[1], after[0])] == [410, 200, 200]

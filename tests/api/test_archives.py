"""ZIP archives of results: what they hold, when they are refused, and what becomes of clients that stall or leave."""

from __future__ import annotations

import io
import json
import socket
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from farm.errors import StorageUnavailable
from farm.job import Due
from farm.layout import result_prefix
from farm.storage import LocalStorage
from farm.store import jobs, tasks
from tests.api.backstage import LEASE_MS, Backstage
from tests.api.conftest import Served
from tests.api.test_batches import unfold
from tests.patience import patient

AUDIO = bytes(range(256)) * 8
BUFFER = 64 << 10  # bytes of a socket


def opened(answer: httpx.Response) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-length"] == str(len(answer.content))
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def submitted(api: httpx.Client, **said: Any) -> str:
    job = api.post("/v1/jobs", json={"input": "One.", "output": {"subtitles": ["vtt"]}, **said})
    return str(job.json()["id"])


@pytest.fixture
def batch(api: httpx.Client, backstage: Backstage) -> tuple[str, list[str]]:
    """Three jobs, unfolded: two with names of their own, which differ in case alone, and one without."""
    lines = [{"input": "One.", "custom_id": "CON/1"}, {"input": "Two."}, {"input": "Three.", "custom_id": "con/1"}]
    id = api.post("/v1/batches", json={"jobs": lines}).json()["id"]
    return id, unfold(backstage, id)


def test_the_archive_of_a_job_holds_all_its_results(api: httpx.Client, backstage: Backstage) -> None:
    job = submitted(api, metadata={"Title": "The Lamp: a tale"})
    backstage.succeed(job, AUDIO)
    answer = api.get(f"/v1/jobs/{job}/archive.zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{job}.zip"'
    folder = f"The Lamp_ a tale-{job}"
    archive = opened(answer)
    names = ("The Lamp_ a tale.mp3", "manifest.json", "The Lamp_ a tale.vtt")
    assert archive.namelist() == [f"{folder}/{name}" for name in names]
    assert archive.read(f"{folder}/The Lamp_ a tale.mp3") == AUDIO
    assert json.loads(archive.read(f"{folder}/manifest.json"))["job"] == job


def test_head_of_an_archive_says_how_long_it_is(api: httpx.Client, backstage: Backstage) -> None:
    job = submitted(api)
    backstage.succeed(job, AUDIO)
    whole, head = (api.request(method, f"/v1/jobs/{job}/archive.zip") for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))


def test_the_archive_of_a_job_is_refused_until_there_is_a_result(api: httpx.Client, backstage: Backstage) -> None:
    job = submitted(api)
    answer = api.get(f"/v1/jobs/{job}/archive.zip")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ended")
    backstage.fail(job)
    answer = api.get(f"/v1/jobs/{job}/archive.zip")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_result")


def test_the_archive_of_a_job_that_storage_lost_is_gone(api: httpx.Client, backstage: Backstage) -> None:
    job = submitted(api)
    backstage.succeed(job, AUDIO)
    backstage.storage.delete(*(found.key for found in backstage.storage.list(result_prefix(job))))
    assert api.get(f"/v1/jobs/{job}/archive.zip").status_code == 410


def test_the_archive_of_a_batch_has_a_folder_for_each_job(
    api: httpx.Client, backstage: Backstage, batch: tuple[str, list[str]]
) -> None:
    id, (one, two, three) = batch
    for number, job in enumerate((one, two, three)):
        backstage.succeed(job, AUDIO[number:])
    archive = opened(api.get(f"/v1/batches/{id}/archive.zip"))
    audio = [name for name in archive.namelist() if name.endswith(".mp3")]
    assert audio == [f"001-CON_1-{one}/CON_1.mp3", f"002-{two}/{two}.mp3", f"003-con_1-{three}/con_1.mp3"]
    assert [archive.read(name) for name in audio] == [AUDIO, AUDIO[1:], AUDIO[2:]]
    assert len({name.casefold() for name in archive.namelist()}) == 9


def test_the_archive_of_a_batch_that_runs_is_refused_with_its_counts(
    api: httpx.Client, backstage: Backstage, batch: tuple[str, list[str]]
) -> None:
    id, (one, *_) = batch
    backstage.succeed(one)
    problem = api.get(f"/v1/batches/{id}/archive.zip").json()
    assert (problem["status"], problem["code"]) == (409, "not_ended")
    assert "1 succeeded" in problem["detail"]
    assert "2 queued" in problem["detail"]


def test_an_incomplete_batch_is_archived_only_as_a_part_that_says_so(
    api: httpx.Client, backstage: Backstage, batch: tuple[str, list[str]]
) -> None:
    id, (one, two, three) = batch
    backstage.succeed(one)
    backstage.fail(two)
    backstage.succeed(three)
    problem = api.get(f"/v1/batches/{id}/archive.zip").json()
    assert (problem["status"], problem["code"]) == (409, "incomplete")
    assert "1 of the 3 jobs" in problem["detail"]
    assert "1 failed" in problem["detail"]
    archive = opened(api.get(f"/v1/batches/{id}/archive.zip", params={"partial": "true"}))
    assert [name for name in archive.namelist() if name.endswith(".mp3")] == [
        f"001-CON_1-{one}/CON_1.mp3",
        f"003-con_1-{three}/con_1.mp3",
    ]
    missing = json.loads(archive.read("missing.json"))
    assert (missing["total"], missing["without_record"]) == (3, 0)
    assert [(each["id"], each["status"]) for each in missing["jobs"]] == [(two, "failed")]


def test_a_batch_without_any_result_has_no_archive(
    api: httpx.Client, backstage: Backstage, batch: tuple[str, list[str]]
) -> None:
    id, jobs = batch
    for job in jobs:
        backstage.fail(job)
    for partial in ("false", "true"):
        answer = api.get(f"/v1/batches/{id}/archive.zip", params={"partial": partial})
        assert (answer.status_code, answer.json()["code"]) == (409, "no_result")


def test_a_batch_is_archived_over_many_pages_of_jobs(api: httpx.Client, backstage: Backstage) -> None:
    id = api.post("/v1/batches", json={"jobs": [{"input": "One."}] * 205}).json()["id"]
    first, *rest = unfold(backstage, id)
    backstage.succeed(first)
    archive = opened(api.get(f"/v1/batches/{id}/archive.zip", params={"partial": "true"}))
    missing = json.loads(archive.read("missing.json"))
    assert ([each["id"] for each in missing["jobs"]], missing["without_record"]) == (rest, 0)


def test_storage_that_fails_midway_cuts_the_connection(
    api: httpx.Client, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submitted(api)
    backstage.succeed(job, AUDIO)
    get = LocalStorage.get

    def failing(self: LocalStorage, key: str, *span: int) -> bytes:
        if key.endswith(".vtt"):
            raise StorageUnavailable("the disk is gone")
        return get(self, key, *span)

    monkeypatch.setattr(LocalStorage, "get", failing)
    received: list[bytes] = []
    with api.stream("GET", f"/v1/jobs/{job}/archive.zip") as answer, pytest.raises(httpx.RemoteProtocolError):
        received.extend(answer.iter_raw())
    assert AUDIO in b"".join(received)
    assert b"PK\x05\x06" not in b"".join(received)


def test_clients_that_stall_hold_no_thread_and_keep_nothing_from_others(
    served: Callable[..., Served], backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than the API has threads. Each has read the head of its answer and nothing more; the system holds
    little of the rest, whose buffers would take megabytes else."""
    server = served()
    server.limit_buffers(BUFFER)
    reads: list[str] = []
    get = LocalStorage.get

    def counting(self: LocalStorage, key: str, *span: int) -> bytes:
        reads.append(key)
        return get(self, key, *span)

    with server.client() as api, ExitStack() as stalled:
        job = submitted(api)
        backstage.succeed(job, bytes(64 << 20))
        monkeypatch.setattr(LocalStorage, "get", counting)
        for _ in range(50):
            client = stalled.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            client.settimeout(patient(20))
            client.connect(("127.0.0.1", server.port))
            client.sendall(f"GET /v1/jobs/{job}/archive.zip HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert len(api.get(f"/v1/jobs/{job}/archive.zip").content) > 64 << 20
        assert sum(key.endswith("/audio.mp3") for key in reads) <= 50 * 3 + 257  # pieces of 256 kB


def test_the_archive_of_an_expired_job_is_gone(serve: Callable[..., httpx.Client], backstage: Backstage) -> None:
    api = serve(retention_days=1e-8)  # a millisecond
    job = submitted(api)
    backstage.succeed(job)
    taken: list[tasks.Task] = []
    while not taken:
        taken = backstage.store.run(tasks.take((Due.EXPIRE,), want=1, lease_ms=LEASE_MS))
    assert backstage.store.run(jobs.expire(job, taken[0].token, 1000))
    answer = api.get(f"/v1/jobs/{job}/archive.zip")
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")

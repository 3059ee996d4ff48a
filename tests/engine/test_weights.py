"""Fetching the files of a model: from a real server that cuts off, lies and resumes, and from a second source."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farm.errors import Misconfigured, Unavailable
from worker.weights.fetch import Source, fetch_all, from_release
from worker.weights.file import File

DATA = bytes(range(256)) * 1000
FILE = File("model.onnx", len(DATA), hashlib.sha256(DATA).hexdigest(), "kokoro")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.cuts, self.status, self.ranges = DATA, 0, 200, list[str | None]()

    @property
    def source(self) -> Source:
        return partial(from_release, release=f"http://127.0.0.1:{self.server_address[1]}", wait=lambda _: None)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(self.server.status if self.server.status != 200 else 206 if asked else 200)
        body = self.server.data[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def from_elsewhere(file: File, folder: Path) -> None:
    (folder / f"{file.name}.part").write_bytes(DATA)


def test_a_file_comes_whole_and_leaves_no_part(server: Server, tmp_path: Path) -> None:
    fetch_all(tmp_path / "new", [server.source], [FILE])
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE.name]
    assert (tmp_path / "new" / FILE.name).read_bytes() == DATA


def test_a_cut_transfer_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.cuts = 1
    fetch_all(tmp_path, [server.source], [FILE])
    assert server.ranges[0] is None
    assert server.ranges[1] is not None


def test_what_a_killed_process_had_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(DATA[:1000])
    fetch_all(tmp_path, [server.source], [FILE])
    assert server.ranges == ["bytes=1000-"]


def test_a_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(DATA)
    fetch_all(tmp_path, [server.source], [FILE])
    assert server.ranges == []


def test_workers_that_start_at_once_fetch_a_file_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as workers:
        list(workers.map(lambda _: fetch_all(tmp_path, [server.source], [FILE]), range(4)))
    assert server.ranges == [None]
    assert (tmp_path / FILE.name).read_bytes() == DATA


def test_a_wrong_file_that_is_there_is_refused_and_stays(server: Server, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(b"x" * len(DATA))
    with pytest.raises(Misconfigured, match=r"is not model\.onnx of this release"):
        fetch_all(tmp_path, [server.source], [FILE])
    assert (tmp_path / FILE.name).exists()


def test_bytes_that_differ_are_deleted_and_never_get_the_name_of_the_file(server: Server, tmp_path: Path) -> None:
    server.data = b"y" * len(DATA)
    with pytest.raises(Unavailable, match="in place of"):
        fetch_all(tmp_path, [server.source], [FILE])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [404, 403])
def test_a_refusal_leads_to_the_second_source(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    fetch_all(tmp_path, [server.source, from_elsewhere], [FILE])
    assert (tmp_path / FILE.name).read_bytes() == DATA
    assert len(server.ranges) == 1


def test_a_server_that_is_not_there_is_named_with_the_way_out(tmp_path: Path) -> None:
    gone = partial(from_release, release="http://127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"can't be fetched: its release can't be reached .*copy the file"):
        fetch_all(tmp_path, [gone], [FILE])


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="FARM_KOKORO_DIR"):
        fetch_all(tmp_path / "file" / "below", [from_elsewhere], [FILE])

"""A Hugging Face hub on the loopback, as far as its client asks: listings, metadata and files, large ones by redirect.

It can be told to stumble, to refuse, and to cut a connection in the middle of a file; it remembers what it was asked.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

_LARGE = 100_000  # the hub keeps such files elsewhere and sends the client there


@dataclass(frozen=True, slots=True)
class Shelf:
    """One repository at one revision."""

    revision: str
    files: Mapping[str, bytes]


@dataclass(slots=True)
class Hub:
    shelves: Mapping[str, Shelf]
    url: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    refusal: int | None = None  # the status of every answer
    stumbles: int = 0  # answers of 503 still to give
    cuts: dict[str, int] = field(default_factory=dict)  # file name -> bytes after which its next transfer ends

    @contextmanager
    def open(self) -> Iterator[Hub]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def ranges(self, name: str) -> list[str | None]:
        """What was asked for of a file, one entry for each transfer."""
        return [asked for method, path, asked in self.requests if method == "GET" and path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if self.hub.refusal is not None:
            return self._refuse(self.hub.refusal)
        if self.hub.stumbles:
            self.hub.stumbles -= 1
            return self._refuse(503)
        if listing := re.fullmatch(r"/api/models/(.+)/tree/(\w+)", path):
            if (shelf := self._shelf(*listing.groups())) is not None:
                self._send(200, json.dumps([_entry(name, data) for name, data in shelf.files.items()]).encode())
        elif about := re.fullmatch(r"/api/models/(.+)/revision/(\w+)", path):  # clients before version 1 ask this first
            if (shelf := self._shelf(*about.groups())) is not None:
                siblings = [{"rfilename": name} for name in shelf.files]
                self._send(200, json.dumps({"id": about[1], "sha": shelf.revision, "siblings": siblings}).encode())
        elif file := re.fullmatch(r"(/elsewhere)?/([^/]+/[^/]+)/resolve/(\w+)/(.+)", path):
            elsewhere, repository, revision, name = cast("tuple[str | None, str, str, str]", file.groups())
            if (shelf := self._shelf(repository, revision)) is not None:
                if name not in shelf.files:
                    return self._refuse(404, "EntryNotFound")
                self._send_file(name, shelf, elsewhere is not None)
        else:
            self._refuse(404)
        return None

    def _shelf(self, repository: str, revision: str) -> Shelf | None:
        shelf = self.hub.shelves.get(repository)
        if shelf is None:
            self._refuse(401, "RepoNotFound")  # the hub does not tell a stranger what there is
        elif shelf.revision != revision:
            self._refuse(404, "RevisionNotFound")
        else:
            return shelf
        return None

    def _send_file(self, name: str, shelf: Shelf, elsewhere: bool) -> None:
        data = shelf.files[name]
        digest = hashlib.sha256(data).hexdigest()
        about = {"X-Repo-Commit": shelf.revision, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if len(data) >= _LARGE and not elsewhere:
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            return self._send(302, b"", {**about, **linked, "Location": f"{self.hub.url}/elsewhere{self.path}"})
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if asked:
            about["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut = self.hub.cuts.pop(name.rpartition("/")[2], None) if self.command == "GET" else None
        return self._send(206 if asked else 200, data[start:], about, cut)

    def _refuse(self, status: int, code: str = "") -> None:
        self._send(status, b"{}", {"X-Error-Code": code} if code else {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


def _entry(name: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
    if len(data) >= _LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry

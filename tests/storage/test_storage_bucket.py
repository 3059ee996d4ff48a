"""What only a bucket does: keys and rights, presigned URLs, servers that are down, wrong or simpler than AWS."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from farm.errors import FarmError, Misconfigured, StorageRefused, StorageUnavailable
from farm.storage import Storage
from farm.storage.bucket import S3Storage
from tests.conftest import free_port
from tests.patience import patient
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.until import until

VERBS: dict[str, Callable[[Storage], Any]] = {
    "put": lambda storage: storage.put("jobs/one/plan", b"plan"),
    "get": lambda storage: storage.get("jobs/one/plan"),
    "open": lambda storage: storage.open("jobs/one/plan"),
    "head": lambda storage: storage.head("jobs/one/plan"),
    "list": lambda storage: list(storage.list("jobs/")),
    "delete": lambda storage: storage.delete("jobs/one/plan"),
    "delete many": lambda storage: storage.delete("jobs/one/plan", "jobs/two/plan"),
    "check": lambda storage: storage.check(),
}


def refusal(verb: Callable[[Storage], Any]) -> type[FarmError]:
    """What is an outage to a farm at work stops one that starts."""
    return Misconfigured if verb is VERBS["check"] else StorageRefused


every_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())


# --- access -----------------------------------------------------------------------------------------------------------


@every_verb
def test_a_wrong_secret_is_refused_and_the_setting_named(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch, verb: Callable[[Storage], Any]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")

    with pytest.raises(refusal(verb), match="AWS_SECRET_ACCESS_KEY"):
        verb(bucket)


@every_verb
def test_an_unknown_bucket_is_named_and_not_created(s3_environment: None, verb: Callable[[Storage], Any]) -> None:
    for _ in range(2):
        with pytest.raises(refusal(verb), match="has no bucket 'typo': create it"):
            verb(S3Storage("typo"))


def test_absent_keys_are_refused(bucket: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StorageRefused, match="set AWS_ACCESS_KEY_ID"):
        bucket.get("jobs/one/plan")


@pytest.mark.parametrize(("name", "value"), [("AWS_ENDPOINT_URL", "s3"), ("AWS_ENDPOINT_URL_S3", "127.0.0.1:8333")])
def test_a_malformed_endpoint_is_misconfigured(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(Misconfigured, match="AWS_ENDPOINT_URL must be like"):
        bucket.get("jobs/one/plan")


def test_a_bucket_name_that_none_can_have_is_refused(s3_environment: None) -> None:
    with pytest.raises(StorageRefused, match="check FARM_STORAGE_URL"):
        S3Storage("no such name").get("jobs/one/plan")


def test_two_farms_share_a_bucket_by_their_prefixes(s3_server: S3Server, bucket: S3Storage) -> None:
    other = S3Storage(s3_server.bucket, prefix=bucket.prefix.rstrip("/") + "-other")
    other.put("jobs/one/plan", b"other")
    bucket.put("jobs/one/plan", b"mine")

    assert [found.key for found in bucket.list("")] == ["jobs/one/plan"]
    bucket.delete("jobs/one/plan")
    assert other.get("jobs/one/plan") == b"other"


# --- presigned URLs ---------------------------------------------------------------------------------------------------


def test_a_presigned_url_needs_no_credentials_and_names_the_file(bucket: S3Storage) -> None:
    bucket.put("results/job/audio.mp3", b"0123456789", "audio/mpeg")

    url = bucket.url("results/job/audio.mp3", filename='Kapitel "1" – Über.mp3')
    assert url is not None
    answer = httpx.get(url, headers={"Range": "bytes=2-4"})

    assert (answer.status_code, answer.content) == (206, b"234")
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="Kapitel _1_ _ _ber.mp3"; '
        "filename*=UTF-8''Kapitel%20%221%22%20%E2%80%93%20%C3%9Cber.mp3"
    )


def test_a_tampered_presigned_url_is_refused(bucket: S3Storage) -> None:
    bucket.put("results/job/audio.mp3", b"mine")
    bucket.put("results/job/other.mp3", b"not mine")
    url = bucket.url("results/job/audio.mp3", seconds=60)
    assert url is not None

    assert httpx.get(url).status_code == 200
    assert httpx.get(url.replace("audio.mp3", "other.mp3")).status_code == 403
    assert httpx.get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")).status_code == 403
    assert httpx.get(re.sub(r"Signature=\w+", "Signature=" + "0" * 64, url)).status_code == 403


def test_a_presigned_url_expires(bucket: S3Storage) -> None:
    bucket.put("results/job/audio.mp3", b"mine")
    url = bucket.url("results/job/audio.mp3", seconds=1)
    assert url is not None

    until(lambda: httpx.get(url).status_code == 403)


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
def test_an_impossible_url_lifetime_is_refused(bucket: S3Storage, seconds: int) -> None:
    with pytest.raises(ValueError, match="is valid for 1 to 604800 seconds"):
        bucket.url("results/job/audio.mp3", seconds=seconds)


def test_urls_are_signed_for_the_host_that_clients_reach(s3_server: S3Server, bucket: S3Storage) -> None:
    bucket.put("results/job/audio.mp3", b"mine")
    public = f"http://localhost:{s3_server.port}"
    storage = S3Storage(s3_server.bucket, prefix=bucket.prefix, public_endpoint=public)

    url, inside = storage.url("results/job/audio.mp3"), bucket.url("results/job/audio.mp3")
    assert url is not None
    assert inside is not None

    assert url.startswith(f"{public}/{s3_server.bucket}/")
    assert httpx.get(url).content == b"mine"
    assert httpx.get(inside.replace("127.0.0.1", "localhost")).status_code == 403
    assert storage.get("results/job/audio.mp3") == b"mine"


@pytest.mark.parametrize("endpoint", ["s3.example.com", "ftp://s3.example.com", "http://"])
def test_a_malformed_public_endpoint_is_misconfigured(endpoint: str) -> None:
    with pytest.raises(Misconfigured, match="FARM_S3_PUBLIC_ENDPOINT"):
        S3Storage("farm", public_endpoint=endpoint)


# --- outages ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_down_is_unavailable_soon_and_works_again_when_it_is_back(
    s3_server: S3Server, bucket: S3Storage
) -> None:
    bucket.put("jobs/one/plan", b"plan")
    s3_server.stop()
    try:
        for verb in (VERBS["put"], VERBS["get"], VERBS["head"], VERBS["list"]):
            began = time.monotonic()
            with pytest.raises(StorageUnavailable, match="is it running"):
                verb(bucket)
            assert time.monotonic() - began < patient(8)
    finally:
        s3_server.start()

    assert bucket.get("jobs/one/plan") == b"plan"


class Impostor(BaseHTTPRequestHandler):
    """Answers every request with the server's `status` and `body`, of which it promises `length` bytes."""

    def do_GET(self) -> None:
        server: Any = self.server
        self.send_response(server.status)
        self.send_header("Content-Length", str(server.length))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(server.body)

    do_HEAD = do_PUT = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def impostor(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, length: int | None = None
) -> Iterator[S3Storage]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Impostor)
    server.status, server.body, server.length = status, body, len(body) if length is None else length
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        yield S3Storage("farm")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_in_trouble_is_unavailable(s3_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
    with impostor(monkeypatch, 503, busy) as storage:
        with pytest.raises(StorageUnavailable, match="SlowDown: Reduce your request rate"):
            storage.get("jobs/one/plan")


@pytest.mark.parametrize("verb", [VERBS["get"], VERBS["head"]], ids=["get", "head"])
def test_a_web_server_in_place_of_s3_does_not_make_every_clip_seem_missing(
    s3_environment: None, monkeypatch: pytest.MonkeyPatch, verb: Callable[[Storage], Any]
) -> None:
    with impostor(monkeypatch, 404, b"<html>nothing here</html>") as storage, pytest.raises(StorageRefused):
        verb(storage)


def test_an_object_that_breaks_off_is_unavailable_and_not_short(
    s3_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with impostor(monkeypatch, 200, b"half of ", length=16) as storage:
        with pytest.raises(StorageUnavailable):
            storage.get("jobs/one/plan")
        with storage.open("jobs/one/plan") as stream, pytest.raises(StorageUnavailable):
            stream.read()


# --- servers simpler than AWS -----------------------------------------------------------------------------------------


class Raw:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.body


def answer_delete_objects(bucket: S3Storage, status: int, body: bytes) -> list[str]:
    """The real server for all but DeleteObjects, which gets this answer. Returns the list of those requests."""
    asked: list[str] = []

    def answer(request: Any, **_: Any) -> Any:
        asked.append(request.body.decode())
        return AWSResponse(request.url, status, HTTPHeaders(), Raw(body))

    bucket.client.meta.events.register("before-send.s3.DeleteObjects", answer)
    return asked


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_server_that_cannot_delete_many_at_once_is_asked_one_by_one(bucket: S3Storage, status: int) -> None:
    answer_delete_objects(bucket, status, b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>")
    keys = [f"jobs/{number}/plan" for number in range(5)]
    for key in keys:
        bucket.put(key, b"x")

    bucket.delete(*keys, "jobs/none/plan")

    assert list(bucket.list("")) == []


@pytest.mark.parametrize(
    ("seconds_each", "batches"),
    [(0.0001, [10, 1000, 1000, 490]), (0.04, [10] + [25] * 99 + [15]), (3.0, [10] + [1] * 2490)],
)
def test_deletes_travel_in_batches_of_a_second(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch, seconds_each: float, batches: list[int]
) -> None:
    asked = answer_delete_objects(bucket, 200, b"<DeleteResult></DeleteResult>")
    monkeypatch.setattr(bucket, "_delete_singly", lambda names: asked.append("<Key>"))
    clock = SimpleNamespace(monotonic=lambda: seconds_each * sum(request.count("<Key>") for request in asked))
    monkeypatch.setattr("farm.storage.bucket.time", clock)

    bucket.delete(*(f"jobs/{number}/plan" for number in range(2500)))

    assert [request.count("<Key>") for request in asked] == batches


def begin_upload(bucket: S3Storage, key: str) -> None:
    bucket.client.create_multipart_upload(Bucket=bucket.bucket, Key=bucket.prefix + key)


def test_unfinished_uploads_below_a_prefix_are_aborted(
    bucket: S3Storage, leftovers: Callable[[Storage], list[str]]
) -> None:
    begin_upload(bucket, "results/job_a/7/audio.wav")
    begin_upload(bucket, "results/job_b/8/audio.wav")

    bucket.abandon("results/job_a/")

    assert [key.removeprefix(bucket.prefix) for key in leftovers(bucket) if key.startswith(bucket.prefix)] == [
        "results/job_b/8/audio.wav"
    ]
    bucket.abandon("")
    assert not [key for key in leftovers(bucket) if key.startswith(bucket.prefix)]


@pytest.mark.parametrize("status", [403, 501])
def test_a_bucket_that_does_not_let_uploads_be_listed_is_left_as_it_is(bucket: S3Storage, status: int) -> None:
    def answer(request: Any, **_: Any) -> Any:
        return AWSResponse(request.url, status, HTTPHeaders(), Raw(b"<Error><Code>No</Code></Error>"))

    bucket.client.meta.events.register("before-send.s3.ListMultipartUploads", answer)
    bucket.abandon("results/job_a/")


def test_one_object_that_may_not_be_deleted_is_told(bucket: S3Storage) -> None:
    answer_delete_objects(
        bucket,
        200,
        b"<DeleteResult><Error><Key>a</Key><Code>NoSuchKey</Code><Message>gone</Message></Error>"
        b"<Error><Key>b</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>",
    )

    with pytest.raises(StorageRefused, match="AccessDenied: locked"):
        bucket.delete("jobs/one/plan", "jobs/two/plan")


def test_folder_markers_of_a_console_are_no_objects(bucket: S3Storage) -> None:
    bucket.client.put_object(Bucket=bucket.bucket, Key=bucket.prefix + "jobs/")
    bucket.put("jobs/one", b"x")

    assert [found.key for found in bucket.list("jobs/")] == ["jobs/one"]


def test_an_object_in_a_bucket_has_no_local_file(bucket: S3Storage) -> None:
    bucket.put("jobs/one", b"x")

    assert bucket.path("jobs/one") is None


# --- the environment --------------------------------------------------------------------------------------------------


def test_what_is_not_the_farms_decides_nothing(
    s3_environment: None, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    config = (
        f"[default]\nregion = mars-1\nendpoint_url = {nowhere}\nca_bundle = /nonexistent\n"
        "s3 =\n  use_accelerate_endpoint = true\n"
    )
    (tmp_path / ".aws").mkdir()
    for name in (".aws/config", "config"):
        (tmp_path / name).write_text(config)
    for name in (".aws/credentials", "credentials"):
        (tmp_path / name).write_text("[default]\naws_access_key_id = other\naws_secret_access_key = other\n")
    strange = {
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_PROFILE": "nobody",
        "AWS_DEFAULT_PROFILE": "nobody",
        "AWS_ENDPOINT_URL_S3": nowhere,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_DATA_PATH": "/nonexistent",
        "AWS_MAX_ATTEMPTS": "no number",
        "AWS_RETRY_MODE": "nonsense",
        "AWS_DEFAULTS_MODE": "nonsense",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "nonsense",
        "REQUESTS_CA_BUNDLE": "/nonexistent",
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"), nowhere),
    }
    for name, value in strange.items():
        monkeypatch.setenv(name, value)
    bucket = S3Storage(s3_server.bucket, prefix="strange", timeout=patient(5), attempts=1)

    bucket.check()

    assert bucket.client.meta.endpoint_url == s3_server.endpoint
    assert bucket.client.meta.region_name == "us-east-1"


def test_keys_in_a_home_folder_open_no_bucket(
    s3_environment: None, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    keys = f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    (tmp_path / ".aws" / "credentials").write_text(keys)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name)
    with pytest.raises(Misconfigured, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        S3Storage(s3_server.bucket).check()


def test_the_proxy_of_the_farm_is_used(s3_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with impostor(monkeypatch, 200, b"from the proxy") as proxy:
        address = os.environ["AWS_ENDPOINT_URL"]
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3.invalid")
        storage = S3Storage(proxy.bucket, proxy=address, attempts=1)
        assert storage.get("jobs/one/plan") == b"from the proxy"

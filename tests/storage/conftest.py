"""A folder and a bucket on a real S3 server, each test in one of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farm.storage import LocalStorage, Storage
from farm.storage.bucket import S3Storage
from tests.s3_server import S3Server

PART_BYTES = 5 * 1024 * 1024  # the smallest that S3 allows


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The AWS_ variables of the server, and none of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def folder(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def bucket(s3_server: S3Server, s3_environment: None) -> S3Storage:
    return S3Storage(s3_server.bucket, prefix=f"test/{secrets.token_hex(4)}", part_bytes=PART_BYTES)


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest) -> Storage:
    either: Storage = request.getfixturevalue(request.param)
    return either


@pytest.fixture
def leftovers(request: pytest.FixtureRequest) -> Callable[[Storage], list[str]]:
    """What unfinished writes left behind."""

    def look(storage: Storage) -> list[str]:
        if isinstance(storage, LocalStorage):
            return [part.name for part in (storage.root / ".part").iterdir()]
        assert isinstance(storage, S3Storage)
        return [
            upload["Key"] for upload in storage.client.list_multipart_uploads(Bucket=storage.bucket).get("Uploads", [])
        ]

    return look

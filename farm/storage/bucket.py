"""Objects in an S3 bucket: the storage of every farm beyond one machine, on AWS or any server that speaks S3.

Endpoint, region and keys come from the AWS_ variables that farm/environment.py lists, and from nowhere else: not from
other variables, files in a home folder or proxies of the environment. This module never creates a bucket, because that
would hide a misspelt name. S3 shows an object only when it is complete. When a process is killed during a large upload,
the parts stay invisible; a lifecycle rule of the bucket should expire them.
"""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypedDict, TypeVar
from urllib.parse import quote

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from farm import environment
from farm.errors import Misconfigured, ObjectMissing
from farm.storage import aws
from farm.storage.protocol import Object, checked_key, checked_prefix, checked_range, probe
from farm.storage.refusal import status_of, verdict

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

_DELETE_FIRST, _DELETE_MOST = 10, 1000  # objects in one request; the latter is S3's own limit
_DELETE_S = 1.0  # of one such request; Swift was seen to delete 20 to 30 objects in it
_FORBIDDEN, _NOT_FOUND = 403, 404
_RANGE_BEYOND_END = 416
_NOT_UNDERSTOOD = (400, 405, 411, 501)
_LONGEST_URL = 7 * 24 * 3600  # seconds; the limit of signature version 4


@dataclass(frozen=True, slots=True)
class _Clients:
    """`signer` makes presigned URLs with the host name that clients use; it never connects."""

    caller: S3Client
    signer: S3Client


class _Span(TypedDict, total=False):
    Range: str


class S3Storage:
    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        path_style: bool = True,
        public_endpoint: str | None = None,
        proxy: str | None = None,
        part_bytes: int = 16 * 1024 * 1024,
        timeout: float = 20.0,
        attempts: int = 3,
    ) -> None:
        """Connects on first use, and anew after a fork. A large upload goes in parts of `part_bytes` (at least 5 MiB on
        S3), four at a time. A request is sent up to `attempts` times: again after `timeout` seconds without an answer,
        and again after a 5xx."""
        aws.check_form(public_endpoint)
        self.bucket = bucket
        self.prefix = _folder(prefix.strip("/"))
        self._path_style = path_style
        self._timeout, self._attempts = timeout, attempts
        self._public_endpoint = public_endpoint or None
        self._proxy = proxy
        self._transfer = TransferConfig(
            multipart_threshold=part_bytes,
            multipart_chunksize=part_bytes,
            max_concurrency=4,
            preferred_transfer_client="classic",
        )
        self._endpoint = "S3"
        self._bucket_seen = False
        self._connected: _Clients | None = None
        self._lock = threading.Lock()
        # Two processes on one connection would read each other's answers.
        os.register_at_fork(after_in_child=self._disconnect)

    # --- write --------------------------------------------------------------------------------------------------------

    def put(
        self, key: str, data: bytes, content_type: str = "application/octet-stream", *, synced: bool = True
    ) -> None:
        name = self._name(key)
        with self._translated():
            self.client.put_object(Bucket=self.bucket, Key=name, Body=data, ContentType=content_type)

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        name = self._name(key)
        with path.open("rb") as source, self._translated():
            extra = {"ContentType": content_type}
            self.client.upload_fileobj(source, self.bucket, name, ExtraArgs=extra, Config=self._transfer)

    def delete(self, *keys: str) -> None:
        """Deletes in requests that take the server about a second each, so that no request runs into its timeout."""
        names = [self._name(key) for key in keys]
        start, size = 0, _DELETE_FIRST
        while batch := names[start : start + size]:
            began = time.monotonic()
            with self._translated():
                if len(batch) == 1 or not self._delete_together(batch):
                    self._delete_singly(batch)
            start += len(batch)
            took = max(0.01, time.monotonic() - began)
            size = max(1, min(_DELETE_MOST, round(len(batch) * _DELETE_S / took)))

    def abandon(self, prefix: str) -> None:
        """Does nothing where the keys or the server do not allow it; a lifecycle rule of the bucket can do the same."""
        below = self.prefix + checked_prefix(prefix)
        with self._translated():
            try:
                pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=below)
                for upload in [upload for page in pages for upload in page.get("Uploads", [])]:
                    self.client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
            except ClientError as error:
                if status_of(error) not in (_FORBIDDEN, _NOT_FOUND, *_NOT_UNDERSTOOD):
                    raise

    # --- read ---------------------------------------------------------------------------------------------------------

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        checked_range(start, length)
        name = self._name(key)
        span: _Span = {}
        if start or length is not None:
            # A range has at least one byte, so a length of 0 asks for one byte and drops it.
            last = "" if length is None else start + max(length, 1) - 1
            span = {"Range": f"bytes={start}-{last}"}

        def fetch() -> bytes:
            try:
                return self.client.get_object(Bucket=self.bucket, Key=name, **span)["Body"].read()[:length]
            except ClientError as error:
                if status_of(error) == _RANGE_BEYOND_END:
                    return b""
                raise

        return self._present(key, self._unless_missing(fetch))

    def open(self, key: str) -> BinaryIO:
        name = self._name(key)
        answer = self._unless_missing(lambda: self.client.get_object(Bucket=self.bucket, Key=name))
        return io.BufferedReader(_Body(self, self._present(key, answer)["Body"]), 1 << 20)

    def head(self, key: str) -> Object | None:
        name = self._name(key)
        answer = self._unless_missing(lambda: self.client.head_object(Bucket=self.bucket, Key=name))
        return Object(key, answer["ContentLength"], answer["LastModified"]) if answer else None

    def list(self, prefix: str) -> Iterator[Object]:
        start = self.prefix + checked_prefix(prefix)
        with self._translated():
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start):
                for entry in page.get("Contents", []):
                    # Consoles mark a folder by an empty object with a slash at the end.
                    if not entry["Key"].endswith("/"):
                        yield Object(entry["Key"].removeprefix(self.prefix), entry["Size"], entry["LastModified"])

    def path(self, key: str) -> Path | None:
        return None

    def url(self, key: str, *, seconds: int = 900, filename: str | None = None) -> str | None:
        if not 1 <= seconds <= _LONGEST_URL:
            raise ValueError(f"a presigned URL is valid for 1 to {_LONGEST_URL} seconds, not {seconds}")
        query = {"Bucket": self.bucket, "Key": self._name(key)}
        if filename is not None:
            query["ResponseContentDisposition"] = _attachment(filename)
        with self._translated():
            return self._clients.signer.generate_presigned_url("get_object", Params=query, ExpiresIn=seconds)

    def check(self) -> None:
        probe(self, f"s3://{self.bucket}/{self.prefix}")

    # --- requests -----------------------------------------------------------------------------------------------------

    def _name(self, key: str) -> str:
        return self.prefix + checked_key(key)

    def _unless_missing(self, call: Callable[[], T]) -> T | None:
        """The answer, or None when the bucket exists and the object does not."""
        with self._translated():
            try:
                return call()
            except ClientError as error:
                if status_of(error) != _NOT_FOUND:
                    raise
                self._ensure_bucket()
                return None

    def _present(self, key: str, answer: T | None) -> T:
        if answer is None:
            raise ObjectMissing(f"storage has no object {key}")
        return answer

    def _ensure_bucket(self) -> None:
        """Looks once per process. The 404 to a HEAD does not say whether the bucket is missing, and in a missing bucket
        every clip would seem new."""
        if not self._bucket_seen:
            self.client.head_bucket(Bucket=self.bucket)
            self._bucket_seen = True

    def _delete_together(self, names: Sequence[str]) -> bool:
        """False when the server has no such request (Google's), or wants a checksum that boto3 no longer sends."""
        try:
            answer = self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": [{"Key": name} for name in names], "Quiet": True}
            )
        except ClientError as error:
            if status_of(error) in _NOT_UNDERSTOOD:
                return False
            raise
        for failed in answer.get("Errors", []):
            if failed.get("Code") != "NoSuchKey":
                raise ClientError({"Error": {"Code": failed["Code"], "Message": failed["Message"]}}, "DeleteObjects")
        return True

    def _delete_singly(self, names: Sequence[str]) -> None:
        with ThreadPoolExecutor(min(len(names), 16)) as pool:
            for _ in pool.map(lambda name: self.client.delete_object(Bucket=self.bucket, Key=name), names):
                pass

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise verdict(error, self.bucket, self._endpoint) from error

    # --- connections --------------------------------------------------------------------------------------------------

    @property
    def client(self) -> S3Client:
        return self._clients.caller

    @property
    def _clients(self) -> _Clients:
        with self._lock:
            if self._connected is None:
                self._connected = self._connect()
            return self._connected

    def _connect(self) -> _Clients:
        aws.check_form(self._public_endpoint)  # again: the keys may have changed
        session = boto3.Session(botocore_session=_session())
        config = Config(
            region_name=os.environ.get("AWS_REGION") or session.region_name or "us-east-1",
            proxies={"http": self._proxy, "https": self._proxy} if self._proxy else {},
            signature_version="s3v4",
            s3={"addressing_style": "path" if self._path_style else "virtual"},
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            connect_timeout=3,
            read_timeout=self._timeout,
            tcp_keepalive=True,
            # At the same time: 32 looks for clips, uploads of finished clips, and parts of a large file.
            max_pool_connections=64,
            # Servers other than AWS's refuse the checksum trailers that boto3 sends by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            trusted = os.environ.get("AWS_CA_BUNDLE") or True
            caller = session.client("s3", config=config, endpoint_url=aws.endpoint(), verify=trusted)
            self._endpoint = caller.meta.endpoint_url
            if self._public_endpoint is None:
                return _Clients(caller, caller)
            return _Clients(caller, session.client("s3", config=config, endpoint_url=self._public_endpoint))
        except ValueError as error:
            raise Misconfigured(f"{error}; AWS_ENDPOINT_URL must be like http://s3:8333") from error

    def _disconnect(self) -> None:
        self._connected = None
        self._lock = threading.Lock()


class _Body(io.RawIOBase):
    """The stream of an object. A stream that breaks off raises StorageUnavailable, so that it never seems complete."""

    def __init__(self, storage: S3Storage, stream: StreamingBody) -> None:
        self._storage = storage
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with self._storage._translated():
            return self._stream.readinto(buffer)  # type: ignore[arg-type]  # its stub asks for a file

    def close(self) -> None:
        self._stream.close()
        super().close()


def _session() -> Session:
    """One that reads no variables but those of the farm, and no files."""
    variables = {
        name: (None, variable if str(variable) in environment.AWS else None, default, convert)
        for name, (_, variable, default, convert) in Session.SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        variables[file] = (None, None, os.devnull, None)
    variables["ignore_configured_endpoint_urls"] = (None, None, True, None)  # else boto3 prefers AWS_ENDPOINT_URL_S3
    session = Session(session_vars=variables)
    session.register_component("data_loader", _descriptions())
    session.get_component("credential_provider").remove("boto-config")
    return session


@cache
def _descriptions() -> Loader:
    """Of the services of AWS, one for all sessions: it keeps what it has read, for which each took a tenth of a second
    of its own."""
    return create_loader()


def _folder(prefix: str) -> str:
    """The beginning of every key in the bucket: empty, or ending with a slash."""
    try:
        return checked_key(prefix) + "/" if prefix else ""
    except ValueError as error:
        raise Misconfigured(f"FARM_STORAGE_URL, after the bucket: {error}") from None


def _attachment(filename: str) -> str:
    """Content-Disposition by RFC 6266: a plain name for old clients, the true one in UTF-8 for the others."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"

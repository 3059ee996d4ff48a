"""Storage of bytes: one protocol with two implementations, a folder and an S3 bucket. farm/layout.py makes the keys.

An object appears whole or not at all. A key is never used as a lock: the store decides who works on a job.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from farm.errors import Misconfigured
from farm.settings import Settings
from farm.storage.folder import LocalStorage
from farm.storage.protocol import Object, Storage

__all__ = ["LocalStorage", "Object", "Storage", "open_storage"]


def open_storage(settings: Settings, *, timeout: float = 20.0, attempts: int = 3) -> Storage:
    """Opens FARM_STORAGE_URL: file:///folder or s3://bucket/prefix. `timeout` (seconds) and `attempts` of a request
    concern a bucket. Raises Misconfigured for another URL."""
    url = urlsplit(settings.storage_url)
    if url.scheme == "file" and not url.netloc and url.path.startswith("/"):
        return LocalStorage(unquote(url.path))
    if url.scheme == "s3" and url.netloc:
        # The import of boto3 takes 0.4 s and 30 MB, so a farm on a folder does without it.
        from farm.storage.bucket import S3Storage

        return S3Storage(
            url.netloc,
            prefix=unquote(url.path),
            path_style=settings.s3_path_style,
            public_endpoint=settings.s3_public_endpoint,
            proxy=settings.s3_proxy,
            timeout=timeout,
            attempts=attempts,
        )
    raise Misconfigured(
        f"FARM_STORAGE_URL is {settings.storage_url!r}; it must be file:///absolute/folder or s3://bucket/prefix"
    )

"""Storage of bytes: one protocol with two implementations, a folder and an S3 bucket. farm/layout.py makes the keys.

An object appears whole or not at all. A key is never used as a lock: the store decides who works on a job.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from farm.errors import Misconfigured
from farm.settings import Settings
from farm.storage import aws
from farm.storage.folder import LocalStorage
from farm.storage.protocol import Object, Storage

__all__ = ["LocalStorage", "Object", "Storage", "check_form", "open_storage"]

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")


def open_storage(settings: Settings, *, timeout: float = 20.0, attempts: int = 3) -> Storage:
    """Opens FARM_STORAGE_URL: file:///folder or s3://bucket/prefix. `timeout` (seconds) and `attempts` of a request
    concern a bucket. Raises Misconfigured for another URL."""
    url = check_form(settings)
    if url.scheme == "file":
        return LocalStorage(unquote(url.path))
    else:
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


def check_form(settings: Settings) -> SplitResult:
    """FARM_STORAGE_URL in its parts. Raises Misconfigured for one of another form, and for malformed variables of S3
    where the farm uses it."""
    try:
        url = urlsplit(settings.storage_url)
    except ValueError:
        url = SplitResult("", "", "", "", "")
    a_folder = url.scheme == "file" and not url.netloc and url.path.startswith("/") and "%00" not in url.path
    a_bucket = url.scheme == "s3" and _BUCKET.fullmatch(url.netloc)
    if not (a_folder or a_bucket) or "?" in settings.storage_url or "#" in settings.storage_url:
        shown = "" if "@" in settings.storage_url else f" is {settings.storage_url!r};"
        raise Misconfigured(
            f"FARM_STORAGE_URL{shown} it must be file:///absolute/folder or s3://bucket/prefix; write ? as %3F and # "
            "as %23 (keys of S3 are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    if a_bucket:
        aws.check_form(settings.s3_public_endpoint)
    return url

"""Where the bytes lie: plans, clips, results, voices. One protocol, a folder and an S3 bucket behind it.

    jobs/<id>/…               texts and plans            segments/<aa>/<digest>.flac   clips, named by content
    results/<id>/…            audio, manifest, subtitles voices/<tenant>/<digest>.flac uploaded reference audio
    batches/<id>/…            the lines of a batch

Objects appear whole or not at all. Keys are never used as locks: work is arbitrated in the store.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from farm.errors import Misconfigured
from farm.settings import Settings
from farm.storage.folder import LocalStorage
from farm.storage.protocol import Object, Storage

__all__ = ["LocalStorage", "Object", "Storage", "open_storage"]


def open_storage(settings: Settings, *, timeout: float = 20.0, attempts: int = 3) -> Storage:
    """By FARM_STORAGE_URL: file:///folder or s3://bucket/prefix. `timeout` and `attempts` are a bucket's."""
    url = urlsplit(settings.storage_url)
    if url.scheme == "file" and not url.netloc and url.path.startswith("/"):
        return LocalStorage(unquote(url.path))
    if url.scheme == "s3" and url.netloc:
        # boto3 takes 0.4 s and 30 MB to import, which a farm on a folder need not pay.
        from farm.storage.bucket import S3Storage

        return S3Storage(
            url.netloc,
            prefix=unquote(url.path),
            path_style=settings.s3_path_style,
            public_endpoint=settings.s3_public_endpoint,
            timeout=timeout,
            attempts=attempts,
        )
    raise Misconfigured(
        f"FARM_STORAGE_URL is {settings.storage_url!r}; it must be file:///absolute/folder or s3://bucket/prefix"
    )

"""The form of the variables by which S3 is reached. It has no imports of boto3, which take 0.4 s."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from farm.errors import Misconfigured

_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def endpoint() -> str | None:
    """None: that of AWS."""
    return os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3") or None


def check_form(public_endpoint: str | None) -> None:
    """Raises Misconfigured, which names the variable. Its value is not repeated where it is a secret."""
    if public_endpoint and not is_endpoint(public_endpoint):
        raise Misconfigured(f"FARM_S3_PUBLIC_ENDPOINT is {public_endpoint!r}; it must be like https://s3.example.com")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):  # the second even where the first is used
        url = os.environ.get(name)
        if url and not is_endpoint(url):
            raise Misconfigured(f"{name} is {url!r}; AWS_ENDPOINT_URL must be like http://s3:8333")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        region = os.environ.get(name)
        if region and not _REGION.fullmatch(region):
            raise Misconfigured(f"{name} is {region!r}; it must be the name of a region, like us-east-1")
    for name in _KEYS:
        secret = os.environ.get(name, "")
        if not (secret.isascii() and secret.isprintable()) or " " in secret:
            raise Misconfigured(f"{name} has a space, a line end or another character that no key has; write it anew")
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle and not Path(bundle).exists():
        raise Misconfigured(f"AWS_CA_BUNDLE is {bundle!r}, which is not there")


def is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False

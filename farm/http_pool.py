"""The connections of the client, made from its URL, its key, and the variables that httpx reads.

What is wrong in those is the caller's mistake and not the network's: it is named here, before anything is sent. No
message repeats a key or a URL, because a URL may hold a password.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from urllib.parse import urlsplit

import httpx

from farm.errors import Misconfigured

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 30.0
_KEY = re.compile(r"[!-~]+")
_PROXIES = ("all_proxy", "http_proxy", "https_proxy")


def open_pool(url: str, api_key: str | None) -> httpx.Client:
    """Raises Misconfigured, which names the variable that is wrong."""
    reason = _fault_of(url)
    if reason is not None:
        raise Misconfigured(f"FARM_URL is not a URL of a farm: {reason}; it looks like http://127.0.0.1:8000")
    if api_key and not _KEY.fullmatch(api_key):
        raise Misconfigured(
            "FARM_API_KEY has a blank, a line end or a letter that no key has; set it to the key as it was shown"
        )
    host = urlsplit(url).hostname or ""
    direct = host == "localhost" or host == "::1" or host.startswith("127.")  # no proxy to ourselves
    if not direct and (reason := _fault_of_proxies()):
        raise Misconfigured(reason)
    try:
        return httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            trust_env=not direct,
        )
    except OSError:
        raise Misconfigured(
            "SSL_CERT_FILE or SSL_CERT_DIR names certificates that can't be read; correct or unset it"
        ) from None
    except (ValueError, ImportError, httpx.InvalidURL):
        raise Misconfigured(
            "NO_PROXY has an entry that is neither a name nor an address; correct or unset it"
        ) from None


def _fault_of(url: str) -> str | None:
    if not url.isprintable() or " " in url:
        return "it has a blank, a line end or another character that is not printed"
    try:
        parts = urlsplit(url)
        port = parts.port
        httpx.URL(url).host.encode("idna")  # as it is looked up
    except (ValueError, httpx.InvalidURL):  # UnicodeError is a ValueError
        return "its host or its port is malformed"
    if parts.scheme not in ("http", "https"):
        return "it does not begin with http:// or https://"
    if not parts.hostname or port == 0:
        return "it names no host" if not parts.hostname else "its port is 0"
    if parts.query or parts.fragment:
        return "it goes on after its path"
    return None


def _fault_of_proxies() -> str | None:
    for name, value in sorted(os.environ.items()):
        if name.lower() in _PROXIES and value:
            proxy = value if "://" in value else f"http://{value}"
            try:
                scheme = httpx.Proxy(proxy).url.scheme
                _ = urlsplit(proxy).port  # raises ValueError beyond 65535
            except (ValueError, httpx.InvalidURL):
                return f"{name} is no URL of a proxy, like http://host:3128 or socks5://host:1080; correct or unset it"
            if scheme.startswith("socks") and find_spec("socksio") is None:
                return f"{name} names a SOCKS proxy, which needs a package: pip install 'httpx[socks]', or unset it"
    return None

"""Where a Redis is: the forms that FARM_REDIS_URL and FARM_BROKER_URL take.

    redis://[[user]:password@]host[:port][/database]
    rediss://…                                             the same over TLS, with ?ssl_ca_certs=/ca.pem and the like
    unix://[[user]:password@]/path/of.sock[?db=database]

The database may be written as ?db=3 in all of them. redis-py and kombu read URLs in two ways, and both take a wrong one
for another one: a database that is no number is 0, a # in a password ends the URL. So a URL is checked here, and each
library gets one that is written here. No message repeats the URL, because it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from farm.errors import Misconfigured

_FORMS = "redis://host:6379/0, rediss://host:6379/0 or unix:///path/of.sock?db=0"
_ESCAPES = "in a password write / as %2F, ? as %3F, # as %23, @ as %40, [ as %5B and a space as %20"
_HOST = re.compile(r"[\w.-]+")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_WHOLE = re.compile(r"[0-9]{1,9}")
_NOT_SINGLE = re.compile(r"(redis)?[+-]?(sentinel|cluster)s?", re.IGNORECASE)
_CERTIFICATES = {"none": "none", "optional": "optional", "required": "required"}
_CERTIFICATES |= {f"cert_{name}": name for name in _CERTIFICATES}  # as Celery's users write them
_OF_TLS = frozenset({
    "ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile",
    "ssl_password", "ssl_ciphers",
})  # fmt: skip
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_FORM_OF_OPTION: Mapping[str, re.Pattern[str]] = {
    "socket_timeout": _NUMBER,
    "socket_connect_timeout": _NUMBER,
    "health_check_interval": _WHOLE,
    "client_name": re.compile(r"[!-~]+"),
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`place` is host:port, or the absolute path of a socket; its text has no password."""

    scheme: str
    place: str
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # redis-py's, by their names there

    @classmethod
    def read(cls, url: str, setting: str) -> Self:
        """Raises Misconfigured, which begins with the name of the setting."""
        try:
            return cls._read(url)
        except ValueError as error:
            raise Misconfigured(f"{setting}: {error}") from None

    @classmethod
    def _read(cls, url: str) -> Self:
        parts = _split(url)
        options = _options(parts)
        path = unquote(parts.path)
        local = parts.scheme == "unix"
        if local and (parts.netloc.rpartition("@")[2] or len(path) < 2 or "\0" in path):
            raise ValueError("the path of a socket is absolute, as in unix:///run/redis.sock?db=0")
        return cls(
            parts.scheme,
            path if local else _host_and_port(parts),
            _database("" if local else path.removeprefix("/"), options.pop("db", None)),
            options.pop("username", unquote(parts.username or "")),
            options.pop("password", unquote(parts.password or "")),
            tuple(options.items()),
        )

    def with_database(self, number: int) -> Self:
        return replace(self, database=number)

    @property
    def url(self) -> str:
        """As redis-py reads it."""
        if self.scheme == "unix":
            return f"unix://{self._credentials}{quote(self.place)}?{urlencode([('db', self.database), *self.options])}"
        return f"{self.scheme}://{self._credentials}{self.place}/{self.database}{_query(self.options)}"

    @property
    def kombu_url(self) -> str:
        """As Celery's transport reads it. Without a word on certificates kombu would not check them; redis-py does."""
        if self.scheme == "unix":
            return f"redis+socket://{self._credentials}{quote(self.place)}?virtual_host={self.database}"
        tls = {name: value for name, value in self.options if name in _OF_TLS}
        if self.scheme == "rediss":
            tls = {"ssl_cert_reqs": "required"} | tls
        return f"{self.scheme}://{self._credentials}{self.place}/{self.database}{_query(tuple(tls.items()))}"

    @property
    def files(self) -> Mapping[str, str]:
        """The files and folders that TLS reads, by the name of their option."""
        return {name: value for name, value in self.options if name in _FILES}

    @property
    def _credentials(self) -> str:
        password = f":{quote(self.password, safe='')}" if self.password else ""
        return f"{quote(self.username, safe='')}{password}@" if self.username or password else ""

    def __str__(self) -> str:
        """For messages and logs: without user, password and options."""
        database = f"?db={self.database}" if self.scheme == "unix" else f"/{self.database}"
        return f"{self.scheme}://{self.place}{database}"


def _split(url: str) -> SplitResult:
    """Raises ValueError where the URL has not the form of one of the three schemes."""
    scheme, separator, _ = url.partition("://")
    if _NOT_SINGLE.fullmatch(scheme):
        kind = "Sentinel" if "sentinel" in scheme.lower() else "a cluster"
        raise ValueError(f"the farm does not speak to {kind}; name the primary, as {_FORMS}")
    if not separator or scheme.lower() not in ("redis", "rediss", "unix"):
        raise ValueError(f"it must be like {_FORMS}")
    if not url.isprintable() or " " in url:
        raise ValueError(f"it has a space, a line end or another character that is not printed; {_ESCAPES}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"its brackets are not those of an IPv6 address; {_ESCAPES}") from None
    if parts.fragment or "#" in url:
        raise ValueError(f"it has a #, which ends a URL; {_ESCAPES}")
    return parts


def _host_and_port(parts: SplitResult) -> str:
    host = unquote(parts.hostname or "") or "localhost"
    try:
        port = parts.port
        given = parts.netloc.rpartition("@")[2]
        if port == 0 or given.endswith(":"):
            raise ValueError
    except ValueError:
        raise ValueError(f"its port is no number from 1 to 65535; {_ESCAPES}") from None
    if ":" in host:
        host = f"[{IPv6Address(host)}]" if _is_ipv6(host) else ""
    elif not _HOST.fullmatch(host):
        host = ""
    if not host:
        raise ValueError(f"its host is no name and no address; {_ESCAPES}")
    return host if port is None else f"{host}:{port}"


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _database(in_path: str, in_query: str | None) -> int:
    found = {number for number in (in_path, in_query) if number}
    if in_query == "" or any(not _WHOLE.fullmatch(number) for number in found):
        raise ValueError(f"its database must be a number, as in redis://host:6379/0; {_ESCAPES}")
    numbers = {int(number) for number in found} or {0}
    if len(numbers) > 1:
        raise ValueError("it names two databases, one in the path and one as db; leave one of them out")
    return numbers.pop()


def _options(parts: SplitResult) -> dict[str, str]:
    """Raises ValueError for an option that would change what the farm reads, or that does not exist."""
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError:
        raise ValueError(f"what follows its ? must be like db=0; {_ESCAPES}") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ValueError("it has an option twice; leave one out")
    for name, value in options.items():
        if name in _OF_TLS:
            if parts.scheme != "rediss":
                raise ValueError(f"{name} is an option of rediss://; write rediss:// for TLS, or leave it out")
        elif name in _FORM_OF_OPTION:
            if not _FORM_OF_OPTION[name].fullmatch(value):
                raise ValueError(f"its option {name} has no value of its form")
        elif name != "db" and not (name in ("username", "password") and parts.scheme == "unix"):
            shown = name if re.fullmatch(r"[a-z_]{1,40}", name) else "after its ?"
            raise ValueError(f"the farm has no option {shown}; leave it out")
    if "ssl_cert_reqs" in options:
        asked = options["ssl_cert_reqs"].lower()
        if asked not in _CERTIFICATES:
            raise ValueError("its option ssl_cert_reqs must be required, optional or none")
        options["ssl_cert_reqs"] = _CERTIFICATES[asked]
    if options.get("ssl_check_hostname", "true").lower() not in ("true", "false"):
        raise ValueError("its option ssl_check_hostname must be true or false")
    return options


def _query(options: tuple[tuple[str, str], ...]) -> str:
    return f"?{urlencode(options)}" if options else ""

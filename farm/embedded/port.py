"""The host and the TCP port of a part of the embedded farm. A free port is kept from other programs.

A port that was free a moment ago may be given to any other program before the part binds it, and again whenever the
part is started anew. So it is kept: a socket that is bound and does not listen. Linux lets a server that sets
SO_REUSEADDR, as Redis and uvicorn do, listen beside it, and gives the port to nobody else.
"""

from __future__ import annotations

import errno
import socket
import sys
from ipaddress import ip_address

from farm.errors import Misconfigured

_CAN_KEEP = sys.platform == "linux"  # elsewhere the kept socket would refuse our own server too
HIGHEST = 65_535


class Port:
    """A free port of `host`, at most `highest`. On Linux no other program gets it while this object lives."""

    def __init__(self, host: str = "127.0.0.1", highest: int = HIGHEST) -> None:
        refused: list[socket.socket] = []  # kept for so long, so that none of them is offered twice
        while True:
            kept = socket.socket(family(host))
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                kept.bind((host, 0))
            except BaseException:
                kept.close()
                raise
            self.number = int(kept.getsockname()[1])
            if self.number <= highest:
                break
            refused.append(kept)
        for each in refused:
            each.close()
        self._kept = kept
        if not _CAN_KEEP:
            kept.close()

    def __del__(self) -> None:
        if hasattr(self, "_kept"):
            self._kept.close()


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def free_port(host: str) -> Port:
    try:
        return Port(host)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, error) from None


def refuse_taken(host: str, port: int) -> None:
    try:
        socket.create_server((host, port), family=family(host)).close()
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise Misconfigured(
                f"{host}:{port} can't be used ({error.strerror}); choose another port with --port or FARM_PORT"
            ) from None
        raise _unusable(host, error) from None


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unusable(host: str, error: OSError | UnicodeError) -> Misconfigured:
    reason = error.strerror if isinstance(error, OSError) else error
    return Misconfigured(
        f"{host} is no address of this machine that the API could listen on ({reason}); "
        "choose another with --host or FARM_HOST"
    )

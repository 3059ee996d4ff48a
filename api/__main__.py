"""python -m api: the API on FARM_HOST and FARM_PORT. Without an API key it serves loopback only."""

from __future__ import annotations

import gc

gc.disable()  # until the end of the start: imports leave little garbage, and looking for it takes a sixth of their time

from farm import environment, logs

logs.begin("api")
environment.drop_strange()

import ipaddress
import logging
import os
import socket
import sys

import uvicorn

from api.app import create_app
from api.connection import Connection, raise_file_limit, server_options
from farm.errors import EXIT_MISCONFIGURED, FarmError, Misconfigured
from farm.scratch import sweep
from farm.settings import Settings, misspelt
from farm.start import examine
from farm.store import Store, registry

log = logging.getLogger("api")


def main() -> int:
    try:
        settings = Settings.read()
        logs.configure(settings, "api")
        for warning in misspelt(os.environ):
            log.warning(warning)
        _check(settings)
        sweep()
    except FarmError as error:
        logs.last_words(f"the API can't start: {error.message}")
        return EXIT_MISCONFIGURED if isinstance(error, Misconfigured) else 1
    Connection.most = raise_file_limit()
    app = create_app(settings, connections=Connection.most)
    # What the start has made lives as long as the process: going through it again takes 30 to 70 ms in which nobody is
    # answered.
    gc.collect()
    gc.freeze()
    gc.enable()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        workers=1,
        access_log=False,
        **server_options(settings),
    )
    return 0


def _check(settings: Settings) -> None:
    """Raises Misconfigured, with one sentence, for anything that would stop the server from starting."""
    examine(settings, writes=False)
    store = Store.connect(settings.redis_url)
    try:
        if not _is_loopback(settings.host) and not store.run(registry.closed()):
            raise Misconfigured(
                f"FARM_HOST is {settings.host}, which others can reach, and there is no API key; "
                "make one with `farm keys create NAME`, or bind to 127.0.0.1"
            )
    finally:
        store.close()


def _is_loopback(host: str) -> bool:
    """True when every address of this name is loopback."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Misconfigured(f"FARM_HOST {host!r} is no address of this machine: {error}") from None
    return bool(found) and all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


if __name__ == "__main__":
    sys.exit(main())

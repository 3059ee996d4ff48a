"""Clients that leave: a server is told of it by what it receives next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

_Result = TypeVar("_Result")


async def client_left(receive: Receive) -> None:
    """Returns once the client has closed its connection. What is left of its body is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def done_before_leaving(receive: Receive, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work came to its end. It is cancelled when the client leaves; what it raises is raised."""
    try:
        await unless_left(receive, work)
    except ClientDisconnect:
        return False
    return True


async def unless_left(receive: Receive, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What the work gives, or raises. It is cancelled when the client leaves. Raises ClientDisconnect then."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(client_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)

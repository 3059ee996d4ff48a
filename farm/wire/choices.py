"""Which fields of a request exclude or need one another, in JSON Schema.

It is said with `if` and `else`. Generators of clients take `anyOf` and `oneOf` beside properties for shapes of their
own, which have none of the other fields, or leave the shape out, and with it each route that takes it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def exactly_one(first: str, *others: str) -> Schema:
    """One is given and the others are absent or null."""
    if not others:
        return _given(first)
    return {"if": _given(first), "then": _null(others), "else": exactly_one(*others)}


def at_most_one(first: str, *others: str) -> Schema:
    if not others:
        return {}
    return {"if": _given(first), "then": _null(others), "else": at_most_one(*others)}


def at_least_one(first: str, *others: str) -> Schema:
    """One or more are given, and not null."""
    return {"if": _given(first), "else": at_least_one(*others)} if others else _given(first)


def given_or_said(given: str, said: str) -> Schema:
    """The first is given, or the second is there, be it null."""
    return {"if": _given(given), "else": {"required": [said]}}


def _given(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _null(names: tuple[str, ...]) -> Schema:
    return {"properties": {name: {"type": "null"} for name in names}}

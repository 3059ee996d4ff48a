"""The lexicons of a tenant: how words are said. A file is PLS, or JSON with entries, or lines of `word = said`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from farm.cli.screen import OK, connected, line, remark, show, table
from farm.errors import BadInput
from farm.lexicon.entries import Entry, Lexicon
from farm.settings import Settings


def list_all(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        found = farm.lexicons()
    rows = ((each.ref, each.size, each.bytes, " ".join(each.alphabets)) for each in found)
    show(given, found, lambda: table(("lexicon", "entries", "bytes", "alphabets"), rows))
    return OK


def put(given: argparse.Namespace) -> int:
    content = _read(given.file)
    with connected(Settings.read()) as farm:
        if content.lstrip().startswith("<"):
            made = farm.put_pls(given.name, content)
        else:
            made = farm.put_lexicon(given.name, _entries(given.file, content))
    for note in made.notes:
        remark(f"note: {note}")
    show(given, made, lambda: line(f"{made.ref}: {made.size} entries"))
    return OK


def get(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        if given.pls:
            line(farm.lexicon_pls(given.name).rstrip("\n"))
            return OK
        entries = farm.lexicon(given.name)
    rows = [entry.model_dump(exclude_defaults=True) for entry in entries]
    line(json.dumps({"entries": rows}, ensure_ascii=False, indent=1))
    return OK


def delete(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        farm.remove_lexicon(given.name)
    show(given, {"deleted": given.name}, lambda: line(f"{given.name} is deleted, with all its versions"))
    return OK


def _read(name: str) -> str:
    try:
        return Path(name).read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None


def _entries(name: str, content: str) -> list[Entry]:
    try:
        said = json.loads(content) if content.lstrip().startswith("{") else {"entries": list(_lines(name, content))}
        return Lexicon.model_validate({"entries": said.get("entries")}).entries
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{name}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    except ValueError as error:
        raise BadInput(f"{name} is not valid JSON: {error}") from None


def _lines(name: str, content: str) -> Iterator[dict[str, str]]:
    """`word = said`, one a line; what begins with # is a remark."""
    for number, each in enumerate(content.splitlines(), 1):
        if not each.strip() or each.lstrip().startswith("#"):
            continue
        written, equals, said = each.partition("=")
        if not equals:
            raise BadInput(f"{name}: line {number} is not `word = said`")
        yield {"written": written.strip(), "alias": said.strip()}

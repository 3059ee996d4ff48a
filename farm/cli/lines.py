"""The lines of a batch: a file, stdin, or what another command writes."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path

from farm.errors import BadInput

_CHUNK = 1 << 20
_CHUNKS = 201  # more than the API takes: it says how much that is


@contextmanager
def batch_lines(name: str) -> Iterator[Path]:
    """A file with the lines. It is sent again when a connection breaks, so what can be read only once (a pipe, or - for
    stdin) is kept in a temporary one."""
    path = Path(name)
    if name != "-" and path.is_file():
        yield path
        return
    if name != "-" and (path.is_dir() or not path.exists()):
        raise BadInput(f"{name}: there is no such file; give a JSON Lines file, one job a line, or - for stdin")
    with tempfile.NamedTemporaryFile(prefix="farm-", suffix=".jsonl") as kept:
        with nullcontext(sys.stdin.buffer) if name == "-" else path.open("rb") as source:
            for chunk in islice(iter(partial(source.read, _CHUNK), b""), _CHUNKS):
                kept.write(chunk)
        kept.flush()
        yield Path(kept.name)

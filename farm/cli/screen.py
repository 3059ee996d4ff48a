"""The output of commands: data to stdout, remarks to stderr, and an exit code for scripts."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from farm.client import Farm
from farm.errors import Misconfigured
from farm.settings import Settings
from farm.wire import Batch, Job, JobError

OK, FAILED, USAGE, REFUSED, UNAVAILABLE, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 124, 130

EXIT_CODES = """exit codes:
  0    done
  1    a job failed or was canceled, or doctor found something wrong
  2    the command, a file or a setting is wrong
  3    the farm refused the request
  4    the farm can't be reached, or can't take it now: try again
  124  --timeout was over first; the job goes on
  130  interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP; the job goes on
"""


def settle() -> None:
    """Call it first. What a shell has closed (`>&-`) is there and goes nowhere, and what an encoding lacks is escaped.
    Otherwise both would end a command after its work is done."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def remark(text: str) -> None:
    """Prints a remark for people to stderr. A terminal that is gone has no people."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        _abandon(sys.stderr)


def stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def line(text: str) -> None:
    """Raises an OSError that names stdout."""
    with _naming_stdout():
        sys.stdout.write(text + "\n")


def flush() -> None:
    """Raises an OSError that names stdout."""
    with _naming_stdout():
        sys.stdout.flush()


def abandon() -> None:
    """What stdout could not take goes nowhere."""
    _abandon(sys.stdout)


def _abandon(stream: TextIO) -> None:
    """Otherwise the interpreter would complain at its exit of what is left in the buffer."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _naming_stdout() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error


def show(given: argparse.Namespace, data: BaseModel | Sequence[BaseModel] | Any, plainly: Callable[[], None]) -> None:
    """Prints the data: as JSON with --json, else as `plainly` formats it."""
    if not given.json:
        plainly()
    elif isinstance(data, BaseModel):
        line(_printable(data.model_dump_json()))
    elif isinstance(data, list):
        line(json.dumps([item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in data]))
    else:
        line(json.dumps(data))


def _printable(text: str) -> str:
    """The JSON, with its own escapes for letters that the terminal's encoding lacks."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(text))
    return text


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    grid = Table(*heads, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        grid.add_row(*("" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    console = Console(markup=False, highlight=False)
    # Printing itself, rich would end the process when nobody reads any more; and it flushes what was printed before.
    with _naming_stdout(), console.capture() as shown:
        console.print(grid, soft_wrap=not console.is_terminal)
    line(shown.get().rstrip("\n"))


def duration(seconds: float) -> str:
    """Seconds in the form 0:07, 12:30 or 26:04:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def in_words(found: Job | Batch) -> str:
    """A job or a batch on one line."""
    progress = found.progress
    parts: list[str] = [str(found.status)]
    if isinstance(found, Batch):
        parts += [f"{count} of {found.total} {status}" for status, count in sorted(found.counts.items()) if count]
    elif found.result is not None:
        parts += [f"{duration(found.result.duration_seconds)} of audio", f"{found.result.bytes:,} bytes"]
        if found.result.needs_review:
            parts.append(f"{_for_review(found.result.needs_review)}: farm review {found.id}")
        if found.result.duration_error_ms is not None:
            parts.append(f"{found.result.duration_error_ms:+} ms from its target")
        parts.append(f"{progress.cached} of {progress.segments_total} segments from the clip cache")
    elif progress.segments_total:
        parts.append(f"{progress.segments_done} of {progress.segments_total} segments")
    if progress.needs_review and (isinstance(found, Batch) or found.result is None):
        parts.append(_for_review(progress.needs_review))
    if isinstance(found, Job) and found.queue_position:
        parts.append(f"place {found.queue_position + 1} in the queue")
    if found.eta_seconds is not None and found.ended_at is None:
        parts.append(f"about {duration(found.eta_seconds)} left")
    return ", ".join(parts)


def _for_review(count: int) -> str:
    return f"{count} segment needs review" if count == 1 else f"{count} segments need review"


def why(job: Job) -> str:
    """Why a job has no result, and what to do next."""
    if job.error is None:
        return f"{job.id} was {job.status}"
    return (
        f"{job.id} failed ({job.error.code}{_place(job.error)}): {job.error.message}\n"
        f"{_quoted(job.error)}Render what is missing: farm retry {job.id}"
    )


def _place(error: JobError) -> str:
    """For people, who count chapters from 1."""
    parts = [] if error.segment is None else [f", segment {error.segment}"]
    if error.chapter is not None and (error.chapter or error.chapter_title):
        parts.append(f" in chapter {error.chapter + 1}" + (f' "{error.chapter_title}"' if error.chapter_title else ""))
    if error.start is not None and error.end is not None:
        parts.append(f", characters {error.start} to {error.end}")
    return "".join(parts)


def _quoted(error: JobError) -> str:
    return f"The text is: {error.text}\n" if error.text else ""


@contextmanager
def connected(settings: Settings) -> Iterator[Farm]:
    with Farm(settings.url, settings.api_key) as farm:
        yield farm


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turns an ImportError into a sentence that names the extra to install."""
    try:
        yield
    except ImportError as error:
        raise Misconfigured(
            f"this command needs {error.name}, which is not installed: pip install 'tts-farm[{extra}]'"
        ) from None

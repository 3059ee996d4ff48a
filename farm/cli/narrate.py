"""Commands from text file to audio file: narrate, submit, batch, wait.

A job outlives the terminal that started it: a command that stops waiting prints how to go on.
"""

from __future__ import annotations

import argparse
import errno
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farm.cli.chapters import ids, is_document, list_chapters
from farm.cli.fields import shaped
from farm.cli.lines import batch_lines
from farm.cli.manuscript import chapters, plain, read
from farm.cli.preset_table import preset_table
from farm.cli.progress import follow_batch, follow_jobs
from farm.cli.screen import FAILED, OK, connected, in_words, line, remark, show, stderr, why
from farm.cli.target import (
    NAME_BYTES,
    chapters_target,
    contradiction,
    file_target,
    folder_target,
    format_of,
    readalong_target,
)
from farm.client import Broken, Farm, Misaddressed, Refused, Unreachable
from farm.documents.markdown import is_markdown
from farm.errors import BadInput
from farm.file_names import number_in_name, portable_name
from farm.job import is_batch
from farm.settings import Settings
from farm.speech import PARAMETERS
from farm.wire import Job, JobRequest

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no other file could be written either


def narrate(given: argparse.Namespace) -> int:
    if given.list:
        return _list(given)
    target = _target(given)
    given.format = given.format or format_of(target)
    if fault := contradiction(target, given.format):
        raise BadInput(f"{fault}; leave --format out, or choose another name with -o")
    if given.per_chapter:
        chapters_target(target)
    if given.also:
        readalong_target(target)
    request = None if _is_document(given) else job_request(given)
    with connected(Settings.read()) as farm:
        job = farm.submit(request or _uploaded_request(farm, given))
        with _resumable(job.id, target):
            remark(f"{job.id} is accepted: {job.status_url}")
            code = _see_through(farm, job.id, target, given)
            if given.preset and code == OK and not given.json:
                line("\n".join(preset_table(farm.manifest(job.id))))
            return code


def submit(given: argparse.Namespace) -> int:
    with connected(Settings.read()) as farm:
        job = farm.submit(request_of(farm, given), idempotency_key=given.idempotency_key)
    show(given, job, lambda: line(f"{job.id} {job.status_url}"))
    return OK


def request_of(farm: Farm, given: argparse.Namespace) -> JobRequest:
    """The request for a text, or for a document, which is uploaded."""
    return _uploaded_request(farm, given) if _is_document(given) else job_request(given)


def _list(given: argparse.Namespace) -> int:
    """The chapters, without narrating them."""
    with connected(Settings.read()) as farm:
        list_chapters(given, farm.add_document(_file_of(given), encoding=given.encoding))
    return OK


def batch(given: argparse.Namespace) -> int:
    out = folder_target(given.out) if given.out else None
    with batch_lines(given.file) as lines, connected(Settings.read()) as farm:
        accepted = farm.submit_lines(lines, idempotency_key=given.idempotency_key)
        if given.no_wait:
            show(given, accepted, lambda: line(f"{accepted.id} {accepted.status_url}"))
            return OK
        with _resumable(accepted.id, out):
            remark(f"{accepted.id} is accepted, {accepted.total} jobs: {accepted.status_url}")
            return _see_batch_through(farm, accepted.id, out, given)


def wait(given: argparse.Namespace) -> int:
    of_batch = is_batch(given.id)
    out = (folder_target if of_batch else file_target)(given.out) if given.out else None
    with connected(Settings.read()) as farm, _resumable(given.id, out):
        return (_see_batch_through if of_batch else _see_through)(farm, given.id, out, given)


def _see_through(farm: Farm, id: str, target: Path | None, given: argparse.Namespace) -> int:
    job = follow_jobs(farm, {id: id}, stderr(), given.timeout)[id]
    if job.result is not None and target is not None:
        if fault := contradiction(target, job.result.format):
            remark(fault)
        farm.audio(id, target)
        for kind in job.result.subtitles:
            farm.subtitles(id, target.with_suffix(f".{kind}"))
        _save_beside(farm, job, target)
    show(given, job, lambda: line(f"{target or job.id}: {in_words(job)}") if job.result else remark(why(job)))
    return OK if job.result is not None else FAILED


def _see_batch_through(farm: Farm, id: str, out: Path | None, given: argparse.Namespace) -> int:
    ended = follow_batch(farm, id, stderr(), given.timeout)
    complete = ended.counts.get("succeeded", 0) == ended.total
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    for place, job in enumerate(farm.batch_jobs(id), 1):
        if job.result is None:
            remark(why(job))
        elif out is not None:
            complete &= _saved(farm, job, out / _file_name(job, place, ended.total))
    show(given, ended, lambda: line(f"{id}: {in_words(ended)}"))
    return OK if complete else FAILED


def _saved(farm: Farm, job: Job, target: Path) -> bool:
    """Downloads the audio of one job of a batch. A file that can't be written is reported and costs no other job; a
    disk that is full ends the command."""
    try:
        farm.audio(job.id, target)
        _save_beside(farm, job, target)
    except (OSError, Refused, Broken) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        remark(f"{job.id} was not saved as {target}: {reason}; get it with `farm wait {job.id} -o FILE`")
        return False
    return True


def _save_beside(farm: Farm, job: Job, target: Path) -> None:
    """What the job has beside the whole recording: its read-along, and files of single chapters."""
    if job.result is None:
        return
    if "epub" in job.result.also:
        remark(f"{farm.readalong(job.id, readalong_target(target))}: to be read along")
    if job.result.chapters_url is not None:
        folder = chapters_target(target)
        remark(f"{folder}/: {len(farm.save_chapters(job.id, folder))} chapters")


@contextmanager
def _resumable(id: str, out: Path | None) -> Iterator[None]:
    """Says how a command is taken up again that ended before its job or its download did."""
    again = f"farm wait {id}" + (f" -o {shlex.quote(str(out))}" if out else "")
    try:
        yield
    except Misaddressed:  # it never reached the farm
        raise
    except (KeyboardInterrupt, TimeoutError, Unreachable):
        remark(f"\n{id} goes on. See it through: {again}; stop it: farm cancel {id}")
        raise
    except BrokenPipeError:
        raise
    except (OSError, Broken):
        remark(f"The farm keeps the audio. Get it with {again}")
        raise


def job_request(given: argparse.Namespace) -> JobRequest:
    """The request that the given options make of a text; the farm chooses everything else."""
    text = read(given.file, given.encoding)
    markdown = is_markdown(given.file) if given.markdown is None else given.markdown
    if given.chapters:
        parts = chapters(text, markdown=markdown)
        return _request(given, {"chapters": [{"title": part.title, "input": part.text} for part in parts]})
    return _request(given, {"input": plain(text, markdown=markdown)})


def _uploaded_request(farm: Farm, given: argparse.Namespace) -> JobRequest:
    """Uploads the document, and asks for it."""
    document = farm.add_document(_file_of(given), encoding=given.encoding)
    for warning in document.warnings:
        remark(f"note: {warning}")
    if document.encoding_from == "guess":
        remark(f"its encoding looks like {document.encoding}; if words are wrong, name it with --encoding")
    said: dict[str, Any] = {"id": document.id}
    if isinstance(given.chapters, list):
        said["chapters"] = ids(document, given.chapters)
    if given.rule:
        said["rules"] = dict(given.rule)
    return _request(given, {"document": said})


def _request(given: argparse.Namespace, text: dict[str, Any]) -> JobRequest:
    """`text` is the field that has it."""
    said: dict[str, Any] = {
        name: getattr(given, name)
        for name in ("voice", "markup", "language", "model", "priority", "on_error", "on_review", "custom_id")
    }
    said |= _speech(given) | text
    output = {
        "format": given.format, "loudness_lufs": given.loudness, "loudness_per": given.loudness_per,
        "preset": given.preset, "trim_dbfs": given.trim, "room_tone_dbfs": given.room_tone,
        "pause_ms": dict(given.pause) or None, "subtitles": given.subtitles, "per_chapter": given.per_chapter or None,
        "also": given.also,
    }  # fmt: skip
    said["output"] = {name: value for name, value in output.items() if value is not None} or None
    said["metadata"] = dict(given.metadata) or None
    said["voices"] = dict(given.cast) or None
    said["lexicons"] = given.lexicon
    said["webhook"] = {"url": given.webhook} if given.webhook else None
    return shaped(JobRequest, {name: value for name, value in said.items() if value is not None})


def _is_document(given: argparse.Namespace) -> bool:
    """Whether the farm reads the file. It reads a text file too where its chapters are chosen by number, or rules are
    set."""
    return is_document(given.file) or isinstance(given.chapters, list) or bool(given.rule)


def _file_of(given: argparse.Namespace) -> Path:
    if given.file == "-":
        raise BadInput("a document is read from a file, not from stdin; save it first")
    file = Path(given.file)
    if file.is_dir():
        raise BadInput(f"{file}: Is a directory; give a document")
    return file


def _speech(given: argparse.Namespace) -> dict[str, Any]:
    """The fields of the request that say how the text is spoken."""
    said: dict[str, Any] = {}
    for field in PARAMETERS.values():
        option = field.option
        value = getattr(given, option.name) if option is not None else None
        if option is not None and option.convert is not None and value is not None:
            try:
                value = option.convert(value)
            except ValueError as error:
                raise BadInput(f"{option.flag} {value}: {error}") from None
        said[field.name] = value
    return said


def _target(given: argparse.Namespace) -> Path:
    if given.out:
        target = file_target(given.out)
        if target.exists() and given.file != "-" and Path(given.file).exists() and target.samefile(given.file):
            raise BadInput(f"{target} is the text itself; choose another file with -o")
        return target
    if given.file == "-":
        raise BadInput("say with -o where the audio of stdin goes, for example -o book.mp3")
    text = Path(given.file)
    if not text.name or text.is_dir():
        raise BadInput(f"{text}: Is a directory; give a text file")
    return file_target(text.with_suffix(f".{given.format or 'mp3'}"))


def _file_name(job: Job, place: int, total: int) -> str:
    """Unique in its batch, and of at most 255 bytes, the limit of most file systems."""
    number, suffix = number_in_name(place, total), f".{job.result.format if job.result else ''}"
    return number + (portable_name(job.custom_id or "", NAME_BYTES - len(number + suffix)) or job.id) + suffix

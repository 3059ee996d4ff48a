"""The Python client of a farm's HTTP API: needs httpx and the wire shapes, nothing else of the farm.

    with Farm("http://127.0.0.1:8000") as farm:
        job = farm.submit(JobRequest(input="It was a dark and stormy night."))
        job = farm.wait(job.id)
        farm.audio(job.id, Path("night.mp3"))

After a 503 or a lost connection, a request is sent again if that is safe: reads are, and submissions carry an
Idempotency-Key. The client waits for a farm that has answered before, and gives up at once on one that never has.
exchange.py has the exceptions: Refused, Unreachable, Misaddressed, Broken.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from farm.errors import BadInput
from farm.exchange import DEFAULT_URL, Broken, Exchange, Misaddressed, Refused, Unreachable, read_answer
from farm.file_names import portable_name
from farm.job import is_batch
from farm.lexicon.entries import Entry, LexiconShown
from farm.wire import (
    MAX_DOCUMENT_BYTES,
    MAX_VOICE_BYTES,
    Batch,
    ChapterFile,
    Delivery,
    Document,
    EditPreview,
    Job,
    JobChapter,
    JobEdit,
    JobOptions,
    JobRequest,
    JobRevision,
    LexiconInfo,
    Model,
    Preview,
    Queue,
    Voice,
    Webhook,
)

__all__ = ["DEFAULT_URL", "Broken", "Farm", "Misaddressed", "Refused", "Unreachable"]

LONG_POLL_S = 30.0  # the API allows 60; proxies like to cut idle connections at 60
_LISTING_S = 600.0  # an archive begins when storage has been asked for the sizes of all results
_NAME_BYTES = 255  # the limit of most file systems
_IDEMPOTENCY_KEY = re.compile(r"(?=.{1,255}\Z)[!-~]([ -~]*[!-~])?")


class Farm(Exchange):
    """What a farm can be asked for."""

    # --- jobs -----------------------------------------------------------------------------------------------------

    def submit(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Returns once the job is durable. The same key with the same request is the same job."""
        return self._post("/v1/jobs", Job, body=_said(request), key=_key(idempotency_key))

    def preview(self, request: JobRequest) -> Preview:
        """What a job would speak, without the job, of at most 50,000 characters."""
        return self._post("/v1/preview", Preview, body=_said(request))

    def job(self, id: str, *, wait: float = 0.0) -> Job:
        """The job as it is now, or as soon as it ends within `wait` seconds."""
        return self._get(_job(id), Job, wait=wait)

    def jobs(
        self, *, status: str | None = None, batch: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Iterator[Job]:
        """Newest first, page by page."""
        return self._pages("/v1/jobs", Job, status=status, batch=batch, **_named(metadata))

    def watch(self, id: str, *, every: float = 1.0) -> Iterator[Job]:
        """The job now and about every so many seconds, until and including its end."""
        job = self.job(id)
        yield job
        while not job.ended:
            job = self.job(id, wait=every)
            yield job

    def wait(self, id: str, timeout: float | None = None) -> Job:
        """The job at its end, whatever end that is. Raises TimeoutError; the job goes on then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONG_POLL_S if deadline is None else deadline - time.monotonic()
            job = self.job(id, wait=max(0.0, min(LONG_POLL_S, left)))
            if job.ended:
                return job
            if left <= 0:
                raise TimeoutError(f"{id} is {job.status} after {timeout:g} s; it goes on")

    def cancel(self, id: str) -> Job:
        return self._post(f"{_job(id)}/cancel", Job)

    def retry(self, id: str) -> Job:
        """Renders what is missing of a failed, canceled or incomplete job."""
        return self._post(f"{_job(id)}/retry", Job)

    def edit(self, id: str, edit: JobEdit, *, revision: int | None = None, idempotency_key: str | None = None) -> Job:
        """Changes an ended job, which goes on as its next revision and renders only what changed. With `revision`, only
        where that is still the job's."""
        return self._change("PATCH", _job(id), Job, body=_said(edit), key=_key(idempotency_key), revision=revision)

    def preview_edit(self, id: str, edit: JobEdit, *, revision: int | None = None) -> EditPreview:
        """What the edit would render, and about how long that takes. Nothing is changed."""
        return self._post(f"{_job(id)}/preview", EditPreview, body=_said(edit), revision=revision)

    def contents(self, id: str) -> list[JobChapter]:
        """The chapters of the job, those that an edit has left out too."""
        return list(self._pages(f"{_job(id)}/contents", JobChapter))

    def retry_segment(
        self, id: str, segment: int, *, seed: int | None = None, revision: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:  # fmt: skip
        """Says one sentence of an ended job again, under another seed; the job goes on as its next revision. With
        `revision`, only where that is still the job's."""
        body = {} if seed is None else {"seed": seed}
        path = f"{_job(id)}/segments/{segment}/retry"
        return self._post(path, Job, body=body, key=_key(idempotency_key), revision=revision)

    def revisions(self, id: str) -> list[JobRevision]:
        """What the job is now, and its earlier revisions of which a result is kept, newest first."""
        return list(self._pages(f"{_job(id)}/revisions", JobRevision))

    def delete(self, id: str) -> None:
        """The record and its objects."""
        self._persist(lambda: self._once("DELETE", _job(id)))

    def audio(self, id: str, target: Path) -> Path:
        """Saves the finished audio under `target`, whole or not at all."""
        result = self.job(id).result
        return self.download(f"{_job(id)}/audio", target, sha256=result.sha256 if result else None)

    def subtitles(self, id: str, target: Path) -> Path:
        """As .vtt, .srt, .lrc or .json, by the suffix of `target`, which the job must have asked for."""
        return self.download(f"{_job(id)}/subtitles{target.suffix}", target)

    def readalong(self, id: str, target: Path) -> Path:
        """Saves the read-along under `target`, an EPUB, which the job must have asked for in output.also."""
        return self.download(f"{_job(id)}/readalong.epub", target)

    def chapters(self, id: str) -> Iterator[ChapterFile]:
        """The files of single chapters, which the job must have asked for in output.per_chapter."""
        return self._pages(f"{_job(id)}/chapters", ChapterFile)

    def save_chapters(self, id: str, folder: Path) -> list[Path]:
        """Saves each chapter, with its subtitles, in `folder`, which is made. Returns the files of audio."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self._save_chapter(id, chapter, folder) for chapter in self.chapters(id)]

    def _save_chapter(self, id: str, chapter: ChapterFile, folder: Path) -> Path:
        path = f"{_job(id)}/chapters/{chapter.index}"
        target = folder / portable_name(chapter.name, _NAME_BYTES)  # no farm says where files go
        for kind in chapter.subtitles:
            self.download(f"{path}/subtitles.{quote(kind, safe='')}", target.with_suffix(f".{portable_name(kind, 10)}"))
        return self.download(f"{path}/audio", target, sha256=chapter.sha256)

    def archive(self, id: str, target: Path, *, partial: bool = False) -> Path:
        """Saves all results of a job, or of a batch, as a ZIP archive under `target`, whole or not at all. Of a batch
        `partial` leaves out jobs without a result, which `missing.json` in the archive names; else they are refused."""
        owner = _batch(id) if is_batch(id) else _job(id)
        path = f"{owner}/archive.zip" + ("?partial=true" if partial and is_batch(id) else "")
        return self.download(path, target, read_timeout=_LISTING_S)

    def listen(self, id: str) -> str:
        """The URL of a playlist (HLS) by which a player hears the job while it is rendered. It needs no key, and lets
        whoever has it listen to this job for 12 hours."""
        return self._leads_to(f"{_job(id)}/stream.m3u8")

    def manifest(self, id: str) -> dict[str, Any]:
        """The manifest: each segment's place in the audio and in the text, its digest and its attempts."""
        answer = self._persist(lambda: self._once("GET", f"{_job(id)}/manifest", follow_redirects=True))
        return dict(answer.json())

    def deliveries(self, id: str) -> list[Delivery]:
        """The webhooks of a job or a batch, and how they went."""
        owner = _batch(id) if is_batch(id) else _job(id)
        return list(self._pages(f"{owner}/deliveries", Delivery))

    # --- batches --------------------------------------------------------------------------------------------------

    def submit_batch(
        self,
        jobs: Iterable[JobRequest],
        *,
        defaults: JobOptions | None = None,
        webhook: Webhook | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """All of them or none: a wrong job is named by its place."""
        body = _envelope(defaults, webhook, metadata) | {"jobs": [_said(job) for job in jobs]}
        return self._post("/v1/batches", Batch, body=body, key=_key(idempotency_key))

    def submit_lines(
        self,
        lines: Path,
        *,
        defaults: JobOptions | None = None,
        webhook: Webhook | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """A batch from a JSON Lines file, one job a line; streamed, up to 200 MB."""
        headers = {
            "Content-Type": "application/jsonl",
            "Idempotency-Key": _key(idempotency_key),
        }
        params = {name: json.dumps(value) for name, value in _envelope(defaults, webhook, metadata).items()}

        def upload() -> httpx.Response:
            with lines.open("rb") as content:
                return self._once("POST", "/v1/batches", content=content, headers=headers, params=params)

        return read_answer(Batch, self._persist(upload))

    def batch(self, id: str, *, wait: float = 0.0) -> Batch:
        return self._get(_batch(id), Batch, wait=wait)

    def batches(self, *, status: str | None = None, metadata: Mapping[str, str] | None = None) -> Iterator[Batch]:
        """Newest first, page by page."""
        return self._pages("/v1/batches", Batch, status=status, **_named(metadata))

    def batch_jobs(self, id: str) -> Iterator[Job]:
        """In the order of the batch."""
        return self._pages(f"{_batch(id)}/jobs", Job)

    def cancel_batch(self, id: str) -> Batch:
        return self._post(f"{_batch(id)}/cancel", Batch)

    def delete_batch(self, id: str) -> None:
        """The batch is gone at once; its jobs and their objects go soon after."""
        self._persist(lambda: self._once("DELETE", _batch(id)))

    # --- the farm -------------------------------------------------------------------------------------------------

    def voices(self) -> list[Voice]:
        return list(self._pages("/v1/voices", Voice))

    def add_voice(self, name: str, audio: Path, *, consent: str) -> Voice:
        """Uploads 1 to 60 seconds of speech. `consent` says who agreed to it."""
        recording = _content(audio, MAX_VOICE_BYTES)
        answer = self._persist(
            lambda: self._once(
                "POST",
                "/v1/voices",
                data={"name": name, "consent": consent},
                files={"audio": (audio.name, recording)},
            )
        )
        return read_answer(Voice, answer)

    def remove_voice(self, name: str) -> None:
        self._persist(lambda: self._once("DELETE", f"/v1/voices/{quote(name, safe='')}"))

    def add_document(self, file: Path, *, encoding: str | None = None, timeout: float = 300.0) -> Document:
        """Uploads a document and returns it once the farm has read it: EPUB, DOCX, PDF, Markdown, HTML, FB2 or text.
        The same file again is the same document. Raises TimeoutError; the farm goes on reading."""
        content = _content(file, MAX_DOCUMENT_BYTES)
        answer = self._persist(
            lambda: self._once(
                "POST", "/v1/documents", files={"file": (file.name, content)}, timeout=timeout,
                data={"encoding": encoding} if encoding else {},
            )
        )  # fmt: skip
        document = read_answer(Document, answer)
        deadline = time.monotonic() + timeout
        while document.status == "reading":
            if time.monotonic() > deadline:
                raise TimeoutError(f"{document.id} is not read after {timeout:g} s; it goes on")
            time.sleep(1.0)
            document = self.document(document.id)
        return document

    def document(self, id: str) -> Document:
        """Its metadata and chapters."""
        return self._get(f"/v1/documents/{quote(id, safe='')}", Document)

    def remove_document(self, id: str) -> None:
        """Jobs that were accepted before keep their text."""
        self._persist(lambda: self._once("DELETE", f"/v1/documents/{quote(id, safe='')}"))

    def lexicons(self) -> list[LexiconInfo]:
        """The newest version of each."""
        return list(self._pages("/v1/lexicons", LexiconInfo))

    def put_lexicon(self, name: str, entries: Sequence[Entry]) -> LexiconInfo:
        """A new version; the same entries again are the same version."""
        body = {"name": name, "entries": [entry.model_dump(exclude_defaults=True) for entry in entries]}
        return self._post("/v1/lexicons", LexiconInfo, body=body)

    def put_pls(self, name: str, document: str) -> LexiconInfo:
        """As put_lexicon, of a document of PLS 1.0."""
        headers = {"Content-Type": "application/pls+xml"}
        answer = self._persist(
            lambda: self._once(
                "POST", "/v1/lexicons", content=document.encode(), headers=headers, params={"name": name}
            )
        )
        return read_answer(LexiconInfo, answer)

    def lexicon(self, name: str) -> list[Entry]:
        """The entries of the newest version, or of `name@3`."""
        return self._get(f"/v1/lexicons/{quote(name, safe='@')}", LexiconShown).entries

    def lexicon_pls(self, name: str) -> str:
        """The same as a document of PLS 1.0."""
        path = f"/v1/lexicons/{quote(name, safe='@')}?format=pls"
        return self._persist(lambda: self._once("GET", path)).text

    def remove_lexicon(self, name: str) -> None:
        """With all its versions."""
        self._persist(lambda: self._once("DELETE", f"/v1/lexicons/{quote(name, safe='')}"))

    def models(self) -> list[Model]:
        return list(self._pages("/v1/models", Model))

    def queue(self) -> Queue:
        return self._get("/v1/queue", Queue)

    def health(self) -> dict[str, Any]:
        """What /readyz says. Raises Refused while the farm could not render a job."""
        return dict(self._persist(lambda: self._once("GET", "/readyz")).json())


def _content(file: Path, most: int) -> bytes:
    """Raises BadInput for more than the farm takes, without reading it all: /dev/zero has no end."""
    with file.open("rb") as source:
        content = source.read(most + 1)
    if len(content) > most:
        raise BadInput(f"{file} has more than {most:,} bytes, which is all that the farm takes; split it")
    return content


def _key(given: str | None) -> str:
    """A random key where none is given. Raises BadInput for one that no header can hold; an empty one is mostly a
    variable that is not set, and taking it for none would make two jobs of one order."""
    if given is None:
        return secrets.token_urlsafe(16)
    if not _IDEMPOTENCY_KEY.fullmatch(given):
        raise BadInput("an idempotency key must be 1 to 255 printable ASCII characters, without blanks at its ends")
    return given


def _job(id: str) -> str:
    return f"/v1/jobs/{quote(id, safe='')}"


def _batch(id: str) -> str:
    return f"/v1/batches/{quote(id, safe='')}"


def _said(request: BaseModel) -> dict[str, Any]:
    """The fields that the caller set; the farm chooses the others."""
    return request.model_dump(mode="json", exclude_unset=True)


def _named(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """The parameters of a list that filter by metadata."""
    return {f"metadata[{key}]": value for key, value in (metadata or {}).items()}


def _envelope(
    defaults: JobOptions | None, webhook: Webhook | None, metadata: Mapping[str, str] | None
) -> dict[str, Any]:
    """The fields of a batch beside its jobs."""
    envelope: dict[str, Any] = {}
    if defaults is not None:
        envelope["defaults"] = _said(defaults)
    if webhook is not None:
        envelope["webhook"] = _said(webhook)
    if metadata:
        envelope["metadata"] = dict(metadata)
    return envelope

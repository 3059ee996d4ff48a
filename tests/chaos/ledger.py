"""The jobs that the farm has accepted, and a check that it kept its promises. Every test of a fault submits through a
ledger, and checks it when the fault is over:

    ends        each job that was answered 202 ends, and has ended as often as it was accepted or retried
    states      it moved as farm/job.py allows, and never after its end
    audio       a succeeded one is byte for byte what an undisturbed run made of the same text
    segments    each is accounted for once: done or dead, in the counters and in the manifest
    webhooks    each end was told, under one id, of this state, to its tenant and to no other
    leftovers   no lease, no grant, no quarantined or ready segment, nothing due but expiry, no half-written object, no
                object without an owner, no temporary folder of a dead process
"""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from examples.receiver import Receiver
from farm.client import Farm, Refused
from farm.embedded.data_folder import webhook_secret
from farm.job import ENDED, TRANSITIONS, Due, Status
from farm.layout import BATCHES, JOBS, RESULTS
from farm.storage import LocalStorage
from farm.storage.bucket import S3Storage
from farm.webhooks.secrets import secret_for
from farm.wire import Job, JobRequest, Output, Webhook
from tests.chaos.rig import TENANTS, Rig
from tests.patience import patient

_PITCHES = (number * 1e-7 for number in itertools.count(1))  # one for all ledgers: many share a farm
_UNDISTURBED: dict[str, str] = {}  # of this session: request without pitch -> SHA-256 of its audio
_MOVES = {(start, end) for moves in TRANSITIONS.values() for start, end in moves.items()}


class Lost(AssertionError):
    """It was accepted, and it is not there, or does not end."""


class Doubled(AssertionError):
    """It ended, was counted or was told more often than it should."""


@dataclass
class Promise:
    """One job that was accepted."""

    id: str
    tenant: str
    text: str
    lives: int = 1  # accepted once, and again with every retry
    perhaps: int = 0  # retries whose answer was lost
    wanted: frozenset[str] = field(default=frozenset({"succeeded"}))  # how it may end
    deleted: bool = False


class Mailbox(Receiver):
    """Keeps every delivery with its id, also one that comes again."""

    def __init__(self, secret: str) -> None:
        super().__init__(secret)
        self.deliveries: list[tuple[str, str, str]] = []  # delivery id, job or batch id, event

    def _take(self, body: bytes, headers: dict[str, str]) -> int:
        code = super()._take(body, headers)
        if code < 300:
            event = self._webhook.verify(body, headers)
            with self._changed:
                self.deliveries.append((headers["webhook-id"], event["data"]["id"], event["type"]))
                self._changed.notify_all()
        return code

    def told(self, owner: str) -> set[tuple[str, str]]:
        with self._changed:
            return {(id, event) for id, about, event in self.deliveries if about == owner}


class Ledger:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._undisturbed: dict[str, str] = {}
        self._stack = ExitStack()
        self.promises: dict[str, Promise] = {}
        self.clients: dict[str, Farm] = {}
        self.mailboxes: dict[str, Mailbox] = {}

    def __enter__(self) -> Self:
        master = webhook_secret(self._rig.data)
        for tenant in TENANTS:
            self.clients[tenant] = self._stack.enter_context(self._rig.client(tenant))
            self.mailboxes[tenant] = self._stack.enter_context(Mailbox(secret_for(tenant, master)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- promises -----------------------------------------------------------------------------------------------------

    def learn(self, text: str, **more: Any) -> str:
        """The SHA-256 of the audio that an undisturbed farm makes of this text, rendered once in a session. To be
        called while nothing is broken."""
        request = self.request(text, "ann", webhook=False, **more)
        known = request.model_dump_json(exclude={"pitch"})
        if known not in _UNDISTURBED:
            job = self._rendered(request)
            assert job.result is not None
            _UNDISTURBED[known] = job.result.sha256
        self._undisturbed[text] = _UNDISTURBED[known]
        return self._undisturbed[text]

    def stock(self, text: str, pitch: float) -> None:
        """Puts the clips of this text and pitch into the farm's storage, once: a later job of both needs no rendering.
        To be called while nothing is broken."""
        if (text, pitch) not in self._rig.stocked:
            self._rendered(self.request(text, "ann", webhook=False, pitch=pitch))
            self._rig.stocked.add((text, pitch))

    def _rendered(self, request: JobRequest) -> Job:
        assert request.input is not None
        job = self.clients["ann"].submit(request)
        self.promises[job.id] = Promise(job.id, "ann", request.input)
        job = self.clients["ann"].wait(job.id, timeout=patient(300))
        assert job.status == "succeeded", job.error
        return job

    def request(self, text: str, tenant: str, *, webhook: bool = True, **more: Any) -> JobRequest:
        """A request that no cached clip answers: each has a pitch of its own, which names its clips anew. espeak rounds
        a pitch to a sixth of a semitone, so one near zero is the same audio."""
        hook = Webhook(url=self.mailboxes[tenant].url) if webhook else None
        fields = {"pitch": next(_PITCHES), "output": Output(format="wav"), **({"webhook": hook} if hook else {})}
        return JobRequest(input=text, **{**fields, **more})

    def submit(
        self, text: str, *, tenant: str = "ann", client: Farm | None = None, key: str | None = None, **more: Any
    ) -> Job:
        job = (client or self.clients[tenant]).submit(self.request(text, tenant, **more), idempotency_key=key)
        self.accepted(job, text, tenant)
        return job

    def accepted(self, job: Job, text: str, tenant: str = "ann", *, wanted: Sequence[str] = ("succeeded",)) -> Promise:
        return self.promises.setdefault(job.id, Promise(job.id, tenant, text, wanted=frozenset(wanted)))

    # --- the check ----------------------------------------------------------------------------------------------------

    def check(self, within: float = 60) -> list[Job]:
        """Waits so many seconds at most for every end, and then for everything to be put away. Returns the jobs."""
        jobs, breaches = self.audit(patient(within))
        assert not breaches, "\n".join(str(breach) for breach in breaches)
        return jobs

    def audit(self, within: float) -> tuple[list[Job], list[AssertionError]]:
        """The jobs as they ended, and every promise that was broken."""
        deadline = time.monotonic() + within
        standing = [promise for promise in self.promises.values() if not promise.deleted]
        jobs, breaches, ended = [], [], []
        for promise in standing:
            try:
                jobs.append(self._ended(promise, deadline))
                ended.append(promise)
            except AssertionError as breach:
                breaches.append(breach)
        history = self._history()
        for promise, job in zip(ended, jobs, strict=True):
            try:
                self._check_states(promise, job, history[job.id])
                self._check_webhooks(promise, job, deadline)
                self._check_segments(promise, job)
                self._check_audio(promise, job)
            except AssertionError as breach:
                breaches.append(breach)
        try:
            self.check_leftovers()
        except AssertionError as breach:
            breaches.append(breach)
        return jobs, breaches

    def _ended(self, promise: Promise, deadline: float) -> Job:
        try:
            return self.clients[promise.tenant].wait(promise.id, max(0.1, deadline - time.monotonic()))
        except (Refused, TimeoutError) as error:
            raise Lost(f"{promise.id}: {error}") from None

    def _check_states(self, promise: Promise, job: Job, states: Sequence[str]) -> None:
        assert job.status in promise.wanted, f"{job.id} {job.status}: {job.error}"
        assert states[0] == "queued", f"{job.id}: {states}"
        for before, after in itertools.pairwise(states):
            assert (Status(before), Status(after)) in _MOVES, f"{job.id} moved {before} -> {after}: {states}"
        ends = sum(Status(state) in ENDED for state in states)
        if not promise.lives <= ends <= promise.lives + promise.perhaps:
            raise Doubled(f"{job.id} ended {ends} times in {promise.lives} lives: {states}")

    def _check_segments(self, promise: Promise, job: Job) -> None:
        progress = job.progress
        if progress.segments_done > progress.segments_total:
            raise Doubled(f"{job.id} counted a segment twice: {progress}")
        if job.status == "succeeded":
            assert progress.segments_done + progress.segments_failed == progress.segments_total, f"{job.id}: {progress}"
            manifest = self.clients[promise.tenant].manifest(job.id)
            assert [row["index"] for row in manifest["segments"]] == list(range(progress.segments_total))

    def _check_audio(self, promise: Promise, job: Job) -> None:
        if job.result is None:
            return
        wanted = self._undisturbed.get(promise.text)
        assert wanted is None or job.result.sha256 == wanted, f"{job.id} sounds different"
        with tempfile.TemporaryDirectory() as folder:  # raises Broken when the bytes are not what the record says
            self.clients[promise.tenant].audio(job.id, Path(folder, "audio"))

    def _check_webhooks(self, promise: Promise, job: Job, deadline: float) -> None:
        """Once for every end, and of the last one as it stands; to nobody else."""
        for other in TENANTS:
            assert other == promise.tenant or not self.mailboxes[other].told(promise.id)
        if not self._rig.redis.hget(f"f:j:{promise.id}", "events"):
            return
        mailbox = self.mailboxes[promise.tenant]
        _await(lambda: len(mailbox.told(promise.id)) >= promise.lives, deadline, f"webhooks of {promise.id}")
        told = mailbox.told(promise.id)
        if len({id for id, _ in told}) != len(told) or len(told) > promise.lives + promise.perhaps:
            raise Doubled(f"{promise.id} was told as {told}")
        last = max(told, key=lambda delivery: int(delivery[0].rpartition(".")[2]))
        assert last[1] == f"job.{job.status}", f"{promise.id} is {job.status} and was told as {told}"
        assert not mailbox.refused, f"{mailbox.refused} webhooks of {promise.tenant} were not signed by its secret"

    def check_leftovers(self, within: float = 10) -> None:
        check_leftovers(self._rig, within)

    def leftovers(self) -> list[str]:
        return leftovers(self._rig)

    def _history(self) -> dict[str, list[str]]:
        """owner -> its states in order, from the store's event stream."""
        history: dict[str, list[str]] = defaultdict(list)
        client: Any = self._rig.redis
        for _, entry in client.xrange("f:ev"):
            history[entry[b"o"].decode()].append(entry[b"s"].decode())
        return history


# --- what a farm without open jobs may not have -----------------------------------------------------------------------


def check_leftovers(rig: Rig, within: float = 10) -> None:
    """Looks for a while: what ended last is put away a moment after its end."""
    deadline = time.monotonic() + patient(within)
    _await(lambda: not leftovers(rig), deadline, "leftovers", lambda: leftovers(rig))
    # A desk whose job is deleted while it uploads deletes its uploads a moment later.
    _await(
        lambda: not _orphans(rig), deadline, "the end of", lambda: f"objects of no job, batch or draft: {_orphans(rig)}"
    )


def leftovers(rig: Rig) -> list[str]:
    client: Any = rig.redis
    left = [f"lease {token!r}" for token in client.zrange("f:lease", 0, -1)]
    left += [f"grant {key!r}" for key in client.scan_iter("f:g:*")]
    left += [f"quarantined {entry!r}" for key in client.scan_iter("f:solo:*") for entry in client.zrange(key, 0, -1)]
    left += [f"{count!r} ready in {lane!r}" for lane, count in client.hgetall("f:ready").items() if int(count)]
    for kind in (Due.PLAN, Due.BATCH, Due.PASSAGE, Due.ASSEMBLE, Due.DELIVER):
        for key in client.scan_iter(f"f:due:{kind}:*"):
            left += [f"due {key!r} {entry!r}" for entry in client.zrange(key, 0, -1)]
    left += [f"half-written {name}" for name in _unfinished(rig)]
    left += [f"scratch {folder.name}" for folder in rig.scratch.glob("tts-farm-*") if not _in_use(folder)]
    runs = defaultdict(set)
    for key in _objects(rig, RESULTS):
        _, job, run, _ = key.split("/", 3)
        runs[job].add(run)
    left += [f"{len(found)} results of {job}: {sorted(found)}" for job, found in runs.items() if len(found) > 1]
    return left


def _orphans(rig: Rig) -> list[str]:
    """Objects of jobs and batches that are not there. A text that was written for a refused job is a draft."""
    client: Any = rig.redis
    known = {key.decode()[4:] for kind in "jb" for key in client.scan_iter(f"f:{kind}:*")}
    known |= {draft.decode() for draft in client.zrange("f:due:draft:bulk:", 0, -1)}
    found = [key for prefix in (RESULTS, JOBS, BATCHES) for key in _objects(rig, prefix)]
    return [key for key in found if key.split("/")[1] not in known]


def _unfinished(rig: Rig) -> list[str]:
    storage = rig.storage()
    if isinstance(storage, LocalStorage):
        return [part.name for part in (storage.root / ".part").iterdir()]
    assert isinstance(storage, S3Storage)
    found = storage.client.list_multipart_uploads(Bucket=storage.bucket).get("Uploads", [])
    return [upload["Key"] for upload in found if upload["Key"].startswith(rig.data.name)]


def _objects(rig: Rig, prefix: str) -> list[str]:
    return [found.key for found in rig.storage().list(prefix)]


def _await(holds: Callable[[], bool], deadline: float, what: str, found: Callable[[], object] = lambda: "") -> None:
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what} {found()}"
        time.sleep(0.05)  # Redis, the receiver and a folder are watched at once, and have no event in common


def _in_use(folder: Path) -> bool:
    """As farm/scratch.py has it: the folder is locked while its process lives."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False

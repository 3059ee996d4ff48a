"""A farm under random users and random faults, and a tally of the results.

    make soak MINUTES=30            SEED=… repeats the script of an earlier soak

Two render workers whose engine declines one sentence, two desk processes, S3, two tenants. Users submit, cancel, retry
and delete, while one fault after the other hits a process, Redis, the bucket or a connection. After each fault the farm
must be at work again within BOUND_S. Users submit nothing while MOST_OPEN jobs are open: the machine sets the load, and
the queue does not grow with the length of the soak. At the end all is mended, the ledger checks every job that was
answered 202, and the tally is printed. The exit code is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from farm.client import Farm, Refused, Unreachable
from farm.job import OPEN
from farm.layout import CLIPS
from farm.wire import Job, JobOptions, JobRequest, Output
from tests.chaos.ledger import Doubled, Ledger, Lost, Promise
from tests.chaos.rig import TENANTS, Rig
from tests.chaos.script import Action, Fault, Script, write
from tests.chaos.sickly import sentence
from tests.patience import patient
from tests.s3_server import S3Server

BOUND_S = 30.0  # from the end of a fault until a segment is settled or a job ends; the slowest promise, that of S3
ENDS_S = 180.0  # for the jobs that are open when the last fault is over
MOST_OPEN = 80  # jobs
_DECLINED = sentence("declines")
_LENGTHS = (1, 1, 2, 3, 5, 8, 13, 21, 34, 89)  # paragraphs
_ERROR_500 = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/xml\r\nContent-Length: 51\r\n"
    b"Connection: close\r\n\r\n<Error><Code>InternalError</Code><Message/></Error>"
)


def text_of(number: int, *, declined: bool = False) -> str:
    lines = [
        f"Keeper {number} wrote that {line} ships lay in the roads, the glass was falling, and none of them moved."
        for line in range(1, _LENGTHS[number] + 1)
    ]
    return "\n\n".join([*lines, _DECLINED] if declined else lines)


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that can be sent again under its key."""

    key: str
    request: JobRequest
    promise: Promise


class Users:
    """Carries out the script's actions: submissions side by side, changes of jobs one after the other, so that the end
    of each is known."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._submitting = ThreadPoolExecutor(6, "submit")
        self._meddling = ThreadPoolExecutor(1, "meddle")
        self._under_way: list[Future[None]] = []
        self.submissions: list[Submission] = []
        self.unsure: list[tuple[str, JobRequest, str, str, frozenset[str]]] = []
        self.batches: list[tuple[str, str, list[str]]] = []
        self.refused: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.breaches: list[AssertionError] = []

    def act(self, action: Action) -> None:
        crew = self._submitting if action.kind in ("submit", "submit_again", "batch") else self._meddling
        act: Callable[[Action], None] = getattr(self, f"_{action.kind}")
        self._under_way.append(crew.submit(self._carry_out, act, action))

    def finish(self) -> None:
        """Waits for all actions, and sends submissions without an answer again under their keys."""
        for future in self._under_way:
            future.result()
        for key, request, text, tenant, wanted in self.unsure:
            job = self._ledger.clients[tenant].submit(request, idempotency_key=key)
            self._ledger.accepted(job, text, tenant, wanted=tuple(wanted))
        for batch, tenant, texts in self.batches:
            try:
                self._unfold(batch, tenant, texts)
            except (Refused, TimeoutError) as error:
                self.breaches.append(Lost(f"{batch}: {error}"))

    def _unfold(self, batch: str, tenant: str, texts: list[str]) -> None:
        """The jobs of a batch become promises once it is complete."""
        client, deadline = self._ledger.clients[tenant], time.monotonic() + patient(ENDS_S)
        while client.batch(batch, wait=10).status == "running":
            if time.monotonic() > deadline:
                raise TimeoutError(f"not complete {ENDS_S:g} s after the last fault")
        for job in client.batch_jobs(batch):
            self._ledger.accepted(job, texts[int(job.custom_id or 0)], tenant)

    def _carry_out(self, act: Callable[[Action], None], action: Action) -> None:
        try:
            act(action)
            self.done[action.kind] += 1
        except Refused as refusal:
            self.refused[f"{action.kind}: {refusal.code}"] += 1
        except Unreachable:
            self.refused[f"{action.kind}: unreachable"] += 1
        except AssertionError as breach:
            self.breaches.append(breach)

    # --- what users do ------------------------------------------------------------------------------------------------

    def _submit(self, action: Action) -> None:
        text = text_of(int(action.pick * len(_LENGTHS)), declined=action.declined)
        wanted = frozenset({"failed" if action.declined and action.on_error == "fail" else "succeeded"})
        request = self._ledger.request(
            text, action.tenant, webhook=action.webhook, priority=action.priority, on_error=action.on_error
        )
        key = secrets.token_hex(8)
        try:
            job = self._client(action).submit(request, idempotency_key=key)
        except (Refused, Unreachable):
            with self._lock:
                self.unsure.append((key, request, text, action.tenant, wanted))
            raise
        promise = self._ledger.accepted(job, text, action.tenant, wanted=tuple(wanted))
        with self._lock:
            self.submissions.append(Submission(key, request, promise))

    def _submit_again(self, action: Action) -> None:
        with self._lock:
            known = [one for one in self.submissions if one.promise.tenant == action.tenant]
        if not known:
            return
        earlier = known[int(action.which * len(known))]
        job = self._client(action).submit(earlier.request, idempotency_key=earlier.key)
        if job.id != earlier.promise.id:  # right only where the first one was deleted, perhaps this moment
            wanted = self._by_text(earlier.promise)  # the first one's end says nothing about this one's
            self._ledger.accepted(job, earlier.promise.text, action.tenant, wanted=tuple(wanted))
            if not earlier.promise.deleted:
                raise Doubled(f"{earlier.promise.id} and {job.id} were accepted under one key")

    def _batch(self, action: Action) -> None:
        texts = [text_of(int(action.pick * 6)), text_of(int(action.which * 6)), text_of(0)]
        jobs = [self._ledger.request(text, action.tenant, webhook=False) for text in texts]
        named = [job.model_copy(update={"custom_id": str(place)}) for place, job in enumerate(jobs)]
        batch = self._client(action).submit_batch(named, defaults=JobOptions(output=Output(format="wav")))
        with self._lock:
            self.batches.append((batch.id, action.tenant, texts))

    def _cancel(self, action: Action) -> None:
        promise = self._some(action, recent=True)
        if promise is None:
            return
        self._until_sure(lambda: self._client(action).cancel(promise.id))
        promise.wanted = self._as_it_ended(promise, also="canceled")

    def _retry(self, action: Action) -> None:
        promise = self._some(action, ended=True)
        if promise is None:
            return
        try:
            self._client(action).retry(promise.id)
            promise.lives += 1
        except Unreachable:
            promise.perhaps += 1
        except Refused as refusal:
            if refusal.status < 500:
                return
            promise.perhaps += 1
        promise.wanted = promise.wanted - {"canceled"} | self._by_text(promise)

    def _delete(self, action: Action) -> None:
        promise = self._some(action)
        if promise is None:
            return
        promise.deleted = True
        self._until_sure(lambda: self._client(action).delete(promise.id))

    # --- what they know -----------------------------------------------------------------------------------------------

    def _client(self, action: Action) -> Farm:
        return self._ledger.clients[action.tenant]

    def _some(self, action: Action, *, recent: bool = False, ended: bool = False) -> Promise | None:
        with self._lock:
            known = [
                one.promise
                for one in self.submissions
                if one.promise.tenant == action.tenant and not one.promise.deleted
            ]
        if ended:
            known = [promise for promise in known if promise.wanted & {"canceled", "failed"}]
        if recent:
            known = known[-12:]
        return known[int(action.which * len(known))] if known else None

    def _as_it_ended(self, promise: Promise, *, also: str) -> frozenset[str]:
        with suppress(Refused, Unreachable):
            job = self._ledger.clients[promise.tenant].job(promise.id)
            if job.ended:
                return frozenset({job.status})
        return promise.wanted | {also}

    def _by_text(self, promise: Promise) -> frozenset[str]:
        if _DECLINED not in promise.text:
            return frozenset({"succeeded"})
        return frozenset({"succeeded", "failed"})

    def _until_sure(self, act: Callable[[], object]) -> None:
        """Repeats a harmless request until the farm has answered, perhaps that it was done already."""
        for _ in range(5):
            try:
                act()
                return
            except Unreachable:
                continue
            except Refused as refusal:
                if refusal.status != 503:
                    return


class Faults:
    """Makes a fault, mends it, and measures how long the farm takes to be at work again."""

    def __init__(self, rig: Rig, watch: Watch, seed: int) -> None:
        assert rig.s3_line is not None
        self._rig, self._watch, self._s3_line = rig, watch, rig.s3_line
        self._choice = random.Random(seed)
        self.count: Counter[str] = Counter()
        self.slowest: tuple[float, str] = (0.0, "")
        self.breaches: list[str] = []

    def strike(self, fault: Fault) -> None:
        name = f"{fault.kind} {fault.child}" if fault.kind in ("kill", "terminate", "freeze") else fault.kind
        self._make(fault)
        self.count[name] += 1
        bound = patient(BOUND_S)
        seconds = self._watch.until_progress(bound)
        if seconds is None:
            self.breaches.append(f"nothing moved for {bound:.0f} s after: {name}, {fault.seconds:.1f} s")
        elif seconds > self.slowest[0]:
            self.slowest = (seconds, f"{name}, {fault.seconds:.1f} s")

    def _make(self, fault: Fault) -> None:
        rig, redis_line, s3_line = self._rig, self._rig.redis_line, self._s3_line
        match fault.kind:
            case "kill":
                rig.replaced(fault.child, rig.kill(fault.child))
            case "terminate":
                rig.replaced(fault.child, rig.kill(fault.child, signal.SIGTERM), 90)
            case "freeze":
                _lasts(fault, self._frozen(fault.child))
            case "cut redis":
                _lasts(fault, redis_line.during(redis_line.cut))
            case "hang redis":
                _lasts(fault, redis_line.during(redis_line.hang))
            case "slow redis":
                _lasts(fault, redis_line.during(lambda: redis_line.delay(0.05)))
            case "cut storage":
                _lasts(fault, s3_line.during(s3_line.cut))
            case "hang storage":
                _lasts(fault, s3_line.during(s3_line.hang))
            case "storage says 500":
                _lasts(fault, s3_line.during(lambda: s3_line.answer(_ERROR_500)))
            case "cut an upload":
                _lasts(fault, s3_line.during(lambda: s3_line.cut_after(3000)))
            case "redis full":
                _lasts(fault, self._full())
            case "empty the broker":
                with redis.Redis.from_url(rig.direct_broker_url) as broker:
                    broker.flushdb()
            case "forget the scripts":
                rig.redis.script_flush()
            case "lose clips":
                storage = rig.storage()
                keys = [found.key for found in storage.list(CLIPS)]
                storage.delete(*self._choice.sample(keys, min(5, len(keys))))

    @contextmanager
    def _frozen(self, child: str) -> Iterator[None]:
        self._rig.freeze(child)
        yield
        self._rig.thaw(child)

    @contextmanager
    def _full(self) -> Iterator[None]:
        client = self._rig.redis
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]))
        yield
        client.config_set("maxmemory", 1 << 30)


class Watch:
    """Whether the farm moves: a segment is settled, or a job's status changes."""

    def __init__(self, rig: Rig, ledger: Ledger) -> None:
        self._rig, self._ledger = rig, ledger
        self._ended: set[str] = set()

    def until_progress(self, within: float) -> float | None:
        """Seconds until something moves, or until nothing is open; None when `within` is over first."""
        began = time.monotonic()
        before = None
        while (seconds := time.monotonic() - began) < within:
            try:
                now = self._look()
            except redis.RedisError:
                now = None
            if now is not None:
                if not now or (before is not None and now != before):
                    return seconds
                before = now
            time.sleep(0.05)  # Redis tells nobody when a counter moves
        return None

    def _look(self) -> dict[str, Any]:
        """Open job -> its status and how much of it is done."""
        known = [id for id, promise in list(self._ledger.promises.items()) if not promise.deleted]
        open_ids = [id for id in known if id not in self._ended]
        with self._rig.redis.pipeline(transaction=False) as pipe:
            for id in open_ids:
                pipe.hmget(f"f:j:{id}", "status", "done")
            found = dict(zip(open_ids, pipe.execute(), strict=True))
        over = {id for id, (status, _) in found.items() if status in (b"succeeded", b"failed", b"canceled", None)}
        self._ended |= {id for id in over if found[id][0] == b"succeeded"}
        return {id: state for id, state in found.items() if id not in over}


@dataclass(frozen=True, slots=True)
class Tally:
    script: Script
    jobs: list[Job]
    promises: list[Promise]
    breaches: list[str]
    lost: int
    doubled: int
    reruns: int
    faults: Faults
    users: Users

    def __str__(self) -> str:
        ends = Counter(str(job.status) for job in self.jobs)
        deleted = sum(promise.deleted for promise in self.promises)
        rows = [
            ("accepted", len(self.promises)),
            ("succeeded", ends["succeeded"]),
            ("failed by design", ends["failed"]),
            ("canceled", ends["canceled"]),
            ("deleted", deleted),
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("other breaches", len(self.breaches) - self.lost - self.doubled),
            ("segments", sum(job.progress.segments_done for job in self.jobs)),
            ("reruns", f"{self.reruns} attempts beyond the first"),
            ("faults", sum(self.faults.count.values())),
            ("slowest recovery", f"{self.faults.slowest[0]:.1f} s of {BOUND_S:g} ({self.faults.slowest[1]})"),
            ("seed", f"{self.script.seed}, {self.script.seconds / 60:g} minutes"),
        ]
        lines = [f"{name:<18}{figure}" for name, figure in rows]
        lines += ["", "faults: " + ", ".join(f"{count} {name}" for name, count in sorted(self.faults.count.items()))]
        lines += ["users:  " + ", ".join(f"{count} {name}" for name, count in sorted(self.users.done.items()))]
        lines += ["refused: " + ", ".join(f"{count} {name}" for name, count in sorted(self.users.refused.items()))]
        if self.breaches:
            lines += ["", "BROKEN:", *self.breaches]
            lines += [f"again: make soak MINUTES={self.script.seconds / 60:g} SEED={self.script.seed}"]
        return "\n".join(lines)


def soak(script: Script, rig: Rig) -> Tally:
    with Ledger(rig) as ledger:
        for number in range(len(_LENGTHS)):
            ledger.learn(text_of(number))
            ledger.learn(text_of(number, declined=True), on_error="skip")
        say(f"{len(_LENGTHS)} texts learnt; {len(script.actions)} actions, {len(script.faults)} faults to come")
        users = Users(ledger)
        faults = Faults(rig, Watch(rig, ledger), script.seed)
        began = time.monotonic()
        breaking = threading.Thread(target=_break, args=(script, faults, began), name="faults")
        breaking.start()
        for action in script.actions:
            _until(began + action.at)
            if action.kind in ("submit", "batch") and _open_jobs(rig) >= MOST_OPEN:
                users.refused[f"{action.kind}: held back"] += 1
            else:
                users.act(action)
        breaking.join()
        say("the last fault is over; waiting for every end")
        users.finish()
        jobs, found = ledger.audit(patient(ENDS_S))
        found += users.breaches
        reruns = sum(_reruns(ledger, job) for job in jobs if job.status == "succeeded")
        return Tally(
            script, jobs, list(ledger.promises.values()), [*map(str, found), *faults.breaches],
            lost=sum(isinstance(breach, Lost) for breach in found),
            doubled=sum(isinstance(breach, Doubled) for breach in found),
            reruns=reruns, faults=faults, users=users,
        )  # fmt: skip


def _open_jobs(rig: Rig) -> int:
    """0 while Redis does not say."""
    with suppress(redis.RedisError):
        counts: Any = rig.redis.hmget("f:count", [status.value for status in OPEN])
        return sum(int(count or 0) for count in counts)
    return 0


def _lasts(fault: Fault, effect: AbstractContextManager[None]) -> None:
    with effect:
        time.sleep(fault.seconds)  # how long a fault lasts is its definition


def _break(script: Script, faults: Faults, began: float) -> None:
    for fault in script.faults:
        if time.monotonic() > began + script.seconds:
            break
        _until(began + fault.at)
        say(f"{time.monotonic() - began:6.1f} s  {fault.kind} {fault.child} {fault.seconds:.1f} s")
        faults.strike(fault)


def _until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))  # the script says when


def _reruns(ledger: Ledger, job: Job) -> int:
    manifest = ledger.clients[ledger.promises[job.id].tenant].manifest(job.id)
    return sum(max(0, row["attempts"] - 1) for row in manifest["segments"] if "attempts" in row)


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    say(f"seed {seed}, {given.minutes:g} minutes")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="farm-soak-"))
        server = S3Server(folder / "s3")
        server.start()
        stack.callback(server.stop)
        workers = dict.fromkeys(("render", "render-2"), (sys.executable, "-m", "tests.chaos.sickly", "render"))
        rig = stack.enter_context(Rig(folder / "farm", s3=server, workers=2, stands_in=workers))
        children = ("api", "render", "render-2", "desk", "redis")
        tally = soak(write(seed, given.minutes * 60, tenants=TENANTS, children=children), rig)
        sys.stdout.write(f"{tally}\n")
    if tally.breaches:
        say(f"what the farm wrote is in {folder / 'farm' / 'logs'}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Users who go on asking, each for one thing, while a part of the farm fails: their answers, how long each took, and
whether a refused job has left anything behind.

    with crowd.asking(errands):         several users at once, again and again
        with fault:
            crowd.outlast(12)           for so many seconds, and until each user was answered in the fault
    crowd.check_answers(15)             each came in time: a result, or a problem that says what to do
    crowd.check_nothing_half_accepted(lost_answers=False)
    crowd.check_retries()               the same request under the same key is the same job
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from farm.wire import Job, Problem
from tests.chaos.ledger import Ledger
from tests.chaos.progress import until
from tests.chaos.rig import Rig, Stopwatch
from tests.patience import patient

ANSWERED_S = 15.0  # the farm's promise: no request hangs for longer
_HOPELESS_S = 120.0


@dataclass(frozen=True)
class Answer:
    asked: str
    seconds: float
    status: int
    body: Mapping[str, Any]
    retry_after: str | None

    @property
    def detail(self) -> str:
        return str(self.body.get("detail") or " ".join(self.body.get("checks", {}).values()))


@dataclass
class Errand:
    """One user's request, made again and again."""

    run: Callable[[], object]
    begun: int = 0
    answered: int = 0


@dataclass
class Crowd:
    """Each job that it submits has its idempotency key as its custom_id, so it is found in the store."""

    rig: Rig
    ledger: Ledger
    answers: list[Answer] = field(default_factory=list)
    refused: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # idempotency key -> text, request
    accepted: dict[str, str] = field(default_factory=dict)  # idempotency key -> id
    errands: list[Errand] = field(default_factory=list)  # that run now

    def __enter__(self) -> Self:
        self._http = httpx.Client(
            base_url=self.rig.url,
            headers=self.rig.authorization("ann"),
            timeout=_HOPELESS_S,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @contextmanager
    def asking(self, errands: Sequence[Callable[[], object]]) -> Iterator[None]:
        over = threading.Event()
        self.errands = [Errand(errand) for errand in errands]

        def run(errand: Errand) -> None:
            while not over.wait(0.4):
                errand.begun += 1
                errand.run()
                errand.answered += 1

        threads = [threading.Thread(target=run, args=(errand,)) for errand in self.errands]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def outlast(self, seconds: float) -> None:
        """Returns after so many seconds, and when every user has an answer to a request that began after the call.

        A fault that ends earlier would answer the requests itself: they would look as if the farm had."""
        wanted = [(errand, errand.begun + 1) for errand in self.errands]
        time.sleep(seconds)  # how long a fault lasts is its definition
        until(
            lambda: all(errand.answered >= count for errand, count in wanted),
            2 * ANSWERED_S,  # a request that had begun before may have to be answered first
            "an answer to every request",
        )

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        watch = Stopwatch()
        answer = self._http.request(method, path, **more)
        body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        found = Answer(f"{method} {path}", watch.seconds, answer.status_code, body, answer.headers.get("retry-after"))
        self.answers.append(found)
        return found

    def submit(self, text: str, key: str, **more: Any) -> Answer:
        """A key that was refused may be sent again, as users do."""
        request = self.ledger.request(text, "ann", webhook=False, custom_id=key, **more)
        body = request.model_dump(mode="json", exclude_unset=True)
        answer = self._submit(text, key, body)
        if answer.status == 202:
            self.refused.pop(key, None)
        else:
            self.refused[key] = (text, body)
        return answer

    def _submit(self, text: str, key: str, body: dict[str, Any]) -> Answer:
        answer = self.ask("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key})
        if answer.status == 202:
            job = Job.model_validate(answer.body)
            self.accepted[key] = job.id
            self.ledger.accepted(job, text)
        return answer

    # --- what must hold -----------------------------------------------------------------------------------------------

    def check_answers(self, bound_s: float = ANSWERED_S) -> float:
        """Returns how long the slowest took."""
        slowest = max(self.answers, key=lambda answer: answer.seconds)
        assert slowest.seconds <= patient(bound_s), f"{slowest.asked} took {slowest.seconds:.1f} s"
        for answer in self.answers:
            if answer.status < 500 or answer.asked == "GET /readyz":
                continue
            problem = Problem.model_validate(answer.body)
            assert answer.status == 503, f"{answer.asked}: {answer.status} {problem.detail}"
            assert problem.retryable, f"{answer.asked}: {problem}"
            assert answer.retry_after is not None
            assert len(problem.detail) > 20
        return slowest.seconds

    def check_nothing_half_accepted(self, *, lost_answers: bool) -> None:
        """With `lost_answers` the farm may have accepted a job and been unable to say so."""
        found = self._in_store()
        assert max(found.values(), default=1) == 1, f"accepted twice: {found.most_common(3)}"
        missing = self.accepted.keys() - found.keys()
        assert not missing, f"accepted and lost: {missing}"
        if not lost_answers:
            left = found.keys() & self.refused.keys()
            assert not left, f"refused, and there nevertheless: {left}"
        assert not self._fragments()

    def check_retries(self) -> None:
        """Each request that was refused or got no answer is accepted now: under its key, as one job."""
        for key, (text, body) in self.refused.items():
            answer = self._submit(text, key, body)
            assert answer.status == 202, f"{key}: {answer.body}"
        assert max(self._in_store().values(), default=1) == 1

    def _in_store(self) -> Counter[str]:
        """custom_id -> how many jobs have it."""
        client: Any = self.rig.redis
        specs = [json.loads(client.get(key)) for key in client.scan_iter("f:s:job_*")]
        return Counter(spec["custom_id"] for spec in specs if spec.get("custom_id"))

    def _fragments(self) -> list[bytes]:
        """Keys of a job that has no record."""
        client: Any = self.rig.redis
        keys = [
            key for kind in ("s", "text", "o", "r", "d", "c", "a", "w") for key in client.scan_iter(f"f:{kind}:job_*")
        ]
        listed = [id for key in client.scan_iter("f:list:*") for id in client.zrange(key, 0, -1)]
        return [key for key in (*keys, *listed) if not client.exists(b"f:j:" + key.rpartition(b":")[2])]

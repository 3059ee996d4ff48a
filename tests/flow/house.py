"""A farm without processes: the real store, storage, desk, render loop and engine, moved by hand one step at a time, so
that a test can stop between any two steps and break something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from farm.errors import StorageUnavailable
from farm.job import new_id
from farm.order import Order
from farm.outcome import read_outcome
from farm.settings import Settings
from farm.spec import Spec
from farm.speech import Manner
from farm.storage import Object, Storage, open_storage
from farm.store import Store, jobs, registry
from farm.text_document import write_text
from farm.tracing import OFF, Tracing
from farm.wake import Waker
from farm.wire import NARRATOR, JobRequest
from worker.desk.desk import Desk
from worker.engine import Clip, Engine, Failure, Feed, Notice, Speech, Utterance
from worker.engines.espeak.engine import Espeak
from worker.render.renderer import Renderer


class House:
    def __init__(
        self, redis_url: str, folder: Path, engine: Engine, *, tracing: Tracing = OFF, **settings: Any
    ) -> None:
        self.settings = Settings(redis_url=redis_url, storage_url=folder.as_uri(), **settings)
        self.store = Store.connect(redis_url)
        self.storage = open_storage(self.settings)
        self.waker = Waker(self.settings.broker)
        self.desk = Desk(self.store, self.storage, self.waker, self.settings, tracing=tracing)
        self.tracing = tracing
        self.engine = engine
        self._renderers: list[Renderer] = []
        self.store.run(registry.announce(engine.card.name, engine.card.model_dump_json()))

    def renderer(self, engine: Engine | None = None, name: str = "worker") -> Renderer:
        renderer = Renderer(self.store, self.storage, engine or self.engine, self.settings, name, tracing=self.tracing)
        self._renderers.append(renderer)
        return renderer

    def submit(
        self,
        *,
        tenant: str = "default",
        emotion: str | None = None,
        trace: str | None = None,
        streamed: bool = False,
        resolved: Mapping[str, str] = MappingProxyType({}),
        **request: Any,
    ) -> str:
        """`resolved` are lexicons, by `name@version`."""
        wanted = JobRequest.model_validate({"output": {"format": "wav"}, **request})
        chapters = wanted.parts()
        language = wanted.language or "en"
        voice = wanted.voices.get(NARRATOR) or wanted.voice or self.engine.card.languages[language].voice or ""
        spec = Spec(
            language=language, voice=voice, output=wanted.output, webhook=wanted.webhook, on_error=wanted.on_error,
            on_review=wanted.on_review, manner=Manner.of(wanted, emotion=emotion),
            target_duration_ms=wanted.target_duration_ms, metadata=wanted.metadata, markup=wanted.markup,
            voices=wanted.voices, lexicons=dict(resolved),
        )  # fmt: skip
        job, text = new_id("job"), write_text(chapters)
        order = Order(job, self.engine.card.name, wanted.priority, spec, text, len(text), retention_s=3600)
        new = jobs.NewJob.of(order, tenant, trace=trace)
        self.store.run(jobs.accept(replace(new, text=text, streamed=streamed)))
        return job

    def finish(self) -> None:
        """Plans, renders and assembles until every job has ended, at most five times over."""
        for _ in range(5):
            self.desk.drain()
            self.renderer().drain()
        self.desk.drain()

    def drain_by_two_desks(self) -> None:
        """At once."""
        desks = [Desk(self.store, self.storage, self.waker, self.settings) for _ in range(2)]
        threads = [threading.Thread(target=desk.drain) for desk in desks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def record(self, job: str) -> jobs.JobRecord:
        record = self.store.run(jobs.record(job))
        assert record is not None
        return record

    def outcome(self, job: str) -> Any:
        outcome = self.record(job).outcome
        assert outcome is not None
        return read_outcome(outcome)

    def close(self) -> None:
        for renderer in self._renderers:
            renderer.close()
        self.waker.close()
        self.store.close()


class Unwell:
    """An engine that wraps the real one and has trouble with one text: it fails it, raises, or warns."""

    def __init__(
        self, real: Engine, stumbles_at: str, *, raises: Exception | None = None, warns: Notice | None = None
    ) -> None:
        self.card, self.capacity, self.device = real.card, real.capacity, real.device
        self._real, self._stumbles_at, self._raises, self._warns = real, stumbles_at, raises, warns
        self.asked: list[str] = []
        self.speeches: list[Speech] = []
        self.batches: list[int] = []

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        return self._render(_Tapped(feed, self.asked, self.batches, self.speeches))

    def _render(self, feed: _Tapped) -> Iterator[Clip | Failure]:
        for outcome in self._real.render(feed):
            text = feed.texts[outcome.key]
            if self._stumbles_at in text:
                if self._warns and isinstance(outcome, Clip):
                    yield replace(outcome, warnings=(self._warns,))
                    continue
                if self._raises:
                    raise self._raises
                yield Failure(outcome.key, "can't say that")
            else:
                yield outcome

    def facts(self) -> Mapping[str, str]:
        return self._real.facts()

    def close(self) -> None:
        self._real.close()


class _Tapped:
    def __init__(self, feed: Feed, asked: list[str], batches: list[int], speeches: list[Speech]) -> None:
        self._feed, self._asked, self._batches, self._speeches = feed, asked, batches, speeches
        self.texts: dict[str, str] = {}

    def take(self, count: int, *, wait: bool) -> Any:
        taken = self._feed.take(count, wait=wait)
        self.texts.update((one.key, one.text) for one in taken)
        self._asked.extend(one.text for one in taken)
        self._speeches.extend(one.speech for one in taken)
        if taken:
            self._batches.append(len(taken))
        return taken


class Canceling(Unwell):
    """Has its job canceled when the third clip is made, as by a client who has heard enough."""

    def __init__(self, real: Engine, cancel: Callable[[], object]) -> None:
        super().__init__(real, stumbles_at="\0")
        self._cancel = cancel

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        for number, outcome in enumerate(super().render(feed)):
            yield outcome
            if number == 2:
                self._cancel()


class Greedy(Unwell):
    """Asks for three times the utterances that it says it can hold."""

    def __init__(self, real: Espeak) -> None:
        super().__init__(real, stumbles_at="\0")
        self.most = 0

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while taken := feed.take(3 * self.capacity, wait=True):
            self.most = max(self.most, len(taken))
            yield from self._real.render(_Given(taken))


class Batched(Unwell):
    """Hands over the clips of a batch when all of them are made, as an engine on a GPU does."""

    def __init__(self, real: Engine) -> None:
        super().__init__(real, stumbles_at="\0")

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        while taken := feed.take(self.capacity, wait=True):
            yield from list(self._real.render(_Given(taken)))


class _Given:
    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._utterances = utterances

    def take(self, count: int, *, wait: bool) -> Sequence[Utterance]:
        taken, self._utterances = self._utterances[:count], self._utterances[count:]
        return taken


class Flaky:
    """Storage that can't be reached until `well` is set. `hammered` is set once it was asked many times."""

    def __init__(self, real: Storage) -> None:
        self._real = real
        self.well, self.refused, self.hammered = threading.Event(), threading.Event(), threading.Event()
        self._heads = 0

    def head(self, key: str) -> Object | None:
        if not self.well.is_set():
            self._heads += 1
            self.refused.set()
            if self._heads > 50:
                self.hammered.set()
            raise StorageUnavailable("the bucket can't be reached")
        return self._real.head(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

"""GET /metrics for Prometheus: the state of the farm, its counters since it was born, and this process.

The store keeps the counters (farm/store/tally.py), so they outlive every worker and every API process, and a scrape
costs the same whatever has been rendered. No label holds an id, a tenant or a text.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from statistics import fmean
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from api.openapi import text
from api.state import require_operator, state_of
from farm.store import registry
from farm.store.registry import Backlog
from farm.store.tally import BUCKETS_S, Histogram
from farm.warmth import Warmth, ailments
from farm.wire import Worker

router = APIRouter(tags=["farm"])

Rows = Iterable[tuple[tuple[str, ...], float]]
_Family = TypeVar("_Family", GaugeMetricFamily, CounterMetricFamily)
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", response_class=Response, responses={200: text("The metrics", "text/plain")})
async def metrics(request: Request) -> Response:
    """In the text format of Prometheus, for an operator's key."""
    require_operator(request)
    store = state_of(request).store
    backlog, beats = await asyncio.gather(store.run(registry.backlog()), store.run(registry.workers()))
    request.app.state.process.listeners.set(state_of(request).watch.channels.listeners)
    shown = CollectorRegistry(auto_describe=False)
    shown.register(FarmCollector(backlog, [Worker.model_validate_json(beat) for beat in beats]))
    return Response(
        generate_latest(shown) + generate_latest(request.app.state.process.registry), media_type=_MEDIA_TYPE
    )


class FarmCollector(Collector):
    """One look at the store, as metrics."""

    def __init__(self, backlog: Backlog, workers: list[Worker]) -> None:
        self._backlog, self._tally = backlog, backlog.tally
        self._alive, self._rendering = workers, [worker for worker in workers if worker.kind == "render"]

    def collect(self) -> Iterator[Metric]:
        yield from self._state()
        yield from self._speed()
        yield from self._warmth()
        yield from self._counters()
        yield from self._histograms()

    def _state(self) -> Iterator[Metric]:
        backlog = self._backlog
        yield _gauge("farm_jobs", "Jobs by status.", "status", (((name,), n) for name, n in backlog.jobs.items()))
        yield _gauge(
            "farm_segments_ready", "Segments that wait for a render worker.", "model lane",
            (((model, lane), n) for model, lanes in backlog.ready.items() for lane, n in lanes.items()),
        )  # fmt: skip
        yield _gauge(
            "farm_segments_quarantined", "Segments that wait to be rendered alone.", "model",
            (((model,), n) for model, n in backlog.quarantined.items()),
        )  # fmt: skip
        yield _gauge(
            "farm_segments_leased", "Segments that render workers hold.", "model",
            (((model,), n) for model, n in backlog.leased.items()),
        )  # fmt: skip
        yield _gauge(
            "farm_backlog_audio_seconds", "Audio of the segments yet to settle, by the mean of those settled.", "model",
            (((model,), seconds) for model, seconds in self._backlog_seconds()),
        )  # fmt: skip
        yield _gauge(
            "farm_due", "Tasks that the desk should be at.", "kind", (((kind,), n) for kind, n in backlog.due.items())
        )
        living: dict[tuple[str, str], int] = {("desk", ""): 0, ("render", ""): 0}
        for worker in self._alive:
            living[worker.kind, worker.model or ""] = living.get((worker.kind, worker.model or ""), 0) + 1
        yield _gauge("farm_workers", "Workers that are alive.", "kind model", living.items())

    def _backlog_seconds(self) -> Iterator[tuple[str, float]]:
        backlog, settled = self._backlog, self._tally.counts("settled")
        audio_ms = self._tally.counts("audio_ms")
        for model in sorted({*backlog.ready, *backlog.quarantined, *backlog.leased}):
            count = sum(backlog.ready.get(model, {}).values())
            count += backlog.quarantined.get(model, 0) + backlog.leased.get(model, 0)
            if settled.get((model,)):
                yield model, count * audio_ms.get((model,), 0) / 1000 / settled[model,]

    def _speed(self) -> Iterator[Metric]:
        """Of the workers of a model together, in the last minute in which they had work."""
        yield self._mean(
            "farm_segments_per_second", "Segments rendered a second.", sum, lambda of: of.segments_per_second
        )
        yield self._mean(
            "farm_real_time_factor", "Seconds of work per second of audio.", fmean, lambda of: of.real_time_factor
        )
        yield self._mean(
            "farm_batch_fill", "Mean share of an engine's places that a batch fills.", fmean,
            lambda of: None if of.batch_mean is None or not of.capacity else of.batch_mean / of.capacity,
        )  # fmt: skip
        yield self._mean(
            "farm_engine_idle_share", "Share of the time under backlog in which engines waited.", fmean,
            lambda of: of.idle_share,
        )  # fmt: skip

    def _warmth(self) -> Iterator[Metric]:
        """What engines told of their first full batch, and what ails them since."""
        by_model: defaultdict[str, list[Warmth]] = defaultdict(list)
        ailing: Counter[str] = Counter()
        for worker in self._rendering:
            ailing[worker.model or ""] += any(ailments(worker.facts))
            if (told := Warmth.read(worker.facts)) is not None:
                by_model[worker.model or ""].append(told)
        yield _gauge(
            "farm_engine_warm_audio_seconds_per_second", "Audio rendered a second in the full batch at the start.",
            "model", (((model,), fmean(each.speed for each in told)) for model, told in by_model.items()),
        )  # fmt: skip
        yield _gauge(
            "farm_engine_stage_share", "Share of that work by stage.", "model stage",
            (
                ((model, stage), fmean(each.shares.get(stage, 0.0) for each in told))
                for model, told in by_model.items()
                for stage in told[0].shares
            ),
        )  # fmt: skip
        yield _gauge(
            "farm_engines_ailing", "Engines that fell back to a slower way, or whose memory creeps.", "model",
            (((model,), count) for model, count in ailing.items()),
        )  # fmt: skip

    def _mean(
        self, name: str, said: str, over: Callable[[list[float]], float], figure: Callable[[Worker], float | None]
    ) -> Metric:
        by_model: defaultdict[str, list[float]] = defaultdict(list)
        for worker in self._rendering:
            if (value := figure(worker)) is not None:
                by_model[worker.model or ""].append(value)
        return _gauge(name, said, "model", (((model,), over(found)) for model, found in by_model.items()))

    def _counters(self) -> Iterator[Metric]:
        for name, said, labels, counted in (
            ("farm_jobs_accepted", "Jobs accepted.", "model lane", "accepted"),
            ("farm_characters_accepted", "Characters of the texts of these jobs.", "model lane", "characters"),
            ("farm_jobs_ended", "Ends of jobs.", "model lane status", "ended"),
            ("farm_jobs_retried", "Jobs that were taken up again after their end.", "", "retried"),
            ("farm_segments_settled", "Segments whose clip is in storage.", "model", "settled"),
            ("farm_segments_cached", "Segments whose clip was in storage before.", "model", "cached"),
            ("farm_segments_for_review", "Segments with a clip that somebody should listen to.", "model", "review"),
            ("farm_takes_again", "Further takes because of what an ear heard.", "model", "again"),
            ("farm_segment_attempts_lost", "Attempts of segments that failed or went with a worker.", "model", "lost"),
            ("farm_segments_dead", "Segments that lost all their attempts.", "model", "dead"),
            ("farm_segments_rescued", "Segments taken back from workers that were lost.", "", "rescued"),
            ("farm_clips_warned", "Clips rendered with a warning of a code.", "model code", "warned"),
            ("farm_webhook_attempts", "Attempts to deliver a webhook.", "outcome", "webhook"),
        ):
            yield _counter(name, said, labels, self._tally.counts(counted).items())
        audio = self._tally.counts("audio_ms").items()
        yield _counter(
            "farm_audio_seconds", "Audio of the segments settled.", "model", ((row, ms / 1000) for row, ms in audio)
        )

    def _histograms(self) -> Iterator[Metric]:
        for name, said, labels, kept in (
            ("farm_job_wait_seconds", "From a job's acceptance to its first claim by a worker.", "model lane", "wait"),
            ("farm_job_duration_seconds", "From a job's acceptance to its first end.", "lane status", "whole"),
            ("farm_segment_render_seconds", "From the engine's start on a segment to its clip.", "model", "render"),
        ):
            yield _histogram(name, said, labels, self._tally.histograms(kept))


def _gauge(name: str, said: str, labels: str, rows: Rows) -> GaugeMetricFamily:
    return _filled(GaugeMetricFamily(name, said, labels=labels.split()), rows)


def _counter(name: str, said: str, labels: str, rows: Rows) -> CounterMetricFamily:
    return _filled(CounterMetricFamily(name, said, labels=labels.split()), rows)


def _filled(family: _Family, rows: Rows) -> _Family:
    for labels, value in rows:
        family.add_metric([str(label) for label in labels], value)
    return family


def _histogram(name: str, said: str, labels: str, found: Mapping[tuple[str, ...], Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, said, labels=labels.split())
    bounds = [*map(str, BUCKETS_S), "+Inf"]
    for row, histogram in found.items():
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        family.add_metric(row, buckets, histogram.seconds)
    return family

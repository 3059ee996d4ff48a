"""What Prometheus reads: the counters of the store, whoever made them and however long ago."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import FarmCollector
from api.process_metrics import ProcessMetrics
from farm.job import Due, Status
from farm.store import Store, registry, segments
from farm.store.tally import BUCKETS_S, Histogram, Tally, in_buckets
from farm.warmth import Warmth
from farm.wire import Worker
from tests.api.backstage import LEASE_MS, Backstage

ROOT = Path(__file__).parents[2]
NIGHT = {"input": "It was a dark night. The rain fell in torrents."}


class Scrape:
    """One answer of /metrics, read by Prometheus's own parser."""

    def __init__(self, text: str) -> None:
        self.samples = [
            (sample.name, dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        found = [value for each, its, value in self.samples if each == name and labels.items() <= its.items()]
        assert found, f"{name} {labels} is not published"
        return sum(found)


@pytest.fixture
def scrape(api: httpx.Client) -> Callable[[], Scrape]:
    def scraped() -> Scrape:
        answer = api.get("/metrics")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        return Scrape(answer.text)

    return scraped


def test_a_job_is_counted_from_its_acceptance_to_its_end(
    api: httpx.Client, backstage: Backstage, scrape: Callable[[], Scrape]
) -> None:
    done, waits = (api.post("/v1/jobs", json={**NIGHT, "priority": lane}).json()["id"] for lane in ("normal", "bulk"))
    backstage.plan(waits)
    backstage.succeed(done)
    seen = scrape()
    assert seen("farm_jobs_accepted_total", model="espeak") == 2
    assert seen("farm_characters_accepted_total", lane="bulk") == len(NIGHT["input"])
    assert seen("farm_jobs_ended_total", model="espeak", lane="normal", status="succeeded") == 1
    assert (seen("farm_jobs", status="running"), seen("farm_jobs", status="succeeded")) == (1, 1)
    assert seen("farm_segments_settled_total", model="espeak") == 2
    assert seen("farm_audio_seconds_total", model="espeak") == 3.0
    assert seen("farm_segments_ready", model="espeak", lane="bulk") == 2
    assert seen("farm_backlog_audio_seconds", model="espeak") == 3.0, "two segments, of the length of those before"
    assert seen("farm_job_wait_seconds_count", model="espeak", lane="normal") == 1
    assert seen("farm_job_duration_seconds_count", lane="normal", status="succeeded") == 1
    assert seen("farm_job_duration_seconds_sum") < 60


def test_a_canceled_and_retried_job_counts_two_ends_and_one_duration(
    api: httpx.Client, backstage: Backstage, scrape: Callable[[], Scrape]
) -> None:
    job = api.post("/v1/jobs", json=NIGHT).json()["id"]
    api.post(f"/v1/jobs/{job}/cancel")
    api.post(f"/v1/jobs/{job}/retry")
    backstage.succeed(job)
    seen = scrape()
    assert seen("farm_jobs_ended_total", status="canceled") == seen("farm_jobs_ended_total", status="succeeded") == 1
    assert seen("farm_jobs_retried_total") == 1
    assert seen("farm_jobs_accepted_total") == 1
    assert seen("farm_job_duration_seconds_count") == 1


def test_lost_attempts_and_dead_segments_are_counted(
    api: httpx.Client, backstage: Backstage, store: Store, scrape: Callable[[], Scrape]
) -> None:
    job = api.post("/v1/jobs", json={"input": "One."}).json()["id"]
    backstage.plan(job)
    for _ in range(3):
        grant = store.run(segments.claim("espeak", want=1, worker="w", lease_ms=LEASE_MS))
        assert grant is not None
        store.run(segments.begin(grant.token, grant.segments))
        store.run(segments.fail(grant.token, job, 0, "no"))
    seen = scrape()
    assert (seen("farm_segment_attempts_lost_total"), seen("farm_segments_dead_total")) == (3, 1)
    assert seen("farm_jobs_ended_total", status="failed") == 1


def test_the_engines_seconds_for_a_clip_and_its_warnings_are_counted(
    api: httpx.Client, backstage: Backstage, store: Store, scrape: Callable[[], Scrape]
) -> None:
    job = api.post("/v1/jobs", json=NIGHT).json()["id"]
    backstage.plan(job)
    grant = store.run(segments.claim("espeak", want=2, worker="w", lease_ms=LEASE_MS))
    assert grant is not None
    clips = [segments.Settled(job, index, 1000, review=index == 1) for index in (0, 1)]
    for _ in range(2):  # a call that is sent again counts nothing again
        store.run(segments.settle(grant.token, clips, [0.2, 7.0], {"pace": 2, "noise": 1}, 3))
    seen = scrape()
    assert seen("farm_clips_warned_total", model="espeak", code="pace") == 2
    assert seen("farm_clips_warned_total") == 3
    assert seen("farm_segments_for_review_total", model="espeak") == 1
    assert seen("farm_takes_again_total", model="espeak") == 3
    assert seen("farm_segment_render_seconds_count", model="espeak") == 2
    assert seen("farm_segment_render_seconds_sum") == 7.2
    assert seen("farm_segment_render_seconds_bucket", le="0.25") == 1
    assert seen("farm_segment_render_seconds_bucket", le="10.0") == 2


def test_workers_are_counted_and_not_named(api: httpx.Client, store: Store, scrape: Callable[[], Scrape]) -> None:
    now = "2026-01-01T00:00:00Z"
    for id, fill, factor in (("gpu-7.internal-a", 16, 0.25), ("gpu-8.internal-b", 8, 0.75)):
        worker = Worker(
            id=id, kind="render", model="espeak", started_at=now, seen_at=now, capacity=16, batch_mean=fill,
            real_time_factor=factor, segments_per_second=2.5,
        )  # fmt: skip
        store.run(registry.beat(id, worker.model_dump_json(), LEASE_MS))
    seen = scrape()
    assert seen("farm_workers", kind="render", model="espeak") == 2
    assert seen("farm_batch_fill", model="espeak") == 0.75
    assert seen("farm_real_time_factor", model="espeak") == 0.5
    assert seen("farm_segments_per_second", model="espeak") == 5.0
    assert not any("gpu" in value for _, labels, _ in seen.samples for value in labels.values())


def test_what_engines_said_of_their_start_and_their_ills_is_published_by_model(
    store: Store, scrape: Callable[[], Scrape]
) -> None:
    now = "2026-01-01T00:00:00Z"
    for number, facts in enumerate(
        (
            {"warm": str(Warmth(150.0, {"gpt": 0.4, "flow": 0.6}))},
            {"warm": str(Warmth(50.0, {"gpt": 0.2, "flow": 0.8})), "fell back": "s2mel fp16 -> tf32"},
            {"warm": "it is", "memory creeps": "by 2 GiB"},
        )
    ):
        worker = Worker(id=f"w{number}", kind="render", model="indextts-2", started_at=now, seen_at=now, facts=facts)
        store.run(registry.beat(worker.id, worker.model_dump_json(), LEASE_MS))
    seen = scrape()
    assert seen("farm_engine_warm_audio_seconds_per_second", model="indextts-2") == 100.0
    assert seen("farm_engine_stage_share", model="indextts-2", stage="gpt") == pytest.approx(0.3)
    assert seen("farm_engines_ailing", model="indextts-2") == 2


def test_refusals_are_counted_by_their_code(api: httpx.Client, scrape: Callable[[], Scrape]) -> None:
    api.post("/v1/jobs", json={"input": ""})
    counted = scrape()("farm_problems_total", status="422", code="invalid_request")
    api.post("/v1/jobs", json={"input": ""})
    assert scrape()("farm_problems_total", status="422", code="invalid_request") == counted + 1


def test_no_label_holds_a_text_an_id_or_a_tenant(
    api: httpx.Client, backstage: Backstage, scrape: Callable[[], Scrape]
) -> None:
    text = "Canary-4711 sings."
    job = api.post("/v1/jobs", json={"input": text, "custom_id": "canary-4712", "metadata": {"k": "canary-4713"}})
    backstage.succeed(job.json()["id"])
    api.get("/v1/jobs/job_canary4714")
    shown = repr(scrape().samples).lower()
    assert "canary" not in shown
    assert job.json()["id"] not in shown


@given(st.lists(st.floats(0, 200_000, allow_nan=False), max_size=50))
def test_every_span_lies_in_the_bucket_that_bounds_it(spans: list[float]) -> None:
    fields = dict(item.split(":") for item in in_buckets(spans).split(",") if item)
    found = Histogram.of({name: int(count) for name, count in fields.items()})
    for number, bound in enumerate(BUCKETS_S):
        assert sum(found.counts[: number + 1]) == sum(span <= bound for span in spans)
    assert sum(found.counts) == len(spans)
    assert found.seconds == pytest.approx(sum(spans), abs=0.001)


def test_large_counts_are_published_to_the_last_unit() -> None:
    """Written with six digits, a counter above a million stands still and then jumps, and so does every rate of it."""
    large = 12_345_678_901_234
    backlog = registry.Backlog(
        jobs={Status.SUCCEEDED: large}, ready={}, quarantined={}, leased={}, due={},
        tally=Tally({("settled", "espeak"): large, ("audio_ms", "espeak"): large}),
    )  # fmt: skip
    shown = CollectorRegistry(auto_describe=False)
    shown.register(FarmCollector(backlog, []))
    seen = Scrape(generate_latest(shown).decode())
    assert seen("farm_jobs", status="succeeded") == large
    assert seen("farm_segments_settled_total", model="espeak") == large
    assert seen("farm_audio_seconds_total", model="espeak") == large / 1000


def metrics_table() -> str:
    """The table of docs/metrics.md."""
    nothing = registry.Backlog(jobs={}, ready={}, quarantined={}, leased={}, due={}, tally=Tally({}))
    suffix = {"counter": "_total"}
    rows = [
        (family.name + suffix.get(family.type, ""), family.type, family._labelnames, family.documentation)
        for family in FarmCollector(nothing, []).collect()
    ]
    rows.append(("farm_problems_total", "counter", ("status", "code"), ProcessMetrics.problems_are))
    rows.append(("farm_event_listeners", "gauge", (), ProcessMetrics.listeners_are))
    return "\n".join(
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {said} |"
        for name, kind, labels, said in rows
    )


def test_the_documentation_has_every_metric() -> None:
    assert metrics_table() in (ROOT / "docs" / "metrics.md").read_text("utf-8")


def test_every_due_task_has_its_kind(scrape: Callable[[], Scrape]) -> None:
    seen = scrape()
    for kind in Due:
        assert seen("farm_due", kind=kind.value) == 0

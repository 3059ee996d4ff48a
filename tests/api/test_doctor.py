"""`farm doctor` over a real API: what a worker tells of its engine, and what of it is to be mended."""

from __future__ import annotations

from collections.abc import Callable

from farm.cli.doctor import Finding, _api
from farm.client import Farm
from farm.settings import Settings
from farm.store import Store, registry
from farm.wire import Language, Model, Worker
from tests.api.backstage import LEASE_MS
from tests.api.conftest import Served

CARD = Model(
    name="indextts-2", revision="r1", sample_rate=22050, languages={"en": Language(max_characters=300)}, voices={},
    uploaded_voices=True, parameters=[],
)  # fmt: skip


def told(store: Store, served: Callable[..., Served], facts: dict[str, str]) -> list[Finding]:
    """What the doctor says of the device."""
    now = "2026-01-01T00:00:00Z"
    worker = Worker(id="w", kind="render", model=CARD.name, started_at=now, seen_at=now, device="a GPU", facts=facts)
    store.run(registry.announce(CARD.name, CARD.model_dump_json()))
    store.run(registry.beat("w", worker.model_dump_json(), LEASE_MS))
    with Farm(served().url, None, patience=0) as farm:
        return [finding for finding in _api(farm, Settings(model=CARD.name)) if finding.part == "device"]


def test_the_doctor_shows_what_an_engine_found_when_it_examined_itself(
    store: Store, served: Callable[..., Served]
) -> None:
    facts = {"examined": "attention torch 61 dB, graph equal", "warm": "152.0 audio-s/s, of the work gpt 40%, flow 60%"}
    (finding,) = told(store, served, facts)
    assert finding.ok
    assert finding.says == (
        "a GPU, examined attention torch 61 dB, graph equal, warm 152.0 audio-s/s, of the work gpt 40%, flow 60%"
    )


def test_the_doctor_asks_to_mend_a_gpu_on_which_the_engine_fell_back_or_whose_memory_creeps(
    store: Store, served: Callable[..., Served]
) -> None:
    device, *ailing = told(store, served, {"fell back": "attention flash -> torch", "memory creeps": "2.0 GiB more"})
    assert device.ok
    assert [finding.ok for finding in ailing] == [False, False]
    assert "attention flash -> torch" in ailing[0].says
    assert "docs/gpu.md" in ailing[0].says
    assert "restart this worker" in ailing[1].says

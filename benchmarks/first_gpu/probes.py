"""Which probes there are, in the order in which they are asked: first what the others rest on, then what is missed
most where time runs out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """A question. `run` is `module:function`; the function gets a Bench and yields rows. It is imported where it runs,
    so that a package which is missing costs the answers that need it and no others."""

    name: str
    run: str
    seconds: float  # for it to answer, at most
    apart: bool = False  # in a process of its own: it may break the device's context, or be slowed by our threads


def _here(name: str, place: str, seconds: float, *, apart: bool = False) -> Probe:
    return Probe(name, f"benchmarks.first_gpu.{place}", seconds, apart)


PROBES = (
    _here("machine", "machine:facts", 30),
    _here("attention", "machine:attentions", 40),
    _here("ceilings", "ceilings:measure", 40),
    _here("engine 2", "backlog:version_2", 180),
    _here("company", "company:alone_and_together", 60),
    _here("memory", "memory:drains", 60),
    _here("trace", "trace:profile", 45),
    _here("decode", "decode:steps", 90),
    _here("beside", "decode:beside_a_flow", 60),
    _here("flow", "acoustics:flow", 60),
    _here("vocoder", "acoustics:vocoder", 60),
    _here("precision", "precision:against_fp32", 60),
    _here("infer 2", "backlog:infer_2", 90, apart=True),
    _here("engine 2.5", "backlog:version_25", 150, apart=True),
    _here("infer 2.5", "backlog:infer_25", 90, apart=True),
    _here("suites", "suites:on_the_device", 120),
    _here("out of memory", "faults:out_of_memory", 60, apart=True),
    _here("device assert", "faults:device_assert", 60, apart=True),
    _here("kill", "faults:kill", 60, apart=True),
)

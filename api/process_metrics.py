"""What one API process counts of itself, beside the farm's own counters in the store.

With several API processes behind one address, a scrape shows the one that answers; let Prometheus scrape each.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector


class ProcessMetrics:
    problems_are = "Requests that this API process refused or could not serve."
    listeners_are = "Event streams that are open in this API process."

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._problems = Counter("farm_problems", self.problems_are, ["status", "code"], registry=self.registry)
        self.listeners = Gauge("farm_event_listeners", self.listeners_are, registry=self.registry)

    def count_problem(self, status: int, code: str) -> None:
        """`code` is one of the farm's own, never a word of the client."""
        self._problems.labels(str(status), code).inc()

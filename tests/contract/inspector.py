"""One run of schemathesis against a farm: every operation of its OpenAPI document, in all phases and with all checks.

The requests are those of ann. Carl has a key too, and is her peer: what she could read, he tries to read.

python -m tests.contract.inspector [examples] [seed]      starts a farm, prints schemathesis's own report
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from farm.embedded.supervisor import Local
from farm.quota import NO_LIMIT
from farm.store import Store, quotas, registry
from tests.patience import patient

ANN, CARL = "farm_ann", "farm_carl"
PHASES = ("examples", "coverage", "fuzzing", "stateful")
_ROOT = Path(__file__).parents[2]
# A request may wait 60 s for the end of a job, and how soon an answer comes is not asked here: machines are busy. A
# stream has no end; its first event is its answer. The clip of a sentence that two jobs say goes with the first of them
# that is deleted: 410.
_SETTINGS = """
request-timeout = 70
max-stream-events = 1

[auth.wfc]
path = "wfc.yaml"
user = "ann"
peers = ["ann", "carl"]

[[operations]]
include-path-regex = "/events$"
request-timeout = 30

[[operations]]
include-path-regex = "/segments/[{]index[}]/audio$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "410", "429", "5xx"]
"""
# Variants that the short form leaves out. The first operation has 2,066, of its parameters, which are JSON: 19 s for
# the 972 that are right. The second has the body of POST /v1/jobs and a process for each answer: 131 s for the 509 that
# are right. The third has the body of PATCH, where those that are wrong are tried; 7 s for the others.
_SHORT = """
[[operations]]
include-name = "POST /v1/batches"
phases.coverage.enabled = false

[[operations]]
include-name = "POST /v1/preview"
phases.coverage.enabled = false

[[operations]]
include-name = "POST /v1/jobs/{job_id}/preview"
phases.coverage.generation.mode = "positive"
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run tells at its end."""

    report: dict[str, Any]  # schemathesis's JSON
    said: str  # its words, with a command for each failure

    @property
    def cases(self) -> int:
        return int(self.report["test_cases"]["generated"])

    @property
    def failures(self) -> int:
        return int(self.report["test_cases"]["unique_failures"])

    @property
    def errors(self) -> list[Any]:
        return list(self.report["errors"])


@contextmanager
def farm_with_keys(folder: Path) -> Iterator[Local]:
    """Every process of it is real. Both operate it, so that no route is closed to them. They write as often as they
    like, because else their quota would answer most requests."""
    allow = {"FARM_WEBHOOK_ALLOW": "127.0.0.1/32"}
    with Local(folder, environment=allow) as farm, closing(Store.connect(farm.redis_url)) as store:
        for key, name in ((ANN, "ann"), (CARL, "carl")):
            digest = hashlib.sha256(key.encode()).hexdigest()
            assert store.run(registry.put_key(digest, name, name, operator=True))
            store.run(quotas.limit(name, {"requests": NO_LIMIT}))
        yield farm


def inspect(url: str, folder: Path, *, examples: int, seed: int, short: bool = False) -> Findings:
    """`examples` are those of each operation and phase; `short` leaves half of the requests out. `folder` takes the
    settings and the report."""
    report = folder / "report.json"
    (folder / "wfc.yaml").write_text(json.dumps({"auth": [_user("ann", ANN), _user("carl", CARL)]}))  # YAML holds JSON
    (folder / "schemathesis.toml").write_text(_SETTINGS + (_SHORT if short else ""))
    (card,) = httpx.get(f"{url}/v1/models", headers=_bearer(ANN), trust_env=False).json()["data"]
    book = {"file": ("book.md", b"# One\n\nOnce upon a time.\n")}
    document = httpx.post(f"{url}/v1/documents", files=book, headers=_bearer(ANN), timeout=patient(60), trust_env=False)
    ended = subprocess.run(
        (
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "schemathesis.toml"), "run",
            f"{url}/openapi.json", "--phases", ",".join(PHASES), "--checks", "all", "--max-examples", str(examples),
            "--seed", str(seed), "--workers", "2", "--max-response-time", "600", "--continue-on-failure",
            "--generation-database", "none", "--report", "json", "--report-json-path", str(report), "--no-color",
        ),
        cwd=folder, capture_output=True, text=True,
        env=os.environ | {
            "PYTHONPATH": str(_ROOT), "SCHEMATHESIS_HOOKS": "tests.contract.hooks", "NO_PROXY": "*",
            "CONTRACT_CARD": json.dumps(card), "CONTRACT_DOCUMENT": document.json()["id"],
        },
    )  # fmt: skip
    said = ended.stdout + ended.stderr
    if not report.exists():
        raise RuntimeError(f"schemathesis ended with {ended.returncode}:\n{said}")
    return Findings(json.loads(report.read_text()), said)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _user(name: str, key: str) -> dict[str, Any]:
    return {"name": name, "fixedHeaders": [{"name": field, "value": said} for field, said in _bearer(key).items()]}


def main() -> None:
    examples, seed = (int(word) for word in (*sys.argv[1:3], *("10", "1")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder, farm_with_keys(Path(folder) / "farm") as farm:
        found = inspect(farm.url, Path(folder), examples=examples, seed=seed, short=examples == 1)
    print(found.said)  # noqa: T201
    print(json.dumps(found.report["test_cases"]))  # noqa: T201


if __name__ == "__main__":
    main()

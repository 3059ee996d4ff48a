"""What the API does is what its OpenAPI document says, of every operation. CONTRACT=full takes long."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from farm.embedded.supervisor import Local
from tests.contract.inspector import inspect

FULL = os.environ.get("CONTRACT") == "full"


def test_the_api_does_what_its_document_says(farm: Local, tmp_path: Path) -> None:
    """Among much else: a request that follows the document is accepted, one that does not is refused, every answer has
    a declared shape, no key of another tenant opens anything, and what was deleted is gone."""
    seed = secrets.randbits(32) if FULL else 1
    found = inspect(farm.url, tmp_path, examples=25 if FULL else 1, seed=seed, short=not FULL)
    assert (found.failures, found.errors) == (0, []), found.said
    operations = found.report["operations"]
    assert operations["tested"] == operations["total"] > 40, found.said
    assert {name for name, phase in found.report["phases"].items() if phase["status"] == "skip"} == set(), found.said

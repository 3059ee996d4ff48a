"""What `make audit` says of pip-audit's reports; the reports are of its version 2.10."""

from __future__ import annotations

from typing import Any

from tests.audit import verdict

GOOD: dict[str, Any] = {"name": "anyio", "version": "4.16.0", "vulns": []}
WEAK = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": []}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found and could not be audited: ours (1)"}


def test_a_weakness_is_named_with_the_release_that_mends_it_and_fails() -> None:
    found = verdict({"dependencies": [GOOD, WEAK, UNKNOWN, UNKNOWN, UNKNOWN]}, "Found 1 known vulnerability")
    assert (found.words, found.status) == ("old 1.0: PYSEC-2026-1, mended in 1.1", 1)


def test_packages_that_nobody_knows_are_named() -> None:
    found = verdict({"dependencies": [GOOD, GOOD, UNKNOWN]}, "")
    assert (found.words, found.status) == ("2 packages without a known weakness; not looked at: ours", 0)


def test_advisories_that_can_not_be_read_are_no_good_news() -> None:
    for report, said in (
        ({"dependencies": [UNKNOWN, UNKNOWN, GOOD]}, "No known vulnerabilities found"),
        (None, "Traceback\nServiceError: Connection refused"),
        (None, ""),
        ({"dependencies": []}, ""),
    ):
        found = verdict(report, said)
        assert found.words.startswith("NOT RUN: make audit: the published advisories can't be read: "), found
        assert found.status == 0

"""Warnings of engines: their codes are documented, and their stored form stays as it is."""

from __future__ import annotations

import re
from pathlib import Path

from worker.engine import Notice, NoticeCode

SPEECH = Path(__file__).parents[2] / "docs" / "speech.md"


def test_the_docs_list_every_code_and_no_other() -> None:
    section = SPEECH.read_text("utf-8").partition("## Warnings")[2]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(NoticeCode)


def test_a_warning_is_stored_as_its_code_a_colon_and_a_sentence() -> None:
    assert str(Notice(NoticeCode.CODE_LIMIT, "cut off")) == "code_limit: cut off"
    assert str(Notice("too_quiet", "nobody hears it")) == "too_quiet: nobody hears it"

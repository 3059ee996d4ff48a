"""Rows of a stored manifest: the same as in the whole of it, and found with few and small reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.manifest_head import manifest_head
from api.manifest_rows import manifest_rows
from farm.errors import ObjectMissing
from farm.storage import LocalStorage

KEY = "results/job_a/run/manifest.json"


class Noted(LocalStorage):
    """Counts the bytes of every read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[int] = []

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().get(key, start, length)
        self.reads.append(len(data))
        return data


def row(index: int, text: str) -> dict[str, Any]:
    return {"index": index, "chapter": 0, "text": text, "cues": [{"start": 1}]}


def written(storage: LocalStorage, texts: list[str], chapters: int = 1, **form: Any) -> list[dict[str, Any]]:
    rows = [row(index, text) for index, text in enumerate(texts)]
    head = {"job": "job_a", "chapters": [{"title": f"Chapter {n}", "first_segment": 0} for n in range(chapters)]}
    storage.put(KEY, json.dumps({**head, "segments": rows}, **form).encode())
    return rows


TEXTS = {
    "none": [],
    "one": ["One."],
    "few": ["One.", "Two."],
    "many": [f"Sentence {n}. " * (n % 20) for n in range(3_000)],
    "wide": ["《河边的小茶馆》" * 300 for _ in range(90)],
    "like rows": ['{"index": 7, "text": "no"}', '\n   "index": 4,', "{", '\\{"index": 1,', "]}"] * 500,
}


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("chapters", [1, 2_000])
@pytest.mark.parametrize("form", [{"ensure_ascii": False, "indent": 1}, {"separators": (",", ":")}])
def test_the_rows_are_those_of_the_whole_manifest(
    tmp_path: Path, texts: str, chapters: int, form: dict[str, Any]
) -> None:
    storage = LocalStorage(tmp_path)
    rows = written(storage, TEXTS[texts], chapters, **form)
    count = len(rows)
    for first in {0, 1, 77, count // 2, max(0, count - 1), count, count + 5}:
        for limit in (1, 2, 1_000):
            assert manifest_rows(storage, KEY, first, limit) == rows[first : first + limit], (first, limit)


def test_one_row_of_a_long_book_takes_a_small_part_of_its_manifest(tmp_path: Path) -> None:
    storage = Noted(tmp_path)
    rows = written(storage, ["A sentence of some words, as they are. " * 4] * 40_000, indent=1)
    for first in (0, 20_000, 39_999):
        storage.reads.clear()
        assert manifest_rows(storage, KEY, first, 1) == rows[first : first + 1]
        assert sum(storage.reads) < 1_000_000
        assert len(storage.reads) < 15


def test_a_manifest_that_is_gone_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        manifest_rows(LocalStorage(tmp_path), KEY, 0, 1)


# --- the head ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("chapters", [1, 2_000])
@pytest.mark.parametrize("form", [{"ensure_ascii": False, "indent": 1}, {"separators": (",", ":")}])
def test_the_head_is_the_manifest_without_its_rows(
    tmp_path: Path, texts: str, chapters: int, form: dict[str, Any]
) -> None:
    storage = LocalStorage(tmp_path)
    written(storage, TEXTS[texts], chapters, **form)
    assert manifest_head(storage, KEY) == {**json.loads(storage.get(KEY)), "segments": []}


def test_what_looks_like_the_beginning_of_the_rows_does_not_end_the_head(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    told = {"chapters": [{"title": '\n "segments": [', "segments": [1]}], "segments": [row(0, "One.")]}
    storage.put(KEY, json.dumps(told, indent=1).encode())
    assert manifest_head(storage, KEY) == {**told, "segments": []}


def test_the_head_of_a_long_book_takes_a_small_part_of_its_manifest(tmp_path: Path) -> None:
    storage = Noted(tmp_path)
    written(storage, ["A sentence of some words, as they are. " * 4] * 40_000, indent=1)
    manifest_head(storage, KEY)
    assert sum(storage.reads) < 1_000_000

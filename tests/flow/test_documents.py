"""Documents are read in a process of their own, which has limits that the desk outlives."""

from __future__ import annotations

import pytest

from farm.documents.tree import Document
from farm.errors import BadInput
from tests.pure.book import PNG, epub, page
from worker.desk.document_process import read_apart

ELEMENTS = b"<p>" + b"<b>a</b>" * 1_500_000


def test_a_book_comes_back_as_its_tree_its_view_and_its_cover() -> None:
    files = read_apart(epub({"a.xhtml": page("<p>Yes.</p>")}, cover=PNG), "a.epub", None, lambda: None)
    assert Document.unpack(files.tree, files.cover).chapters[0].blocks[0].text == "Yes."
    assert (files.cover, files.cover_type) == (PNG, "image/png")
    assert b'"first_words":"Yes."' in files.view


@pytest.mark.parametrize("limits", [{"memory_bytes": 128 << 20}, {"cpu_s": 1}], ids=["memory", "time"])
def test_a_document_is_refused_that_takes_too_much(limits: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=r"memory|processor|longer") as refused:
        read_apart(ELEMENTS, "a.html", None, lambda: None, **limits)
    assert refused.value.code == "unreadable"


def test_a_document_that_is_no_longer_wanted_ends_its_process() -> None:
    class Gone(Exception):
        pass

    def check() -> None:
        raise Gone

    with pytest.raises(Gone):
        read_apart(ELEMENTS, "a.html", None, check)

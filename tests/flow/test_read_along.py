"""Read-along books, from a job to its storage: what they hold, and that they mark a sentence when it is heard."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from lxml import etree

from farm.audio_formats import BOOK_FORMATS
from farm.layout import result_prefix
from tests.flow.house import House, Unwell
from tests.flow.test_subtitles import FIRST, Clicking, heard_at

CHAPTERS = [
    {"title": "Morning", "input": "Morning\n\nIt rained all day. Nobody <came> & went.\n\n* * *\n\nShe left at noon."},
    {"title": "", "input": "It rained again.\n\nHe stayed."},
]


@dataclass(frozen=True)
class Par:
    """What a read-along marks, and the stretch of audio that is heard then, in milliseconds."""

    text: str
    audio: str
    begin_ms: int
    end_ms: int


class Book:
    """A read-along as a reader opens it."""

    def __init__(self, data: bytes) -> None:
        self.zip = zipfile.ZipFile(io.BytesIO(data))
        self.package_path = next(name for name in self.zip.namelist() if name.endswith(".opf"))
        self.package = self.tree(self.package_path)

    def tree(self, name: str) -> Any:
        return etree.fromstring(self.zip.read(name))

    def path(self, base: str, href: str) -> str:
        return str((Path("/") / base).parent.joinpath(href).resolve().relative_to("/"))

    def metas(self, name: str) -> dict[str | None, str]:
        """What each element of metadata says, by what it refines."""
        found = self.package.iterfind(".//{*}meta")
        return {each.get("refines"): each.text for each in found if each.get("property") == name}

    def overlays(self) -> Iterator[tuple[str, list[Par]]]:
        """(id of a SMIL file, what it marks), in the order of reading."""
        items = {each.get("id"): each for each in self.package.iterfind(".//{*}item")}
        for ref in self.package.iterfind(".//{*}itemref"):
            page = items[ref.get("idref")]
            if page.get("media-overlay"):
                overlay = items[page.get("media-overlay")]
                yield overlay.get("id"), list(self._pars(self.path(self.package_path, overlay.get("href"))))

    def pars(self) -> list[Par]:
        return [par for _, pars in self.overlays() for par in pars]

    def text(self, name: str) -> str:
        return "".join(self.tree(name).find("{*}body").itertext())

    def _pars(self, smil: str) -> Iterator[Par]:
        pages: dict[str, Any] = {}
        for par in self.tree(smil).iter("{*}par"):
            path, _, id = par.find("{*}text").get("src").partition("#")
            page = pages.setdefault(path, self.tree(self.path(smil, path)))
            (marked,) = page.xpath("//*[@id=$id]", id=id)
            audio = par.find("{*}audio")
            begin, end = (milliseconds(audio.get(name)) for name in ("clipBegin", "clipEnd"))
            yield Par("".join(marked.itertext()), self.path(smil, audio.get("src")), begin, end)


def milliseconds(clock: str) -> int:
    seconds, thousandths = clock.removesuffix("s").split(".")
    return int(seconds) * 1000 + int(thousandths)


def asked(house: House, format: str = "mp3", **fields: Any) -> str:
    output = {"format": format, "also": ["epub"], **fields.pop("output", {})}
    return house.submit(**{"chapters": CHAPTERS, **fields}, output=output)


def manifest(house: House, job: str) -> dict[str, Any]:
    return dict(json.loads(house.storage.get(house.outcome(job).manifest_key)))


def book(house: House, job: str) -> Book:
    return Book(house.storage.get(house.outcome(job).also["epub"]))


def test_a_book_of_a_text_marks_every_sentence_while_it_is_heard(house: House) -> None:
    job = asked(house, metadata={"title": "A Day & a Night", "narrator": "N. N.", "author": "A. B."})
    house.finish()
    read, told = book(house, job), manifest(house, job)
    assert [par.text for par in read.pars()] == [
        "Morning", "It rained all day.", "Nobody <came> & went.", "She left at noon.", "It rained again.", "He stayed."
    ]  # fmt: skip
    totals = read.metas("media:duration")
    for id, pars in read.overlays():
        assert milliseconds(totals[f"#{id}"]) == sum(par.end_ms - par.begin_ms for par in pars)
    whole = milliseconds(totals.pop(None))
    assert whole == sum(map(milliseconds, totals.values())) == round(told["duration_seconds"] * 1000)
    assert read.metas("media:narrator") == {None: "N. N."}
    assert read.metas("media:active-class")[None] in read.zip.read("EPUB/style.css").decode()
    first = read.zip.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
    data = house.storage.get(house.outcome(job).also["epub"])
    assert told["also"]["epub"] == {
        "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "book": "plain",
        "times": "estimated", "marked": 6, "unmarked": 0,
    }  # fmt: skip


def test_a_book_of_a_text_shows_all_of_it_as_it_was_written(house: House) -> None:
    job = asked(house)
    house.finish()
    read = book(house, job)
    first, second = (read.text(f"EPUB/chapter-000{number}.xhtml") for number in (1, 2))
    assert first.split() == CHAPTERS[0]["input"].split()
    assert second.split() == CHAPTERS[1]["input"].split()
    assert read.text("EPUB/nav.xhtml").split("\n")[3:5] == ["Morning", "Chapter 2"]


@pytest.mark.parametrize("format", sorted(BOOK_FORMATS))
def test_a_book_says_to_the_millisecond_when_a_sentence_is_heard(house: House, format: str, tmp_path: Path) -> None:
    """Each segment is silent but for clicks at its two ends, which are looked for in the audio of the book."""
    job = asked(house, format, output={"pause_ms": {"before_chapter": 300}})
    house.desk.drain()
    house.renderer(Clicking(house.engine)).drain()  # type: ignore[arg-type]
    house.desk.drain()
    read, rows = book(house, job), manifest(house, job)["segments"]
    begins = [par for par in read.pars() if not par.text.startswith("Nobody")]  # which ends a segment
    for par, row in zip(begins, rows, strict=True):
        target = tmp_path / Path(par.audio).name
        target.write_bytes(read.zip.read(par.audio))
        sound, rate = heard_at(target, format)
        for place, click in ((par.begin_ms, FIRST), (par.begin_ms + row["duration_ms"], -FIRST)):
            expected = place * rate // 1000 + round(click * rate / house.engine.card.sample_rate)
            near = sound[max(0, expected - 200) : expected + 200]
            assert abs(int(np.argmax(np.abs(near))) + max(0, expected - 200) - expected) <= 1 + rate // 1000


def test_a_sentence_that_failed_stays_in_the_book_unmarked(house: House) -> None:
    job = asked(house, on_error="skip")
    house.desk.drain()
    house.renderer(Unwell(house.engine, "Nobody")).drain()  # type: ignore[arg-type]
    house.desk.drain()
    read = book(house, job)
    assert "Nobody <came> & went." not in [par.text for par in read.pars()]
    assert "Nobody <came> & went." in read.text("EPUB/chapter-0001.xhtml")


def test_of_markup_a_book_shows_the_words_alone(house: House) -> None:
    text = "[rate:0.9]One. [pause:1s]Two.\n\nThree.[/rate]"
    job = house.submit(input=text, markup="tags", output={"format": "mp3", "also": ["epub"]})
    house.finish()
    read = book(house, job)
    assert [par.text for par in read.pars()] == ["One.", "Two.", "Three."]
    page = read.tree("EPUB/chapter-0001.xhtml")
    assert ["".join(each.itertext()) for each in page.iter("{*}p")] == ["One. Two.", "Three."]


def test_files_of_chapters_are_delivered_only_where_the_job_asks_for_them(house: House) -> None:
    job = asked(house)
    house.finish()
    run = house.outcome(job).manifest_key.removesuffix("manifest.json")
    stored = sorted(found.key.removeprefix(run) for found in house.storage.list(result_prefix(job)))
    assert stored == ["audio.mp3", "manifest.json", "readalong.epub"]
    assert not any("file" in chapter for chapter in manifest(house, job)["chapters"])


def test_the_book_has_an_address_and_stands_in_the_archive(house: House, api: httpx.Client) -> None:
    job = api.post("/v1/jobs", json={"input": "One.", "output": {"also": ["epub"]}}).json()["id"]
    house.finish()
    told = api.get(api.get(f"/v1/jobs/{job}").json()["result"]["also"]["epub"])
    assert (told.status_code, told.headers["content-type"]) == (200, "application/epub+zip")
    assert [par.text for par in Book(told.content).pars()] == ["One."]
    with zipfile.ZipFile(io.BytesIO(api.get(f"/v1/jobs/{job}/archive.zip").content)) as archive:
        assert archive.read(f"{job}/{job}.epub") == told.content

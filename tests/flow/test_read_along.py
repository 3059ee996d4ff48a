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
from tests.flow.test_documents import uploaded
from tests.flow.test_subtitles import FIRST, Clicking, heard_at
from tests.pure.book import docx, epub, nav, ncx, p, page, zipped
from worker.readalong.overlay import Heard
from worker.readalong.source_book import Narration, Unfit
from worker.readalong.source_process import write_apart

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
        "times": "estimated", "marked": 6, "unmarked": 0, "note": "the job has no document",
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


# --- the document of a job --------------------------------------------------------------------------------------------

PAGES = {
    "cover page.xhtml": page('<div epub:type="titlepage"><h1>The Lighthouse</h1></div>'),
    "one.xhtml": page(
        '<h1 id="c1">The Lamp</h1><p class="first">It <em>burned</em> <a href="two.xhtml#c2">a lot</a>. Nobody '
        '<b>came. She</b> left.<a epub:type="noteref" href="#n1">1</a></p><table><tr><td>Not said</td></tr></table>'
        '<aside epub:type="footnote" id="n1">A note.</aside><p>He stayed&#160;on.</p>'
    ),
    "two.xhtml": page('<section id="readalong-s0"><h1 id="c2">The Storm</h1><ol><li>Go.</li></ol><p></p></section>'),
}
CONTENTS = nav(("The Lamp", "one.xhtml"), ("The Storm", "two.xhtml"))


def narrated(house: House, api: httpx.Client, data: bytes, name: str = "a.epub") -> str:
    """A job of a document, done."""
    document = uploaded(house, 1, data, name)
    house.desk.drain()
    said = {"document": {"id": document}, "output": {"also": ["epub"]}}
    job = str(api.post("/v1/jobs", json=said).json()["id"])
    house.finish()
    return job


def test_the_book_of_a_document_is_the_document_with_its_sentences_marked(house: House, api: httpx.Client) -> None:
    source = epub(PAGES, contents=CONTENTS, more={"OEBPS/style.css": "p { margin: 0 }"})
    job = narrated(house, api, source)
    read, told, before = book(house, job), manifest(house, job), Book(source)
    assert [par.text for par in read.pars()] == [
        "The Lamp", "It burned a lot.", "Nobody", "came.", "She", "left.", "He stayed\xa0on.", "The Storm", "Go."
    ]  # fmt: skip
    for name in PAGES:
        assert read.text(f"OEBPS/{name}") == before.text(f"OEBPS/{name}")
    for name in ("style.css", "cover page.xhtml"):
        assert read.zip.read(f"OEBPS/{name}") == before.zip.read(f"OEBPS/{name}")
    known = told["also"]["epub"]
    assert (known["book"], known["note"], known["marked"], known["unmarked"]) == ("source", "", 7, 1)  # "Table."
    begins = {par.text: par.begin_ms for par in read.pars()}
    exact = [row for row in told["segments"] if row["text"] in begins]
    assert [row["text"] for row in exact] == ["The Lamp", "He stayed\xa0on.", "The Storm"]
    for row in exact:
        assert begins[row["text"]] == row["offset_ms"] - told["chapters"][row["chapter"]]["offset_ms"]
    totals = read.metas("media:duration")
    for id, pars in read.overlays():
        assert milliseconds(totals[f"#{id}"]) == sum(par.end_ms - par.begin_ms for par in pars)
    assert milliseconds(totals[None]) == sum(milliseconds(each) for id, each in totals.items() if id)
    assert [*read.metas("media:active-class").values()] == ["readalong-active"]


def old(data: bytes) -> bytes:
    return zipped({name: text.replace(b'version="3.0"', b'version="2.0"') for name, text in unzipped(data).items()})


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


BROKEN = {"one.xhtml": page("<p>It rained.<br></p>")}


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        (old(epub(PAGES, toc_ncx=ncx(("The Lamp", "one.xhtml")))), "a.epub", "the document is EPUB 2"),
        (docx(p("It rained.")), "a.docx", "the document is no EPUB"),
        (b"It rained.", "a.txt", "the document is no EPUB"),
        (epub(BROKEN), "a.epub", "none of its sentences were found"),
        (epub(PAGES, more={"OEBPS/a.png": bytes(12_000_000)}), "a.epub", "OEBPS/a.png in the archive unpacks to"),
    ],
)
def test_a_document_that_can_not_be_read_along_gives_a_plain_book_and_the_manifest_says_why(
    house: House, api: httpx.Client, data: bytes, name: str, why: str
) -> None:
    job = narrated(house, api, data, name)
    told = manifest(house, job)["also"]["epub"]
    assert (told["book"], told["note"].startswith(why), told["unmarked"]) == ("plain", True, 0)
    assert len(book(house, job).pars()) == told["marked"]


def test_a_document_that_is_gone_gives_a_plain_book(house: House, api: httpx.Client) -> None:
    document = uploaded(house, 1, epub(PAGES, contents=CONTENTS))
    house.desk.drain()
    job = api.post("/v1/jobs", json={"document": {"id": document}, "output": {"also": ["epub"]}}).json()["id"]
    assert api.delete(f"/v1/documents/{document}").status_code == 204
    house.finish()
    told = manifest(house, job)["also"]["epub"]
    assert (told["book"], told["note"].startswith("the document was deleted")) == ("plain", True)


def test_an_edited_sentence_is_heard_with_the_one_before_it_and_another_text_has_a_plain_book(
    house: House, api: httpx.Client
) -> None:
    job = narrated(house, api, epub(PAGES, contents=CONTENTS))
    rows = manifest(house, job)["segments"]
    index = next(row["index"] for row in rows if row["text"].startswith("He stayed"))
    edit = {"segments": [{"index": index, "text": "Nothing more was heard of him."}]}
    assert api.patch(f"/v1/jobs/{job}", json=edit).status_code == 202
    house.finish()
    read, told = book(house, job), manifest(house, job)
    known = told["also"]["epub"]
    assert (known["book"], known["marked"], known["unmarked"]) == ("source", 6, 2)
    before = next(par for par in read.pars() if par.text == "left.")
    assert before.end_ms >= told["segments"][index]["offset_ms"] + told["segments"][index]["duration_ms"]
    assert read.text("OEBPS/one.xhtml") == Book(epub(PAGES, contents=CONTENTS)).text("OEBPS/one.xhtml")
    assert api.patch(f"/v1/jobs/{job}", json={"input": "Another text."}).status_code == 202
    house.finish()
    assert [par.text for par in book(house, job).pars()] == ["Another text."]


@pytest.mark.parametrize("limits", [{"memory_bytes": 96 << 20}, {"cpu_s": 1}], ids=["memory", "time"])
def test_a_book_that_takes_too_much_ends_its_process_alone(limits: dict[str, int], tmp_path: Path) -> None:
    source = tmp_path / "source.epub"
    source.write_bytes(epub({"a.xhtml": page("<p>" + "<b>a</b> " * 500_000 + "</p>")}))
    narration = Narration("N. N.", "2026-11-29T00:00:00Z", ".mp3", "audio/mpeg", {0: source})
    with pytest.raises(Unfit, match=r"memory|processor"):
        write_apart(
            tmp_path / "target.epub", source, narration, [Heard(0, 0, 0, "", "a", 0, 9)], lambda: None, **limits
        )


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


def test_a_chapter_that_an_edit_has_left_out_is_not_in_the_plain_book(house: House, api: httpx.Client) -> None:
    job = api.post("/v1/jobs", json={"chapters": CHAPTERS, "output": {"also": ["epub"]}}).json()["id"]
    house.finish()
    assert api.patch(f"/v1/jobs/{job}", json={"left_out": [0]}).status_code == 202
    house.finish()
    assert [par.text for par in book(house, job).pars()] == ["It rained again.", "He stayed."]

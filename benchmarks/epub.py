"""What the farm costs for an audiobook: an EPUB into an M4B with its cover, chapters, a gain and a file for each, and
subtitles. Wall clock of the embedded farm, from the upload to the result, against one plain process that makes the same
files: it reads the book, speaks it, measures and encodes each chapter once, and writes its packets into both files.

    python -m benchmarks.epub [--characters 1000000] [--chapters 20]          goal: ratio <= 0.85 on two cores
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from benchmarks.revision import chapters
from examples.book.make import cover
from farm.client import Farm
from farm.cutting import Part
from farm.embedded.supervisor import Local
from farm.planning import segments
from farm.segment import Recipe, Segment, firsts
from farm.sound.flac import from_pcm, to_pcm
from farm.sound.timeline import Piece, Timeline
from farm.wire import Chapter, DocumentChoice, JobRequest, Output
from worker.desk.passage import Passage
from worker.engines.espeak.engine import Espeak

GOAL = 0.85
OUTPUT = Output(format="m4b", loudness_lufs=-20, loudness_per="chapter", per_chapter=True, subtitles=["vtt"])
_CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
_PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
    '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">lamp</dc:identifier>'
    "<dc:title>The Lamp</dc:title><dc:creator>N. N.</dc:creator><dc:language>en</dc:language></metadata><manifest>"
    '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    '<item id="cover" href="cover.png" media-type="image/png" properties="cover-image"/>{items}</manifest>'
    "<spine>{spine}</spine></package>"
)
_PAGE = '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>{}</body></html>'


def epub(parts: Sequence[Chapter]) -> bytes:
    names = [f"c{number}" for number in range(len(parts))]
    contents = "".join(
        f'<li><a href="{name}.xhtml">{escape(part.title or "")}</a></li>'
        for name, part in zip(names, parts, strict=True)
    )
    items = "".join(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in names)
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", _CONTAINER)
        archive.writestr("book.opf", _PACKAGE.format(items=items, spine=spine))
        archive.writestr("nav.xhtml", _PAGE.format(f'<nav epub:type="toc"><ol>{contents}</ol></nav>'))
        archive.writestr("cover.png", cover())
        for name, part in zip(names, parts, strict=True):
            text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in part.input.split("\n\n"))
            archive.writestr(f"{name}.xhtml", _PAGE.format(f"<h1>{escape(part.title or '')}</h1>{text}"))
    return file.getvalue()


def plain(data: bytes, folder: Path) -> tuple[float, float]:
    """Seconds of one process, and of the audio that it made."""
    from api.book import chosen
    from farm.documents.reader import read_document
    from worker.desk.binding import Binder
    from worker.desk.book import Book, read_cover
    from worker.desk.subtitles import Cue, Subtitles

    engine = Espeak()
    card = engine.card
    language, rate = card.languages["en"], card.sample_rate
    started = time.perf_counter()
    document = read_document(data, "book.epub")
    read = chosen(document, DocumentChoice(id=f"doc_{'0' * 26}"))
    voice = language.voice or ""
    parts = [Part(part.title or "", part.input, voice, headings=frozenset(part.headings)) for part in read]
    recipe = Recipe("default", card.name, card.revision, "en")
    rows = list(segments(parts, recipe, language.max_characters, OUTPUT.pause_ms))
    titles = [(parts[chapter].title, first) for chapter, first in firsts(rows).items()]
    assert document.metadata.cover is not None
    book = Book({"title": document.metadata.title}, titles, read_cover(document.metadata.cover.data), len(parts))
    made = Binder(folder / "whole.m4b", OUTPUT, rate).bind(passages(engine, rows), book, lambda: None)
    spans = zip(rows, made.spans, strict=True)
    cues = [
        Cue(
            made.milliseconds(span.start), made.milliseconds(span.start + span.frames), row.text, row.index, row.chapter
        )
        for row, span in spans
    ]
    subtitles = Subtitles(cues, "en")
    starts = {each.chapter: made.milliseconds(each.start) for each in made.chapter_files}
    for number, each in {-1: subtitles, **subtitles.of_chapters(starts)}.items():
        (folder / f"{number}.vtt").write_text(each.file("vtt"))
    return time.perf_counter() - started, made.seconds


def passages(engine: Espeak, rows: Sequence[Segment]) -> Iterator[Passage]:
    """Each chapter as it is spoken, measured and encoded."""
    from farm.silences import silences
    from worker.desk.loudness import Meter
    from worker.desk.manifest import Said
    from worker.desk.mastering import gain_for
    from worker.desk.packets import CODERS
    from worker.desk.passage import finished
    from worker.desk.waveform import envelope
    from worker.engine import Clip, Speech, Utterance

    rate, speech = engine.card.sample_rate, Speech(language="en", voice=rows[0].voice)
    waiting = iter(rows)

    class Whole:
        def take(self, count: int, *, wait: bool) -> list[Utterance]:
            return [Utterance(str(row.index), row.said, speech) for row in islice(waiting, count)]

    clips = (clip for clip in engine.render(Whole()) if isinstance(clip, Clip))
    for chapter, group in groupby(rows, key=lambda row: row.chapter):
        mine = list(group)
        ends_job = mine[-1] is rows[-1]
        around = silences(mine, OUTPUT.pause_ms, begins_chapter=True, ends_job=ends_job)
        timeline, meter = Timeline(rate), Meter(rate)
        pieces = (
            Piece(to_pcm(clip.samples), each.after, each.before) for each, clip in zip(around, clips, strict=False)
        )
        pcm = np.concatenate(list(timeline.blocks(pieces)))
        meter.feed(from_pcm(pcm))
        if not ends_job:
            silent = around[-1].after * rate // 1000
            pcm = np.pad(pcm, (0, CODERS["m4b"].missing_silence(len(pcm), silent, rate)))
        levels = meter.levels()
        gain = gain_for(levels, OUTPUT)
        sound, written = finished(pcm, levels, rate, OUTPUT, lambda: None, gain=gain)
        yield Passage(
            rate, len(pcm), tuple(timeline.spans(rate)), tuple(Said() for _ in mine), levels, written, sound, gain,
            chapter, envelope(pcm, rate),
        )  # fmt: skip


def farmed(data: bytes, folder: Path) -> tuple[float, float, float]:
    """Seconds from the upload to the result, of them those after the last segment, and the seconds of audio in it."""
    (folder / "book.epub").write_bytes(data)
    with Local(folder / "data") as local, Farm(local.url) as client:
        started = time.perf_counter()
        settled = None
        document = client.add_document(folder / "book.epub")
        wanted = JobRequest(document=DocumentChoice(id=document.id), output=OUTPUT)
        for job in client.watch(client.submit(wanted).id, every=0.2):
            if settled is None and job.status not in ("queued", "running"):
                settled = time.perf_counter()
        wall = time.perf_counter() - started
        if job.result is None or settled is None:
            raise SystemExit(f"the job ended as {job.status}: {job.error}")
        return wall, wall - (settled - started), job.result.duration_seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--chapters", type=int, default=20)
    options = parser.parse_args()
    data = epub(chapters(options.characters, options.chapters))
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as alone:
        base, plain_audio = alone.apply(plain, (data, Path(folder)))
        print(f"one plain process: {base:.1f} s", flush=True)
        wall, end, audio = farmed(data, Path(folder))
    print(f"the embedded farm: {wall:.1f} s for {audio / 3600:.2f} h of audio ({audio / wall:.0f} x real time)")
    print(f"from its last settled segment to the result: {end:.1f} s, {end / wall:.3f} of that (goal <= 0.10)")
    print(f"the two differ in length by {abs(plain_audio - audio):.1f} s")
    print(f"ratio {wall / base:.2f} (goal <= {GOAL}) on {os.cpu_count()} cores, {options.characters:,} characters")
    return 0 if wall / base <= GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())

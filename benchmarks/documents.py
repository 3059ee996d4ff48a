"""Reads every document of the folders that it is given, as the desk does, and prints what came of each set.

    python -m benchmarks.documents FOLDER... [--each]

A set is a folder: all EPUBs, DOCX, PDFs and FB2 files below it. Books that lie there unpacked (a folder with
META-INF/container.xml) are packed first. Public sets: w3c/epub-tests, IDPF/epub3-samples, the books of Standard Ebooks.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from farm.errors import BadInput
from worker.desk.document_process import read_apart

_SUFFIXES = (".epub", ".docx", ".pdf", ".fb2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--each", action="store_true", help="a line for every document")
    given = parser.parse_args()
    print(
        f"{'set':24} {'read':>6} {'of':>6} {'chapters':>9} {'characters':>12} {'warnings':>9} {'seconds':>8}  refused"
    )
    for folder in given.folders:
        _tally(folder, each=given.each)


def _tally(folder: Path, *, each: bool) -> None:
    read = chapters = characters = warnings = 0
    refused: Counter[str] = Counter()
    began = time.monotonic()
    for name, data in _documents(folder):
        try:
            view = json.loads(read_apart(data, name, None, lambda: None).view)
        except BadInput as error:
            refused[error.code] += 1
            print(f"  {name}: {error.code}: {error.message}")
            continue
        read += 1
        chapters += len(view["chapters"])
        characters += view["characters"]
        warnings += len(view["warnings"])
        if each:
            print(f"  {name}: {len(view['chapters'])} chapters, {view['characters']:,} characters")
            for warning in view["warnings"]:
                print(f"    {warning}")
    total = read + refused.total()
    said = ", ".join(f"{code} {count}" for code, count in refused.most_common())
    seconds = time.monotonic() - began
    print(f"{folder.name:24} {read:6} {total:6} {chapters:9,} {characters:12,} {warnings:9,} {seconds:8.1f}  {said}")


def _documents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in _SUFFIXES:
            yield path.name, path.read_bytes()
        elif path.name == "container.xml" and path.parent.name == "META-INF":
            yield f"{path.parent.parent.name}.epub", _packed(path.parent.parent)


def _packed(book: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(book.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(book).as_posix())
    return out.getvalue()


if __name__ == "__main__":
    main()

"""What memory the reader of documents needs: python -m benchmarks.document_memory [--characters 5000000]

One book of so many characters in 2,000 chapters, as each kind of document. The process that reads it is limited to
1 GB of addresses, so a larger need would show as a refusal. Prints its peak and its seconds.

Goal: 1,000 MB.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from benchmarks.epub import epub
from benchmarks.revision import chapters
from farm.wire import MAX_CHAPTERS, Chapter

GOAL_MB = 1_000
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


def text(parts: Sequence[Chapter]) -> bytes:
    return "\n\n".join(f"{part.title}\n\n{part.input}" for part in parts).encode()


def markdown(parts: Sequence[Chapter]) -> bytes:
    return "\n\n".join(f"# {part.title}\n\n{part.input}" for part in parts).encode()


def html(parts: Sequence[Chapter]) -> bytes:
    body = "".join(f"<h1>{part.title}</h1>" + _marked(part, "p") for part in parts)
    return f"<!DOCTYPE html><html><body>{body}</body></html>".encode()


def fb2(parts: Sequence[Chapter]) -> bytes:
    body = "".join(f"<section><title><p>{part.title}</p></title>{_marked(part, 'p')}</section>" for part in parts)
    return f'<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"><body>{body}</body></FictionBook>'.encode()


def docx(parts: Sequence[Chapter]) -> bytes:
    def paragraph(said: str, style: str = "") -> str:
        named = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f"<w:p>{named}<w:r><w:t>{escape(said)}</w:t></w:r></w:p>"

    body = "".join(
        paragraph(part.title or "", "Heading1") + "".join(map(paragraph, part.input.split("\n\n"))) for part in parts
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml", '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
        )
        relation = f'<Relationship Id="r1" Type="{_OFFICE}" Target="word/document.xml"/>'
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{_RELATIONS}">{relation}</Relationships>')
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>')
    return file.getvalue()


def _marked(part: Chapter, tag: str) -> str:
    return "".join(f"<{tag}>{escape(each)}</{tag}>" for each in part.input.split("\n\n"))


KINDS: Mapping[str, Callable[[Sequence[Chapter]], bytes]] = {
    "book.epub": epub, "book.docx": docx, "book.html": html, "book.fb2": fb2, "book.md": markdown, "book.txt": text,
}  # fmt: skip


# In a process of its own, whose only child is the reader. Its peak includes that of its parent before it began, so that
# is kept small.
_READ = """
import resource, sys, time
from pathlib import Path
from farm.errors import BadInput
from worker.desk.document_process import read_apart
file, began = Path(sys.argv[1]), time.perf_counter()
try:
    came = f"{len(read_apart(file.read_bytes(), file.name, None, lambda: None).tree):,} bytes of tree"
except BadInput as error:
    came = f"refused: {error.code}: {error.message}"
peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(peak_mb, time.perf_counter() - began, came)
"""


def measured(file: Path) -> tuple[float, float, str]:
    """Megabytes, seconds, and what came of it."""
    command = [sys.executable, "-c", _READ, str(file)]
    peak, seconds, came = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(" ", 2)
    return float(peak), float(seconds), came.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=5_000_000)
    options = parser.parse_args()
    parts = chapters(options.characters, MAX_CHAPTERS)
    print(f"{options.characters:,} characters in {len(parts):,} chapters, on {os.cpu_count()} cores")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, write in KINDS.items():
            file = Path(folder) / name
            file.write_bytes(write(parts))
            peak, seconds, came = measured(file)
            worst = max(worst, peak)
            print(f"{name:10} {peak:5.0f} MB {seconds:6.1f} s  {came}", flush=True)
    print(f"at most {worst:.0f} MB (goal <= {GOAL_MB})")
    return 0 if worst <= GOAL_MB else 1


if __name__ == "__main__":
    raise SystemExit(main())

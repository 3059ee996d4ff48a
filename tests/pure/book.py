"""Small books for tests, made as they are needed."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from html import escape

CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
  <rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>"""
METADATA = "<dc:title>The Lighthouse</dc:title><dc:creator>A. Keeper</dc:creator><dc:language>en</dc:language>"
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa7\x9a\xa0\xa0\x00\x00\x00\x00IEND\xaeB`\x82"
)


def page(body: str, attributes: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml" '
        'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>t</title></head>'
        f"<body {attributes}>{body}</body></html>"
    )


def nav(*entries: tuple[str, str] | tuple[str, str, Sequence[tuple[str, str]]]) -> str:
    """(title, href) or (title, href, entries below)."""
    rows = ""
    for title, href, *below in entries:
        rows += f'<li><a href="{href}">{escape(title)}</a>'
        if below:
            rows += "<ol>" + "".join(f'<li><a href="{h}">{escape(t)}</a></li>' for t, h in below[0]) + "</ol>"
        rows += "</li>"
    return page(f'<nav epub:type="toc"><h1>Contents</h1><ol>{rows}</ol></nav>')


def ncx(*entries: tuple[str, str]) -> str:
    points = "".join(
        f'<navPoint id="n{n}"><navLabel><text>{escape(title)}</text></navLabel><content src="{href}"/></navPoint>'
        for n, (title, href) in enumerate(entries)
    )
    return f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>{points}</navMap></ncx>'


def epub(
    pages: Mapping[str, str],
    *,
    contents: str | None = None,
    toc_ncx: str | None = None,
    metadata: str = METADATA,
    spine: Sequence[str] | None = None,
    unlinear: Sequence[str] = (),
    more: Mapping[str, str | bytes] | None = None,
    types: Mapping[str, str] | None = None,
    cover: bytes | None = None,
) -> bytes:
    """`pages`: name -> XHTML, in the order of the spine, below OEBPS/."""
    kinds = types or {}
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="{kinds.get(name, "application/xhtml+xml")}"/>'
        for n, name in enumerate(pages)
    )
    places = {name: n for n, name in enumerate(pages)}
    if contents is not None:
        items += '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    if toc_ncx is not None:
        items += '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
    if cover is not None:
        items += '<item id="cover" href="cover.png" media-type="image/png" properties="cover-image"/>'
    refs = "".join(
        f'<itemref idref="{"i" + str(places[name]) if name in places else name}"'
        + (' linear="no"' if name in unlinear else "")
        + "/>"
        for name in (spine if spine is not None else pages)
    )
    toc = ' toc="ncx"' if toc_ncx is not None else ""
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{metadata}</metadata><manifest>{items}</manifest>'
        f"<spine{toc}>{refs}</spine></package>"
    )
    files: dict[str, str | bytes] = {"META-INF/container.xml": CONTAINER, "OEBPS/book.opf": package}
    files |= {f"OEBPS/{name}": text for name, text in pages.items()}
    if contents is not None:
        files["OEBPS/nav.xhtml"] = contents
    if toc_ncx is not None:
        files["OEBPS/toc.ncx"] = toc_ncx
    if cover is not None:
        files["OEBPS/cover.png"] = cover
    return zipped(files | dict(more or {}))


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def docx(
    body: str, *, notes: str = "", title: str = "", styles: str = "", chunks: Mapping[str, str | bytes] | None = None
) -> bytes:
    """`body`: paragraphs of word/document.xml, as p() makes them. `chunks`: name -> a document that `body` puts in by
    `altChunk`, whose id is that name."""
    word = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    styles += "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2)
    )
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            f'ContentType="application/xml"/><Override PartName="/word/document.xml" '
            f'ContentType="{parts}.document.main+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{kind}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">'
            f'<Relationship Id="s1" Type="{kind}/styles" Target="styles.xml"/>'
            f'<Relationship Id="f1" Type="{kind}/footnotes" Target="footnotes.xml"/>'
            + "".join(f'<Relationship Id="{one}" Type="{kind}/aFChunk" Target="/word/{one}"/>' for one in chunks or ())
            + "</Relationships>",
            "word/styles.xml": f"<w:styles {word}>{styles}</w:styles>",
            "word/footnotes.xml": f"<w:footnotes {word}>{notes}</w:footnotes>",
            "word/document.xml": f"<w:document {word}><w:body>{body}</w:body></w:document>",
            "docProps/core.xml": '<cp:coreProperties xmlns:cp="urn:c" xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<dc:title>{title}</dc:title></cp:coreProperties>",
            **{f"word/{name}": content for name, content in (chunks or {}).items()},
        }
    )


def p(text: str, style: str = "", note: str = "") -> str:
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    referred = f'<w:r><w:footnoteReference w:id="{note}"/></w:r>' if note else ""
    return f'<w:p>{styled}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>{referred}</w:p>'


Placed = tuple[float, float, float, str]  # x, y, size, text


def pdf(pages: Sequence[Sequence[Placed]], *, title: str = "") -> bytes:
    """Pages of 595 x 842 points, in Helvetica."""
    count = len(pages)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{4 + 2 * n} 0 R' for n in range(count))}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        drawn = "\n".join(f"BT /F1 {size} Tf {x} {y} Td ({_in_pdf(text)}) Tj ET" for x, y, size, text in lines)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        objects.append(_stream(drawn))
    objects.append(f"<< /Title ({_in_pdf(title)}) >>")
    return _file(objects)


def pdf_of_glyphs(lines: Sequence[tuple[float, float, float, Sequence[str]]], *, apart: bool = False) -> bytes:
    """One page: x and y of the left end, the size, and the glyphs from left to right, each with the text that it stands
    for and half as wide as high. `apart` draws glyph by glyph, from the right."""
    texts = sorted({text for *_, glyphs in lines for text in glyphs})
    drawn = []
    for x, y, size, glyphs in lines:
        codes = [f"{1 + texts.index(text):02x}" for text in glyphs]
        pieces = [(x, "".join(codes))]
        if apart:
            pieces = [(x + size / 2 * place, code) for place, code in reversed(list(enumerate(codes)))]
        drawn += [f"BT /F1 {size} Tf {at} {y} Td <{said}> Tj ET" for at, said in pieces]
    numbers = range(1, len(texts) + 1)
    said = "".join(
        f"1 beginbfchar\n<{number:02x}> <{text.encode('utf-16-be').hex()}>\nendbfchar\n"
        for number, text in zip(numbers, texts, strict=True)
    )
    return _file(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            "/Resources << /Font << /F1 5 0 R >> >> /Contents 4 0 R >>",
            _stream("\n".join(drawn)),
            "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 500 700] /FontMatrix [0.001 0 0 0.001 0 0] "
            f"/FirstChar 1 /LastChar {len(texts)} /Widths [{' '.join('500' for _ in texts)}] "
            f"/CharProcs << {' '.join(f'/g{number} 6 0 R' for number in numbers)} >> "
            f"/Encoding << /Differences [1 {' '.join(f'/g{number}' for number in numbers)}] >> /ToUnicode 7 0 R >>",
            _stream("500 0 0 0 500 700 d1 0 0 500 700 re f"),
            _stream(
                "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Letters def /CMapType 2 def\n"
                f"1 begincodespacerange <00> <ff> endcodespacerange\n{said}endcmap end end"
            ),
            "<< /Title () >>",
        ]
    )


def _stream(content: str) -> str:
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"


def _file(objects: Sequence[str]) -> bytes:
    """The last object is the title."""
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    rows = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    total = len(objects) + 1
    trailer = f"trailer << /Size {total} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {total}\n0000000000 65535 f \n{rows}{trailer}".encode("latin-1")


def broken_page(data: bytes, number: int) -> bytes:
    """The PDF with one page, counted from 0, that is none."""
    found = list(re.finditer(rb"<< /Type /Page /Parent.*?>>\nendobj", data, re.DOTALL))[number]
    return data[: found.start()] + b"null\nendobj".ljust(len(found[0])) + data[found.end() :]


def _in_pdf(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")

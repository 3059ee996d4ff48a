"""A document that stands inside a Word document, as HTML: a page, a page with its pictures (MHT), or a text."""

from __future__ import annotations

import email
import email.policy
import re
from html import escape

from farm.documents.encodings import declared_in, decode
from farm.documents.xml import Element, parse_html
from farm.errors import BadInput

_HEAD = 4096
_NAMED = re.compile(r"\.x?html?$", re.IGNORECASE)
_PAGE = re.compile(r"\s*<(?:!doctype|!--|\?xml|html|head|body|meta|div|p|h[1-6]|table|ul|ol|span)\b", re.IGNORECASE)
_XML_HEAD = re.compile(r"\s*<\?xml[^>]*\?>")


def html_of(data: bytes, name: str) -> Element | None:
    """The root of the page; None where it is RTF or the like. Raises BadInput for what is hostile."""
    head = data[:_HEAD].lstrip().lower()
    try:
        text, is_page = _mailed(data) if b"mime-version:" in head and not head.startswith(b"<") else _plain(data, name)
    except (BadInput, LookupError):
        return None
    if "\0" in text or text.startswith("{\\rtf"):
        return None
    if not is_page:
        text = "".join(f"<p>{escape(one)}</p>" for one in re.split(r"\r\n?|\n", text) if one.strip())
    try:
        return parse_html(_XML_HEAD.sub("", text, count=1), name)
    except ValueError:
        return None


def _mailed(data: bytes) -> tuple[str, bool]:
    """The text of an MHT, and whether it is a page. Raises LookupError."""
    part = email.message_from_bytes(data, policy=email.policy.default).get_body(("html", "plain"))
    if part is None:
        raise LookupError("it has no text")
    return part.get_content(), part.get_content_subtype() == "html"


def _plain(data: bytes, name: str) -> tuple[str, bool]:
    text = decode(data, name, declared=declared_in(data)).text
    return text, _NAMED.search(name) is not None or _PAGE.match(text) is not None

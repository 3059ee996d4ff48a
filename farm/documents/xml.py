"""XML and HTML of strangers: nothing outside is read, no entity grows, and depth has an end."""

from __future__ import annotations

import re
from html.entities import html5
from typing import Any

from lxml import etree, html

from farm.documents.encodings import declared_rightly, without_prologue
from farm.documents.refusals import refusal
from farm.errors import BadInput

Element = Any  # lxml has no types of its own

MAX_DEPTH = 256
_NAMED = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,31});")
_CLOSED = re.compile(r"<([A-Za-z][\w:.-]*)(\s[^<>]*)?/>")
_VOID_NAMES = "area base br col embed hr img input link meta param source track wbr"
VOID = frozenset(_VOID_NAMES.split())
_OF_XML = ("amp", "lt", "gt", "quot", "apos")
_HARMLESS = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


def parse_xml(data: bytes, name: str) -> tuple[Element, bool]:
    """The root, and whether the file was whole; a broken one is read as far as it goes. Raises BadInput for what is
    hostile, and ValueError where there is nothing to read."""
    data = _NAMED.sub(_numbered, data)
    whole = True
    try:
        root = etree.fromstring(data, etree.XMLParser(**_HARMLESS))
    except etree.XMLSyntaxError as error:
        _refuse_attacks(error, name)
        whole = False
        try:
            root = etree.fromstring(data, etree.XMLParser(recover=True, **_HARMLESS))
        except etree.XMLSyntaxError as second:
            _refuse_attacks(second, name)
            raise ValueError(str(second)) from None
    if root is None:
        raise ValueError("there is no element in it")
    _expand(root, name)
    _check_depth(root, name, MAX_DEPTH)
    return root, whole


def parse_page(data: bytes, name: str) -> tuple[Element, bool]:
    """A page of a book: its root, and whether it is sound XML. One that is not is read as browsers read HTML. Read as
    XML as far as that goes, it would lose all behind a `<br>` that nothing closes, and each `&` and `<` that stands for
    itself. Raises as parse_xml does."""
    try:
        root, whole = parse_xml(declared_rightly(data), name)
    except ValueError:
        return parse_html(_as_html(data), name), False
    if whole:
        return root, True
    try:
        return parse_html(_as_html(data), name), False
    except ValueError:
        return root, False


def parse_html(text: str, name: str) -> Element:
    """Tag soup, as browsers read it. Raises BadInput, and ValueError where there is nothing to read."""
    try:
        root = html.document_fromstring(text, parser=html.HTMLParser(no_network=True, huge_tree=False))
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        _refuse_attacks(error, name)
        raise ValueError(str(error)) from None
    _check_depth(root, name, MAX_DEPTH - 4)  # its parser goes no deeper, and leaves out what is there
    return root


def local(node: Element) -> str:
    """The name of an element without its namespace, in lower case; "" of a comment or the like."""
    tag = node.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def attribute(node: Element, name: str) -> str:
    """By its name without a namespace, because writers use several for the same; "" where there is none."""
    for key, value in node.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return ""


def _as_html(data: bytes) -> str:
    """In HTML `<title/>` opens a title, which all that follows would belong to."""
    text = without_prologue(data)
    return _CLOSED.sub(_with_both_tags, text)


def _with_both_tags(found: re.Match[str]) -> str:
    return found[0] if found[1].lower() in VOID else f"<{found[1]}{found[2] or ''}></{found[1]}>"


def _numbered(found: re.Match[bytes]) -> bytes:
    """HTML's names for characters, which a file without its DTD does not explain."""
    name = found[1].decode()
    if name in _OF_XML or f"{name};" not in html5:
        return found[0]
    return "".join(f"&#{ord(character)};" for character in html5[f"{name};"]).encode()


def _expand(root: Element, name: str) -> None:
    """Puts in what plain entities stand for. Raises BadInput for one that reads a file, or holds others."""
    dtd = root.getroottree().docinfo.internalDTD
    declared = {} if dtd is None else {entity.name: entity for entity in dtd.iterentities()}
    if any(entity.system_url or "&" in (entity.content or "") for entity in declared.values()):
        raise refusal("entities", f"{name} declares entities that read other files or hold each other; save it anew")
    for node in list(root.iter(etree.Entity)):
        entity = declared.get(node.name)
        _replace(node, (entity.content or "") if entity is not None else "")


def _replace(node: Element, text: str) -> None:
    parent, before = node.getparent(), node.getprevious()
    said = text + (node.tail or "")
    if before is not None:
        before.tail = (before.tail or "") + said
    else:
        parent.text = (parent.text or "") + said
    node.tail = None
    parent.remove(node)


def _check_depth(root: Element, name: str, most: int) -> None:
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > most:
            raise _too_deep(name)


def _refuse_attacks(error: Exception, name: str) -> None:
    said = str(error).lower()
    if "memory" in said or "unknown error" in said:  # lxml has a syntax error for a lack of memory too
        raise MemoryError(said) from None
    if "amplification" in said or "entity reference loop" in said or "entity loop" in said:
        raise refusal("entities", f"{name} has entities that grow without end; save the document anew") from None
    if "depth" in said:
        raise _too_deep(name) from None


def _too_deep(name: str) -> BadInput:
    return refusal("too_deep", f"{name} nests elements more than {MAX_DEPTH} deep, which no text does; save it anew")

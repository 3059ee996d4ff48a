"""What Word writes and mammoth leaves out, in a form that it reads: the text of a document is in all of these.

ruby                          the text that it stands above
bdo, dir                      what they hold: runs of Hebrew and Arabic
fldSimple                     what the field shows
oMath                         its signs, in one line
cr, ptab                      a line end, a tab
a page break in a paragraph   a space
a dropped capital             the beginning of the paragraph behind it
an outline level              a heading's style: `HEADING` and the level
a text box without a fallback its paragraphs
hidden text                   nothing: mammoth would show it
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from farm.characters import RAISED_DIGITS
from farm.documents.xml import Element, local

HEADING = "OutlineHeading"
_OF_WORD = re.compile(r"wordprocessingml|officeDocument/(?:2006/)?math|markup-compatibility", re.IGNORECASE)
_KEEP = "{http://www.w3.org/XML/1998/namespace}space"
_NO = ("0", "false", "off", "none")


def readable(root: Element) -> bool:
    """Puts a part of a Word document into that form. Says whether that changed it."""
    changed = False
    for node in list(root.iter()):
        mend = _MENDED.get(local(node))
        if mend is not None and _OF_WORD.search(str(node.tag)) and node.getparent() is not None:
            changed |= mend(node)
    return changed


def _unwrapped(node: Element) -> bool:
    return _replaced(node, list(node))


def _ruby(node: Element) -> bool:
    return _replaced(node, [part for base in node if local(base) == "rubybase" for part in base])


def _formula(node: Element) -> bool:
    word = next((one for one in node.iterancestors() if local(one) == "p"), None)
    if word is None:
        return False
    space = str(word.tag).rpartition("}")[0] + "}"
    run = node.makeelement(f"{space}r")
    text = run.makeelement(f"{space}t", {_KEEP: "preserve"})
    text.text = f" {' '.join(''.join(_signs(node)).split())} "
    run.append(text)
    return _replaced(node, [run])


def _signs(node: Element) -> Iterator[str]:
    """Of a formula, in the order in which they are said."""
    if local(node) == "t":
        yield node.text or ""
    for child in node:
        name = local(child)
        if name == "den":
            yield "/"
        elif name == "deg":
            continue
        elif name == "rad":
            yield "√"
        said = "".join(_signs(child))
        yield said.translate(RAISED_DIGITS) if name == "sup" and said.strip().isdecimal() else said


def _hidden(node: Element) -> bool:
    """Of the properties of a run; those of the mark of a paragraph hide nothing else."""
    said = next((value for key, value in node.attrib.items() if key.endswith("}val")), "true")
    run = node.getparent().getparent()
    return said.lower() not in _NO and local(run) == "r" and run.getparent() is not None and _replaced(run, [])


def _break(node: Element) -> bool:
    kind = next((value for key, value in node.attrib.items() if key.endswith("}type")), "")
    if kind not in ("page", "column"):
        return False
    text = node.makeelement(str(node.tag).replace("}br", "}t"), {_KEEP: "preserve"})
    text.text = " "
    return _replaced(node, [text])


def _dropped(node: Element) -> bool:
    """Of the frame of a paragraph: its letter goes to the next one."""
    paragraph = node.getparent().getparent()
    following = paragraph.getnext() if local(paragraph) == "p" else None
    if not any(key.endswith("}dropCap") and value != "none" for key, value in node.attrib.items()):
        return False
    if following is None or local(following) != "p":
        return False
    place = next((at for at, one in enumerate(following) if local(one) != "ppr"), len(following))
    following[place:place] = [one for one in paragraph if local(one) != "ppr"]
    return _replaced(paragraph, [])


def _outlined(node: Element) -> bool:
    """Of the properties of a paragraph without a style."""
    properties = node.getparent()
    level = next((value for key, value in node.attrib.items() if key.endswith("}val")), "")
    if local(properties) != "ppr" or level not in "012345" or any(local(one) == "pstyle" for one in properties):
        return False
    space = str(node.tag).rpartition("}")[0] + "}"
    properties.append(node.makeelement(f"{space}pStyle", {f"{space}val": f"{HEADING}{int(level or 0) + 1}"}))
    return True


def _alternatives(node: Element) -> bool:
    """The fallback is what mammoth reads. Where it has no text and a choice has some, that is taken."""
    fallback = [one for one in node if local(one) == "fallback"]
    choice = next((one for one in node if local(one) == "choice" and _has_text(one)), None)
    return choice is not None and not any(map(_has_text, fallback)) and _replaced(node, list(choice))


def _box(node: Element) -> bool:
    """mammoth looks for pictures alone in a drawing."""
    texts = [one for one in node.iter() if local(one) == "txbxcontent"]
    if not texts or any(local(one) == "alternatecontent" for one in node.iterancestors()):
        return False
    picture = node.makeelement(str(node.tag).replace("drawing", "pict"))
    for text in texts:
        picture.append(text)
    return _replaced(node, [picture])


def _renamed(name: str) -> Callable[[Element], bool]:
    def mend(node: Element) -> bool:
        node.tag = str(node.tag).rpartition("}")[0] + "}" + name
        return True

    return mend


_MENDED: Mapping[str, Callable[[Element], bool]] = {
    "ruby": _ruby, "bdo": _unwrapped, "dir": _unwrapped, "fldsimple": _unwrapped, "omathpara": _unwrapped,
    "omath": _formula, "cr": _renamed("br"), "ptab": _renamed("tab"), "vanish": _hidden,
    "br": _break, "framepr": _dropped, "outlinelvl": _outlined,
    "alternatecontent": _alternatives, "drawing": _box,
}  # fmt: skip


def _has_text(node: Element) -> bool:
    return any(local(one) == "t" and one.text for one in node.iter())


def _replaced(node: Element, parts: list[Element]) -> bool:
    parent = node.getparent()
    place = parent.index(node)
    parent[place : place + 1] = parts
    return True

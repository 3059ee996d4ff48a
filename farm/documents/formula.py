r"""Formulas of Markdown, $x^2$ and $$\frac{a}{b}$$, as a rule of its parser that leaves what is said of them.

commands   their signs: \alpha α, \leq ≤; a name of a function stays its name, and \text{…} its text
\frac      a/b, as in formulas of Word; \sqrt √
^ and _    raised digits: x²; all else stands where it stands

A dollar is one of money where a space, a letter or a digit says so: $5 and $10, US$5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.entities import html5

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

from farm.characters import RAISED_DIGITS

_FORMULA = re.compile(r"\$\$([^$]+)\$\$|\$(?![\s$])((?:\\.|[^\\$])+)(?<!\s)\$(?!\w)", re.DOTALL)
_MONEY = re.compile(r"\d[\d.,]*[^\d.,\\{}^_=]*\s[^\W\d_]{2,}|[\d.,]*[-–/\s]*\Z", re.DOTALL)
_PARTS = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_&~]|\[|\]|[^\\{}^_&~\[\]]+", re.DOTALL)
_SIGNS = {
    "cdot": "·", "infty": "∞", "to": "→", "neq": "≠", "ne": "≠", "partial": "∂", "exists": "∃", "ldots": "…",
    "dots": "…", "cdots": "…", "circ": "°", "degree": "°", "quad": " ", "qquad": " ", "left": "", "right": "",
    "displaystyle": "", "limits": "", "big": "", "Big": "", "begin": "", "end": "", "iff": "⇔", "implies": "⇒",
    "land": "∧", "lor": "∨", "lnot": "¬", "mid": "|", "prime": "′", "hat": "", "bar": "", "vec": "", "tilde": "",
    "overline": "", "dot": "",
}  # fmt: skip
_TEXT_NAMES = "text textrm textit textbf mathrm mathbf mathit mathcal mathbb mathsf operatorname mbox"
_TEXTS = frozenset(_TEXT_NAMES.split())
_FRACTIONS = ("\\frac", "\\dfrac", "\\tfrac")
_LONGEST, _DEEPEST = 2_000, 20  # signs, braces in braces


def formulas(markdown: MarkdownIt) -> None:
    """A plugin."""
    markdown.inline.ruler.before("escape", "formula", _formula)


def said(source: str) -> str:
    """What is said of a formula in TeX; one that is too long or too deep stays as it is."""
    depth = 0
    for sign in source:
        depth += (sign == "{") - (sign == "}")
        if depth > _DEEPEST:
            return source
    parts = _PARTS.findall(source)[::-1]
    return source if len(source) > _LONGEST else " ".join("".join(_all(parts)).split())


def _formula(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "$" or (state.src[state.pos - 1 : state.pos].isalnum() and state.pos):
        return False
    found = _FORMULA.match(state.src, state.pos, state.posMax)
    if found is None or (found[2] is not None and _MONEY.match(found[2]) and not found[2].strip().isdecimal()):
        return False
    if not silent:
        state.pending += said(found[1] or found[2])
    state.pos = found.end()
    return True


def _all(parts: list[str]) -> Iterator[str]:
    """`parts` come from its end. Stops at the brace that closes."""
    while parts and parts[-1] != "}":
        yield _one(parts)
    if parts:
        parts.pop()


def _one(parts: list[str]) -> str:
    """The next part with what belongs to it."""
    part = parts.pop() if parts else ""
    if part == "{":
        return "".join(_all(parts))
    if part in ("^", "_"):
        script = _script(parts)
        if part == "^" and script.isdecimal():
            return script.translate(RAISED_DIGITS)
        return f" {script} " if len(script) > 1 else script
    if part in _FRACTIONS:
        return f"{_script(parts)}/{_script(parts)}"
    if part == "\\sqrt":
        if parts and parts[-1] == "[":
            while parts and parts.pop() != "]":
                pass
        return f"√{_script(parts)}"
    if part in ("&", "~"):
        return " "
    if part.startswith("\\"):
        return _command(part[1:].rstrip("*"), parts)
    return part


def _script(parts: list[str]) -> str:
    """What a command or a sign takes: a group, a command, or one letter."""
    if parts and parts[-1][0] not in "\\{}^_&~" and len(parts[-1].lstrip()) > 1:
        letters = parts.pop().lstrip()
        parts.append(letters[1:])
        return letters[0]
    return _one(parts).strip()


def _command(name: str, parts: list[str]) -> str:
    if not name.isalpha():
        return name if name in "{}$%&#_" else " "
    if name in _TEXTS:
        return f" {_script(parts)} " if name.startswith(("text", "mbox")) else _script(parts)
    if name in ("begin", "end"):
        _script(parts)
        return " "
    sign = _SIGNS.get(name, html5.get(f"{name};", f" {name} "))
    return f" {sign} " if sign and not sign.isalnum() and sign != "°" else sign

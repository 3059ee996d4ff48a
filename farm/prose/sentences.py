"""Where sentences end. `sentencex` proposes, and what it proposes within a sentence is refused:

    within a token               a.C.  end.Next          but 走。他, which has no spaces
    after an abbreviation        vol. Two  Ed. Smith     unless the next word begins a sentence: in the U.S. The fleet
    after an ordinal             19. Jahrhundert         in languages that write ordinals so
    before a closing mark        『走。』她  « Va ! »     the cut moves behind it

A full stop before a lower-case letter is doubtful: an unknown abbreviation, or a writer without capitals. Such a place
counts as the end of a clause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from itertools import islice

from farm.prose.abbreviations import Usage, usage
from farm.prose.paragraphs import DIVIDERS

_CHINESE = {"cmn": "zh", "yue": "zh"}  # what eSpeak calls Mandarin and Cantonese

# sentencex's time grows with the square of the marks that it sees at a time: 46 us a character for `《"` at 5,000
# characters, 400 CPU seconds for a job. So it sees that many characters and that many marks at most: prose has about
# 300 marks in 10,000 characters.
_WINDOW = 10_000
_WINDOW_MARKS = 200
_MARK = re.compile(r"[^\w\s]")

OPENING = frozenset("([{（［｛「『《〈【〔〖“‘„‚«‹¿¡")
CLOSING = frozenset(")]}）］｝」』》〉】〕〗")
_EITHER = frozenset("\"'»›«‹”’“‘")  # which of both they are, differs by language and is seen by the spaces around them
_EDGE = re.compile(r"[/–—(\[{（「『《“‘„‚«‹\"»›¿¡]")
_UNSPACED_STOPS = frozenset("。！？．｡…‥।॥۔؟။។༎།։")  # after these a sentence begins without a space
_INITIALS = re.compile(r"(?:[^\W\d_]{1,3}\.-?){2,}")  # i.e.  Ph.D.  z.B.  a.C.
_NUMBER = re.compile(r"\(?\d{1,3}\.|[IVXLCDM]+\.")
_ELIDED = re.compile(r"(?<=['’])\w{2,}\.$")
_DIGITS = re.compile(r"\(?\d+\.")
_QUOTING = re.compile(  # what goes on after a quotation: "「行け。」と言った", "『猫である。』を読んだ", “走！”他说。
    "と(?!ころ|にかく|ても|りあえず|つぜん|もかく|もあれ)|って|を|など|なんて|という"
    "|(?:が|は|も|に|の|で|へ|や|か|から|まで|より|だけ)(?=[、\u30a0-\u9fff])|です|だった"
    "|[\u4e00-\u9fff]{0,8}(?:[说說道问問喊叫答嚷吼]|[说說喊叫答嚷吼笑](?:道|着))[，。：！？,.:]"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’])?")
_BEFORE_WORDS = "".join(OPENING) + "\"'»›–—―- "  # "«Иди!» — сказал он" goes on behind its dash
_CLAUSE_MARKS = frozenset("?!;:,.%…")
_MOST_CLOSING = 8  # one after another
_LOOK = 48  # characters before and after a cut that decide about it: more than any abbreviation has


class Verdict(Enum):
    SURE = auto()
    DOUBTFUL = auto()  # as good as the end of a clause
    NONE = auto()


def sentence_ends(text: str, start: int, end: int, *, language: str) -> Iterator[int]:
    """The places where a new sentence begins, without the first."""
    rules, begun = usage(language), start
    for proposed in _proposals(text, start, end, language):
        cut = _behind_closing_marks(text, proposed, end)
        if cut is not None and cut > begun and judge(text, begun, cut, end, rules) is Verdict.SURE:
            yield cut
            begun = cut


def judge(text: str, begun: int, cut: int, end: int, rules: Usage) -> Verdict:
    """Whether the sentence that has begun at `begun` ends before `cut`."""
    before = text[max(begun, cut - _LOOK) : cut]
    ended = before.rstrip()
    spoken = _without_closing(ended)
    following = text[cut : min(cut + _LOOK, end)].lstrip()
    if not spoken or not following:
        return Verdict.NONE
    if len(ended) == len(before) and not text[cut].isspace():
        if spoken[-1] == "．" and spoken[-2:-1].isalnum() and following[0].isalnum() and not _is_wide(following):
            return Verdict.NONE  # the point of a number: ３．５
        if len(spoken) < len(ended) and _QUOTING.match(following):
            return Verdict.NONE
        return Verdict.SURE if spoken[-1] in _UNSPACED_STOPS or _is_wide(following) else Verdict.NONE
    if spoken[-1] == ".":
        token = _token(spoken)
        alone = len(ended) < _LOOK and token == ended.strip()
        if (alone and _DIGITS.fullmatch(token)) or _shortens(token, following, rules):
            return Verdict.NONE
    first = following.lstrip(_BEFORE_WORDS)[:1]
    return Verdict.DOUBTFUL if first.islower() and not _is_georgian(first) else Verdict.SURE


def _is_georgian(letter: str) -> bool:
    """Its letters are small ones to Unicode, and capitals are for headlines alone."""
    return "\u10d0" <= letter <= "\u10ff"


def may_part(text: str, begun: int, cut: int, end: int, rules: Usage) -> bool:
    """Whether two words may be parted at the space before `cut`: not after an abbreviation, an ordinal or an opening
    mark, and not before a closing one."""
    before = text[max(begun, cut - _LOOK) : cut].rstrip()
    following = text[cut : min(cut + _LOOK, end)]
    if not before or not following:
        return True
    if following[0] in _CLAUSE_MARKS or _behind_closing_marks(text, cut, end) != cut:
        return False
    if before[-1] in OPENING and before[-2:-1].strip() == "":
        return False
    if before[-1] in DIVIDERS and before[-2:-1].isalpha() and following[0].isalpha():
        return False  # a word that was divided at a line end
    return before[-1] != "." or not _shortens(_token(before), following, rules)


# --- full stops that end no sentence ----------------------------------------------------------------------------------


def _shortens(token: str, following: str, rules: Usage) -> bool:
    """Whether the full stop of a token belongs to it alone."""
    if len(token) < 2:
        return False
    if rules.announces(token, following):
        return True
    initial = len(token) == 2 and (token[0].isupper() or token[0].islower())
    ordinal = (rules.ordinals and _NUMBER.fullmatch(token) is not None) or (
        rules.dates and _DIGITS.fullmatch(token) is not None
    )
    initials = _INITIALS.fullmatch(token) is not None
    elided = _ELIDED.search(token)  # "l'avv."
    shortened = rules.abbreviates(token) or (elided is not None and rules.abbreviates(elided[0]))
    if not (initial or ordinal or initials or shortened):
        return False
    if initial and token[0].isupper():
        return True  # of a name: "J. A. Smith"
    word = _WORD.match(following)
    return word is None or word[0] not in rules.starters


def _token(spoken: str) -> str:
    """What stands between the last space, dash or opening mark and the end."""
    return _EDGE.split(spoken.rsplit(None, 1)[-1])[-1]


# --- marks ------------------------------------------------------------------------------------------------------------


def _without_closing(ended: str) -> str:
    return ended.rstrip("".join(CLOSING | _EITHER) + " \u00a0\u202f")


def _behind_closing_marks(text: str, cut: int, end: int) -> int | None:
    """The next place behind the marks that close what ends before `cut`; None where nothing follows them."""
    cut = _next_word(text, cut, end)
    for _ in range(_MOST_CLOSING):
        if cut == end or not _closes(text, cut, end):
            break
        cut = _next_word(text, cut + 1, end)
    return cut if cut < end else None


def _next_word(text: str, place: int, end: int) -> int:
    while place < end and text[place].isspace():
        place += 1
    return place


def _closes(text: str, place: int, end: int) -> bool:
    mark, before = text[place], text[place - 1 : place]
    if mark in CLOSING:
        return True
    if mark not in _EITHER or not before:
        return False
    if not before.isspace():
        return mark not in "“‘«‹" or not (before in CLOSING or before in _EITHER or _is_wide(before))
    goes_on = place + 1 < end and not (text[place + 1].isspace() or text[place + 1] in _CLAUSE_MARKS)
    return not goes_on and mark not in "“‘«‹"


def _is_wide(following: str) -> bool:
    return "\u2e80" <= following[0] <= "\ua4cf" or "\uf900" <= following[0] <= "\ufaff" or following[0] in OPENING


# --- proposals --------------------------------------------------------------------------------------------------------


def _proposals(text: str, start: int, end: int, language: str) -> Iterator[int]:
    from sentencex import segment  # here, because the API and the client read plans and never make one

    tag = language.lower().replace("_", "-").partition("-")[0]
    while start < end:
        window = text[start : _window_end(text, start, end)]
        goes_on = start + len(window) < end
        sentences: list[str] = segment(_CHINESE.get(tag, tag), window)
        if goes_on and len(sentences) == 1:
            start += len(window)
            continue
        for sentence in sentences[:-1] if goes_on else sentences:
            start += len(sentence)
            yield start


def _window_end(text: str, start: int, end: int) -> int:
    most = min(start + _WINDOW, end)
    mark = next(islice(_MARK.finditer(text, start, most), _WINDOW_MARKS, None), None)
    return most if mark is None else mark.start()

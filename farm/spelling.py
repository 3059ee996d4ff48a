"""The plain spelling of a text: the one form in which every engine gets it.

A text holds characters that its reader takes for others: ﬁ, ２０, ℃, a letter with its accent apart, a hyphen that
shows at the end of a line alone. Engines spell them out, say something else, or leave them out without a word. So each
is written here as its reader reads it. docs/speech.md lists the classes, and what stays.

The user's own text stays what it is everywhere else: offsets, manifests and subtitles are of that. An engine's limit
holds for both forms, and the names of clips are made of the plain one (plan.py). Most texts are in it already.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from farm.characters import (
    ASCII_MARKS,
    DIGITS,
    EAST_ASIAN_MARKS,
    LETTERS,
    LOWERED,
    RAISED,
    SIGNS,
    SMALL_CAPITALS,
    SMALL_SIGNS,
    THREE_QUARTERS,
    WHITE_ON_BLACK,
    WORDS,
)
from farm.emoji import PICTURES, REGION, spaced


def plain_spelling(text: str, language: str = "") -> str:
    """The text as its reader reads it. `language` is a BCP 47 tag or one of eSpeak's names. Takes time linear in the
    text; done twice, it changes nothing more; a text of ASCII stays, and none is left blank."""
    return text if text.isascii() else _settled(text, language)


@lru_cache(4)  # a plan asks twice for each segment: whether it is within the limit, and for its digest
def _settled(text: str, language: str) -> str:
    tag = re.split("[-_]", language.lower(), maxsplit=1)[0]
    tag = _SAME.get(tag, tag)
    plain = text
    for _ in range(_ROUNDS):
        before, plain = plain, _spelled(plain, tag)
        if plain == before:
            break
    return plain if plain.strip() else text


def _spelled(text: str, language: str) -> str:
    if _is_plain(text, language):
        return text
    text = _seen(_composed(_stacks(text)))
    text = _SMALL_CAPITALS.sub(lambda found: found[0].translate(SMALL_CAPITALS), text)
    text = _said(_white_on_black(text), _KEYCAP, lambda found: found[1]).translate(LETTERS)
    text = _STROKE.sub("", text)
    text = _signs(_in_words(text, language))
    text = _apostrophes(_raised(_marks(text, language)))
    return _composed(spaced(text))


def _composed(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    for apart, letter in _EXCLUDED.items():
        text = text.replace(apart, letter)
    return text


# NFC takes these Bengali letters apart, by a rule of Unicode's first years; then eSpeak loses the dot or spells it out.
_EXCLUDED = {unicodedata.normalize("NFC", letter): letter for letter in "\u09dc\u09dd\u09df"}
_ROUNDS = 4  # one is enough for all but heaps of signs such as ²¹′, which are 21 before they are feet
_SAME = dict.fromkeys(("cmn", "yue", "hak", "nan", "wuu"), "zh") | {"no": "nb", "nn": "nb"}


# Letters and marks that stay whatever stands beside them; a text of these alone is looked at once.
_PLAIN = re.compile(
    "[\0-\xac\xae-\xb0\xb5-\xb8\xba-\xbd\xbf-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e\u0180-\u01c3\u01cd-\u01f0"
    "\u01f4-\u02af\u0300-\u034e\u0370-\u03cf\u0400-\u0559\u055b-\u061b\u0620-\u063f\u0641-\u09bb\u09bd-\u10ff"
    "\u1e00-\u1fff\u2012-\u201a\u201c-\u2023\u2025-\u2027\u2039\u203a\u20a0-\u20a7\u20a9-\u20c0\u3000-\u3020"
    "\u3041-\u3098\u309b-\u309e\u30a0-\u30fe\u3131-\u3163\u4e00-\u9fff\uac00-\ud7a3]*"
)
_PLAIN_EAST_ASIAN = re.compile(_PLAIN.pattern[:-2] + "！（），．：；？～]*")
_WITHIN_NUMBER = re.compile("[0-9A-Za-z][，．：]")


def _is_plain(text: str, language: str) -> bool:
    if language in ("zh", "ja"):
        plain = _PLAIN_EAST_ASIAN.fullmatch(text) is not None and not _WITHIN_NUMBER.search(text)
    else:
        plain = _PLAIN.fullmatch(text) is not None
    return plain and unicodedata.is_normalized("NFC", _stacks(text))


# --- what is not seen -------------------------------------------------------------------------------------------------

_INDIC = (
    "\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u1a20-\u1aad\u1b00-\u1b7f\ua980-\ua9df\uaa60-\uaa7f\U00011000-\U000114df"
)
_ARABIC = "\u0620-\u063f\u0641-\u065f\u066e-\u06d3\u06d5-\u06ff\u0750-\u077f\u0870-\u08ff"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aad\ua9e0-\ua9ff\uaa60-\uaadf"
_UNSEEN = re.compile(
    f"({REGION})"  # stays
    "|[\u00ad\u034f\u061c\u17b4\u17b5\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0e\ufeff\ufff0-\ufffc]"
    "|[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<![\u1800-\u18af])[\u180b-\u180f]|(?<![\u1100-\u11ff])[\u115f\u1160](?![\u1100-\u11ff])"
    f"|(?<![{_UNSPACED}])\u200b"  # there it is the border of a word
    f"|(?<![{_ARABIC}{_INDIC}])\u200c"
    f"|(?<![{_INDIC}{PICTURES}\ufe0f])\u200d|(?<![{_INDIC}])\u200d(?![{PICTURES}])"
    f"|(?<![{PICTURES}])\ufe0f|\ufe0f(?!\u200d[{PICTURES}])"
)
_VOICED = re.compile("(?<=[\u3041-\u30ff\uff66-\uff9d])[ﾞﾟ]")  # a mark of half width, on the letter before it
_BLANK = re.compile("[\u2800\u3164\uffa0]")  # letters and signs that show nothing
_STROKE = re.compile(f"(?<=[{_ARABIC}])\u0640+|(?<!\u0640)\u0640++(?=[{_ARABIC}])")  # it makes an Arabic word wider


def _seen(text: str) -> str:
    text = _BLANK.sub(" ", _UNSEEN.sub(lambda found: found[1] or "", text))
    return _VOICED.sub(lambda found: "\u3099" if found[0] == "ﾞ" else "\u309a", text)


_OTHER = re.compile(r"[^\w\s]{31,}")
_STACK = 30  # marks on one letter, as in Unicode's stream-safe format: to sort them takes the square of their number


def _stacks(text: str) -> str:
    """With at most 30 marks above and below one letter."""
    return _OTHER.sub(_stacked, text)


def _stacked(found: re.Match[str]) -> str:
    kept, height = [], 0
    for character in found[0]:
        height = height + 1 if unicodedata.combining(character) else 0
        if height <= _STACK:
            kept.append(character)
    return "".join(kept)


# --- signs and words --------------------------------------------------------------------------------------------------

_SIGN = re.compile(f"[{''.join(SIGNS)}]")
_NUMBER = "[0-9](?:[0-9.,]{0,12}[0-9])?"
_ANGLE = re.compile(rf"(°\s?{_NUMBER})\s?′(?:(\s?{_NUMBER})\s?(?:″|′′))?")
_MEASURE = re.compile(r"(?<=[0-9])\s?(″|′′|′)")
_EAST_ASIAN = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]"
)


def _signs(text: str) -> str:
    """As words of their own: ①② is "1 2", 5㎏ is "5 kg"."""
    return _said(text, _SIGN, lambda found: SIGNS[found[0]])


def _in_words(text: str, language: str) -> str:
    """№ 5 is number 5, 6′ 2″ are feet and inches, 12° 30′ 15″ minutes and seconds of an angle."""
    number, feet, inches, minutes, seconds = WORDS.get(language, ("No", "", "", "", ""))
    if language in WORDS:
        text = _said(
            text, _ANGLE, lambda found: f"{found[1]} {minutes}" + (f"{found[2]} {seconds}" if found[2] else "")
        )
        text = _said(text, _MEASURE, lambda found: feet if found[1] == "′" else inches)
    if language not in THREE_QUARTERS:
        text = _said(text, re.compile("¾"), lambda _: "3/4")
    return _said(text, re.compile("№"), lambda _: number).replace("″", '"')


def _said(text: str, pattern: re.Pattern[str], words: Callable[[re.Match[str]], str]) -> str:
    """With words for what is found, and a space where these would join a word beside them."""

    def said(found: re.Match[str]) -> str:
        put = words(found)
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        lead = _is_spaced(before) and before not in SIGNS and (_is_spaced(put[0]) or put[0] == "(")
        trail = _is_spaced(SIGNS.get(after, after)[:1]) and not _EAST_ASIAN.match(put[-1])
        return f"{' ' * lead}{put}{' ' * trail}"

    return pattern.sub(said, text)


def _is_spaced(character: str) -> bool:
    """Whether it is written in words. Chinese, Japanese and Korean signs stand beside theirs as they are."""
    return character.isalnum() and not _EAST_ASIAN.match(character)


def _white_on_black(text: str) -> str:
    return _WHITE_ON_BLACK.sub(lambda found: found[0].translate(WHITE_ON_BLACK), text)


# Words that are drawn in phonetic letters; one or two of these are a sound.
_SMALL_CAPITALS = re.compile(f"(?<!\\w)[{''.join(map(chr, SMALL_CAPITALS))}]{{3,}}(?!\\w)")
_KEYCAP = re.compile("([0-9#*])\u20e3")
_WHITE_ON_BLACK = re.compile("[\U0001f170-\U0001f189]{2,}")


# --- marks ------------------------------------------------------------------------------------------------------------

_CLAUSE_MARK = re.compile("[！，：；？﹐﹑﹔﹕﹖﹗](?=[^\\W\\d_])")
_DECIMAL = re.compile("(?<=[0-9])(?:[．：](?=[0-9])|，(?=[0-9]{3}(?![0-9])))")
_DOT = re.compile("(?<=[A-Za-z0-9])．(?=[A-Za-z0-9])")


def _marks(text: str, language: str) -> str:
    """Full-width, small and upright marks: as full-width ones in Chinese and Japanese, in which a clause ends at them
    without a space, but for those within a number or an abbreviation; as ASCII in all other languages."""
    if language in ("zh", "ja"):
        text = text.translate(EAST_ASIAN_MARKS)
        text = _DECIMAL.sub(lambda found: found[0].translate(ASCII_MARKS), text)
        return _DOT.sub(".", text)
    return _CLAUSE_MARK.sub(r"\g<0> ", text).translate(ASCII_MARKS)


# --- above and below the line -----------------------------------------------------------------------------------------

_UP, _DOWN, _SMALL = "⁰¹²³⁴-⁹", "₀-₉", "".join(map(chr, RAISED))
_SMALL_FRACTION = re.compile(f"(?<![{_UP}])[{_UP}]++⁄[{_DOWN}]+")
_FRACTION_BAR = re.compile("(?<=[0-9])⁄(?=[0-9])")
_POWER = re.compile(rf"([^\s⁺⁻{_UP}])?([⁺⁻]?[{_UP}]{{2,}}|[⁺⁻][{_UP}])(?=(\w)?)")
_INDEX = re.compile(rf"([0-9])?([{_DOWN}]+)(?=([0-9])?)")
_RAISED = re.compile(rf"(?<=\w)(?<![{_SMALL}])(?![ⁿⁱ](?![{_SMALL}]))[{_SMALL}]+")
_LOWERED = re.compile(f"[{''.join(map(chr, LOWERED))}]+")


def _raised(text: str) -> str:
    """One raised digit is spoken as it is: 10² stays. More of them are a number of their own; letters belong to their
    word (1ᵉʳ), but for the ⁿ of a formula, and so do lower digits (H₂O) and signs (Ca²⁺)."""
    text = _said(text, _SMALL_FRACTION, lambda found: found[0].translate(DIGITS).replace("⁄", "/"))
    text = _FRACTION_BAR.sub("/", text)
    for number in (_POWER, _INDEX):
        text = number.sub(_beside, text)
    text = text.translate(SMALL_SIGNS)
    text = _RAISED.sub(lambda found: found[0].translate(RAISED), text)
    return _said(text, _LOWERED, lambda found: found[0].translate(LOWERED))


def _beside(found: re.Match[str]) -> str:
    """A number, apart from what stands before and after it."""
    before, number, after = found[1], found[2].translate(DIGITS), found[3]
    return f"{before + ' ' if before else ''}{number}{' ' if after else ''}"


# --- apostrophes ------------------------------------------------------------------------------------------------------

_MODIFIERS = "ʹʻʼʽʾʿꞌ՚"  # of letters, which most languages take for none of theirs: Qurʾan, Hawaiʻi, пʼять
_LETTER = f"[^\\W\\d_{_MODIFIERS}]"
_APOSTROPHE = re.compile(f"(?<={_LETTER})[{_MODIFIERS}]|[{_MODIFIERS}](?={_LETTER})|(?<={_LETTER})[´‛′＇](?={_LETTER})")


def _apostrophes(text: str) -> str:
    return _APOSTROPHE.sub("'", text)

"""Texts on which eSpeak NG filled its buffers, for every language that it speaks, in letters of that language."""

from __future__ import annotations

import random
import unicodedata
from functools import cache

import regex

PATTERNS = ("numbers", "word", "digits", "joined", "decomposed", "words")

_SCRIPTS = {
    "Arabic": "ar fa sd ug ur",
    "Armenian": "hy hy-arevela hy-arevmda hyw",
    "Bengali": "as bn bpy",
    "Cherokee": "chr-us-qaaa-x-west",
    "Cyrillic": "ba be bg cv kk ky mk nog ru ru-cl ru-lv sr tt uk",
    "Devanagari": "hi kok mr ne",
    "Ethiopic": "am ti",
    "Georgian": "ka",
    "Greek": "el grc",
    "Gujarati": "gu",
    "Gurmukhi": "pa",
    "Han": "cmn yue zh zh-cmn zh-yue",
    "Hangul": "ko",
    "Hebrew": "he",
    "Hiragana": "ja",
    "Kannada": "kn",
    "Malayalam": "ml",
    "Myanmar": "my shn",
    "Oriya": "or",
    "Shavian": "en-shaw",
    "Sinhala": "si",
    "Tamil": "ta",
    "Telugu": "te",
    "Thai": "th",
}
# Where the first letters of a script are rare ones, or not of today, letters that everybody knows.
_COMMON = {
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщыэюя",
    "Devanagari": "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψω",
    "Han": "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后",
    "Hangul": "가나다라마바사아자차카타파하고노도로모보소오조초코토포호밤강산물불꽃별달해눈비",
    "Hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "Hiragana": "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわ",
    "Latin": "abcdefghijklmnopqrstuvwxyz",
    "Thai": "กขคงจชซดตถทนบปผพฟมยรลวสหอ",
}
_VOWELS = {"Cyrillic": "аеиоу", "Greek": "αειου", "Latin": "aeiou", "Thai": "ะาิีุู"}
_MARKS = "\u0301\u0308"  # acute, diaeresis


def text(pattern: str, language: str, size: int) -> str:
    """About `size` characters, always the same ones."""
    chance = random.Random(f"{pattern} {language}")
    match pattern:
        case "numbers":  # a row of a table: nothing but years
            return " ".join(str(year) for year in range(1900, 1900 + size // 5))
        case "digits":
            return "".join(chance.choices("0123456789", k=min(size, 120)))
        case "word":
            return _syllables(language, size, chance)
        case "joined":  # words without blanks between them
            return "-".join(_syllables(language, chance.randint(2, 9), chance) for _ in range(size // 6))[:size]
        case "decomposed":
            words = [_decomposed(_syllables(language, chance.randint(2, 6), chance)) for _ in range(size // 7)]
            return " ".join(words)[:size].rstrip()
        case "words":
            return " ".join(_syllables(language, chance.randint(1, 9), chance) for _ in range(size // 6))[
                :size
            ].rstrip()
    raise ValueError(pattern)


@cache
def _script(language: str) -> str:
    return next((script for script, languages in _SCRIPTS.items() if language in languages.split()), "Latin")


@cache
def _letters(script: str) -> str:
    if script in _COMMON:
        return _COMMON[script]
    pattern = regex.compile(rf"\p{{Script={script}}}")
    found = (c for c in map(chr, range(0x100, 0x11000)) if pattern.match(c) and unicodedata.category(c)[0] == "L")
    return "".join(c for c in found if not unicodedata.decomposition(c))[:40]


@cache
def _vowels(script: str) -> str:
    """Vowels that follow a consonant; the vowel signs of Indian scripts. "" where a letter is a syllable."""
    if script in _VOWELS:
        return _VOWELS[script]
    pattern = regex.compile(rf"\p{{Script={script}}}")
    return "".join(c for c in map(chr, range(0x900, 0x1100)) if pattern.match(c) and unicodedata.category(c) == "Mc")[
        :6
    ]


def _syllables(language: str, size: int, chance: random.Random) -> str:
    script = _script(language)
    vowels = _vowels(script)
    consonants = [letter for letter in _letters(script) if letter not in vowels]
    made = ""
    while len(made) < size:
        made += chance.choice(consonants) + (chance.choice(vowels) if vowels else "")
    return made[:size]


def _decomposed(word: str) -> str:
    """The letters of a word and their marks one by one; Latin, Greek and Cyrillic letters get a mark to decompose."""
    apart = unicodedata.normalize("NFD", word)
    return apart if apart != word else "".join(f"{letter}{_MARKS[ord(letter) % 2]}" for letter in word)

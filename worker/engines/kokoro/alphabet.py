"""The alphabet of Kokoro: 114 signs, most of them IPA. Punctuation belongs to it, because the melody depends on it.

Diphthongs and affricates are one sign each, and American English has no marks of length. Two spellings lead here: the
IPA of eSpeak NG, with ^ between the letters of one sound, and the phones of the CMU dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import MappingProxyType

# The numbers of the signs, as the model's config.json has them (sha256 5abb01e2403b…).
_SIGNS = {
    1: ";:,.!?", 9: "—…\"()“” \u0303ʣʥʦʨᵝꭧAI", 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ", 128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ", 147: "ʒʔ",
    156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
NUMBERS = MappingProxyType({sign: first + place for first, signs in _SIGNS.items() for place, sign in enumerate(signs)})

LONGEST = 510  # signs at a time: the model has 512 places, and needs one at either end
GOOD = 400  # nearer to the limit it hurries, and fades at the end

_COMMON = (("a^ɪ", "I"), ("a^ʊ", "W"), ("e^ɪ", "A"), ("ɔ^ɪ", "Y"), ("d^ʒ", "ʤ"), ("t^ʃ", "ʧ"))
_BRITISH = (
    *_COMMON, ("ə^l", "ᵊl"), ("ʲə", "jə"), ("ʲ", ""), ("ɚ", "əɹ"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"),
    ("ɬ", "l"),    ("\u0303", ""), ("e^ə", "ɛː"), ("iə", "ɪə"), ("ə^ʊ", "Q"),
)  # fmt: skip
_OTHERS = (*_COMMON, ("d^z", "ʣ"), ("o^ʊ", "O"), ("ə^ʊ", "Q"), ("s^s", "S"), ("t^s", "ʦ"))
_SWITCH = re.compile(r"\([a-z^-]+\)")  # eSpeak's marks of a change of language
_SYLLABIC = "\u0329"

_VOWELS = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "W", "AY": "I", "EH": "ɛ", "ER": "ɜɹ", "EY": "A", "IH": "ɪ",
    "IY": "i",    "OW": "O", "OY": "Y", "UH": "ʊ", "UW": "u",
}  # fmt: skip
_UNSTRESSED = {"AH": "ə", "ER": "əɹ"}
_CONSONANTS = {
    "CH": "ʧ", "DH": "ð", "G": "ɡ", "HH": "h", "JH": "ʤ", "NG": "ŋ", "R": "ɹ", "SH": "ʃ", "TH": "θ", "Y": "j",
    "ZH": "ʒ",
}  # fmt: skip
_CONSONANTS |= {phone: phone.lower() for phone in "BDFKLMNPSTVWZ"}
_STRESS = {"0": "", "1": "ˈ", "2": "ˌ"}


def from_espeak(ipa: str, *, british: bool) -> str:
    """Signs for the IPA of eSpeak NG. What the alphabet lacks is left out."""
    ipa = _SWITCH.sub("", ipa)
    for old, new in _BRITISH if british else _OTHERS:
        ipa = ipa.replace(old, new)
    if british:
        ipa = re.sub(f"(\\S){_SYLLABIC}", r"ᵊ\1", ipa)
    return kept(ipa.replace("g", "ɡ"))


def from_phones(phones: str) -> str:
    """Signs for phones of the CMU dictionary, `M IH1 . N AH0 T`. Raises KeyError where one is unknown."""
    return "".join(map(_from_phone, phones.upper().replace(".", " ").split()))


def _from_phone(phone: str) -> str:
    if phone[-1].isdigit():
        vowel, stress = phone[:-1], phone[-1]
        said = _VOWELS[vowel]
        return _STRESS[stress] + (_UNSTRESSED.get(vowel, said) if stress == "0" else said)
    return _CONSONANTS[phone]


def kept(signs: str) -> str:
    return "".join(sign for sign in signs if sign in NUMBERS)


def is_sound(signs: str) -> bool:
    return any(sign.isalpha() for sign in signs)


def numbers(signs: str) -> list[int]:
    return [NUMBERS[sign] for sign in signs]


def pieces(signs: str) -> Iterator[str]:
    """All of the signs, in pieces that the model can say, cut after a sentence, else a clause, else a word, else
    anywhere."""
    signs = signs.strip()
    while len(signs) > LONGEST:
        at = _cut(signs[:GOOD])
        yield signs[:at].strip()
        signs = signs[at:].strip()
    if signs:
        yield signs


def _cut(window: str) -> int:
    marks: Sequence[str] = (".!?…", ";:,—", " ")
    cuts = (max(map(window.rfind, some)) + 1 for some in marks)
    return next((cut for cut in cuts if cut > len(window) // 3), len(window))

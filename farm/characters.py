"""Characters that their readers take for others: the tables of the plain spelling (spelling.py).

    LETTERS   character -> letters of a word, which join those beside them: ﬁ, ２, 𝐁, ⓗ, Ⅳ, ⼭, ﻻ
    SIGNS     character -> a word of its own: ①, ⑴, ㎏, ℃, ㍻, ⅜, ﷺ
    WORDS     language -> what is said in different words in each language: №, ′, ″

All but the words comes from the compatibility decompositions of Unicode. What is no other way to write the same stays
out: ² ³ ½ ™ … ª, letters of living alphabets (Thai ำ, Armenian և, Korean ㅋ), and emoji.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

# --- what a character unfolds into ------------------------------------------------------------------------------------

# The parts of signs as they are typed: the slashes of ⅜ and ㎧, the micro sign of ㎛.
_TYPED = {"\u2044": "/", "\u2215": "/", "\u03bc": "µ"}
_WITHIN = frozenset(("<compat>", "<font>", "<wide>"))  # of the parts of a character, what is unfolded further
_JAMO = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0x3131, 0x318F)}

_COMPATIBLE_JAMO = frozenset(_JAMO.values())


def _unfolded(character: str) -> str:
    """By its compatibility decomposition, but not as far as ㎡ would be m2 and ﾡ a part of a syllable."""
    form, _, codes = unicodedata.decomposition(character).partition(" ")
    if not form.startswith("<") or form == "<noBreak>":
        return character
    parts = [chr(int(code, 16)) for code in codes.split()]
    if form in ("<square>", "<fraction>"):
        parts = [_TYPED.get(part, part) for part in parts]
    plain = unicodedata.normalize("NFC", "".join(map(_unfolded_part, parts)))
    plain = _JAMO.get(plain, plain)
    # Forms of an Arabic mark stand on a space or a stroke, which is there to carry it.
    return plain.lstrip(" \u0640") if form in ("<isolated>", "<medial>") and len(plain) > 1 else plain


def _unfolded_part(part: str) -> str:
    form = unicodedata.decomposition(part).partition(" ")[0]
    return _unfolded(part) if form in _WITHIN and part not in "µ\u00a0" and part not in _COMPATIBLE_JAMO else part


def _table(ranges: Iterable[tuple[int, int]], but: Iterable[int] = ()) -> Iterator[tuple[str, str]]:
    kept = frozenset(but)
    for first, last in ranges:
        for code in range(first, last + 1):
            if code not in kept and (plain := _unfolded(chr(code))) != chr(code):
                yield chr(code), plain


def _numbered(first: int, last: int, number: int) -> Iterator[tuple[str, str]]:
    """White on black, they have no decomposition."""
    for code in range(first, last + 1):
        yield chr(code), str(number + code - first)


def _alphabet(first: int) -> Iterator[tuple[str, str]]:
    for place in range(26):
        yield chr(first + place), chr(ord("A") + place)


# --- letters ----------------------------------------------------------------------------------------------------------

_LETTERS = (
    (0x0132, 0x0133), (0x013F, 0x0140), (0x0149, 0x0149), (0x017F, 0x017F), (0x01C4, 0x01CC), (0x01F1, 0x01F3),
    (0x03D0, 0x03D6), (0x03F0, 0x03F2), (0x03F4, 0x03F5), (0x03F9, 0x03F9),  # ϑ ϕ ϰ
    (0x2011, 0x2011), (0x2102, 0x2102), (0x210A, 0x2115), (0x2119, 0x211D), (0x2124, 0x2134), (0x213C, 0x2149),  # ℓ ℝ
    (0x2160, 0x217F), (0x24B6, 0x24E9), (0x2E9F, 0x2E9F), (0x2EF3, 0x2EF3), (0x2F00, 0x2FD5),  # Ⅳ Ⓐ ⼭
    (0x3244, 0x3247), (0x3260, 0x327E), (0x3280, 0x32B0), (0x32D0, 0x32FF),  # ㉄ ㉠ ㊊ ㋐ ㋿
    (0x3038, 0x303A), (0x309F, 0x309F), (0x30FF, 0x30FF), (0x1FBF0, 0x1FBF9),  # 〸 ゟ ヿ
    (0xFB00, 0xFB17), (0xFB20, 0xFB29), (0xFB4F, 0xFDEF), (0xFE70, 0xFEFC),  # ﬁ ﬓ ﬡ ﭐ ﺍ
    (0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A), (0xFF61, 0xFF9D), (0xFFA1, 0xFFEE),  # ２ Ｂ ｱ ﾡ ￥
    (0x1D400, 0x1D7FF), (0x1EE00, 0x1EEF1), (0x1F130, 0x1F149),  # 𝐁 🄰
)  # fmt: skip
# The letters of set theory are no Hebrew ones, ℹ is an emoji, and a long s alone is no ligature.
_NO_LETTERS = (0x2135, 0x2136, 0x2137, 0x2138, 0x2139, 0x2121, 0xFFE3)
_WIDE_SIGNS = "＃＄％＆＋－／＜＝＞＠＼＾＿｀｜"
_LIKENESSES = {
    "\u2010": "-",
    "\u2011": "-",
    "\ufe58": "—",
    "\ufe63": "-",
    "\u2024": ".",
    "\u2215": "/",
    "\u2236": ":",
    "\u215f": "1/",
}
# Around a letter or digit: circle, square, keycap and the like.
_ENCLOSING = dict.fromkeys("\u20dd\u20de\u20df\u20e2\u20e3\u20e4", "")

# The radicals that have no decomposition, by Unicode's table of equivalent ideographs. PDF files have them in texts.
_RADICALS = (
    "⺁厂⺂乛⺃乚⺄乙⺅亻⺆冂⺈刀⺉刂⺊卜⺌小⺍小⺎兀⺏尣⺐尢⺒巳⺓幺⺔彑⺖忄⺗心⺘扌⺙攵⺛旡⺜日⺝月⺞歺⺠民⺡氵⺢氺⺣灬⺤爫⺥爫⺦丬⺧牛⺨犭⺩王"
    "⺫目⺬示⺭礻⺯糹⺰纟⺱罓⺲罒⺳㓁⺴冗⺶羊⺹耂⺺肀⺻聿⺼肉⺾艹⺿艹⻀艹⻁虎⻂衤⻃覀⻄西⻅见⻆角⻈讠⻉贝⻋车⻌辶⻍辶⻎辶⻏邑⻐钅⻑長⻒镸⻓长⻔门"
    "⻖阝⻗雨⻘青⻙韦⻚页⻛风⻜飞⻝食⻟飠⻠饣⻢马⻣骨⻤鬼⻥鱼⻦鸟⻧卤⻨麦⻩黄⻪黾⻫斉⻬齐⻭歯⻮齿⻯竜⻰龙⻱龜⻲亀"
)

LETTERS: Mapping[int, str] = MappingProxyType(
    str.maketrans(
        {
            **dict(_table(_LETTERS, _NO_LETTERS)),
            **{wide: unicodedata.normalize("NFKC", wide) for wide in _WIDE_SIGNS},
            **dict(zip(_RADICALS[::2], _RADICALS[1::2], strict=True)),
            **dict(_alphabet(0x1F150)),
            **{sign: letter for sign, letter in _alphabet(0x1F170) if sign not in "🅰🅱🅾🅿"},
            **_LIKENESSES,
            **_ENCLOSING,
        }
    )
)
# Four of these letters are emoji too, and letters beside others of their kind.
WHITE_ON_BLACK: Mapping[int, str] = MappingProxyType(str.maketrans(dict(_alphabet(0x1F170))))

# --- signs ------------------------------------------------------------------------------------------------------------

_SIGNS = (
    (0x20A8, 0x20A8), (0x2100, 0x2101), (0x2103, 0x2103), (0x2105, 0x2106), (0x2109, 0x2109), (0x2121, 0x2121),  # ℃ ℡
    (0x213B, 0x213B),
    (0x2150, 0x215E), (0x2189, 0x2189), (0x2460, 0x24B5), (0x24EA, 0x24EA),  # ⅜ ① ⑴
    (0x3200, 0x321E), (0x3220, 0x3243), (0x3250, 0x325F), (0x32B1, 0x32CF), (0x3300, 0x33FF),  # ㈱ ㉑ ㋀ ㌔ ㎏ ㏠
    (0xFDF0, 0xFDFC), (0x1F100, 0x1F12E), (0x1F14A, 0x1F14F), (0x1F190, 0x1F190), (0x1F200, 0x1F248),  # ﷺ 🄀 🄐 🈔
)  # fmt: skip
_NO_SIGNS = (0x2153, 0x2154, 0x1F201, 0x1F202, 0x1F21A, 0x1F22F, *range(0x1F232, 0x1F23B))  # ⅓ ⅔ and emoji

SIGNS: Mapping[str, str] = MappingProxyType(
    {
        **dict(_table(_SIGNS, _NO_SIGNS)),
        **dict(_numbered(0x24EB, 0x24F4, 11)),
        **dict(_numbered(0x24F5, 0x24FE, 1)),
        "⓿": "0",
        **dict(_numbered(0x2776, 0x277F, 1)),
        **dict(_numbered(0x2780, 0x2789, 1)),
        **dict(_numbered(0x278A, 0x2793, 1)),
        "﷽": "بسم الله الرحمن الرحيم",
    }
)

# --- raised and lowered -----------------------------------------------------------------------------------------------

DIGITS: Mapping[int, str] = MappingProxyType(
    dict(zip(map(ord, "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉⁺⁻"), "01234567890123456789+−", strict=True))
)

RAISED_DIGITS: Mapping[int, str] = MappingProxyType(dict(zip(map(ord, "0123456789+-−"), "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻", strict=True)))

SMALL_SIGNS: Mapping[int, str] = MappingProxyType(dict(zip(map(ord, "⁺⁻⁼⁽⁾₊₋₌₍₎"), "+−=()+−=()", strict=True)))


def _small(form: str, *ranges: tuple[int, int]) -> Mapping[int, str]:
    """Small Latin letters, above the line or below it."""
    found = {}
    for first, last in ranges:
        for code in range(first, last + 1):
            plain = _unfolded(chr(code))
            if unicodedata.decomposition(chr(code)).startswith(form) and plain.isascii() and plain.isalpha():
                found[chr(code)] = plain
    return MappingProxyType(str.maketrans(found))


RAISED = _small("<super>", (0x02B0, 0x02E4), (0x1D2C, 0x1DBF), (0x2071, 0x207F))
LOWERED = _small("<sub>", (0x1D62, 0x1D65), (0x2090, 0x209C), (0x2C7C, 0x2C7C))

# --- marks of East Asian typesetting ----------------------------------------------------------------------------------

_WIDE = "！＂＇（）＊，．：；？［］｛｝～｟｠"
_UPRIGHT = "︐，︑、︒。︓：︔；︕！︖？︵（︶）︷｛︸｝︹〔︺〕︻【︼】︽《︾》︿〈﹀〉﹁「﹂」﹃『﹄』﹇［﹈］"
_SMALL = "﹐，﹑、﹒．﹔；﹕：﹖？﹗！﹙（﹚）﹛｛﹜｝﹝〔﹞〕﹟＃﹠＆﹡＊﹢＋﹤＜﹥＞﹦＝﹨＼﹩＄﹪％﹫＠"
_TURNED = dict(zip((_UPRIGHT + _SMALL)[::2], (_UPRIGHT + _SMALL)[1::2], strict=True))
_ASCII = {wide: unicodedata.normalize("NFKC", wide) for wide in (*_WIDE, *_WIDE_SIGNS)}

# In Chinese and Japanese they stay full-width, as a clause ends at them without a space; elsewhere they are ASCII.
EAST_ASIAN_MARKS: Mapping[int, str] = MappingProxyType(
    str.maketrans({small: _ASCII[wide] if wide in _WIDE_SIGNS else wide for small, wide in _TURNED.items()})
)
ASCII_MARKS: Mapping[int, str] = MappingProxyType(
    str.maketrans({**{form: _ASCII.get(wide, wide) for form, wide in _TURNED.items()}, **_ASCII})
)

# --- words ------------------------------------------------------------------------------------------------------------

# number, feet, inches, minutes and seconds of an angle
_SAID = """
en number feet inches minutes seconds|de Nummer Fuß Zoll Minuten Sekunden|fr numéro pieds pouces minutes secondes
es número pies pulgadas minutos segundos|it numero piedi pollici minuti secondi|pt número pés polegadas minutos segundos
ca número peus polzades minuts segons|nl nummer voet inch minuten seconden|sv nummer fot tum minuter sekunder
da nummer fod tommer minutter sekunder|nb nummer fot tommer minutter sekunder|fi numero jalkaa tuumaa minuuttia sekuntia
pl numer stóp cali minut sekund|cs číslo stop palců minut sekund|sk číslo stôp palcov minút sekúnd
hu szám láb hüvelyk perc másodperc|ro numărul picioare țoli minute secunde|tr numara ayak inç dakika saniye
ru номер футов дюймов минут секунд|uk номер футів дюймів хвилин секунд|bg номер фута инча минути секунди
el αριθμός πόδια ίντσες λεπτά δευτερόλεπτα|ar رقم أقدام بوصات دقائق ثوان|fa شماره فوت اینچ دقیقه ثانیه
hi नंबर फुट इंच मिनट सेकंड|id nomor kaki inci menit detik|vi số feet inch phút giây
ko 번호 피트 인치 분 초|ja ナンバー フィート インチ 分 秒|zh 号 英尺 英寸 分 秒
"""
WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {language: tuple(words) for language, *words in map(str.split, _SAID.strip().replace("\n", "|").split("|"))}
)
THREE_QUARTERS = frozenset(("en", "de", "fr", "it", "pt", "pl", "nl", "cs", "hu", "da"))  # eSpeak NG has a word for ¾

# small capital -> its letter: what decorates names, and has no decomposition. s and x have none and stand among them
SMALL_CAPITALS = str.maketrans("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡʏᴢsx", "abcdefghijklmnopqrstuvwyzsx")

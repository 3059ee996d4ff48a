"""The plain spelling of a text: what its reader takes for something else, and what stays as it is."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.characters import LETTERS, SIGNS
from farm.emoji import PICTURES
from farm.spelling import plain_spelling

READ_AS = [
    # letters of a word
    ("en", "The ﬁnal oﬃce, ﬂat and ﬅill", "The final office, flat and still"),
    ("de", "U\u0308ber die Bru\u0308cke", "Über die Brücke"),
    ("vi", "Tie\u0302\u0301ng Vie\u0323\u0302t", "Tiếng Việt"),
    ("bn", "সম\u09af\u09bc গা\u09a1\u09bcি", "সম\u09df গা\u09dcি"),
    ("ko", "\u1112\u1161\u11ab\u1100\u116e\u11a8", "한국"),
    ("ja", "ﾃﾞｰﾀとﾊﾟﾘ", "データとパリ"),
    ("ja", "２０２４年１２月", "2024年12月"),
    ("zh", "⾷物和⻝物，⼭和⺠", "食物和食物，山和民"),
    ("ko", "ﾡ ㉠ ㉮", "ㄱ ㄱ 가"),
    ("en", "𝐁𝐨𝐥𝐝 𝟏𝟐 ⓗⓔⓛⓛⓞ 🅷🅴🅻🅻🅾 ℝ", "Bold 12 hello HELLO R"),
    ("en", "Chapter ⅩⅣ", "Chapter XIV"),
    ("en", "ᴛʜᴇ ꜱᴍᴀʟʟ ʟɪɢʜᴛ, ᴀʟᴇx", "the small light, alex"),
    ("nl", "ĳs", "ijs"),
    ("hr", "ǆep i ǌegov", "džep i njegov"),
    ("el", "ϑάλασσα", "θάλασσα"),
    ("ar", "ﺍﻟﺴﻼﻡ", "السلام"),
    ("ar", "السـلام", "السلام"),
    ("he", "ﬡלף", "אלף"),
    # signs: words of their own
    ("en", "It is 20 ℃, 68℉ out.", "It is 20 °C, 68°F out."),
    ("en", "5㎏ on 10㎡, at 3㎧", "5 kg on 10 m², at 3 m/s"),
    ("en", "①②③ item④ ❶ ⑴⑵ ⒈One ⒜", "1 2 3 item 4 1 (1)(2) 1. One (a)"),
    ("en", "1️⃣2️⃣ #️⃣", "1 2 #"),
    ("ja", "㍻３年㋀㏠ 5㌔ ㈱", "平成3年1月1日 5キロ (株)"),
    ("ar", "محمدﷺ", "محمد صلى الله عليه وسلم"),
    ("en", "3⅛ cups, ⅕", "3 1/8 cups, 1/5"),
    ("es", "2¾", "2 3/4"),
    ("en", "№5 of 27″, 6′ 2″, 12° 30′ 15″N", "number 5 of 27 inches, 6 feet 2 inches, 12° 30 minutes 15 seconds N"),
    ("ru", "№ 5", "номер 5"),
    ("uz", "№ 5", "No 5"),
    # above and below the line
    ("en", "10¹⁰ and 10⁻³m", "10 10 and 10 −3 m"),
    ("en", "H₂O and C₆H₁₂O₆ and xₙ", "H2O and C6H12O6 and x n"),
    ("en", "Ca²⁺ and SO₄²⁻ and x⁽²⁾", "Ca²+ and SO4²− and x(²)"),
    ("en", "1∶2, 5∕6 and ⅟5", "1:2, 5/6 and 1/5"),
    ("fr", "1ᵉʳ, Mᵐᵉ et 2ᵉ", "1er, Mme et 2e"),
    ("en", "1⁄2 and 3¹⁄₂", "1/2 and 3 1/2"),
    # what is not seen
    ("en", "infor\u200bmation co\u2060op a\ufeffb c\u200dd soft\u00adhyphen", "information coop ab cd softhyphen"),
    ("en", "\u200eleft\u200f \u2066in\u2069 \u034fx\ufe0f \U000e0041y", "left in x y"),
    ("de", "Auf\u200clage", "Auflage"),
    ("en", "infor\u180emation, infor\ufffcmation, infor\U000e0fffmation", ", ".join(["information"] * 3)),
    # marks
    ("en", "well\u2010known non\u2011stop", "well-known non-stop"),
    ("uk", "пʼять", "п'ять"),
    ("en", "Qurʾan, Sharīʿa, Hawaiʻi, Gorʹkij", "Qur'an, Sharī'a, Hawai'i, Gor'kij"),
    ("en", "ʼtis, don´t and don′t and don＇t", "'tis, don't and don't and don't"),
    ("en", "５０％ of ＄５＋＠＆", "50% of $5+@&"),
    ("en", "Ｈｅｌｌｏ，Ｗｏｒｌｄ！（ｈｉ）", "Hello, World!(hi)"),
    ("zh", "３．５元，１，０００人，１２：３０，Ｕ．Ｓ．", "3.5元，1,000人，12:30，U.S．"),
    ("zh", "﹙走﹚﹐︽书︾", "（走），《书》"),
    # emoji
    ("en", "I ❤️ it.", "I ❤ it."),
    ("en", "Really⁉ No‼️ ⁉", "Really!? No!! ⁉"),
    ("en", "😀😀 (☕), 👍🏽👍! ⁉🌈 🇩🇪🇫🇷", "😀 😀 ( ☕ ), 👍🏽 👍! ⁉ 🌈 🇩🇪 🇫🇷"),
    ("en", "👨‍👩‍👧👩‍🚀 🏳‍🌈", "👨‍👩‍👧 👩‍🚀 🏳️‍🌈"),
]  # fmt: skip

STAYS = [
    ("en", "10² ≠ 102, 3½ and 3¼, x³, ™ © ª º … – — “quoted” ‘it’"),
    ("en", "Hi 😀. Then ☕! A kiss 😘"),
    ("en", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 plays, 🏴‍☠ too"),
    ("en", "🅰 and 🆗"),
    ("en", "xⁿ"),
    ("en", "the sounds ɪ, ʀɪ, ᴀ and kɪʀɪk"),
    ("de", "Grüße, Straße, ¾"),
    ("zh", "他说（走）了，好！她问：“谁？”～"),
    ("ja", "今日は、雨。「はい」・ｶ".replace("ｶ", "カ")),
    ("ko", "ㅋㅋㅋ 한국어"),
    ("fa", "می\u200cروم"),
    ("hi", "क्\u200dष क्\u200cष"),
    ("bn", "র\u200d্য"),
    ("as", "সম\u09df"),
    ("th", "ภาษา\u200bไทย น้ำ"),
    ("hy", "և"),
    ("ar", "ـ"),
    ("ru", "Ёлка, съел. «Да»"),
    ("en", "\u200b"),
]


@pytest.mark.parametrize(("language", "text", "plain"), READ_AS)
def test_a_text_is_spelled_as_its_reader_reads_it(language: str, text: str, plain: str) -> None:
    assert plain_spelling(text, language) == plain
    assert plain_spelling(plain, language) == plain


@pytest.mark.parametrize(("language", "text"), STAYS)
def test_what_belongs_to_a_script_or_means_something_else_stays(language: str, text: str) -> None:
    assert plain_spelling(text, language) == text


@pytest.mark.parametrize("language", ["zh", "cmn", "yue", "ja", "zh-Hant-TW", "cmn-latn-pinyin"])
def test_chinese_and_japanese_keep_the_full_width_of_their_marks(language: str) -> None:
    assert plain_spelling("他走了，ＡＢ（好）！", language) == "他走了，AB（好）！"


def test_a_region_or_script_changes_nothing_about_a_language() -> None:
    assert plain_spelling("№ 5", "pt-BR") == plain_spelling("№ 5", "pt") == "número 5"


# --- what holds for any text ------------------------------------------------------------------------------------------

ODD = (
    "aZ9 .,°(é\u0301\u200b\u200c\u200d\ufe0f\ufe0e\u2060\u00ad\u0640سلا\u064bक्षภา你か\u3099한ᄀ\u1161😀👍🏽❤🏳🌈🇩🏴"
    "\U000e0067\U000e007f\u20e3#1²¹⁰⁻⁺₂ₙᵉⁿ⁄½¾⅓№′″‐ʼ´＇，．：（～‼⁉🅰🅷ﾞｶΩµſŉ"
)
TEXTS = st.text(st.one_of(st.sampled_from(ODD), st.sampled_from([*map(chr, LETTERS), *SIGNS]), st.characters()))
LANGUAGES = st.sampled_from(["en", "zh", "ja", "es", "ar", "fa", "", "xx"])


@settings(max_examples=500)
@given(TEXTS, LANGUAGES)
def test_the_spelling_of_any_text(text: str, language: str) -> None:
    plain = plain_spelling(text, language)
    assert plain_spelling(plain, language) == plain, "twice is once"
    assert len(plain) <= 24 * len(text)
    assert bool(plain.strip()) == bool(text.strip()), "no text is left blank"
    if any(unicodedata.category(letter) in ("Lu", "Ll", "Nd") for letter in text):
        assert any(map(str.isalnum, plain)), "letters are left"
    if plain != text:
        taken_apart = unicodedata.normalize("NFC", plain)
        assert taken_apart == plain or any(letter in plain for letter in "\u09dc\u09dd\u09df")


@given(st.text(st.characters(max_codepoint=127)), LANGUAGES)
def test_ascii_stays_as_it_is(text: str, language: str) -> None:
    assert plain_spelling(text, language) == text


@pytest.mark.parametrize(
    "unit",
    [
        "é", "中，", "ﷺ", "😀", "\u200b", "\u0640", "س\u0640", "¹", "₂", "a\u0301", "\u0301\u0323", "\u093c\u094d", "ʼ",
        "°1′", "1,", "❤\u200d", "🏴\U000e0067", "\ufe0f", "🅰", "①", "²¹′", "１．", "ﾞ",
    ],
)  # fmt: skip
def test_spelling_takes_time_linear_in_the_text(unit: str) -> None:
    """0.1 to 0.8 s of CPU. What grew with the square of the length took 30 to 230 s for twice the text."""
    text = (unit * 100_000)[:100_000]
    begun = time.process_time()
    plain_spelling(text, "ja" if "．" in unit or "，" in unit else "en")
    assert time.process_time() - begun < 2.5


def test_pictures_are_no_letters() -> None:
    """A picture that were folded could lose the sequence that it belongs to."""
    assert not [letter for letter in map(chr, LETTERS) if letter in PICTURES]

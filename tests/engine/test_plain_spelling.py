"""What a reader takes for plain text sounds like it, with a real engine: eSpeak spells such characters out, says
something else, or leaves them out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.feeds import clip
from worker.engines.espeak.engine import Espeak

PAIRS = [
    ("ja", "２０２４年１２月", "2024年12月"),
    ("de", "Am ３. Mai um ５０％", "Am 3. Mai um 50%"),
    ("cmn", "价格３．５元，２０％", "价格3.5元，20%"),
    ("cmn", "⼭⽔⾷⻝", "山水食食"),
    ("cmn", "①号和❷号", "1号和2号"),
    ("ko", "①번 ﾡ", "1번 ㄱ"),
    ("ko", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165", "한국어"),
    ("ja", "ﾃﾞｰﾀとｶﾞﾗｽ", "データとガラス"),
    ("en", "It is 20 ℃ or 68 ℉ out.", "It is 20 °C or 68 °F out."),
    ("de", "Es sind 20 ℃, also ①.", "Es sind 20 °C, also 1."),
    ("en", "We have ① and ② and ⑬ and 𝟏𝟐.", "We have 1 and 2 and 13 and 12."),
    ("en", "5㎏ and 10㎞ and 3㎡", "5 kg and 10 km and 3 m²"),
    ("en", "3⅛ and ⅞", "3 1/8 and 7/8"),
    ("fr", "№ 5", "numéro 5"),
    ("de", "ein 27″ Schirm", "ein 27 Zoll Schirm"),
    ("en", "10¹² and 6 × 10²³", "10 12 and 6 × 10 23"),
    ("en", "The ﬁnal oﬃce.", "The final office."),
    ("fr", "La ﬁn de l'aﬀaire", "La fin de l'affaire"),
    ("tr", "ﬁkir", "fikir"),
    ("hr", "ǆep", "džep"),
    ("fr", "le 1ᵉʳ, Mᵐᵉ", "le 1er, Mme"),
    ("en", "𝓣𝓱𝓮 𝕥𝕚𝕕𝕖 ⓦⓔⓝⓣ Ｏｕｔ", "The tide went Out"),
    ("en", "Chapter Ⅳ", "Chapter IV"),
    ("de", "U\u0308ber die Bru\u0308cke", "Über die Brücke"),
    ("vi", "Tie\u0302\u0301ng Vie\u0323\u0302t", "Tiếng Việt"),
    ("as", "সম\u09af\u09bc, গা\u09a1\u09bcি", "সম\u09df, গা\u09dcি"),
    ("hu", "o\u030bszinte", "őszinte"),
    (
        "en",
        "infor\u200bmation, infor\u2060mation, infor\ufeffmation, infor\u200dmation",
        ", ".join(["information"] * 4),
    ),
    ("ru", "инфор\u200bма\u00adция", "информация"),
    ("ar", "ﺍﻟﺴﻼﻡ ﻋﻠﻴﻜﻢ", "السلام عليكم"),
    ("ar", "الســـلام", "السلام"),
    ("ar", "ﷲ", "الله"),
    ("fa", "ﮐﺘﺎﺏ", "کتاب"),
    ("he", "ﬡﬢ", "אד"),
    ("uk", "пʼять", "п'ять"),
    ("de", "Qurʾan und Hawaiʻi", "Qur'an und Hawai'i"),
    ("en", "donʼt and ʼtis", "don't and 'tis"),
    ("en", "a well\u2010known, non\u2011stop tale", "a well-known, non-stop tale"),
    ("en", "I ❤️ it, ☕️.", "I ❤ it, ☕."),
    ("en", "Hello（world）！", "Hello(world)!"),
    ("en", "Really⁉ No‼", "Really!? No!!"),
]


@pytest.mark.parametrize(("language", "text", "plain"), PAIRS, ids=lambda value: ascii(value)[1:30])
def test_a_text_sounds_as_its_plain_spelling(espeak: Espeak, language: str, text: str, plain: str) -> None:
    spoken, expected = (clip(espeak, each, language=language).samples for each in (text, plain))
    assert np.array_equal(spoken, expected)


@pytest.mark.parametrize(
    "parts",
    [
        ["😀", "😀", "😀"], ["⁉", "🌈"], ["👍🏽", "👍🏽"], ["🇩🇪", "🇫🇷"], ["👨‍👩‍👧", "👍"], ["☺️", "☺️"], ["①", "②", "③"],
        ["1️⃣", "2️⃣"],
    ],
    ids=ascii,
)  # fmt: skip
def test_signs_next_to_each_other_are_all_spoken(espeak: Espeak, parts: list[str]) -> None:
    together = len(clip(espeak, "".join(parts)).samples)
    assert together == len(clip(espeak, " ".join(parts)).samples)
    assert together > 1.2 * max(len(clip(espeak, part).samples) for part in parts)


@pytest.mark.parametrize("text", ["Look (😀), all of you", "Look: 😀, all", "A flag 🇩🇪, all", "I ❤️ all"], ids=ascii)
def test_an_emoji_beside_a_mark_is_spoken(espeak: Espeak, text: str) -> None:
    silent = "".join(letter for letter in text if letter.isascii())
    assert len(clip(espeak, text).samples) > len(clip(espeak, silent).samples) + 0.2 * espeak.card.sample_rate


@pytest.mark.parametrize(
    ("language", "text"), [("en", "20{}"), ("de", "20 {}"), ("ja", "20{}"), ("ru", "20{}"), ("es", "20{}")]
)
@pytest.mark.parametrize("sign", ["²", "¹⁰", "½", "¾", "⅛", "℃", "①", "№"])
def test_no_sign_after_a_number_is_left_out(espeak: Espeak, language: str, text: str, sign: str) -> None:
    bare, signed = (len(clip(espeak, text.format(each), language=language).samples) for each in ("", sign))
    assert signed > bare + 0.05 * espeak.card.sample_rate

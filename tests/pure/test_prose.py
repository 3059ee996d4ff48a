from __future__ import annotations

import re
import statistics
import textwrap
import time
import unicodedata
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencex import segment

from farm.prose import Gap, Span, Unit, spans

LANGUAGES = ["en", "en-us", "zh", "cmn", "ja", "es", "ar", "de", "fr-fr", "hi", "tlh"]
PIECES = [
    *(
        "He left.",
        "“Who?” ",
        "Mr. Ito, 3.5 m",
        "她说：“走吧。”",
        "«Ça va ?»",
        "مرحبا، كيف؟ ",
        "だよ。",
        "M. ",
        "word",
        "-" * 40,
    ),
    *("\n* * *\n", "\n\n---\n\n", "\n⁂\n", "***", "\f", "\n\f"),
    *(" ", "  ", "\n", "\r\n", "\n\n", "\u2029", "\u3000", "\t", ",", "…"),
    *("e\u0301", "👩\u200d👩\u200d👧", "🇫🇷", "👍🏽", "\u200d", "\u0301", "각", "-" * 40),
]
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=400) | st.lists(
    st.sampled_from(PIECES), max_size=120
).map("".join)


def cut(text: str, limit: int, language: str = "en") -> list[str]:
    return [text[span.start : span.end] for span in spans(text, language, limit)]


def is_said(line: str) -> bool:
    """Whether a line is more than a scene break could be."""
    return any(character.isalnum() or character in ".,!?…;'\"" for character in line)


def check_offsets(text: str, found: list[Span]) -> None:
    """Spans rise, have no white space at their ends, and all outside them is white space and whole lines of marks."""
    position = 0
    for place, span in enumerate([*found, Span(len(text), len(text), Gap.CHAPTER)]):
        outside = text[position : span.start]
        if outside.strip():
            assert not is_said(outside)
            if is_said("".join(text[each.start : each.end] for each in found)):
                assert place == 0 or not ("x" + outside).splitlines()[0][1:].strip()
                assert place == len(found) or not (outside + "x").splitlines()[-1][:-1].strip()
        if place < len(found):
            assert position <= span.start < span.end <= len(text)
            assert text[span.start : span.end] == text[span.start : span.end].strip()
        position = span.end


def gaps(text: str, limit: int = 290, language: str = "en") -> list[Gap]:
    return [span.gap for span in spans(text, language, limit)]


# --- what must never happen -------------------------------------------------------------------------------------------


@settings(max_examples=600, deadline=None)
@given(text=any_text, language=st.sampled_from(LANGUAGES), limit=st.integers(1, 60) | st.integers(60, 400))
def test_all_but_white_space_and_scene_breaks_is_spoken_once_in_order_and_within_the_limit(
    text: str, language: str, limit: int
) -> None:
    found = list(spans(text, language, limit))
    check_offsets(text, found)
    for span in found:
        assert span.end <= span.start + limit
    assert [span.gap for span in found[-1:]] == [Gap.CHAPTER] * bool(text.strip())
    assert Gap.CHAPTER not in [span.gap for span in found[:-1]]


@settings(max_examples=200, deadline=None)
@given(text=any_text, limit=st.integers(1, 400))
def test_no_segment_crosses_a_blank_line_however_short_its_paragraphs_are(text: str, limit: int) -> None:
    for spoken in cut(text, limit):
        one_page = re.sub(r"\s*\f\s*", " ", spoken)  # where a sentence goes on, a page break is no blank line
        assert all(line.strip() for line in one_page.splitlines())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["e\u0301", "👩\u200d👩\u200d👧", "🇫🇷", "👍🏽", "각", "한", "字", "x"]), min_size=30).map(
        "".join
    )
)
def test_a_run_without_spaces_is_cut_between_grapheme_clusters(text: str) -> None:
    for spoken in cut(text, 25):
        assert unicodedata.category(spoken[0]) not in ("Mn", "Sk", "Cf")
        assert spoken[-1] != "\u200d"
        assert spoken.count("🇫") == spoken.count("🇷")


def test_a_cluster_longer_than_the_limit_is_cut_all_the_same() -> None:
    assert [len(spoken) for spoken in cut("x" + "\u0301" * 99, 30)] == [30, 30, 30, 10]


def test_a_limit_below_one_character_is_refused() -> None:
    with pytest.raises(ValueError, match="0 characters"):
        list(spans("text", "en", 0))


def test_line_ends_and_white_space_are_pythons_own() -> None:
    from farm.prose.paragraphs import _INDENT, _LINE_END

    for code in range(0x110000):
        character = chr(code)
        assert bool(re.match(r"\s", character)) == character.isspace()
        if character.isspace():
            breaks = len(f"a{character}b".splitlines()) == 2
            assert breaks == bool(_LINE_END.match(character)) != (character in _INDENT)


# --- sentences --------------------------------------------------------------------------------------------------------

SENTENCES = {
    "en": [
        "The lamp went out at 3.5 p.m. and Mr. Hale lit it.",
        "“Who is there?” she asked the dark. “Speak! Now!”",
        "Nobody answered, not even the U.S. fleet, she wrote.",
    ],
    "zh": [
        "他說：“燈塔的燈今天晚上又熄滅了。”",
        "守塔人慢慢地走下了一百二十級台階！",
        "難道沒有人看見遠處那艘船的影子嗎？",
    ],
    "ja": [
        "「灯台の明かりがまた消えました。」",
        "彼は百二十段の階段をゆっくり降りた！",
        "遠くの船の影を見た人はいないのか？",
    ],
    "es": [
        "El Sr. López bajó las escaleras muy despacio.",
        "¿Quién apagó la lámpara del faro esta noche?",
        "¡Nadie respondió desde el barco a lo lejos!",
    ],
    "ar": [
        "نزل الحارس الدرج ببطء شديد في الليل.",
        "من أطفأ مصباح المنارة هذه الليلة؟",
        "لم يجب أحد من السفينة البعيدة هناك!",
    ],
    "de": [
        "Am 3. Mai ging Dr. Weiß bzw. Herr Zorn zur Treppe.",
        "Wer hat heute Nacht die Lampe im Turm gelöscht?",
        "Niemand antwortete, z. B. vom Schiff in der Ferne!",
    ],
    "fr": [
        "M. Dupont descendit lentement les cent marches.",
        "Qui donc a éteint la lampe du phare cette nuit ?",
        "« Personne ! » répondit une voix dans le lointain.",
    ],
}


@pytest.mark.parametrize("language", SENTENCES)
def test_segments_end_with_sentences(language: str) -> None:
    sentences = SENTENCES[language]
    limit = max(map(len, sentences))
    between = "" if language in ("zh", "ja") else " "
    assert cut(between.join(sentences * 3), limit, language) == sentences * 3


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en-us", "en"),
        ("EN_GB", "en"),
        ("fr-fr", "fr"),
        ("de-AT", "de"),
        ("zh-Hans", "zh"),
        ("cmn", "zh"),
        ("yue", "zh"),
        ("es-419", "es"),
    ],
)
def test_regional_tags_and_espeaks_names_follow_their_languages_rules(tag: str, language: str) -> None:
    text = " ".join(SENTENCES[language])
    limit = max(map(len, SENTENCES[language])) * 3 // 2  # no two sentences fit, and a false end would make it more even
    assert cut(text, limit, tag) == cut(text, limit, language) == SENTENCES[language]


@pytest.mark.parametrize("tag", ["de-AT", "de_CH", "DE", "de-Latn-DE"])
def test_a_regions_abbreviations_are_its_languages(tag: str) -> None:
    text = "Der Wärter bzw. seine Frau zählte in dieser Nacht alle Stufen der Treppe bis zum Meer hinab."
    assert cut(text, 80, tag) == cut(text, 80, "de") != cut(text, 80, "en")


def test_sentences_are_found_whole_in_a_paragraph_of_any_length() -> None:
    sentence = "The lamp keeper went down to the sea again."
    assert cut(" ".join([sentence] * 2000), 80) == [sentence] * 2000


def test_an_unknown_language_is_cut_at_full_stops() -> None:
    assert cut("Nuqneh qaleghneS jay. Heghlumeh qaq jajvam.", 30, "tlh") == [
        "Nuqneh qaleghneS jay.",
        "Heghlumeh qaq jajvam.",
    ]


def test_an_initial_ends_no_sentence() -> None:
    assert cut("Le vieux phare appartient à M. Dupont depuis toujours. Il rit.", 55, "fr")[0].endswith("toujours.")


# --- what is too long for a segment -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["word ", "字", "x", "คำ", "\u0645\u0631 "])
def test_a_sentence_of_2000_characters_without_punctuation_fits_and_is_cut_evenly(unit: str) -> None:
    text = (unit * 2000)[:2000]
    lengths = [len(spoken) for spoken in cut(text, 290)]
    assert len(lengths) == 7
    assert max(lengths) <= 290
    assert max(lengths) - min(lengths) <= 20


def test_a_long_sentence_is_cut_at_clauses_first_and_between_words_only_where_a_clause_is_too_long() -> None:
    clause = "the keeper counted one thousand and ninety steps,"
    text = f"At dusk {clause} {clause} {'and on ' * 12}and then, he slept."
    first, second, *others = cut(text, 60)
    assert first.endswith("steps,")
    assert second.endswith("steps,")
    assert all(len(spoken) > 20 for spoken in others)


def test_a_long_sentence_is_cut_once_rather_than_twice_though_it_is_less_even() -> None:
    short = "The keeper of the old lamp went down to the ships."
    long = (
        "At the door he stopped a time, and there he counted all the steps that he had gone, all hundred of them now."
    )
    assert [spoken[-1] for spoken in cut(f"{short} {long} {short}", 100)] == [",", ".", "."]


def test_numbers_and_words_are_not_cut_at_their_commas_colons_and_dashes() -> None:
    text = "between 1,000,000,000 and 12:30:45 o'clock of 1998–1999 and forty-two of them " * 3
    for spoken in cut(text, 30):
        assert spoken.split()[0] in text.split()
        assert spoken.split()[-1] in text.split()


def test_full_width_punctuation_stays_with_the_clause_before_it() -> None:
    text = "他慢慢地走下了燈塔的台階，海面上一片漆黑；遠處傳來了船的汽笛聲、還有風聲……然後一切又安靜了下來" * 2
    assert not [spoken for spoken in cut(text, 25, "zh") if spoken[0] in "，；、…。"]


# --- even segments ----------------------------------------------------------------------------------------------------

WORDS = [
    "a",
    "the",
    "of",
    "night",
    "lamp",
    "keeper",
    "went",
    "down",
    "stairs",
    "quiet",
    "harbour",
    "remembered",
    "nothing",
]


def novel(random: Random, paragraphs: int) -> list[str]:
    """Paragraphs whose sentences have the lengths of English prose: log-normal, 15 words in the median."""

    def sentence() -> str:
        count = max(2, round(random.lognormvariate(2.7, 0.6)))
        words = [random.choice(WORDS) + "," * (place % 8 == 7) for place in range(count - 1)] + [random.choice(WORDS)]
        return " ".join(words).capitalize() + random.choice("......!?")

    return [
        " ".join(sentence() for _ in range(max(1, round(random.lognormvariate(1.6, 0.7))))) for _ in range(paragraphs)
    ]


def greedily(paragraph: str, limit: int) -> list[int]:
    """What a plain loop makes of it: fill up to the limit, then begin anew."""
    lengths = [0]
    for sentence in segment("en", paragraph):
        for line in textwrap.wrap(sentence, limit):
            joined = lengths[-1] + bool(lengths[-1]) + len(line)
            lengths = [*lengths[:-1], joined] if joined <= limit else [*lengths, len(line)]
    return lengths


def test_segments_of_long_prose_are_fewer_and_more_even_than_greedy_ones() -> None:
    limit = 290
    paragraphs = novel(Random(7), 800)
    even = [span.end - span.start for span in spans("\n\n".join(paragraphs), "en", limit)]
    greedy = [length for paragraph in paragraphs for length in greedily(paragraph, limit)]
    assert len(even) <= len(greedy)
    assert statistics.mean(even) / limit >= 0.68
    assert _spread(even) <= 0.29  # greedy: 0.34; what is left is paragraphs that are shorter than a segment
    divided = [paragraph for paragraph in paragraphs if len(paragraph) > limit]
    within = statistics.mean(_spread([len(spoken) for spoken in cut(paragraph, limit)]) for paragraph in divided)
    assert within <= 0.7 * statistics.mean(_spread(greedily(paragraph, limit)) for paragraph in divided)


def _spread(lengths: list[int]) -> float:
    return statistics.pstdev(lengths) / statistics.mean(lengths)


def test_a_paragraph_a_little_over_the_limit_becomes_two_halves_and_not_a_whole_and_a_rest() -> None:
    sentence = "The lamp keeper went down to the sea again."
    assert [len(spoken) for spoken in cut(" ".join([sentence] * 8), 310)] == [175, 175]


# --- paragraphs -------------------------------------------------------------------------------------------------------


def test_gaps_after_segments_are_classified() -> None:
    sentence = "The lamp keeper went down to the sea again."
    text = f"{sentence} {sentence}\n\nAnd slept."
    assert gaps(text, 50) == [Gap.SEGMENT, Gap.PARAGRAPH, Gap.CHAPTER]


@pytest.mark.parametrize("break_", ["\n\n", "\r\n\r\n", "\n \t\n", "\u2029", "\n\n\n\n", "\r\r"])
def test_a_blank_line_ends_a_paragraph_whatever_it_is_written_with(break_: str) -> None:
    assert cut(f"One thing{break_}and another", 290) == ["One thing", "and another"]
    wrapped = textwrap.fill(novel(Random(1), 1)[0], 60)
    assert cut(f"{wrapped}{break_}and another", 290)[-1] == "and another"


@pytest.mark.parametrize(("between", "indent"), [("\n\n", ""), ("\n", "    "), ("\r\n\r\n", "")])
def test_a_hard_wrapped_book_has_the_segments_of_the_same_book_unwrapped(between: str, indent: str) -> None:
    paragraphs = novel(Random(3), 60)
    wrapped = between.join(textwrap.fill(paragraph, 72, initial_indent=indent) for paragraph in paragraphs)
    assert [" ".join(spoken.split()) for spoken in cut(wrapped, 290)] == cut("\n\n".join(paragraphs), 290)


def test_a_long_line_does_not_hide_how_a_book_is_wrapped() -> None:
    paragraphs = novel(Random(3), 60)
    wrapped = "\n\n".join(textwrap.fill(paragraph, 64) for paragraph in paragraphs)
    table = "A Table of the Lamps, with Their Harbours, Keepers, Heights and Colours, as They Were\nIn That Year"
    assert [" ".join(spoken.split()) for spoken in cut(f"{wrapped}\n\n{table}", 290)][:-1] == cut(
        "\n\n".join(paragraphs), 290
    )


def test_a_line_that_was_broken_early_goes_on_in_lower_case() -> None:
    wrapped = textwrap.fill(novel(Random(1), 1)[0], 60)
    assert cut(f"{wrapped}\n\nHe came down\nslowly.", 290)[-1] == "He came down\nslowly."


def test_hard_wrapped_chinese_is_joined_though_it_has_no_spaces() -> None:
    paragraph = "守塔人慢慢地走下了一百二十級台階，海面上一片漆黑，遠處傳來了船的汽笛聲，還有風吹過塔頂的聲音。" * 4
    lines = [paragraph[place : place + 36] for place in range(0, len(paragraph), 36)]
    assert gaps("\n".join(lines), 110, "zh") == gaps(paragraph, 110, "zh")
    assert gaps("\n".join([*lines, *lines]), 110, "zh").count(Gap.PARAGRAPH) == 1  # the last line is not full


def test_chinese_that_is_wrapped_at_twenty_characters_is_joined() -> None:
    paragraph = "守塔人慢慢地走下了一百二十級台階，海面上一片漆黑，遠處傳來了船的汽笛聲，還有風吹過塔頂的聲音。" * 4
    lines = [paragraph[place : place + 20] for place in range(0, len(paragraph), 20)]
    assert gaps("\n".join(lines), 1000, "zh") == [Gap.CHAPTER]


COLUMNS = {
    "zh": "守塔人慢慢地走下了一百二十級台階，海面上一片漆黑，遠處傳來了船的汽笛聲，還有風吹過塔頂的聲音。"
    "他停下來，聽了一會兒；什麼也沒有發生。",
    "ja": "灯台守はゆっくりと百二十段の階段を下りていった。海は真っ暗で、遠くから船の汽笛が聞こえた。"
    "彼は立ち止まって、じっと耳を澄ました。",
    "zh-hant": "他說：「你聽，那是甚麼？」她搖了搖頭，不肯回答，因為她知道，"
    "那是海在說話，而海從來不等人；它只說一次，然後就沉默了。",
}  # fmt: skip


@pytest.mark.parametrize("width", range(8, 16))
@pytest.mark.parametrize("language", COLUMNS)
def test_chinese_and_japanese_in_a_narrow_column_are_joined(language: str, width: int) -> None:
    paragraph = COLUMNS[language] * 3
    lines = [paragraph[place : place + width] for place in range(0, len(paragraph), width)]
    assert gaps("\n".join(lines), 1000, language) == [Gap.CHAPTER]


@pytest.mark.parametrize(
    "text",
    [
        "床前明月光，\n疑是地上霜。\n舉頭望明月，\n低頭思故鄉。",
        "春眠不覺曉\n處處聞啼鳥\n夜來風雨聲\n花落知多少",
        "床前明月光，疑是地上霜。\n舉頭望明月，低頭思故鄉。\n白日依山盡，黃河入海流。\n欲窮千里目，更上一層樓。",
        "空山不見人，但聞人語響\n返景入深林，復照青苔上\n獨坐幽篁裏，彈琴復長嘯\n深林人不知，明月來相照",
        "無邊落木蕭蕭下，不盡\n",
        "輕輕的我走了，\n正如我輕輕的來；\n我輕輕的招手，\n作別西天的雲彩。\n那河畔的金柳，\n是夕陽中的新娘；",
        "「你好嗎？」\n「我很好，謝謝。」\n「要去哪裏？」\n「回家，吃晚飯。」\n「那明天見。」",
        "一月二日星期一休息\n一月三日星期二上課\n一月四日星期三上課\n一月五日星期四考試",
    ],
)
def test_chinese_verse_dialogue_and_lists_keep_their_narrow_lines(text: str) -> None:
    assert cut(text, 290, "zh") == text.strip().split("\n")


VERSE = """The lamp that burned above the bay
Has burned its final night away,
And down the hundred steps of stone
The keeper goes, and goes alone,
With nothing in his hand to hold
But one brass key, and that is cold."""
DIALOGUE = """“Is anybody up there with the lamp tonight?” she called.
“No.”
“Then who has lit it, if there is nobody up there at all?”
“It lights itself when somebody is out at sea.”"""
LINES = """守塔人走下了台階。
海面上一片漆黑，什麼也看不見，只聽得到遠處那艘船的汽笛聲一聲比一聲更近。
他等着。"""


@pytest.mark.parametrize("text", [VERSE, DIALOGUE, LINES, "eggs\nmilk\nbread", "Chapter One\nIt was night."])
def test_lines_of_verse_dialogue_and_lists_are_paragraphs_of_their_own(text: str) -> None:
    assert cut(text, 290) == text.split("\n")


def test_a_poem_within_a_hard_wrapped_book_keeps_its_lines() -> None:
    prose = "\n\n".join(textwrap.fill(paragraph, 72) for paragraph in novel(Random(5), 30))
    found = cut(f"{prose}\n\n{VERSE}\n\n{prose}", 290)
    assert all(line in found for line in VERSE.split("\n"))


@pytest.mark.parametrize(
    "text", ["The fire was unneces-\nsary.", "Der Donau-\n    dampfer kam.", "It is a well-\n\fknown house."]
)
def test_a_divided_word_goes_on_in_any_text(text: str) -> None:
    assert cut(text, 290) == [text]


def test_full_width_marks_within_a_number_are_no_ends_of_clauses() -> None:
    text = "在１２：３０到１，０００，０００之間的時候" * 4
    assert not [spoken for spoken in cut(text, 30, "zh") if spoken[-1] in "：，" or spoken[0] in "：，"]


# --- words without spaces between them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "limit", "pieces"),
    [
        ("ja", 16, "彼は海辺の小さな|喫茶店に長い間座って、"),
        ("ja", 12, "彼女はお茶を飲んだ|コーヒーも飲んだ"),
        ("ja", 16, "コンピューター・プログラミングの|スーパーマーケットです"),
        ("zh", 10, "海边的老人们|看着远方的潮水慢慢"),
        ("th", 30, "คิดถึงผู้คนที่จะ|ไม่มีวันกลับมาอีก"),
        ("en", 30, "https://www.example.com/|some/path/of/it?query=1"),
        ("en", 12, "abcdefghij|klmnopqrst"),
        ("zh", 10, "潮水慢慢退去灯|亮起来天黑了"),
    ],
)  # fmt: skip
def test_a_run_without_spaces_is_cut_where_a_word_begins(language: str, limit: int, pieces: str) -> None:
    """Where the text shows none, it is cut in even parts."""
    text = pieces.replace("|", "")
    assert [text[span.start : span.end] for span in spans(text, language, limit)] == pieces.split("|")


# --- scene breaks -----------------------------------------------------------------------------------------------------

SCENE_BREAKS = [
    "%%%", "@ @ @", "&&&", "$$$$", ":::", "; ; ;", "∞", "∴", "☽", "﹡﹡﹡", "٭٭٭",
    "* * *", "***", "*", "**", "*****", "---", "- - -", "-", "—", "– – –", "———", "⁂", "#", "# # #", "###",
    "~~~", "~", "~ ~ ~", "• • •", "•", "❦", "§", "§ § §", "___", "_ _ _", "=====", "· · ·", "·", "＊＊＊",
    "＊　＊　＊", "※", "◇◇◇", "◆", "☆", "★ ★ ★", "⁎ ⁎ ⁎", "❧", "☙", "† † †", "+++", "-*-*-", "~*~", "<><><>",
    "[* * *]", "\\* \\* \\*", "✳\ufe0f", "～～～", "─────", "═══", "■", "○", "●●●", "■ □ ■", "——————",
    "*\xa0*\xa0*", "\u200b***", "• ~ •", "＃", "－－－", "++", "/ / /",
    "→", "♪ ♪ ♪", "♫", "×××", "× × ×", "≈≈≈", "‧‧‧", "✝", "༺ ༻", "۞", "⟡ ⟡", "➤➤➤", "⊹", "{***}", "「＊」",
    "~o~", "-o-", "-@-@-", "~x~x~", "x x x", "o o o", "0o0", "<hr>", "<HR />", "[Scene break]", "(SECTION BREAK)",
    "oOo", "o O o", "o0o", "-oOo-", "~ ooOoo ~", "oOoOo", "xXx", "x X x", "* xXXx *",
]  # fmt: skip


@pytest.mark.parametrize("mark", SCENE_BREAKS)
@pytest.mark.parametrize("between", ["\n\n", "\n", "\r\n\r\n", "\n\n    "])
def test_a_scene_break_is_a_pause_and_is_never_spoken(mark: str, between: str) -> None:
    text = f"One.{between}{mark}{between}Two.\n\nThree."
    assert cut(text, 290) == ["One.", "Two.", "Three."]
    assert gaps(text) == [Gap.SCENE, Gap.PARAGRAPH, Gap.CHAPTER]


@pytest.mark.parametrize(
    "said",
    [
        "...",
        "…",
        ". . .",
        "?!",
        "%",
        "@",
        "&&",
        "$ 5",
        "!!!",
        "– No.",
        "* One",
        "-1-",
        "1 * 1",
        "- x -",
        "♪ la la ♪",
        "→ left",
        "2 × 3",
        "x x",
        "<b>",
        "[break]",
        "scene break",
        "-o",
        ":-D",
        "Ooo",
        "ooo",
        "xxx",
        "XX",
        "❗",
        "❤",
        "I",
        "一",
    ],
)
def test_a_line_that_somebody_may_say_is_no_scene_break(said: str) -> None:
    assert cut(f"One.\n\n{said}\n\nTwo.", 290) == ["One.", said, "Two."]


def test_scene_breaks_at_the_ends_and_after_one_another_are_no_more_than_one_pause() -> None:
    text = "***\n\nOne.\n\n***\n\n---\n\nTwo.\n\n* * *\n"
    assert cut(text, 290) == ["One.", "Two."]
    assert gaps(text) == [Gap.SCENE, Gap.CHAPTER]


def test_a_scene_break_in_a_hard_wrapped_book_parts_its_paragraphs() -> None:
    wrapped = textwrap.fill(novel(Random(1), 1)[0], 60)
    found = cut(f"{wrapped}\n* * *\n{wrapped}\n\n{wrapped}", 2000)
    assert found == [wrapped] * 3


def test_a_text_of_scene_breaks_alone_has_one_span() -> None:
    assert [(span.start, span.end, span.gap) for span in spans("\n* * *\n\n---\n", "en", 290)] == [(1, 6, Gap.CHAPTER)]
    assert cut("*" * 1000, 290) == ["*" * 290]


# --- page breaks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["\f", "\n\f", "\f\n", "\n\f\n", "\r\n\f\r\n", " \n\n\f\n  ", "\n\f    "])
@pytest.mark.parametrize(("before", "after"), [
    ("He walked to the", "river and sat."), ("Er sah den Fluss,", "Und dann ging er."),
    ("They came, all of them, to a well-", "known house."),
    ("守塔人慢慢地走下了一百二十級台階走到", "海邊坐下來看海。"), ("他走到了", "河边坐下。"),
    ("Er ging zum", "Fluss hinab."), ("She went with", "John to the sea."), ("It was on page", "12 of it."),
    ("He said that it was Mr.", "Smith who came."), ("It was signed by J.", "Smith."),
    ("She had walked all day with her friend Anna", "Karenina to the shore."),
])  # fmt: skip
def test_a_sentence_goes_on_over_a_page_break(page: str, before: str, after: str) -> None:
    assert cut(before + page + after, 290) == [before + page + after]


@pytest.mark.parametrize("page", ["\f", "\n\f", "\f\n", "\n\n\f"])
@pytest.mark.parametrize(("before", "after"), [
    ("He slept.", "The next day he woke."), ("Chapter One", "It was night."), ("“Who?”", "“me,” he said."),
    ("第一章", "他走了。"), ("他走了。", "她来了。"),
])  # fmt: skip
def test_a_paragraph_or_a_heading_ends_at_a_page_break(page: str, before: str, after: str) -> None:
    assert cut(before + page + after, 290) == [before, after]
    assert gaps(before + page + after) == [Gap.PARAGRAPH, Gap.CHAPTER]


@pytest.mark.parametrize("before", ["and that was the end", "they all lived happily in the old house by the sea"])
def test_a_heading_on_the_next_page_is_no_part_of_a_sentence_before_it(before: str) -> None:
    assert cut(f"{before}\n\fThe Storm\n\nIt rained.", 290) == [before, "The Storm", "It rained."]


def test_a_compound_that_ends_a_line_of_a_hard_wrapped_text_goes_on() -> None:
    words = "die Leute gingen aber dann doch noch einmal hinunter zu dem alten Hafen und sahen " * 6
    lines = textwrap.fill(words, 60).splitlines()
    text = "\n".join([*lines[:3], "vor der US-", "Botschaft", *lines[3:]])
    assert len(cut(text, 100_000)) == 1
    assert cut("“But I-\nShe stopped.", 290) == ["“But I-", "She stopped."]


def test_a_full_line_at_the_end_of_a_page_goes_on_in_a_hard_wrapped_book() -> None:
    (paragraph,) = novel(Random(2), 1)
    lines = textwrap.fill(paragraph * 3, 66).splitlines()
    text = "\n".join(lines[:5]) + "\n\f" + "\n".join(lines[5:])
    assert len(cut(text, 100_000)) == 1
    assert [" ".join(piece.split()) for piece in cut(text, 290)] == cut(" ".join(lines), 290)


# --- units ------------------------------------------------------------------------------------------------------------

SHOWN = ["word", "New York", "行", "上手", "St. Ives", "a, b", "x" * 40]
set_text = st.lists(
    st.tuples(st.sampled_from([*PIECES, "字" * 30]), st.none() | st.sampled_from(SHOWN)), max_size=60
)  # runs of text, and units between them


@settings(max_examples=400, deadline=None)
@given(runs=set_text, language=st.sampled_from(LANGUAGES), limit=st.integers(1, 60) | st.integers(60, 300))
def test_units_are_never_cut_and_measured_as_they_are_read(
    runs: list[tuple[str, str | None]], language: str, limit: int
) -> None:
    text, units = "", []
    for run, word in runs:
        text += run
        if word is not None:
            start, text = len(text), f"{text}<{word}|SAID1>"
            units.append(Unit(start, len(text), word))
    found = list(spans(text, language, limit, units))
    check_offsets(text, found)
    for unit in units:
        assert any(span.start <= unit.start and unit.end <= span.end for span in found)
    for span in found:
        within = [unit for unit in units if span.start <= unit.start < span.end]
        read = span.end - span.start - sum(unit.end - unit.start - len(unit.shown) for unit in within)
        assert read <= limit or max(len(unit.shown) for unit in within) > limit
    assert [span.gap for span in found[-1:]] == [Gap.CHAPTER] * bool(text.strip())


def test_a_text_with_units_is_cut_where_it_would_be_without() -> None:
    plain = "He had a minute. It was long, St. Ives said, and cold; nobody else was there to see it."
    marked = plain.replace("minute", "<minute|M IH1 . N AH0 T>").replace("St. Ives", "<St. Ives|S EY1 N T>")
    units = [Unit(found.start(), found.end(), found[1]) for found in re.finditer(r"<([^|]+)\|[^>]+>", marked)]
    for limit in (20, 30, 40, 60, 90):
        pieces = [marked[span.start : span.end] for span in spans(marked, "en", limit, units)]
        assert [re.sub(r"<([^|]+)\|[^>]+>", r"\1", piece) for piece in pieces] == cut(plain, limit)


def test_a_unit_within_a_run_without_spaces_is_not_cut() -> None:
    text = "字" * 19 + "<上手|うわて>" + "字" * 19
    unit = Unit(19, 27, "上手")
    assert [text[span.start : span.end] for span in spans(text, "ja", 20, [unit])] == [
        "字" * 19, "<上手|うわて>" + "字" * 9, "字" * 10
    ]  # fmt: skip


# --- time -------------------------------------------------------------------------------------------------------------


UNITS = [
    "x",
    ".",
    "。",
    "\n",
    "x\n",
    "\n ",
    " ",
    "word ",
    '"',
    "« a. ",
    ",",
    ',"',
    "🇫",
    "👍\u200d",
    "\u0301",
    "A. ",
    "((a) ",
    '"《',
    "》》「„《",
    "…。",
    "《a. ",
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_hundred_thousand_characters_of_anything_are_cut_in_linear_time(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    start = time.process_time()
    sum(1 for _ in spans(text, "fr", 1500))
    # 0.05 to 0.3 s of CPU. What was quadratic took minutes for half a million characters: 5 s and more for these.
    assert time.process_time() - start < 1.5

"""Markup into a script: nothing of the text is lost, doubled or moved, and what is refused has its place."""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.cutting import Part
from farm.markup import Fault, Means, read, refusals, ssml, tags
from farm.planning import segments
from farm.script import Script, Speaker, Stop
from farm.segment import Recipe, Segment
from farm.wire import Language, Markup, Model, Pauses

CARD = Model(
    name="able", revision="1", sample_rate=22_050, uploaded_voices=True,
    languages={
        "en": Language(max_characters=80, voice="narrator"), "zh": Language(max_characters=60, voice="lin"),
        "de": Language(max_characters=80), "fr": Language(max_characters=80, voice="fleur"),
    },
    voices={"narrator": "en", "bob": "en", "lin": "zh", "fleur": "fr"},
    parameters=["speed", "emotion", "pronunciation"],
)  # fmt: skip
PAUSES = Pauses(segment=100, paragraph=400, chapter=1500)
RECIPE = Recipe("default", "able", "1", "en")


def speaker(name: str) -> Speaker | str:
    known = {"anna": Speaker("anna", "d1", True), "bob": Speaker("bob", "bob")}
    return known.get(name, f"there is no voice {name!r}")


def means(**changed: Any) -> Means:
    parameters = changed.pop("parameters", CARD.parameters)
    card = CARD.model_copy(update={"parameters": parameters})
    return Means(
        **{"card": card, "language": "en", "voice": Speaker("narrator", "narrator"), "speaker": speaker, **changed}
    )


def rows(text: str, markup: Markup = "ssml", **changed: Any) -> list[Segment]:
    script, faults = read(text, markup, means(**changed))
    assert faults == []
    limits = {tag: each.max_characters for tag, each in CARD.languages.items()}
    part = Part("", text, "narrator", script=script)
    return list(segments([part], RECIPE, 80, PAUSES, has_marks=True, limits=limits))


def speak(inside: str) -> list[Segment]:
    return rows(f"<speak>{inside}</speak>")


def faults(text: str, markup: Markup = "ssml", **changed: Any) -> list[Fault]:
    return read(text, markup, means(**changed))[1]


def fault(text: str, markup: Markup = "ssml", **changed: Any) -> Fault:
    (found,) = faults(text, markup, **changed)
    return found


# --- what must never happen -------------------------------------------------------------------------------------------

words = st.text(st.sampled_from("abcé 好。.,!?“”\n&<>-1"), min_size=1, max_size=30)
plain_words = words.filter(lambda text: any(map(str.isalnum, text)))


def element(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    wrapped = st.sampled_from(
        [("<voice name='anna'>", "</voice>"), ('<prosody rate="80%">', "</prosody>"),
         ("<lang xml:lang='fr'>", "</lang>"), ("<!-- a -->", ""), ("<![CDATA[x]]>", "")]
    )  # fmt: skip
    return st.builds(lambda around, text: around[0] + text + around[1], wrapped, inside)


xml = st.recursive(
    words.map(escape)
    | st.just("<break time='700ms'/>")
    | plain_words.map(lambda text: f"<sub alias='said'>{escape(text)}</sub>"),
    lambda inside: element(inside) | st.lists(inside, max_size=4).map("".join),
    max_leaves=12,
)
ssml_texts = st.lists(
    xml.map(lambda inside: f"<p>{inside}</p>") | xml | xml.map(lambda inside: f"<s>{inside}</s>"), max_size=5
).map(lambda inside: f"<speak>start {''.join(inside)} end</speak>")


def shown(xml_text: str) -> str:
    """What a reader of the XML sees, by other means than expat."""
    text = re.sub(r"<!\[CDATA\[(.*?)\]\]>", lambda found: escape(found[1]), xml_text, flags=re.S)
    text = re.sub(r"<!--.*?-->|<[^>]*>", "", text, flags=re.S)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def bare(text: str) -> str:
    """Without white space, the hyphens at line ends, and marks that may be a scene break."""
    return re.sub(r"[\s\W_]", "", text)


@settings(max_examples=300, deadline=None)
@given(ssml_texts)
def test_every_word_of_an_ssml_text_is_in_one_segment_in_order_and_said_as_it_is_meant(text: str) -> None:
    script, found = read(text, "ssml", means(parameters=["speed"]))
    assert not [each for each in found if "a pause stands between words" not in each.message]
    if found:
        return
    planned = list(segments([Part("", text, "narrator", script=script)], RECIPE, 80, PAUSES))
    assert bare("".join(row.text for row in planned)) == bare(shown(text))
    meant = re.sub("<sub alias='said'>.*?</sub>", "said", text, flags=re.S)
    assert bare("".join(row.said for row in planned)) == bare(shown(meant))
    places = [place for row in planned for place in (row.start, row.end)]
    assert places == sorted(places)
    assert all(0 <= place <= len(text) for place in places)
    assert sum(row.pause_ms for row in planned) >= 700 * text.count("<break")
    for row in planned:
        source = text[row.start : row.end].replace("<![CDATA[", "").replace("]]>", "")
        assert bare(row.text) in bare(shown(source))


tag_texts = st.lists(
    words | st.sampled_from(["[pause:1s]", "[voice:anna]", "[voice:bob]", "[rate:0.9]", "[emotion:sad:0.6]", "[x]"]),
    max_size=20,
).map(lambda pieces: f"start {''.join(pieces)} end")


@settings(max_examples=300, deadline=None)
@given(tag_texts)
def test_every_word_of_a_text_with_tags_is_in_one_segment_in_order(text: str) -> None:
    script, found = read(text, "tags", means(parameters=["speed", "emotion"]))
    assert found == []
    planned = list(segments([Part("", text, "narrator", script=script)], RECIPE, 80, PAUSES))
    without = re.sub(r"\[(?:pause|voice|rate|emotion):[^\]]*\]", "", text)
    assert bare("".join(row.text for row in planned)) == bare(without)
    assert [row.text for row in planned] == [row.said for row in planned]
    places = [place for row in planned for place in (row.start, row.end)]
    assert places == sorted(places)
    assert sum(row.pause_ms for row in planned) >= 1000 * text.count("[pause")


anything = st.text(max_size=60) | st.text(st.sampled_from("<>/&;=\"'[]:spvoicebreak 1%?!-"), max_size=60)
broken = st.builds(lambda *pieces: "".join(pieces), anything, ssml_texts | tag_texts, anything)


@settings(max_examples=400, deadline=None)
@given(broken, st.sampled_from(["ssml", "tags"]))
def test_whatever_is_refused_has_a_place_inside_the_input(text: str, markup: Markup) -> None:
    _, found = read(text, markup, means(parameters=[]))
    for each in found:
        assert 0 <= each.position < max(1, len(text))
    for refusal in refusals(found, text, "/input"):
        place = re.match(r"line (\d+), column (\d+): ", refusal.message)
        assert place is not None
        lines = text.split("\n")
        assert int(place[2]) <= len(lines[int(place[1]) - 1]) + 1


@given(st.text(max_size=200))
def test_a_text_without_markup_is_one_stretch(text: str) -> None:
    script, found = read(text, "none", means())
    assert (script, found) == (Script.plain(text), [])


@settings(max_examples=100, deadline=None)
@given(st.lists(plain_words | st.just("<<CHAPTER_MARKER:One>>"), max_size=8).map("".join))
def test_chapters_at_markers_hold_all_of_the_text(text: str) -> None:
    parts, _ = tags.parts(text)
    assert bare("".join(text[part.start : part.end] for part in parts)) == bare(
        text.replace("<<CHAPTER_MARKER:One>>", "")
    )


# --- SSML -------------------------------------------------------------------------------------------------------------


def test_a_break_ends_a_segment_with_its_pause_and_a_voice_is_heard_in_its_place() -> None:
    planned = speak("Wait.<break time='1.5s'/> Who, <voice name='anna'>said Anna,</voice> is there?")
    assert [(row.text, row.voice, row.uploaded, row.pause_ms) for row in planned] == [
        ("Wait.", "narrator", False, 1500),
        ("Who,", "narrator", False, 100),
        ("said Anna,", "d1", True, 100),
        ("is there?", "narrator", False, 1500),
    ]
    assert [row.character for row in planned] == [None, None, "anna", None]


def test_a_break_replaces_the_pause_of_a_paragraph_and_breaks_add_up() -> None:
    planned = speak("<p>One.</p><break time='0s'/><p>Two.</p><p>Three.<break/><break strength='weak'/> Four.</p>")
    assert [row.pause_ms for row in planned] == [0, 400, 750, 1500]


def test_a_mark_behind_a_voice_is_no_segment_of_its_own() -> None:
    planned = speak("“<voice name='anna'>Go</voice>.” He went.")
    assert [row.text for row in planned] == ["“Go.”", "He went."]


def test_line_ends_are_spaces_and_a_blank_line_ends_a_paragraph() -> None:
    planned = rows("<speak>\n  One\n  sentence.\n\n  Another.\n</speak>")
    assert [row.text for row in planned] == ["One   sentence.", "Another."]
    assert planned[0].pause_ms == 400


def test_a_place_counts_references_and_line_ends_as_they_are_written() -> None:
    text = "<speak>Fish &amp; chips.\r\n<break/>A&#233;b.</speak>"
    planned = rows(text)
    assert [row.text for row in planned] == ["Fish & chips.", "Aéb."]
    assert [text[row.start : row.end] for row in planned] == ["Fish &amp; chips.", "A&#233;b."]


def test_an_alias_is_said_and_the_word_is_shown() -> None:
    (row,) = speak("The <sub alias='World Wide Web'>WWW</sub> grows.")
    assert (row.text, row.said) == ("The WWW grows.", "The World Wide Web grows.")
    (spelled,) = speak("The World Wide Web grows.")
    assert row.digest == spelled.digest


def test_an_alias_is_never_cut() -> None:
    planned = speak("word " * 13 + "<sub alias='this is one thing and never two'>x</sub> and more. " * 4)
    assert [row.said.count("this is one thing and never two") == row.text.count("x") for row in planned] == [
        True
    ] * len(planned)
    assert sum(row.text.count("x") for row in planned) == 4


def test_a_phoneme_is_a_mark_of_the_model_and_shown_as_the_word() -> None:
    (row,) = speak("<phoneme alphabet='cmu' ph='M IH1 . N AH0 T'>minute</phoneme> by minute")
    assert (row.text, row.said) == ("minute by minute", "<minute|M IH1 . N AH0 T> by minute")


def test_rates_are_those_of_the_standard() -> None:
    planned = rows("<speak><prosody rate='slow'>a <prosody rate='+50%'>b</prosody> <prosody rate='2'>c</prosody>"
                   "</prosody> <prosody rate='150%'>d</prosody> e</speak>")  # fmt: skip
    assert [row.speed for row in planned] == [0.8, 1.2, 2.0, 1.5, None]


def test_a_language_brings_the_models_own_voice_unless_the_speaker_can_speak_it() -> None:
    planned = speak(
        "Hello. <lang xml:lang='fr'>Bonjour.</lang> <voice name='anna'><lang xml:lang='fr'>Oui.</lang></voice>"
    )
    assert [(row.voice, row.language) for row in planned] == [("narrator", None), ("fleur", "fr"), ("d1", "fr")]
    assert "does not speak 'de'" in fault("<speak>a <lang xml:lang='de'>b</lang></speak>").message


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("characters", "AB-4", "A B dash four"), ("spell-out", "xy", "X Y"), ("digits", "4 07", "four zero seven"),
        ("cardinal", "1,042", "one thousand forty two"), ("cardinal", "-3", "minus three"),
        ("ordinal", "42nd", "forty second"),
        ("telephone", "+44 (20) 79", "plus four four, two zero, seven nine"),
        ("date", "1998-03-14", "March fourteenth, nineteen ninety eight"),
    ],
)  # fmt: skip
def test_say_as_puts_its_text_into_words(kind: str, content: str, said: str) -> None:
    (row,) = speak(f"<say-as interpret-as='{kind}'>{content}</say-as>")
    assert (row.text, row.said) == (content, said)


def test_a_date_is_read_by_its_format() -> None:
    (row,) = speak("<say-as interpret-as='date' format='dmy'>2.3.2010</say-as>")
    assert row.said == "March second, twenty ten"
    assert "day 30" in fault("<speak><say-as interpret-as='date' format='mdy'>2/30/2010</say-as></speak>").message


def test_say_as_speaks_chinese_and_refuses_a_language_without_a_reader_by_its_name() -> None:
    (row,) = rows("<speak>共<say-as interpret-as='cardinal'>1042</say-as>人</speak>", language="zh")
    assert row.said == "共一千零四十二人"
    refused = fault("<speak><lang xml:lang='fr'><say-as interpret-as='ordinal'>3</say-as></lang></speak>")
    assert "no reader for 'fr'; there is one for cmn, de, en, zh" in refused.message


@pytest.mark.parametrize(
    ("inside", "at", "why"),
    [
        ("<emphasis>b</emphasis>", 0, "<emphasis> is not read here; there are speak, p, s, break"),
        ("<audio src='x'/>", 0, "<audio> is not read here"),
        ("x <mark name='m'/>", 2, "<mark> is not read here"),
        ("<prosody pitch='high'>b</prosody>", 0, "no attribute 'pitch' here; it has rate"),
        ("<prosody rate='400%'>b</prosody>", 0, "makes a speed of 4"),
        ("<prosody rate='quick'>b</prosody>", 0, "rate 'quick'; expected 0.5 to 2"),
        ("a<break time='61s'/>b", 1, "longer than 60 s"),
        ("a<break time='soon'/>b", 1, "time 'soon'; expected seconds"),
        ("a<break strength='mild'/>b", 1, "strength 'mild'; there are none, x-weak"),
        ("<break time='1s'/>b", 0, "a pause stands between words"),
        ("b<break time='1s'/>", 1, "a pause stands between words"),
        ("<voice name='eve'>b</voice>", 0, "there is no voice 'eve'"),
        ("<voice>b</voice>", 0, "needs the attribute name"),
        ("<sub alias='x'/>", 0, "has no text"),
        ("<sub alias='…'>x</sub>", 0, "has nothing to say"),
        (f"<sub alias='{'x' * 90}'>x</sub>", 0, "said in 90 characters, more than 80"),
        ("<sub alias='x'>a <break/></sub>", 17, "can't stand in <sub>, which holds text alone"),
        ("<p>a <p>b</p></p>", 5, "<p> can't stand in <p>"),
        ("<phoneme alphabet='ipa' ph='x'>b</phoneme>", 0, "does not read the alphabet 'ipa'; it reads cmu, pinyin"),
        ("<phoneme alphabet='cmu' ph='M IH T'>b</phoneme>", 0, "vowel 'IH' without its stress"),
        ("<say-as interpret-as='time'>b</say-as>", 0, "no 'time' here; there are characters"),
        ("<lang xml:lang='xx'>b</lang>", 0, "does not speak 'xx'"),
        ("<?xml-stylesheet x?>b", 0, "processing instruction"),
        ("<prosody rate='1'>" * 40 + "b" + "</prosody>" * 40, 18 * 31, "more than 32 deep"),
        ("a < b", 3, "not well-formed XML (not well-formed (invalid token))"),
        ("&nbsp;b", 0, "not well-formed XML (undefined entity)"),
        ("", 0, "nothing to speak"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_by_its_place_with_what_there_is(inside: str, at: int, why: str) -> None:
    found = faults(f"<speak>{inside}</speak>")
    assert any(why in each.message and each.position == (7 + at if inside else 0) for each in found), found


def test_a_doctype_is_refused_before_its_entities_exist() -> None:
    bomb = '<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><speak>&b;</speak>'
    assert fault(bomb).message.startswith("a DOCTYPE is not read")


def test_a_text_that_is_no_ssml_and_one_that_is_too_long_are_refused() -> None:
    assert "an SSML text is <speak>…</speak>" in fault("Just words.").message
    assert "more than 1,000,000" in fault(f"<speak>{'é' * 500_001}</speak>").message


def test_the_attributes_of_speak_may_be_there_and_may_be_missing() -> None:
    head = "version='1.1' xmlns='http://www.w3.org/2001/10/synthesis' xml:lang='en-US'"
    (row,) = rows(f"<?xml version='1.0' encoding='utf-16'?><speak {head}>Hello.</speak>")
    assert (row.text, row.language) == ("Hello.", None)
    assert "another xmlns" in fault("<speak xmlns='urn:x'>b</speak>").message


def test_what_a_model_does_not_honour_is_refused_by_its_name() -> None:
    for inside, name in (("<prosody rate='slow'>b</prosody>", "speed"), ("[emotion:sad]b", "emotion")):
        text, markup = (f"<speak>{inside}</speak>", "ssml") if name == "speed" else (inside, "tags")
        assert (
            f"model 'able' does not honour {name}; it honours seed" in fault(text, markup, parameters=["seed"]).message
        )  # type: ignore[arg-type]
    assert (
        "it reads none" in fault("<speak><phoneme alphabet='cmu' ph='AH0'>a</phoneme></speak>", parameters=[]).message
    )


def test_a_rate_and_a_target_duration_contradict_each_other() -> None:
    assert (
        "target_duration_ms decides the speed"
        in fault("<speak><prosody rate='2'>b</prosody></speak>", timed=True).message
    )


def test_a_line_and_a_column_count_from_one() -> None:
    text = "<speak>\n  <emphasis>b</emphasis></speak>"
    (refused,) = refusals(faults(text), text, "/chapters/2/input", 2)
    assert refused.message.startswith("chapter 3, line 2, column 3: <emphasis>")
    assert refused.fields[0].position == text.index("<emphasis>")


# --- tags -------------------------------------------------------------------------------------------------------------


def test_tags_say_pauses_voices_rates_and_emotions() -> None:
    planned = rows(
        "A [pause:1.5s]b [voice:anna]c [voice:bob]d[/voice] e [rate:0.9]f[/rate] [emotion:sad:0.6]g[/emotion] h", "tags"
    )
    assert [(row.text, row.voice, row.speed, row.emotion) for row in planned] == [
        ("A", "narrator", None, None), ("b", "narrator", None, None), ("c", "d1", None, None), ("d", "bob", None, None),
        ("e", "narrator", None, None), ("f", "narrator", 0.9, None),
        ("g", "narrator", None, '{"strength":0.6,"text":"sad"}'), ("h", "narrator", None, None),
    ]  # fmt: skip
    assert planned[0].pause_ms == 1500


@pytest.mark.parametrize(("length", "ms"), [("800ms", 800), ("3", 3000), (".5 s", 500), ("1.25S", 1250)])
def test_a_pause_is_in_seconds_unless_it_says_milliseconds(length: str, ms: int) -> None:
    assert rows(f"a [pause:{length}] b", "tags")[0].pause_ms == ms


def test_an_unknown_bracket_is_text() -> None:
    (row,) = rows("[Laughs] a [1] <b> [voice over] <<METADATA_TITLE:x>>", "tags")
    assert row.text == "[Laughs] a [1] <b> [voice over] <<METADATA_TITLE:x>>"


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("[pause]", "has no value; write it like [pause:1.5s]"), ("[pause:long]", "has no length"),
        ("[pause:61s]", "longer than 60 s"), ("[voice:eve]", "no voice 'eve'"), ("[voice:]", "has no value"),
        ("[rate:fast]", "has no rate"), ("[rate:9]", "makes a speed of 9"), ("[emotion:sad:7]", "is no emotion"),
        ("[/voice]", "ends what has not begun"), ("[/pause]", "is no tag"), ("[voice:anna", "is not closed"),
    ],
)  # fmt: skip
def test_a_known_word_with_a_wrong_value_is_refused(tag: str, why: str) -> None:
    refused = fault(f"one {tag} two", "tags")
    assert (refused.position, why in refused.message) == (4, True), refused


def test_a_marker_opens_a_chapter_and_a_wrong_one_is_refused() -> None:
    text = "Before. <<CHAPTER_MARKER:The Inn>>\nInside. <<CHAPTER_MARKER: The End >>After."
    parts, found = tags.parts(text)
    assert found == []
    assert [(part.title, text[part.start : part.end].strip()) for part in parts] == [
        (None, "Before."), ("The Inn", "Inside."), ("The End", "After."),
    ]  # fmt: skip
    for wrong in ("<<CHAPTER_MARKER:>>x", "<<CHAPTER_MARKER:One", "<<CHAPTER_MARKER>>x", "<<CHAPTER_MARKER:One>> "):
        _, found = tags.parts(f"a {wrong}")
        assert [each.position for each in found] == [2], wrong


def test_a_mark_of_pronunciation_stays_as_it_is_in_tags() -> None:
    planned = rows("[voice:bob]<minute|M IH1 . N AH0 T>[/voice] hand", "tags")
    assert planned[0].text == planned[0].said == "<minute|M IH1 . N AH0 T>"


# --- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", ["<break time='1s'/>a ", "<s>a</s>", "&amp;a", "a\n", "<sub alias='b'>a</sub> "])
def test_a_megabyte_of_any_element_is_read_in_linear_time(piece: str) -> None:
    import time

    def seconds(count: int) -> float:
        began = time.process_time()
        rows(f"<speak>start {piece * count} end</speak>")
        return time.process_time() - began

    count = 2_000
    assert seconds(4 * count) < 12 * seconds(count) + 0.5


def test_every_element_is_described_where_users_look() -> None:
    from pathlib import Path

    described = (Path(__file__).parents[2] / "docs" / "markup.md").read_text()
    for name, said in ssml.ELEMENTS.items():
        assert f"`<{name}" in described
        assert all(f"`{attribute}`" in described for attribute in said.attributes if name != "speak")
    assert all(f"`{strength}` {ms}" in described for strength, ms in ssml.STRENGTHS_MS.items())


def test_stops_are_in_the_order_of_the_text() -> None:
    script, _ = read("<speak>a<break/>b<break/>c</speak>", "ssml", means())
    stops = [item.at for item in script.items if isinstance(item, Stop)]
    assert stops == sorted(stops)

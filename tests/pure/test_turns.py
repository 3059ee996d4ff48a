"""Sentences that edits gave to other voices: each stays with its sentence, whatever happens to the others."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from api.edit import with_sentences
from farm.cutting import Part
from farm.planning import segments
from farm.script import Script, Speaker, Stop, Words
from farm.segment import Recipe, Segment
from farm.text_document import StoredChapter, read_text, write_text
from farm.wire import Pauses, SegmentEdit

NARRATOR = "narrator"
BEN = Speaker("ben", "ben")
RECIPE = Recipe("ann", "espeak", "1", "en")
sentences = st.lists(st.sampled_from(("tide", "gull", "rope")), min_size=1, max_size=4).map(
    lambda words: f"The {' '.join(words)}."
)
edits = st.tuples(st.integers(0, 9), sentences | st.none(), st.sampled_from(("stays", None, "anna", "ben")))


def planned(chapter: StoredChapter) -> list[Segment]:
    turns = [(start, end, Speaker(voice, voice)) for start, end, voice in chapter.turns]
    script = Script.plain(chapter.input).taken_over(turns)
    return list(segments([Part("", chapter.input, NARRATOR, script=script)], RECIPE, 300, Pauses()))


@given(st.lists(sentences, min_size=1, max_size=6), st.lists(edits, max_size=6))
def test_a_voice_stays_with_its_sentence_however_others_are_changed(
    book: Sequence[str], changes: Sequence[tuple[int, str | None, str | None]]
) -> None:
    chapter = StoredChapter(input="\n\n".join(book))
    expected: list[tuple[str, str | None]] = [(sentence, None) for sentence in book]
    for place, text, voice in changes:
        index = place % len(expected)
        said = ({} if text is None else {"text": text}) | ({} if voice == "stays" else {"voice": voice})
        if not said:
            continue
        edit = SegmentEdit.model_validate({"index": index, **said})
        (chapter,) = with_sentences([chapter], [edit], planned(chapter).__getitem__)
        (chapter,) = read_text(write_text([chapter]))
        before, spoken_by = expected[index]
        expected[index] = text or before, spoken_by if voice == "stays" else voice
        assert [(row.text, row.voice) for row in planned(chapter)] == [
            (sentence, voice or NARRATOR) for sentence, voice in expected
        ]


@given(
    st.lists(st.tuples(st.text("ab ", min_size=1, max_size=5), st.booleans()), min_size=1, max_size=8),
    st.lists(st.integers(0, 40), max_size=8, unique=True).map(sorted),
)
def test_turns_part_a_script_without_losing_or_moving_a_character(
    stretches: Sequence[tuple[str, bool]], places: Sequence[int]
) -> None:
    """Words with something said in their place are one thing, so all of them have one speaker."""
    items: list[Words | Stop] = []
    at = 0
    for text, is_replaced in stretches:
        items += [Words(at, at + len(text), text, "said" if is_replaced else None), Stop(at + len(text))]
        at += len(text)
    turns = [(start, end, BEN) for start, end in zip(places[::2], places[1::2], strict=False)]
    taken = {place for start, end, _ in turns for place in range(start, end)}
    after = Script(tuple(items)).taken_over(turns)
    assert "".join(words.written for words in after.words) == "".join(text for text, _ in stretches)
    assert [item for item in after.items if isinstance(item, Stop)] == items[1::2]
    for words in after.words:
        assert words.end - words.start == len(words.written)
        decisive = [words.start] if words.spoken is not None else range(words.start, words.end)
        assert {place in taken for place in decisive} == {words.delivery.speaker == BEN}

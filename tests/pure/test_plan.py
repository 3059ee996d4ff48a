from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest

from farm.cutting import Part
from farm.errors import BadInput, Misconfigured, ObjectMissing
from farm.layout import clip_key
from farm.plan import PAGE, Plan, decode_page, encode_plan
from farm.planning import segments
from farm.segment import Recipe, Segment, clip_digest
from farm.speech import Manner
from farm.spelling import plain_spelling
from farm.wire import Pauses

RECIPE = Recipe("default", "espeak", "1.52", "en")
PAUSES = Pauses(segment=100, paragraph=400, chapter=1500)


def rows_of(*texts: str, limit: int = 80, recipe: Recipe = RECIPE) -> list[Segment]:
    return list(segments([Part("", text, "en-gb") for text in texts], recipe, limit, PAUSES))


def book(paragraphs: int) -> str:
    return "\n\n".join(f"The keeper counted step {number}. Then he rested, and slept." for number in range(paragraphs))


def planned(*texts: str, limit: int = 80) -> tuple[Plan, bytes]:
    parts = [Part(f"Chapter {number}", text, "en-gb") for number, text in enumerate(texts)]
    return encode_plan(segments(parts, RECIPE, limit, PAUSES), parts, RECIPE, sample_rate=22_050)


# --- segments ---------------------------------------------------------------------------------------------------------


def test_segments_are_numbered_through_and_placed_in_their_chapters() -> None:
    texts = ("  One sentence here. And another one.\n\nA paragraph.", "\nThe second chapter.\n")
    rows = rows_of(*texts, limit=20)
    assert [row.index for row in rows] == list(range(len(rows)))
    assert [row.chapter for row in rows] == [0, 0, 0, 1]
    assert [row.text for row in rows] == [texts[row.chapter][row.start : row.end] for row in rows]
    assert [row.text for row in rows] == [
        "One sentence here.",
        "And another one.",
        "A paragraph.",
        "The second chapter.",
    ]


def test_every_segment_carries_the_silence_that_follows_it() -> None:
    rows = rows_of("One sentence here. And another one.\n\nA paragraph.", "The second chapter.", limit=20)
    assert [row.pause_ms for row in rows] == [100, 400, 1500, 1500]


def test_a_segment_keeps_the_users_text_and_is_named_by_its_plain_spelling() -> None:
    (folded,), (plain,) = rows_of("The ﬁnal oﬃce\u200b."), rows_of("The final office.")
    assert (folded.text, folded.end) == ("The ﬁnal oﬃce\u200b.", 15)
    assert folded.digest == plain.digest == clip_digest(RECIPE, "en-gb", "The final office.")


@pytest.mark.parametrize("unit", ["ﷺ ", "ﷺ", "㎏", "😀", "ﬃ", "a ﷺ. ", "٣㋀ "])
def test_a_segment_is_within_the_limit_in_its_plain_spelling_too(unit: str) -> None:
    text = (unit * 60).strip()
    rows = rows_of(text, limit=70)
    assert all(len(plain_spelling(row.text, "en")) <= 70 and len(row.text) <= 70 for row in rows)
    assert "".join(row.text for row in rows).replace(" ", "") == text.replace(" ", "")
    assert [row.pause_ms for row in rows] == [100] * (len(rows) - 1) + [1500]


def test_a_mark_whose_word_is_longer_when_plain_is_not_cut() -> None:
    text = "<ﷺﷺﷺﷺﷺ|M IH1 . N AH0 T> and <ﷺﷺﷺﷺﷺ|M IH1 . N AH0 T>"
    rows = list(segments([Part("", text, "v")], RECIPE, 70, PAUSES, has_marks=True))
    assert [row.text.count("|") for row in rows if "<" in row.text] == [1, 1]


def test_a_chapters_own_voice_is_that_of_its_segments() -> None:
    parts = [Part("", "Hello there.", "en-us"), Part("", "Hello there.", "ab12", uploaded=True)]
    first, second = segments(parts, RECIPE, 80, PAUSES)
    assert (first.voice, first.uploaded, second.voice, second.uploaded) == ("en-us", False, "ab12", True)
    assert first.digest != second.digest


def test_editing_one_paragraph_keeps_the_clips_of_all_others() -> None:
    before, after = book(50), book(50).replace("step 25", "step twenty-five")
    lost = {row.digest for row in rows_of(before)} - {row.digest for row in rows_of(after)}
    assert len(lost) == 1


def test_the_same_words_again_have_the_same_clip_wherever_they_stand() -> None:
    rows = rows_of("Yes.\n\nNo.\n\nYes.", "Yes.")
    assert len(rows) == 4
    assert len({row.digest for row in rows}) == 2


# --- target durations -------------------------------------------------------------------------------------------------

CUE = "One sentence here. And another, much longer one.\n\nA paragraph."


def timed(*texts: str, targets: tuple[int | None, ...] = (), of_all: int | None = None) -> list[Segment]:
    aims = targets or (None,) * len(texts)
    parts = [Part("", text, "en-gb", False, target) for text, target in zip(texts, aims, strict=True)]
    return list(segments(parts, RECIPE, 30, PAUSES, target_duration_ms=of_all))


def total(rows: list[Segment]) -> int:
    """What the target is compared with: all but the silence after the last."""
    return sum((row.target_duration_ms or 0) + row.pause_ms for row in rows) - rows[-1].pause_ms


@pytest.mark.parametrize("target", [503, 2000, 9_999, 86_400_000])
def test_the_segments_of_a_chapter_and_the_pauses_between_them_sum_to_its_target(target: int) -> None:
    rows = timed(CUE, "Another chapter. " * 9, targets=(target, None))
    chapter = [row for row in rows if row.chapter == 0]
    assert len(chapter) == 3
    assert total(chapter) == target
    assert all(row.target_duration_ms is None for row in rows if row.chapter == 1)


def test_the_target_of_a_job_includes_the_pauses_between_its_chapters() -> None:
    rows = timed(CUE, CUE, of_all=20_000)
    assert {row.chapter for row in rows} == {0, 1}
    assert total(rows) == 20_000


def test_the_target_of_a_job_includes_the_silence_before_its_chapters_and_at_its_end() -> None:
    pauses = PAUSES.model_copy(update={"before_chapter": 500, "end": 1000})
    parts = [Part("", CUE, "en-gb")] * 2
    rows = list(segments(parts, RECIPE, 30, pauses, target_duration_ms=20_000))
    assert total(rows) == 18_000


def test_a_target_is_shared_in_proportion_to_characters() -> None:
    rows = timed(CUE, of_all=60_000)
    speech = sum(row.target_duration_ms or 0 for row in rows)
    characters = sum(len(row.text) for row in rows)
    assert [row.target_duration_ms for row in rows] == pytest.approx(
        [speech * len(row.text) / characters for row in rows], abs=2
    )


def test_every_segment_of_a_short_target_has_time_of_its_own() -> None:
    assert [row.target_duration_ms for row in timed(CUE, targets=(503,))] == [1, 1, 1]


@pytest.mark.parametrize(("targets", "of_all", "field"), [
    ((None, 502), None, "/chapters/1/target_duration_ms"), ((None, None), 2505, "/target_duration_ms"),
])  # fmt: skip
def test_a_target_that_the_pauses_use_up_is_refused_by_its_field(
    targets: tuple[int | None, ...], of_all: int | None, field: str
) -> None:
    with pytest.raises(
        BadInput, match=r"the pauses between its \d segments alone take \d+ ms; give it more time"
    ) as raised:
        timed(CUE, CUE, targets=targets, of_all=of_all)
    assert raised.value.message.startswith(field)
    assert raised.value.fields[0].pointer == field


def test_without_a_target_nothing_is_said_of_one() -> None:
    plan, pages = planned(CUE)
    assert b"target" not in gzip.decompress(pages)
    assert "target" not in plan.to_json()
    assert "normalize" not in plan.to_json()


def test_targets_are_read_back_with_the_plan() -> None:
    recipe = replace(RECIPE, manner=Manner(normalize=False))
    parts = [Part("Cue 1", CUE, "en-gb", False, 5000), Part("Cue 2", CUE, "en-gb")]
    plan, pages = encode_plan(segments(parts, recipe, 30, PAUSES), parts, recipe, sample_rate=22_050)
    assert Plan.from_json(plan.to_json()) == plan
    assert [chapter.target_duration_ms for chapter in plan.chapters] == [5000, None]
    assert decode_page(pages) == list(segments(parts, recipe, 30, PAUSES))


# --- marks that say how a word is pronounced --------------------------------------------------------------------------

MARKED = "他在银<行|XING2>里<行|HANG2>走。他发现这笔业务办不<行|HANG2>。"


def of_marks(text: str, limit: int, *, has_marks: bool = True, target: int | None = None) -> list[Segment]:
    part = Part("", text, "en-gb", False, target)
    return list(segments([part], replace(RECIPE, language="zh"), limit, PAUSES, has_marks=has_marks))


def test_a_mark_counts_as_its_word_and_is_not_cut() -> None:
    assert [row.text for row in of_marks(MARKED, 13)] == [
        "他在银<行|XING2>里<行|HANG2>走。", "他发现这笔业务办不<行|HANG2>。"
    ]  # fmt: skip
    for limit in range(1, 30):
        rows = of_marks(MARKED, limit)
        assert "".join(row.text for row in rows) == MARKED
        assert all(row.text.count("<") == row.text.count("|") == row.text.count(">") for row in rows)
        assert [row.text for row in rows] == [MARKED[row.start : row.end] for row in rows]


def test_a_model_without_marks_has_them_cut_like_any_text() -> None:
    assert any(row.text.count("<") != row.text.count(">") for row in of_marks(MARKED, 8, has_marks=False))


def test_a_mark_takes_the_time_of_its_word() -> None:
    first, second = of_marks("他在银<行|XING2>。他在银行。", 5, target=2100)
    assert (first.target_duration_ms, second.target_duration_ms) == (1000, 1000)


@pytest.mark.parametrize("text", ["!", "!!!", "?! …", "!\n\n!"])
def test_signs_alone_are_planned_like_any_text(text: str) -> None:
    rows = of_marks(text, 20, target=1000)
    assert "".join("".join(row.text for row in rows).split()) == "".join(text.split())
    assert total(rows) == 1000


# --- digests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "other"},
        {"model": "other"},
        {"revision": "1.53"},
        {"language": "de"},
        {"manner": Manner(speed=1.1)},
        {"manner": Manner(pitch=0.5)},
        {"manner": Manner(seed=1)},
        {"manner": Manner(emotion="{}")},
        {"manner": Manner(emotion="")},
        {"manner": Manner(normalize=False)},
    ],
)
def test_a_clip_is_another_when_anything_that_is_heard_is_another(change: dict[str, str | Manner]) -> None:
    other = replace(RECIPE, **change)  # type: ignore[arg-type]
    assert clip_digest(other, "v", "Hello.") != clip_digest(RECIPE, "v", "Hello.")


def test_a_clip_of_another_target_is_another() -> None:
    without, short, long = (clip_digest(RECIPE, "v", "Hello.", target) for target in (None, 1000, 1001))
    assert len({without, short, long}) == 3
    assert {row.target_duration_ms: row.digest for row in timed("Hello.", of_all=1000)} == {
        1000: clip_digest(RECIPE, "en-gb", "Hello.", 1000)
    }


def test_voice_and_text_make_a_clip_and_can_not_be_mistaken_for_each_other() -> None:
    digests = [clip_digest(RECIPE, voice, text) for voice in ("a", 'a","b') for text in ("b", 'b","b', "b ", "B")]
    assert len(set(digests)) == 8
    assert clip_digest(replace(RECIPE, model="ab", revision="c"), "v", "t") != clip_digest(
        replace(RECIPE, model="a", revision="bc"), "v", "t"
    )


def test_a_number_is_the_same_however_it_was_written() -> None:
    assert clip_digest(replace(RECIPE, manner=Manner(speed=1, pitch=-0.0)), "v", "t") == clip_digest(RECIPE, "v", "t")


def test_digests_are_the_same_in_every_release() -> None:
    digest = clip_digest(RECIPE, "en-gb", "Grüße, 世界.")
    # Another one means that every clip in every bucket is rendered again.
    assert digest == "4b167064bc0473b214a84d11dc43dfa997fbb0afb225586a3d7e527d9a092586"
    assert clip_key(digest) == f"segments/{digest[:2]}/{digest}.flac"


# --- the stored form --------------------------------------------------------------------------------------------------


def test_a_plan_is_read_back_page_by_page_as_it_was_written() -> None:
    texts = (book(700), book(3), book(500))
    plan, pages = planned(*texts)
    expected = rows_of(*texts)
    assert plan == Plan.from_json(plan.to_json()) == Plan.from_json(plan.to_json().encode())
    assert plan.total == len(expected) > 2 * PAGE
    found: list[Segment] = []
    while len(found) < plan.total:
        start, length = plan.page_range(plan.page_of(len(found)))
        found += decode_page(pages[start : start + length])
    assert found == expected
    assert sum(plan.page_range(plan.page_of(plan.total - 1))) == len(pages)


def test_a_segment_is_found_on_its_page() -> None:
    plan, pages = planned(book(1100))
    for index in (0, PAGE - 1, PAGE, plan.total - 1):
        start, length = plan.page_range(plan.page_of(index))
        page = decode_page(pages[start : start + length])
        assert page[index - page[0].index].index == index


@pytest.mark.parametrize("index", [-1, 3])
def test_a_segment_that_a_plan_does_not_have_is_on_no_page(index: int) -> None:
    plan, _ = planned(book(3))
    with pytest.raises(IndexError, match="of a plan of 3"):
        plan.page_of(index)


def test_all_pages_together_are_one_gzip_file_of_json_lines() -> None:
    plan, pages = planned(book(1100))
    lines = gzip.decompress(pages).decode().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(plan.total))
    assert decode_page(pages) == rows_of(book(1100))


def test_planning_twice_gives_the_same_bytes() -> None:
    plan, pages = planned(book(600))
    assert (plan, pages) == planned(book(600))
    assert [pages[start + 4 : start + 8] for start in plan.offsets[:-1]] == [bytes(4)] * 2  # no time of day in them


def test_chapters_know_their_segments() -> None:
    plan, _ = planned(book(3), book(2), book(4))
    assert [(chapter.title, chapter.first, chapter.count) for chapter in plan.chapters] == [
        ("Chapter 0", 0, 3), ("Chapter 1", 3, 2), ("Chapter 2", 5, 4),
    ]  # fmt: skip


def test_line_separators_within_a_text_do_not_break_its_row() -> None:
    text = "One\x85two\u2028three \x0b four"
    _, pages = planned(text)
    assert "".join("".join(row.text.split()) for row in decode_page(pages)) == "".join(text.split())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: b"",
        lambda data: b"no plan",
        lambda data: data[:40] + b"\0" * 8 + data[48:],
    ],
)
def test_a_damaged_page_is_as_good_as_missing_and_says_what_to_do(damage: Callable[[bytes], bytes]) -> None:
    _, pages = planned(book(100))
    with pytest.raises(ObjectMissing, match="retry the job") as raised:
        decode_page(damage(pages))
    assert raised.value.code == "plan_damaged"


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"format":1}', b"\xff", '{"format":1,"recipe":{}}'])
def test_a_damaged_header_is_as_good_as_missing(document: str | bytes) -> None:
    with pytest.raises(ObjectMissing, match="retry the job"):
        Plan.from_json(document)


def test_a_plan_of_a_newer_farm_is_not_misread() -> None:
    plan, _ = planned(book(1))
    with pytest.raises(Misconfigured, match="newer farm"):
        Plan.from_json(plan.to_json().replace('"format":1', '"format":2'))


# --- cost -------------------------------------------------------------------------------------------------------------


def test_planning_holds_a_page_of_segments_at_a_time() -> None:
    parts = [Part("", book(6_000), "v")]
    tracemalloc.start()
    try:
        encode_plan(segments(parts, RECIPE, 80, PAUSES), parts, RECIPE, sample_rate=22_050)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # bytes; all 6,000 at once take 5,000,000


def test_reading_plans_needs_no_library_that_makes_them() -> None:
    script = (
        "import sys, farm.plan; print([name for name in ('sentencex', 'regex', 'pydantic') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"

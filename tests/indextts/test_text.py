"""Text into token ids, beside the package's own tokenizer and splitter, and what no package expects in a text."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engines.indextts.shapes import Network
from worker.engines.indextts.text.bilingual import BilingualSegmenter

PROSE = [
    "THE QUICK BROWN FOX JUMPS OVER A LAZY DOG.",
    "It's 5% of $12.50, isn't it? See F5-TTS and GPT-5-nano.",
    '"Stop!" he said. "No, I won\'t." (And he didn\'t.) "Why?" - "Because..."',
    "Chapter 12: on 3/4/1984 at 8:00 AM, they spoke of one, two, three - and nothing else; nothing at all.",
    "你好，世界。今天天气很好，我们一起去公园散步。",
    "2024年，他说：Hello world，这是个测试。",
    ", ".join(["one two three four five six"] * 12) + ".",
    "We speak of a lazy dog. " * 20,
    "jumps over the fox " * 40,
    "-".join(["brown"] * 90),
]


@pytest.fixture(scope="module")
def front(network: Network) -> BilingualSegmenter:
    return BilingualSegmenter(network.tokenizer)


def as_the_package_reads(tokenizer: Any, text: str) -> list[list[int]]:
    return [tokenizer.convert_tokens_to_ids(part) for part in tokenizer.split_segments(tokenizer.tokenize(text), 120)]


@pytest.mark.filterwarnings("ignore:The tokens length of segment:RuntimeWarning")
@pytest.mark.parametrize("text", PROSE)
def test_prose_gets_the_packages_own_ids_in_the_packages_own_segments(
    front: BilingualSegmenter, network: Network, text: str
):
    language = "zh" if "，" in text else "en"
    assert front.segments(text, language).ids == as_the_package_reads(network.tokenizer, text)


def test_figures_alone_are_english_where_the_language_is(front: BilingualSegmenter):
    assert front.segments("1984.", "en").ids == front.segments("nineteen eighty four.", "en").ids
    assert front.segments("1984.", "en-GB").ids == front.segments("1984.", "en").ids


def test_figures_alone_are_chinese_where_the_language_is(front: BilingualSegmenter, network: Network):
    assert front.segments("1984.", "zh").ids == as_the_package_reads(network.tokenizer, "1984.")
    assert front.segments("1984.", "zh").ids != front.segments("1984.", "en").ids


def test_a_chinese_word_makes_the_package_guess_in_an_english_text(front: BilingualSegmenter, network: Network):
    text = "In 1984 they said 你好 to him."
    assert front.segments(text, "en").ids == as_the_package_reads(network.tokenizer, text)


def test_a_single_character_is_put_into_words_like_any_other_text(front: BilingualSegmenter):
    assert front.segments("5", "en").ids == front.segments("five", "en").ids
    assert front.segments("a", "en") == front.segments("A", "en")


@pytest.mark.parametrize("text", ["", " \n\t ", "...", "* * *", "?!", "—", "@#$%^&*", "\u200b\ufeff", "😀☃", "\ud800"])
def test_unpronounceable_text_has_no_ids(front: BilingualSegmenter, text: str):
    assert front.segments(text, "en").ids == []


def test_line_breaks_and_zero_width_characters_keep_the_ids(front: BilingualSegmenter):
    messy = "\ufeffThe quick\u200b brown\r\nfox\x00jumps\u2028o\u00adver a\u3000lazy dog.\n"
    assert front.segments(messy, "en") == front.segments("The quick brown fox jumps over a lazy dog.", "en")


def test_a_letter_is_the_same_however_it_is_composed(front: BilingualSegmenter):
    assert front.segments("caf\u0065\u0301", "en") == front.segments("caf\u00e9", "en")


def test_a_character_without_a_token_keeps_its_place_and_is_reported(front: BilingualSegmenter, network: Network):
    found = front.segments("The ☃ fox and the 😀☃ dog.", "en")
    assert found.unknown == ["☃", "😀"]
    assert found.ids == as_the_package_reads(network.tokenizer, "The ☃ fox and the 😀☃ dog.")
    assert found.ids[0].count(network.tokenizer.unk_token_id) == 2


def test_a_script_without_any_token_is_reported_and_not_spoken(front: BilingualSegmenter):
    found = front.segments("გამარჯობა", "en")
    assert found.ids == []
    assert found.unknown == list(dict.fromkeys("გამარჯობა".upper()))


@pytest.mark.parametrize("text", ["<s>one</s>", "<S> one </S> <s>", "one <unk> two", "</s>", "<s>", "▁<s>▁one▁</s>"])
def test_special_tokens_in_a_text_are_letters_and_signs(front: BilingualSegmenter, network: Network, text: str):
    start, stop = network.tokenizer.bos_token_id, network.tokenizer.eos_token_id
    found = front.segments(text, "en")
    assert found.ids
    assert all(token not in (start, stop) for part in found.ids for token in part)
    letters = [character for character in text.upper() if character.isalpha()]
    spoken = "".join(network.tokenizer.convert_ids_to_tokens([token for part in found.ids for token in part]))
    assert [character for character in spoken.replace("<unk>", "") if character.isalpha()] == letters


def test_a_vocabulary_that_reads_special_tokens_out_of_a_text_does_not_get_them_to_the_model(network: Network):
    tokenizer = copy.copy(network.tokenizer)
    tokenizer.sp_model = _Obliging(tokenizer.sp_model)
    ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize("ONE FOX"))
    assert (ids[0], ids[-1]) == (0, 1)
    assert BilingualSegmenter(tokenizer).segments("ONE FOX", "en").ids == [ids[1:-1]]


class _Obliging:
    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def Encode(self, text: str, **options: Any) -> list[str]:
        return ["<s>", *self._real.Encode(text, **options), "</s>"]


AWKWARD = st.text(
    st.sampled_from("one two,.-'\"!?…()<>sS/&$%#@\\[]{}|1234567890 \n\u200b\u0301你好。，、·—é☃"), max_size=400
)


@settings(max_examples=150, deadline=None)
@given(text=AWKWARD | st.text(max_size=60), language=st.sampled_from(["en", "zh"]))
def test_no_text_raises_and_every_segment_fits_the_model(
    front: BilingualSegmenter, network: Network, text: str, language: str
):
    found = front.segments(text, language)
    for part in found.ids:
        assert 0 < len(part) <= 121  # the package lets a quote follow the full stop of a full segment
        assert all(2 <= token < network.tokenizer.vocab_size for token in part)
    assert found == front.segments(text, language)


PIECES = st.lists(
    st.sampled_from(["▁ONE", "A", "X", ",", "▁,", "-", ".", "▁.", "?", "!", "'", "▁'", "…"]), max_size=400
)


@settings(max_examples=200, deadline=None)
@given(pieces=PIECES)
def test_splitting_loses_no_token_and_adds_none_but_a_quote_that_the_package_repeats(
    front: BilingualSegmenter, pieces: list[str]
):
    left, before = list(pieces), ""
    for piece in [piece for part in front._split(pieces) for piece in part]:
        if left and left[0] == piece:
            left.pop(0)
        else:
            assert piece == before
            assert piece in ("'", "▁'")
        before = piece
    assert left == []


def test_a_splitter_that_fails_is_replaced_by_cutting_at_the_limit(network: Network):
    def fails(pieces: list[str], limit: int) -> list[list[str]]:
        raise AssertionError

    tokenizer = copy.copy(network.tokenizer)
    tokenizer.split_segments = fails
    text = "one two three " * 60
    whole = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
    found = BilingualSegmenter(tokenizer).segments(text, "en")
    assert [token for part in found.ids for token in part] == whole
    assert [len(part) for part in found.ids[:-1]] == [120] * (len(whole) // 120)


class _Fails:
    def normalize(self, text: str, **_: Any) -> str:
        raise ValueError(f"no way to say {text}")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_grammar_that_fails_loses_no_word_and_says_nothing_of_the_text(
    network: Network, language: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    tokenizer = copy.copy(network.tokenizer)
    tokenizer.normalizer = normalizer = copy.copy(tokenizer.normalizer)
    if hasattr(normalizer, "_normalizers"):
        normalizer._normalizers = {"en": _Fails(), "zh": _Fails()}
    else:
        normalizer.en_normalizer = normalizer.zh_normalizer = _Fails()
    text = "THE QUICK FOX." if language == "en" else "你好。"
    assert (
        BilingualSegmenter(tokenizer).segments(text, language).ids
        == BilingualSegmenter(network.tokenizer).segments(text, language).ids
    )
    assert "no way to say" not in caplog.text + "".join(capfd.readouterr())


def test_nothing_of_a_text_is_logged_or_printed(
    front: BilingualSegmenter, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    for text in ["secret @#$%^&* 你好", "secret" * 100, "☃ secret"]:
        front.segments(text, "zh")
        front.segments(text, "en")
    assert "secret" not in (caplog.text + "".join(capfd.readouterr())).lower()


def test_the_official_repositorys_normaliser_is_understood(network: Network):
    """It keeps its two grammars under names of their own, and is otherwise the same class."""
    real = normalizer = copy.copy(network.tokenizer.normalizer)
    if hasattr(real, "_normalizers"):  # the indexed package's, in the other's clothes

        class Official(type(real)):  # type: ignore[misc]
            def normalize(self, text: str) -> str:
                self_like = copy.copy(real)
                self_like.use_chinese = self.use_chinese
                self_like._normalizers = {"zh": self.zh_normalizer, "en": self.en_normalizer}
                return str(self_like.normalize(text))

        normalizer = Official.__new__(Official)
        normalizer.en_normalizer = real._normalizers["en"]
    normalizer.zh_normalizer = _Fails()
    tokenizer = copy.copy(network.tokenizer)
    tokenizer.normalizer = normalizer
    front = BilingualSegmenter(tokenizer)
    assert front.segments("1984.", "en") == BilingualSegmenter(network.tokenizer).segments("1984.", "en")
    assert front.segments("你好。", "zh") == BilingualSegmenter(network.tokenizer).segments("你好。", "zh")


def test_threads_read_as_one_does(front: BilingualSegmenter):
    alone = [front.segments(text, "en") for text in PROSE[:6]]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda text: front.segments(text, "en"), PROSE[:6] * 4)) == alone * 4

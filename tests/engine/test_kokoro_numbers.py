"""English numbers, dates, times and sums of money, word by word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.numerals.english import cardinal
from worker.engines.kokoro.numbers import in_words


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("$42.50", "forty two dollars and fifty cents"), ("$1", "one dollar"), ("$0.99", "ninety nine cents"),
        ("£3.20", "three pounds and twenty pence"), ("£0.01", "one penny"), ("€5", "five euros"),
        ("$1.5 million", "one point five million dollars"), ("$5k", "five thousand dollars"),
        ("$1,250.75", "one thousand two hundred fifty dollars and seventy five cents"),
        ("2.4", "two point four"), ("13.8", "thirteen point eight"), ("3.14159", "three point one four one five nine"),
        (".5", "zero point five"), ("1.2.3", "one point two point three"),
        ("0", "zero"), ("3,500", "three thousand five hundred"), ("1,000,000", "one million"),
        ("¥500", "five hundred yen"), ("007", "zero zero seven"),
        ("14 March 1998", "the fourteenth of March, nineteen ninety eight"), ("the 4th of July", "the fourth of July"),
        ("March 3rd, 2021", "March third, twenty twenty one"), ("May 5", "May fifth"),
        ("2021-03-14", "March fourteenth, twenty twenty one"), ("3/14/1998", "March fourteenth, nineteen ninety eight"),
        ("Jan. 1, 2000", "January first, two thousand"), ("May 2020", "May twenty twenty"),
        ("in 1905", "in nineteen oh five"), ("in 1900", "in nineteen hundred"), ("in 2005", "in two thousand five"),
        ("1990s", "nineteen nineties"), ("'90s", "nineties"), ("1800s", "eighteen hundreds"),
        ("21st", "twenty first"), ("12th", "twelfth"), ("101st", "one hundred first"), ("20th", "twentieth"),
        ("7:30", "seven thirty"), ("10:05", "ten oh five"), ("9:00", "nine o'clock"), ("5 pm", "five P M"),
        ("1/2", "one half"), ("3/4", "three quarters"), ("2/3", "two thirds"), ("9/11", "nine eleven"),
        ("8/11", "eight elevenths"),
        ("50%", "fifty percent"), ("20°C", "twenty degrees Celsius"), ("1 km", "one kilometer"),
        ("10 km", "ten kilometers"),
        ("10-20 km", "ten to twenty kilometers"), ("1914-1918", "nineteen fourteen to nineteen eighteen"),
        ("-5", "minus five"), ("COVID-19", "COVID-nineteen"), ("5G", "five G"), ("A4", "A four"),
        ("No. 5", "number five"), ("St. Mary", "Saint Mary"), ("e.g. this", "for example this"),
    ],
)  # fmt: skip
def test_it_is_said_as_people_say_it(written: str, spoken: str) -> None:
    assert " ".join(in_words(written).split()) == spoken


def test_500_digits_are_said_one_by_one() -> None:
    assert len(in_words("7" * 500).split()) == 500


@given(st.integers(0, 10**15 - 1))
def test_a_cardinal_is_made_of_words_alone(value: int) -> None:
    assert cardinal(str(value)).replace(" ", "").isalpha()


@given(st.text("0123456789 .,:/-$£%'stndrhkm°CAprMay", max_size=30))
def test_no_digit_is_left(text: str) -> None:
    assert not any(map(str.isdigit, in_words(text)))

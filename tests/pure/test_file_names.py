from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.file_names import portable_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The Lamp", "The Lamp"),
        ("Cafe\u0301", "Café"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("line\nbreak\ttab\u2028", "line break tab"),
        ("null\0, bell\a, \u202egnp.exe, half \ud800", "null_, bell_, _gnp.exe, half _"),
        ("ends with dots. . .", "ends with dots"),
        (".hidden", "hidden"),
        ("nul", "_nul"),
        ("Com1.mp3", "_Com1.mp3"),
        ("LPT¹ .x", "_LPT¹ .x"),
        ("console", "console"),
        (" . ", ""),
        ("読書" * 3, "読書読"),
    ],
)
def test_a_text_becomes_a_name_that_every_system_takes(text: str, name: str) -> None:
    assert portable_name(text, 10 if text.startswith("読") else 100) == name


def test_a_name_that_is_cut_down_to_a_device_is_another() -> None:
    assert portable_name("console", 3) == "_co"


@given(st.text(), st.integers(1, 40))
def test_no_text_becomes_a_name_that_some_system_refuses(text: str, most: int) -> None:
    name = portable_name(text, most)
    assert len(name.encode()) <= most
    assert name == unicodedata.normalize("NFC", name)
    assert name == name.strip(" .")
    assert not set(name) & set('<>:"/\\|?*')
    assert name == "" or name.isprintable()
    assert portable_name(name, most) == name

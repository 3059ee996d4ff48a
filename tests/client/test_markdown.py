"""What of a Markdown file is read aloud, and what of any other file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.cli import manuscript, narrate
from farm.cli.manuscript import Part, chapters, plain
from farm.cli.parser import parser
from farm.documents.markdown import SCENE_BREAK, is_markdown
from farm.errors import BadInput
from farm.wire import JobRequest, Output, Pauses

READ_ALOUD = [
    ("The *tide* went **out**, ***far*** out, _then_ __back__.", "The tide went out, far out, then back."),
    ("a snake_case name, 2 * 3 * 4, \\*stars\\*", "a snake_case name, 2 * 3 * 4, *stars*"),
    ("~~gone~~ and `code *here*`", "gone and code *here*"),
    ("See [the *chart*](http://c.test 'x') and <http://d.test>.", "See the chart and http://d.test."),
    ("See [it][1] or [1].\n\n[1]: http://c.test", "See it or 1."),
    ("![A lighthouse](l.png)\n\n![](m.png)\n\nDark.", "A lighthouse\n\nDark."),
    ("One <!-- not said --> two<br>three <b>four</b>.", "One  two\nthree four."),
    ("<!-- a\n\nlong remark -->\n\nText.", "Text."),
    ("<div>\nIn a *box* &amp; out\n</div>\n\n<script>\nx = 1;\n</script>", "In a *box* & out"),
    ("# One #\n\nTwo\n===\n\n### *Three*", "One\n\nTwo\n\nThree"),
    ("- one\n- *two*\n\n* three\n+ four", "one\n\ntwo\n\nthree\n\nfour"),
    ("1. one\n2. two\n\n1984. It was cold.", "1. one\n\n2. two\n\n1984. It was cold."),
    ("It was\n\n1984.\n\nIt was cold.", "It was\n\n1984.\n\nIt was cold."),
    ("1. - one", "1. one"),
    ("> He *said*\n> so.\n>\n> > Twice.", "He said\nso.\n\nTwice."),
    ("A.\n\n* * *\n\nB.\n\n---\n\n***\n\nC.", f"A.\n\n{SCENE_BREAK}\n\nB.\n\n{SCENE_BREAK}\n\n{SCENE_BREAK}\n\nC."),
    ("One.\n\n~~~\n\nTwo.", f"One.\n\n{SCENE_BREAK}\n\nTwo."),
    ("| Name | Age |\n|:--|--:|\n| *Ann* | 4 |\n| | 5 |", "Name, Age\n\nAnn, 4\n\n5"),
    ("H~2~O, x^2^, the 1^st^ and ++new++. ~~Old~~, a~b and 2^3.", "H2O, x², the 1st and new. Old, a~b and 2^3."),
    ("Tide\n: What *comes*.\n\nSo [@ann, p. 5; @bo] said [@ann] and [@ann said].",
     "Tide\nWhat comes.\n\nSo said and [@ann said]."),
    ("# One # {#one}\n\n[TOC]\n\n[[_TOC_]]\n\n\\newpage\n\n*[HTML]: Long\n*[CSS]: Longer\n\nText.", "One\n\nText."),
    ("10<sup>6</sup> and H<sub>2</sub>O, 1<sup class='x'>st</sup>.", "10⁶ and H2O, 1st."),
    ("<ul><li>one</li><li>two <b>three</b></li></ul>\n\n<img src='a' alt='A cat'>", "one\n\ntwo three\n\nA cat"),
    ("A note.[^1]\n\n[^1]: Short.\n[^b]: See p. 3.", "A note.\n\nShort.\n\nSee p. 3."),
    ("One [^a], two[^A] [^a].\n\n[^a]: Long *one*,\nlazy.\n\n    And more.\n\nEnd.",
     "One, two.\n\nLong one,\nlazy.\n\nAnd more.\n\nEnd."),
    ("Not defined[^1], `[^2]`.\n\n[^2]: Defined.", "Not defined[^1], [^2].\n\nDefined."),
    ("A note^[with *its* text]. x^2 ^[open", "A note (with its text). x^2 ^[open"),
    ("Let $x$ be $y_1 + x^2$, $\\frac{a}{b+1}$ or $2x$.", "Let x be y1 + x², a/b+1 or 2x."),
    ("$$\n\\sqrt{a} \\leq \\alpha \\cdot 90^\\circ\n$$", "√a ≤ α · 90°"),
    ("So $a*b*c$ and $x_{10}$, $\\mathbf{F}$, $50\\%$, $\\text{if } n$.", "So a*b*c and x 10, F, 50%, if n."),
    ("It cost $5 and $10, US$5 or 20$. $5-$10, $3 in cash$, `$x$`.",
     "It cost $5 and $10, US$5 or 20$. $5-$10, $3 in cash$, $x$."),
    ("The path is $HOME/$USER, A$ap and \\$x\\$.", "The path is $HOME/$USER, A$ap and $x$."),
    ("```python\nx * y\n```\n\n    indented *code*", "x * y\n\nindented *code*"),
    ("Roses are red,  \nviolets\\\nare blue\nand so on.", "Roses are red,\nviolets\nare blue\nand so on."),
    ("---\ntitle: A book\nauthor: Ann\n---\n\nText.", "Text."),
    ("---\n\nText.", f"{SCENE_BREAK}\n\nText."),
    ("Salt &amp; pepper &copy;", "Salt & pepper ©"),
    ("He had a <minute|M IH1 . N AH0 T> and <行|XING2>.", "He had a <minute|M IH1 . N AH0 T> and <行|XING2>."),
    ("One.\r\n\r\n*Two.*\r\n", "One.\n\nTwo."),
    ("+++\ntitle = \"A book\"\n+++\n\nText.", "Text."),
    ("---\n# by hand\n\n\"title\": A book\ntags:\n  - sea\n---\n\nText.", "Text."),
    ("\tHe came in.\n\n\tShe left.\n\n    “Go,” he said.", "He came in.\n\nShe left.\n\n“Go,” he said."),
    ("See [[The Lamp]] and [[lamp|the light]]![[a.png]].", "See The Lamp and the light."),
    ("> [!NOTE] Mind\n> the gap.", "Mind\nthe gap."),
    ("- [ ] to do\n- [x] done [x]", "to do\n\ndone [x]"),
    ("# One {#one .big}\n\nA ==bright== lamp{.x} {{< fig 3 >}}.", "One\n\nA bright lamp ."),
    ("这是**重点。**后面，他说**“走”**了。", "这是重点。后面，他说“走”了。"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), READ_ALOUD)
def test_markdown_is_read_aloud_without_its_marks(text: str, said: str) -> None:
    assert plain(text, markdown=True) == said


@pytest.mark.parametrize("text", [text for text, _ in READ_ALOUD])
def test_of_any_other_text_nothing_is_left_out(text: str) -> None:
    assert plain(text) == text


def test_chapters_of_markdown_have_no_marks_either() -> None:
    text = "# *Book*\n\nIntro, **short**.\n\n## One\n\n*Text*\nof it.\n\n* * *\n\n- more\n\n## [Two](x)\n\nEnd."
    assert chapters(text, markdown=True) == [
        Part("", "Book\n\nIntro, short."),
        Part("One", f"One\n\nText\nof it.\n\n{SCENE_BREAK}\n\nmore"),
        Part("Two", "Two\n\nEnd."),
    ]


def test_numbered_chapters_of_markdown_may_be_emphasised() -> None:
    parts = chapters("**Chapter 1**\n\nOne.\n\n*Chapter 2: Out*\nTwo.", markdown=True)
    assert [part.title for part in parts] == ["Chapter 1", "Chapter 2: Out"]
    assert parts[1].text == "Chapter 2: Out\nTwo."


def test_markdown_of_which_nothing_is_said_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match="--no-markdown"):
        plain("<!-- later -->", markdown=True)


@given(st.lists(st.text("ab1é中,. ", min_size=1).map(str.strip).filter(lambda line: line[:1].isalpha()), min_size=1))
def test_prose_in_paragraphs_is_the_same_in_markdown(paragraphs: list[str]) -> None:
    text = "\n\n".join(paragraphs)
    assert plain(text, markdown=True) == text


# --- which text is Markdown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("book.md", True), ("BOOK.MD", True), ("a.markdown", True), ("book.txt", False), ("-", False), ("md", False)],
)
def test_a_file_is_markdown_by_its_name(name: str, expected: bool) -> None:
    assert is_markdown(name) is expected


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.md", [], "A tide."), ("a.txt", [], "A *tide*."), ("a.txt", ["--markdown"], "A tide."),
        ("a.md", ["--no-markdown"], "A *tide*."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["narrate", "submit"])
def test_an_option_says_what_a_name_does_not(
    command: str, name: str, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrate, "read", lambda *_: "A *tide*.")
    request = narrate.job_request(parser().parse_args([command, name, *options]))
    assert isinstance(request, JobRequest)
    assert request.input == said


def test_options_for_silence_become_fields_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrate, "read", lambda *_: "A tide.")
    options = ["--preset", "book", "--trim", "--room-tone=-70", "--pause", "chapter=2000", "--pause", "end=900"]
    request = narrate.job_request(parser().parse_args(["narrate", "a.txt", *options]))
    assert request.output == Output(
        preset="book", trim_dbfs=-50, room_tone_dbfs=-70, pause_ms=Pauses(chapter=2000, end=900)
    )
    with pytest.raises(SystemExit):
        parser().parse_args(["narrate", "a.txt", "--pause", "nowhere=3"])


def test_one_reader_of_markdown_serves_headings_and_text() -> None:
    """An unclosed fence hides no heading and no text from either."""
    text = "# A\n\n~~~\n\n*x*\n\n# B\n\ny"
    assert (
        [part.title for part in chapters(text)] == [part.title for part in chapters(text, markdown=True)] == ["A", "B"]
    )
    assert manuscript.plain(text, markdown=True) == f"A\n\n{SCENE_BREAK}\n\nx\n\nB\n\ny"

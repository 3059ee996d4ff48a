"""The documents tell the truth about the tree: their paths and links exist, and every decision is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/*.md"))]
DECISIONS = sorted(ROOT.glob("docs/decisions/0*.md"))
# A path starts with a folder of the top level. Placeholders such as `worker/engines/<engine>/` are left out.
_PATH = re.compile(
    r"(?<![\w/.:<>-])((?:farm|api|worker|compose|tests|benchmarks|examples|docs|\.github)/[\w./-]*[\w/])"
)
_LINK = re.compile(r"\]\(([^)#\s]+)")
_CODE = re.compile(r"`[^`\n]+`")
_SOURCES = [path for folder in ("farm", "api", "worker", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]
_COMMAND = re.compile(r"\b(?:curl|pip install) [^`\n]*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\s# .*")


def documents(*, history: bool = True) -> list[Path]:
    """CHANGELOG.md tells of paths that are gone."""
    return [path for path in DOCUMENTS if history or path.name != "CHANGELOG.md"]


def cited(document: Path) -> Iterator[str]:
    """The paths that stand in `code` of a document."""
    for code in _CODE.findall(document.read_text("utf-8")):
        if "<" not in code:
            yield from _PATH.findall(code)


def test_some_paths_are_found_in_the_documents() -> None:
    assert "farm/store/outbox.py" in _PATH.findall("see `farm/store/outbox.py`")
    assert sum(1 for document in documents() for _ in cited(document)) > 100


@pytest.mark.parametrize("document", documents(history=False), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_a_document_cites_exists(document: Path) -> None:
    missing = {path for path in cited(document) if not (ROOT / path).exists()}
    copies = {path for path in missing if (ROOT / f"{path}.example").exists()}  # the reader makes this file
    assert missing == copies


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = _LINK.findall(document.read_text("utf-8"))
    broken = {link for link in links if "://" not in link and not (document.parent / link).exists()}
    assert not broken


def unquoted(command: str) -> bool:
    """Whether zsh would look for files of that name, and find none."""
    return bool(re.search(r"[?*\[]", _QUOTED.sub("", command)))


def test_a_pattern_of_a_shell_is_found_outside_of_quotes() -> None:
    assert unquoted("curl -s localhost/v1/jobs/1?wait=60 -o 'a?.mp3'")
    assert unquoted("pip install tts-farm[otel]")
    assert not unquoted("pip install 'tts-farm[otel]'  # [all]")


def test_a_command_in_a_document_or_a_message_can_be_pasted_into_every_shell() -> None:
    commands = [found for path in (*DOCUMENTS, *_SOURCES) for found in _COMMAND.findall(path.read_text("utf-8"))]
    assert len(commands) > 20
    assert [command for command in commands if unquoted(command)] == []


def test_every_decision_is_in_the_index_with_its_status_and_date() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text("utf-8")
    for decision in DECISIONS:
        title, _, status = decision.read_text("utf-8").splitlines()[:3]
        number, name = title.removeprefix("# ").split(". ", 1)
        state, _, date = status.removeprefix("Status: ").partition(" · Date: ")
        assert f"| {number} | [{name}]({decision.name}) | {state} | {date} |" in index


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_the_parts_of_the_template(decision: Path) -> None:
    text = decision.read_text("utf-8")
    for part in ("**Context.**", "**Decision.**", "**Shaped.**"):
        assert part in text

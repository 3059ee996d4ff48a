"""The Lua scripts as texts: the first comment of a verb, its locals and its Python function name the same arguments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from farm.job import Due
from farm.spec import Spec
from farm.store import batches, documents, jobs, lexicons, outbox, quotas, registry, revisions, segments, tasks
from farm.store.call import Call, read_lua, render_scripts
from farm.store.runner import open_keyspace
from tests.store.clocked import new_job

ROOT = Path(__file__).parents[2]
LUA = ROOT / "farm" / "lua"
TASK = tasks.Task(Due.DELIVER, "job_a.1", "7")

# A call of every verb, by the function that callers use.
CALLS: dict[str, Call[Any]] = {
    call.verb: call
    for call in (
        jobs.draft("job_a"),
        jobs.accept(new_job()),
        jobs.reserve("ann", "key", "digest"),
        jobs.unreserve("ann", "key", "digest"),
        jobs.plan("job_a", "7", 4),
        jobs.redo("job_a", "7", [1]),
        jobs.finish("job_a", "7", "{}"),
        jobs.abort("job_a", Due.PLAN, "7", "{}"),
        jobs.cancel("job_a", "ann"),
        jobs.retry("job_a", "ann"),
        revisions.revise(revisions.Change("job_a", "ann", 1, Spec(language="en", voice="anna"), 10, 3600)),
        revisions.retire(tasks.Task(Due.RETIRE, "job_a.1", "7")),
        jobs.expire("job_a", "7", 60),
        jobs.forget("job_a"),
        jobs.record("job_a"),
        jobs.text("job_a"),
        jobs.settled("job_a", "ann"),
        jobs.mentions("ann", ["d1"], first=0, count=9),
        jobs.explain("job_a", "{}", "{}"),
        jobs.page("ann"),
        batches.accept(batches.NewBatch("batch_a", "ann", total=1, spec="{}", retention_s=60)),
        batches.cancel("batch_a", "ann"),
        batches.drop("batch_a", "ann"),
        batches.cancel_jobs("batch_a", after=0, limit=9),
        batches.record("batch_a"),
        batches.page("ann"),
        batches.forget("batch_a"),
        segments.claim("m", want=4, worker="w", lease_ms=1000),
        segments.begin("7", {"job_a": [0, 1]}),
        segments.renew("7", 1000),
        segments.settle("7", [segments.Settled("job_a", 0, 100)]),
        segments.fail("7", "job_a", 0, "bad"),
        segments.release("7", {"job_a": [0]}),
        segments.rescue(1000),
        tasks.take([Due.PLAN], want=1, lease_ms=1000),
        tasks.extend(TASK, 1000),
        tasks.done(TASK),
        tasks.next_due([Due.PLAN]),
        tasks.passage(TASK),
        tasks.passage_done(TASK),
        outbox.deliveries("job_a"),
        outbox.delivered(TASK, "{}", None, outcome="delivered"),
        outbox.redeliver("job_a.1", "ann"),
        registry.backlog(),
        registry.own_queue("ann"),
        registry.put_voice("ann", "v", "{}"),
        registry.drop_voice("ann", "v"),
        documents.put("ann", "doc_a", "{}", bytes=1, due_ms=0),
        documents.note("ann", "doc_a", "{}", bytes=1, due_ms=0),
        documents.drop("ann", "doc_a"),
        lexicons.put("ann", "names", "{}", bytes=1),
        lexicons.drop("ann", "names"),
        registry.put_key("digest", "ann", "laptop"),
        registry.drop_key("laptop"),
        registry.keys(),
        quotas.account("ann"),
        quotas.limit("ann", {"characters": 9}),
        quotas.room("ann", characters=1, bytes=1, records=1),
        quotas.weigh_voices("ann", 1),
        quotas.recount("ann"),
        quotas.forget("ann"),
        quotas.rotate_secret("ann"),
        registry.announce("m", "{}"),
        registry.beat("w", None, 1000),
        registry.workers(),
        registry.lock("keeper", "w", 1000),
        open_keyspace(),
    )
}


@dataclass(frozen=True)
class Header:
    """The first comment of a verb: "verb: name name(note), tail… -> answer"."""

    verb: str
    names: Sequence[str]
    has_tail: bool

    @classmethod
    def of(cls, text: str) -> Header:
        lines = text.split("\n")
        comment = " ".join(line.removeprefix("-- ") for line in lines[: 1 + lines[1].startswith("-- ->")])
        verb, _, taken = comment.partition(" ->")[0].partition(":")
        while (plain := re.sub(r"\([^()]*\)", "", taken)) != taken:
            taken = plain
        fixed, _, tail = taken.partition(",")
        names = fixed.split()
        if names and names[-1].endswith("…"):
            return cls(verb, names[:-1], True)
        return cls(verb, names, bool(tail))


def test_every_verb_is_called_here() -> None:
    assert CALLS.keys() == render_scripts().keys()


@pytest.mark.parametrize("verb", sorted(CALLS))
def test_a_verb_takes_what_its_first_comment_says(verb: str) -> None:
    text, args = read_lua(verb), CALLS[verb].args
    header = Header.of(text)
    code = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
    assert header.verb == verb
    assert len(args) > len(header.names) if header.has_tail else len(args) == len(header.names)
    if header.names:
        taken = f"ARGV, 1, {len(header.names)}" if header.has_tail else "ARGV"
        found = re.match(r"local ([\w,\s]+?)\s*=\s*unpack\(([^)]*)\)\n", code)
        assert found, "its first statement gives names to its arguments"
        assert ([name.strip() for name in found[1].split(",")], found[2]) == (list(header.names), taken)
    assert not re.search(r"ARGV\[\d", code), "arguments are used by their names"


def test_every_process_renders_the_same_scripts() -> None:
    program = "from farm.store.call import render_scripts as r; print(*sorted(script.sha for script in r().values()))"
    shas = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(shas) == 1


def test_a_script_defines_what_its_verb_uses_and_nothing_else() -> None:
    assert "local function" not in render_scripts()["command"].source
    for verb, script in render_scripts().items():
        for name in re.findall(r"^local (?:function )?([A-Za-z]\w*)", script.source, re.MULTILINE):
            assert len(re.findall(rf"\b{name}\b", script.source)) > 1, f"{verb} never uses {name}"


def test_a_settle_that_ends_no_job_defines_nothing_of_ends() -> None:
    counting, _, rest = render_scripts()["settle"].source.partition("  return answer\n")
    for name in ("MOVES", "move", "close", "complete", "take_out"):
        defines = rf"^local (function )?{name}\b"
        assert not re.search(defines, counting, re.MULTILINE)
        assert len(re.findall(defines, rest, re.MULTILINE)) == 1


def test_the_package_carries_every_lua_file() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["farm"]
    carried = {path for pattern in patterns for path in (ROOT / "farm").glob(pattern)}
    assert set(LUA.rglob("*.lua")) <= carried

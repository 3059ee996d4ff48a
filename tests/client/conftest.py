"""The command line against the embedded farm, and an HTTP server that answers as a test tells it to.

command    runs `farm …` as a process: command("status", id)
scripted   answers requests with a list of replies, and remembers what was asked
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farm.embedded.supervisor import Local
from tests import program
from tests.client.scripted import Scripted

Command = Callable[..., subprocess.CompletedProcess[str]]


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FARM_")}


@pytest.fixture
def command(farm: Local, tmp_path: Path) -> Command:
    def run(*words: str, say: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"FARM_URL": farm.url, "FARM_DATA_DIR": str(farm.data)} | environment
        return program.run("farm", *words, env=clean_environment() | settings, cwd=tmp_path, say=say)

    return run


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()

"""Every example is executed: what the documentation shows is what works."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mutagen.mp4 import MP4

from farm.client import Farm
from farm.embedded.data_folder import webhook_secret
from farm.embedded.supervisor import Local
from farm.job import DEFAULT_TENANT
from farm.webhooks.secrets import secret_for
from tests.client.conftest import Command, clean_environment
from tests.patience import patient

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_curl_lines_work(farm: Local, tmp_path: Path) -> None:
    said = _run("bash", str(EXAMPLES / "curl.sh"), str(tmp_path / "night.mp3"), farm=farm)
    job, manifest, queue = _documents(said)
    assert job["status"] == "succeeded"
    assert manifest["segments"]
    assert queue["workers"]
    assert (tmp_path / "night.mp3").stat().st_size == job["result"]["bytes"]


def test_the_shortest_program_works(farm: Local, tmp_path: Path) -> None:
    target = tmp_path / "night.mp3"
    said = _run(sys.executable, str(EXAMPLES / "submit_and_wait.py"), "It was a dark night.", str(target), farm=farm)
    assert said.startswith(f"{target}: ")
    assert target.stat().st_size > 1000


def test_the_dubbing_track_fits_its_cues(farm: Local, tmp_path: Path) -> None:
    target = tmp_path / "track.flac"
    said = _run(sys.executable, str(EXAMPLES / "dubbing.py"), str(target), farm=farm)
    errors = [int(line.split(" ms from its target")[0].rpartition(" ")[2]) for line in said.splitlines()]
    assert len(errors) == 3
    assert all(abs(error) < 100 for error in errors), said
    assert target.read_bytes()[:4] == b"fLaC"


def test_the_batch_of_announcements_works(command: Command, tmp_path: Path) -> None:
    ended = command("batch", str(EXAMPLES / "jobs.jsonl"), "-o", "saved", "--json")
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "saved").iterdir())) == json.loads(ended.stdout)["total"] == 5


def test_the_demo_narrates_every_text_and_its_second_run_renders_nothing(
    farm: Local, client: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import demo
    from receiver import Receiver

    assert sum(len(path.read_text("utf-8")) >= 10_000 for path in demo.TEXTS.iterdir()) >= 1
    shares = []
    for _ in range(2):
        with Receiver(secret_for(DEFAULT_TENANT, webhook_secret(farm.data))) as receiver:
            assert demo.narrate_all(client, receiver, tmp_path)
        said = capsys.readouterr().out
        assert "5 received, every signature verified" in said
        cached, total = _cache_line(said)
        shares.append(cached / total)
    assert shares == [0.0, 1.0]
    assert len(list(tmp_path.iterdir())) == len(demo.orders())


def test_the_demo_makes_an_audiobook_with_chapters_and_a_cover(
    client: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import demo

    assert demo.narrate_book(client, tmp_path)
    book = MP4(tmp_path / "lighthouse.m4b")
    assert book.tags is not None
    assert book.tags["covr"]
    assert f"in {len(book.chapters)} chapters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "secret", "says"),
    [
        (["submit_and_wait.py"], "", "usage: python examples/submit_and_wait.py"),
        (["dubbing.py"], "", "usage: python examples/dubbing.py"),
        (["dubbing.py", "track.flac"], "", "is the farm running?"),
        (["receiver.py", "99999"], "whsec_" + "A" * 32, "usage: python examples/receiver.py [PORT]: "),
        (["receiver.py", "port"], "whsec_" + "A" * 32, "usage: python examples/receiver.py [PORT]: "),
        (["receiver.py"], "nonsense", "FARM_WEBHOOK_SECRET is no secret of webhooks"),
    ],
)
def test_an_example_that_cannot_run_says_so_on_one_line(words: list[str], secret: str, says: str) -> None:
    program, *rest = words
    environment = clean_environment() | {"FARM_URL": "http://127.0.0.1:9", "FARM_WEBHOOK_SECRET": secret}
    command = (sys.executable, str(EXAMPLES / program), *rest)
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=patient(60))
    assert ended.returncode == 1
    (said,) = ended.stderr.splitlines()
    assert says in said


def _cache_line(said: str) -> tuple[int, int]:
    words = next(line.split() for line in said.splitlines() if "from the clip cache" in line)
    return int(words[0]), int(words[2])


def _documents(text: str) -> Iterator[Any]:
    """JSON documents one after another."""
    text = text.strip()
    while text:
        document, end = json.JSONDecoder().raw_decode(text)
        yield document
        text = text[end:].lstrip()


def _run(*command: str, farm: Local) -> str:
    environment: dict[str, Any] = clean_environment() | {"FARM_URL": f"{farm.url}/"}  # as people write it
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=patient(60))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout

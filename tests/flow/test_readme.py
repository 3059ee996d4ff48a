"""The examples in the README are run as they stand there, against the embedded farm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import soundfile as sf

from farm.client import Farm
from farm.embedded.supervisor import Local
from tests.patience import patient

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_narrates(farm: Local, tmp_path: Path) -> None:
    (program,) = blocks("python")
    program = program.replace("http://127.0.0.1:8000", farm.url)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=patient(60))
    assert sf.info(tmp_path / "tide.mp3").duration > 2


def test_the_curl_lines_submit_wait_and_fetch(farm: Local, client: Farm, tmp_path: Path) -> None:
    lines = next(block for block in blocks("sh") if block.startswith("curl")).strip().splitlines()
    assert len(lines) == 5
    answers: list[str] = []
    environment = dict(os.environ)
    for line in lines:
        command = line.replace("localhost:8000", farm.url).replace("@examples/", f"@{ROOT}/examples/")
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=patient(60),
        )
        answers.append(done.stdout)
        environment["ID"] = json.loads(answers[0])["id"]
    assert json.loads(answers[1])["status"] == "succeeded"
    assert sf.info(tmp_path / "night.mp3").duration > 1
    assert json.loads(answers[3])["segments"][0]["text"] == "It was a dark and stormy night."
    batch = json.loads(answers[4])
    while client.batch(batch["id"], wait=30).status == "running":
        pass
    assert client.batch(batch["id"]).counts == {"succeeded": batch["total"]}

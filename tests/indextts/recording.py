"""The answers of the package's own infer() on the tiny random checkpoints, recorded for the tests of whole engines.

python -m tests.indextts.recording 2      writes tests/indextts/recorded/v2-KEY.json for the package that is installed
python -m tests.indextts.recording 2.5    writes tests/indextts/recorded/v25.json; needs the official repository

KEY stands for the package, for transformers and for the weights of the checkpoint. When one of them changes, the tests
ask the package itself until its answers are recorded again; a recording of an old edition may be deleted.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.indextts.checkpoint import references, write
from tests.indextts.oracle import load
from tests.indextts.sketch import RECORDED, Sketch, recording
from worker.engines.indextts.load.package import COMMIT, edition


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version", choices=["2", "2.5"])
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    record = {"2": _record_2, "2.5": _record_25}[parser.parse_args().version]
    with tempfile.TemporaryDirectory() as scratch:
        record(Path(scratch, "model"))


def _record_2(folder: Path) -> None:
    from tests.indextts.test_engine import CASES

    write(folder)
    package = load(folder)
    voices = [str(path) for path in references(folder)]
    answers = {name: case.of_the_package(package, voices) for name, case in CASES.items()}
    about = {
        "what": "the package's infer(num_beams=1) on the tiny random checkpoint of seed 0, fp32, CPU",
        "command": "python -m tests.indextts.recording 2",
        "edition": edition(),
        "spoken": {name: Sketch.of(answer).to_json() for name, answer in answers.items()},
    }
    _save(recording(folder), about)


def _record_25(folder: Path) -> None:
    from indextts.infer_v2_5 import IndexTTS2

    from tests.indextts.checkpoint25 import write
    from tests.indextts.test_v25 import CASES

    write(folder)
    package = IndexTTS2(cfg_path=str(folder / "config.yaml"), model_dir=str(folder), device="cpu")
    voices = [str(path) for path in references(folder)]
    spoken = []
    for case in CASES:
        answer = case.official(package, voices)
        ((codes,), (wave,)) = answer.codes, answer.waves
        spoken.append(
            {
                "language": case.language,
                "text": case.text,
                "codes": codes,
                "samples": len(wave),
                "rms": float(np.sqrt(np.mean(wave.astype(np.float64) ** 2))),
                "peak": float(np.abs(wave).max()),
            }
        )
    about = {
        "what": "the official infer(num_beams=1), greedy, on the tiny random checkpoint of seed 0, fp32, CPU",
        "commit": COMMIT,
        "spoken": spoken,
    }
    _save(RECORDED / "v25.json", about)


def _save(file: Path, about: dict[str, Any]) -> None:
    spoken = about.pop("spoken")
    about |= {name: metadata.version(name).partition("+")[0] for name in ("torch", "transformers")}
    text = json.dumps(about | {"spoken": spoken}, ensure_ascii=False, indent=1)
    text = re.sub(
        r"\[[\s\d,]+\]", lambda codes: re.sub(r"\s+", " ", codes[0]).replace("[ ", "[").replace(" ]", "]"), text
    )  # on one line
    file.parent.mkdir(exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What the official infer() of IndexTTS-2.5 says on the tiny random checkpoint, for the tests to hold the engine to.

python -m tests.indextts.recording        writes tests/indextts/recorded/v25.json; needs the official repository
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from tests.indextts.checkpoint import references
from tests.indextts.checkpoint25 import write
from tests.indextts.test_v25 import CASES, RECORDED
from worker.engines.indextts.load.package import COMMIT


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    from indextts.infer_v2_5 import IndexTTS2

    spoken = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = write(Path(scratch, "model"))
        package = IndexTTS2(cfg_path=str(folder / "config.yaml"), model_dir=str(folder), device="cpu")
        voices = [str(path) for path in references(folder)]
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
        "torch": metadata.version("torch").partition("+")[0],
        "transformers": metadata.version("transformers"),
        "spoken": spoken,
    }
    RECORDED.parent.mkdir(exist_ok=True)
    text = json.dumps(about, ensure_ascii=False, indent=1)
    text = re.sub(
        r"\[[\s\d,]+\]", lambda codes: re.sub(r"\s+", " ", codes[0]).replace("[ ", "[").replace(" ]", "]"), text
    )  # on one line
    RECORDED.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

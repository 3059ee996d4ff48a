"""Signs into samples: Kokoro's graph in ONNX Runtime.

The graph takes one utterance, and has no random node: one version of ONNX Runtime makes the same samples of the same
signs, voice and speed. A process has one thread (docs/benchmarks.md says why), and a machine as many processes
as cores.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from farm.errors import Misconfigured
from worker.engines.kokoro import alphabet
from worker.engines.kokoro.files import MODEL, VOICES

Samples = npt.NDArray[np.float32]

RATE = 24_000  # Hz


class Sayer(Protocol):
    """Says signs with a voice; a test has one without weights."""

    revision: str

    def say(self, signs: str, voice: str, speed: float) -> Samples:
        """Float32 (samples,) at RATE, within [-1, 1]. At most alphabet.LONGEST signs, one at least."""
        ...


class Network:
    def __init__(self, session: onnxruntime.InferenceSession, styles: Mapping[str, Samples], revision: str) -> None:
        self._session, self._styles, self.revision = session, styles, revision

    @classmethod
    def load(cls, folder: Path) -> Network:
        """Raises Misconfigured where a file is missing or another one."""
        model, voices = MODEL.check(folder), VOICES.check(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A pattern is another block of memory for a length that comes again: 167 MB for 9 s of audio, and no faster.
        options.enable_mem_pattern = False
        try:
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            styles = np.load(voices)  # reads a voice when it is asked for: all of them are 28 MB
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise Misconfigured(
                f"ONNX Runtime {onnxruntime.__version__} can't load {model} ({str(error).splitlines()[0]}); install "
                f"the version of tts-farm[kokoro], or fetch the files again: {MODEL.how_to_fetch}"
            ) from error
        with suppress(AttributeError):  # a libc without it; glibc keeps 20 MB that reading the model took
            ctypes.CDLL(None).malloc_trim(0)
        sums = hashlib.sha256(f"{MODEL.sha256} {VOICES.sha256}".encode()).hexdigest()
        return cls(session, styles, f"{sums[:12]}-ort{onnxruntime.__version__}")

    def say(self, signs: str, voice: str, speed: float) -> Samples:
        tokens = alphabet.numbers(signs)
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": self._styles[voice][len(tokens) - 1],
            "speed": np.array([speed], np.float32),
        }
        (samples,) = self._session.run(None, inputs)
        return np.clip(np.asarray(samples, np.float32).ravel(), -1, 1)

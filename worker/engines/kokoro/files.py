"""The files of Kokoro-82M v1.0.

Both are of one release of kokoro-onnx: the model in int8 (weights Apache-2.0, export MIT) and its voices. A file of
another release, quantised otherwise, speaks rubbish or needs other inputs.
"""

from __future__ import annotations

from worker.weights.file import File

RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
MODEL = File(
    "kokoro-v1.0.int8.onnx", 92_361_271, "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb", "kokoro"
)
VOICES = File(
    "voices-v1.0.bin", 28_214_398, "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d", "kokoro"
)
FILES = (MODEL, VOICES)

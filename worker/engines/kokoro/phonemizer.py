"""The process in which eSpeak NG turns texts into IPA: it loads the C library once and forks a child for each request.

So an answer never depends on what was read before, and a text that crashes or hangs the library costs one child.

    parent -> phonemizer   one line of JSON per request: {"voice", "texts": [...]}
    phonemizer -> parent   one line of JSON: {"ipa": [...]}, one for each text, or {"error": why}

It ends with its standard input, and imports only the standard library and the loader.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any, BinaryIO

import espeakng_loader

# speak_lib.h of eSpeak NG 1.52
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_IPA, _TIED = 0x02, 0x80  # and the sign that ties the letters of one sound, in the second byte
_PHONEMES = _IPA | _TIED | ord("^") << 8
_LIMIT_S = 20


def main() -> None:
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # prints of the library belong into the log
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = (ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int)
    library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(espeakng_loader.get_data_path()), _DONT_EXIT)
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            _answer_and_exit(library, json.loads(line), replies)
        _, status = os.waitpid(child, 0)
        if status != 0:
            _send(replies, {"error": "eSpeak NG crashed or hung on this text; change it"})


def _answer_and_exit(library: ctypes.CDLL, request: dict[str, Any], replies: BinaryIO) -> None:
    signal.alarm(_LIMIT_S)
    try:
        if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
            raise ValueError(f"eSpeak NG can't load its voice {request['voice']}")
        _send(replies, {"ipa": [_read(library, text) for text in request["texts"]]})
    except Exception as error:
        _send(replies, {"error": str(error)})
    finally:
        os._exit(0)


def _read(library: ctypes.CDLL, text: str) -> str:
    place = ctypes.c_char_p(text.encode(errors="ignore"))
    clauses = []
    while place.value:  # the library reads a clause, and moves the pointer behind it
        clauses.append((library.espeak_TextToPhonemes(ctypes.byref(place), _UTF8, _PHONEMES) or b"").decode())
    return " ".join(clause for clause in clauses if clause)


def _send(replies: BinaryIO, answer: dict[str, Any]) -> None:
    data = memoryview(json.dumps(answer).encode() + b"\n")
    while data:
        data = data[replies.write(data) :]


if __name__ == "__main__":
    main()

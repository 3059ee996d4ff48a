"""The process in which eSpeak NG speaks: it loads the C library once and forks a child for every utterance.

No call of eSpeak's API resets all of its state (the phase of its pitch flutter, the gain control). So in one process
the same sentence sounds different after another one. A child starts from the same untouched library and speaks once, so
its samples are always the same. And a text that crashes or hangs the library costs one child, not the render worker.

    parent -> speaker   one line of JSON per utterance: {"voice", "words_per_minute", "pitch", "text"}
    speaker -> parent   one line of JSON, {"bytes": n} or {"error": why}, then n bytes of 16 bit mono samples
    speaker -> parent   once, at start: {"version", "sample_rate", "voices": [{"identifier", "tags"}]}

The process ends with its standard input, so it never outlives its parent. It imports only the standard library and the
loader: the smaller the process, the cheaper the fork.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import espeakng_loader

# speak_lib.h of eSpeak NG 1.52
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_BY_CHARACTER = 1
_RATE, _PITCH = 1, 3

_SEED = 1  # without it the clock seeds its noise, which no voice of 1.52 uses; another release's may
_LIMIT_S = 60  # 400 characters take 0.03 s

_Samples = ctypes.POINTER(ctypes.c_short)
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, _Samples, ctypes.c_int, ctypes.c_void_p)


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


def main() -> None:
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # prints of the library belong into the log
    library = _load()
    _send(replies, _introduction(library))
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            _speak_and_exit(library, json.loads(line), replies)
        _, status = os.waitpid(child, 0)
        if status != 0:
            _send(replies, {"error": _reason(status)})


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Info.restype = ctypes.c_char_p
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    library.espeak_ng_SetRandSeed.argtypes = (ctypes.c_long,)
    library.espeak_Synth.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    return library


def _introduction(library: ctypes.CDLL) -> dict[str, Any]:
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(espeakng_loader.get_data_path()), _DONT_EXIT)
    if rate <= 0:
        return {"error": f"eSpeak NG found no usable data in {espeakng_loader.get_data_path()}"}
    voices = [
        {"identifier": voice.identifier.decode(), "tags": list(_tags(voice.languages))} for voice in _voices(library)
    ]
    return {"version": library.espeak_Info(None).decode(), "sample_rate": rate, "voices": voices}


def _voices(library: ctypes.CDLL) -> Iterator[Any]:
    entries = library.espeak_ListVoices(None)
    index = 0
    while entries[index]:
        yield entries[index].contents
        index += 1


def _tags(address: int) -> Iterator[tuple[int, str]]:
    """Pairs of a priority byte and a zero-terminated tag, up to a priority of 0. The lowest priority fits best."""
    while priority := ctypes.c_ubyte.from_address(address).value:
        tag = ctypes.string_at(address + 1)
        yield priority, tag.decode()
        address += 1 + len(tag) + 1


def _speak_and_exit(library: ctypes.CDLL, request: dict[str, Any], replies: BinaryIO) -> None:
    signal.alarm(_LIMIT_S)
    try:
        samples = _speak(library, request)
        _send(replies, {"bytes": len(samples)}, samples)
    except Exception as error:
        _send(replies, {"error": str(error)})
    finally:
        os._exit(0)


def _speak(library: ctypes.CDLL, request: dict[str, Any]) -> bytes:
    pieces: list[bytes] = []

    def collect(samples: Any, count: int, _events: int) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise ValueError(f"eSpeak NG can't load its voice {request['voice']}")
    library.espeak_SetParameter(_RATE, request["words_per_minute"], 0)
    library.espeak_SetParameter(_PITCH, request["pitch"], 0)
    library.espeak_ng_SetRandSeed(_SEED)
    text = request["text"].encode() + b"\0"
    # Neither SSML nor [[phonemes]] nor the pause after the end: those flags stay off.
    if library.espeak_Synth(text, len(text), 0, _BY_CHARACTER, 0, _UTF8, None, None) != 0:
        raise ValueError("eSpeak NG refused the text")
    return b"".join(pieces)


def _send(replies: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    data = memoryview(json.dumps(head).encode() + b"\n" + body)
    while data:
        data = data[replies.write(data) :]


def _reason(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            return f"eSpeak NG did not finish this text in {_LIMIT_S} s; shorten it"
        return f"eSpeak NG crashed on this text ({signal.Signals(number).name}); change it"
    return f"eSpeak NG ended with {os.WEXITSTATUS(status)} on this text; change it"


if __name__ == "__main__":
    main()

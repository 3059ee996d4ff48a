"""The process in which eSpeak NG speaks: it loads the C library once and forks a child for every utterance.

No call of eSpeak's API resets all of its state (the phase of its pitch flutter, the gain control). So in one process
the same sentence sounds different after another one. A child starts from the same untouched library and speaks once, so
its samples are always the same. And a text that crashes or hangs the library costs one child, not the render worker.

    parent -> speaker   one line of JSON per utterance: {"voice", "words_per_minute", "pitch", "text"}
    speaker -> parent   one line of JSON, then n bytes of 16 bit mono samples:
                        {"bytes": n, "clauses": [[end, phonemes, longest_word, last_word], ...]}  (proof.py reads them)
                        {"error": why}, with {"hung": is_hung} where the child died of the text
    speaker -> parent   once, at start: {"version", "sample_rate", "voices": [{"identifier", "tags"}]}

The process ends with its standard input, so it never outlives its parent. It imports only the standard library and the
loader: the smaller the process, the cheaper the fork.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import espeakng_loader

# speak_lib.h of eSpeak NG 1.52
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_PHONEME_EVENTS = 1
_UTF8 = 1
_BY_CHARACTER = 1
_RATE, _PITCH = 1, 3
_WORD, _END_OF_CLAUSE, _PHONEME = 1, 5, 7  # types of events; 0 ends a list of them
_STRESSES = b"',"  # the first byte of a phoneme's name, where it is stressed

_SEED = 1  # without it the clock seeds its noise, which no voice of 1.52 uses; another release's may
_LIMIT_S = 60  # of the clock, and
_CPU_LIMIT_S = 10  # of computing: 400 characters take 0.03 s

# An event: its type, an identifier, its place in the text in characters from 1, a length, two places in the audio, a
# pointer, and 8 bytes that are the name of a phoneme. A list of events has no length that could be asked for.
_EVENT = struct.Struct("@iIiiiiP8s")
_Events = ctypes.c_char * (1 << 20)

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
            _send(replies, _cause_of_death(status))


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
    data = espeakng_loader.get_data_path()
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DONT_EXIT | _PHONEME_EVENTS)
    if rate <= 0:
        return {"error": f"eSpeak NG found no usable data in {data}"}
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
    signal.setitimer(signal.ITIMER_PROF, _CPU_LIMIT_S)
    try:
        samples, clauses = _speak(library, request)
        _send(replies, {"bytes": len(samples), "clauses": clauses}, samples)
    except Exception as error:
        _send(replies, {"error": str(error)})
    finally:
        os._exit(0)


class _Account:
    """What eSpeak says that it has spoken, clause by clause, in the order of the sound."""

    def __init__(self) -> None:
        self.clauses: list[list[int]] = []
        self._begin_clause()

    def add(self, address: int) -> None:
        """The events at `address`, up to one of type 0."""
        events, offset = memoryview(_Events.from_address(address)), 0
        while True:
            kind, _, position, length, _, _, _, name = _EVENT.unpack_from(events, offset)
            if kind == _PHONEME:
                self._phonemes += 1
                self._size += 2 if name[0] in _STRESSES else 1
            elif kind == _WORD:
                self._begin_word(position, length)
            elif kind == _END_OF_CLAUSE:
                self._end_word()
                self.clauses.append([position, self._phonemes, self._longest, self._last])
                self._begin_clause()
            elif kind == 0:
                return
            offset += _EVENT.size

    def _begin_clause(self) -> None:
        self._phonemes = self._longest = self._last = self._size = 0
        self._word = (0, 0)

    def _begin_word(self, position: int, length: int) -> None:
        """A number has a mark within it for each of its digits, at the place after its first character."""
        self._last = max(self._last, position)
        if (position, length) == (self._word[0] + 1, self._word[1]):
            self._size += 1
        else:
            self._end_word()
            self._word = (position, length)

    def _end_word(self) -> None:
        self._longest = max(self._longest, self._size)
        self._size = 0


def _speak(library: ctypes.CDLL, request: dict[str, Any]) -> tuple[bytes, list[list[int]]]:
    pieces: list[bytes] = []
    account = _Account()

    def collect(samples: Any, count: int, events: int) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        account.add(events)
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
    return b"".join(pieces), account.clauses


def _send(replies: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    data = memoryview(json.dumps(head).encode() + b"\n" + body)
    while data:
        data = data[replies.write(data) :]


def _cause_of_death(status: int) -> dict[str, Any]:
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number in (signal.SIGALRM, signal.SIGPROF):
        return {"error": "eSpeak NG did not finish this text in time", "hung": True}
    end = signal.Signals(number).name if number else f"exit {os.WEXITSTATUS(status)}"
    return {"error": f"eSpeak NG crashed on this text ({end})", "hung": False}


if __name__ == "__main__":
    main()

"""A file of audio as it grows: samples in, bytes out, in order, for a listener who has the beginning already.

    mp3 opus flac    libsndfile, into a buffer that lets what was taken go
    wav              44 bytes that state no length, then the samples
    pcm              the samples alone
    aac              ADTS by FFmpeg (package av, the extra `aac`)

An encoder that is closed before anything was taken gives the whole file: then the lengths in its header are right.
"""

from __future__ import annotations

import io
import os
import struct
from typing import Any, Protocol

import numpy as np
import soundfile as sf

from api.speech.request import PCM_RATE, SpeechFormat
from farm.audio_formats import AUDIO_FORMATS, encodable_rate
from farm.sound.flac import Samples, to_pcm

_UNKNOWN = 0xFFFFFFFF
_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")


class StreamEncoder(Protocol):
    @property
    def sample_rate(self) -> int:
        """Hz, of the samples that it takes."""
        ...

    def write(self, samples: Samples) -> None: ...

    def take(self) -> bytes:
        """What was encoded since the last call; it may be nothing."""
        ...

    def close(self) -> None:
        """No samples follow; `take` has the end of the file."""
        ...


def stream_encoder(format: SpeechFormat, model_rate: int) -> StreamEncoder:
    """For samples at the model's own rate where the format has it, else at the next higher one."""
    if format == "pcm":
        return _Raw(PCM_RATE)
    if format == "wav":
        return _Wav(model_rate)
    if format == "aac":
        return _Adts(model_rate)
    encoding = AUDIO_FORMATS[format]
    return _Sndfile(encoding.container, encoding.subtype, encodable_rate(format, model_rate))


class _Raw:
    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._data = bytearray()

    def write(self, samples: Samples) -> None:
        self._data += to_pcm(samples).astype("<i2", copy=False).tobytes()

    def take(self) -> bytes:
        taken, self._data = bytes(self._data), bytearray()
        return taken

    def close(self) -> None:
        pass


class _Wav(_Raw):
    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._begun = self._closed = False

    def take(self) -> bytes:
        samples = super().take()
        if self._begun or not (samples or self._closed):
            return samples
        self._begun = True
        size = len(samples) if self._closed else _UNKNOWN
        whole = size + _WAV.size - 8 if self._closed else _UNKNOWN
        rate = self.sample_rate
        return _WAV.pack(b"RIFF", whole, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size) + samples

    def close(self) -> None:
        self._closed = True


class _Sndfile:
    def __init__(self, container: str, subtype: str, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._as_pcm = subtype == "PCM_16"
        self._out = _Growing()
        self._file = sf.SoundFile(self._out, "w", sample_rate, 1, subtype=subtype, format=container)

    def write(self, samples: Samples) -> None:
        # As the desk does it, so that both files have the same samples.
        self._file.write(to_pcm(samples) if self._as_pcm else samples)

    def take(self) -> bytes:
        return self._out.take()

    def close(self) -> None:
        self._file.close()


class _Growing(io.RawIOBase):
    """A file of which the beginning has been sent: what is written there again is dropped."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._first = 0  # where in the file `_kept` begins
        self._at = 0

    def take(self) -> bytes:
        taken = bytes(self._kept)
        self._first += len(taken)
        self._kept.clear()
        return taken

    def write(self, data: Any) -> int:
        data = bytes(data)
        place = self._at - self._first
        fresh = data[max(0, -place) :]
        place = max(0, place)
        self._kept[place : place + len(fresh)] = fresh
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        ends = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._first + len(self._kept)}
        self._at = ends[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        return b""

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _Adts:
    def __init__(self, sample_rate: int) -> None:
        import av  # an extra: check_format has looked for it

        self.sample_rate = sample_rate
        self._out = _Growing()
        self._frame: Any = av.AudioFrame
        self._file: Any = av.open(self._out, "w", format="adts")
        self._stream = self._file.add_stream("aac", rate=sample_rate, layout="mono")

    def write(self, samples: Samples) -> None:
        frame = self._frame.from_ndarray(np.ascontiguousarray(samples[None, :]), format="fltp", layout="mono")
        frame.sample_rate = self.sample_rate
        self._file.mux(self._stream.encode(frame))

    def take(self) -> bytes:
        return self._out.take()

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()

"""How much one job may make of its text: segments, silence, and bytes of audio.

A few hundred characters could ask for hours of silence, and a text of 10 MB for two million segments, each with its
line in the manifest. The limits lie far above real books: 5,000,000 characters of prose have 13,000 to 50,000 segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from farm.errors import BadInput
from farm.plan import Segment
from farm.wire import Output

MAX_SEGMENTS = 150_000
MAX_PAUSES_S = 2 * 3600  # or as long as the speech
MAX_AUDIO_BYTES = 20_000_000_000  # 58 hours of WAV at 48 kHz
_SECONDS_PER_CHARACTER = 0.07  # of speech in alphabets, rather more than less
_BYTES_PER_SECOND = {"mp3": 16_000, "opus": 12_000}  # of the others 2 bytes a sample


def within_limits(rows: Iterable[Segment], output: Output, sample_rate: int) -> Iterator[Segment]:
    """The rows as they come. Raises BadInput with the field once they are too many, too silent or too long."""
    count, speech_s, pauses_ms, owed_ms = 0, 0.0, 0, 0
    for row in rows:
        count += 1
        if count > MAX_SEGMENTS:
            raise BadInput(
                f"input: the text has more than {MAX_SEGMENTS:,} segments, because each of its lines is at least one; "
                "split the job, or join lines that belong together",
                code="too_many_segments", pointer="/input",
            )  # fmt: skip
        pauses_ms += owed_ms  # none follows the last
        owed_ms = row.pause_ms
        speech_s += (
            len(row.text) * _SECONDS_PER_CHARACTER if row.target_duration_ms is None else row.target_duration_ms / 1000
        )
        yield row
    _refuse_silence(pauses_ms / 1000, speech_s, count)
    _refuse_bytes(pauses_ms / 1000 + speech_s, output, output.sample_rate or sample_rate)


def _refuse_silence(pauses_s: float, speech_s: float, count: int) -> None:
    if pauses_s > max(MAX_PAUSES_S, speech_s):
        raise BadInput(
            f"output.pause_ms: the pauses between the {count:,} segments are {pauses_s / 3600:.1f} hours, more than "
            f"{MAX_PAUSES_S // 3600} hours and more than the speech; set output.pause_ms lower, or split the job",
            code="pauses_too_long", pointer="/output/pause_ms",
        )  # fmt: skip


def _refuse_bytes(seconds: float, output: Output, sample_rate: int) -> None:
    size = seconds * _BYTES_PER_SECOND.get(output.format, 2 * sample_rate)
    if size > MAX_AUDIO_BYTES:
        raise BadInput(
            f"output.format: about {seconds / 3600:.0f} hours of {output.format} at {sample_rate} Hz would be "
            f"{size / 1e9:.0f} GB, more than {MAX_AUDIO_BYTES / 1e9:.0f} GB; ask for mp3 or opus, for a lower "
            "output.sample_rate, or split the job",
            code="output_too_large", pointer="/output/format",
        )  # fmt: skip

"""How much one job may make of its text: segments, silence, and bytes of audio.

A few hundred characters could ask for hours of silence, and a text of 10 MB for two million segments, each with its
line in the manifest. The limits lie far above real books: 5,000,000 characters of prose have 13,000 to 50,000 segments.

    when it is accepted    beyond_limits(): what holds however the text is cut
    when it is planned     within_limits(): the segments themselves
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from farm.errors import BadInput
from farm.presets import mp3_kbps
from farm.segment import Segment
from farm.wire import Chapter, Output, Pauses

MAX_SEGMENTS = 150_000
MAX_PAUSES_S = 2 * 3600  # or as long as the speech
MAX_AUDIO_BYTES = 20_000_000_000  # 58 hours of WAV at 48 kHz
_SECONDS_PER_CHARACTER = 0.07  # of speech in alphabets, rather more than less
_BYTES_PER_SECOND = {"mp3": 16_000, "opus": 12_000, "m4b": 12_000}  # of the others 2 bytes a sample


def within_limits(
    rows: Iterable[Segment], output: Output, sample_rate: int, *, max_bytes: int = MAX_AUDIO_BYTES
) -> Iterator[Segment]:
    """The rows as they come. Raises BadInput with the field once they are too many, too silent or too long."""
    count, speech_s, pauses_ms, owed_ms, chapter = 0, 0.0, output.pause_ms.end, 0, None
    for row in rows:
        count += 1
        if count > MAX_SEGMENTS:
            raise BadInput(
                f"input: the text has more than {MAX_SEGMENTS:,} segments, because each of its lines is at least one; "
                "split the job, or join lines that belong together",
                code="too_many_segments", pointer="/input",
            )  # fmt: skip
        pauses_ms += owed_ms  # none follows the last
        if row.chapter != chapter:
            pauses_ms += output.pause_ms.before_chapter
        owed_ms, chapter = row.pause_ms, row.chapter
        speech_s += _spoken_s(len(row.said), row.target_duration_ms)
        yield row
    pauses_s = pauses_ms / 1000
    if _is_silence(pauses_s, speech_s):
        raise _too_silent(pauses_s, f"the {count:,} segments", "/output/pause_ms")
    if (size := _bytes(pauses_s + speech_s, output, sample_rate)) > max_bytes:
        raise _too_large(pauses_s + speech_s, size, output, sample_rate, max_bytes)


def beyond_limits(
    parts: Sequence[Chapter], output: Output, sample_rate: int, *, target_duration_ms: int | None = None,
    max_bytes: int = MAX_AUDIO_BYTES,
) -> list[BadInput]:  # fmt: skip
    """What planning would refuse for certain, by the chapters, their characters and targets alone: each chapter has at
    least one segment, and its letters and digits are spoken."""
    pauses_s = silence_between(len(parts), output.pause_ms) / 1000
    most_s = sum(_spoken_s(len(part.input), part.target_duration_ms) for part in parts)
    faults = []
    if target_duration_ms is None and _is_silence(pauses_s, most_s):
        pointer = "/output/pause_ms" + ("" if output.pause_ms.before_chapter else "/chapter")
        faults.append(_too_silent(pauses_s, f"the {len(parts):,} chapters", pointer))
    if target_duration_ms is not None:
        least_s = target_duration_ms / 1000
    elif _bytes(pauses_s + most_s, output, sample_rate) > max_bytes:  # counting letters takes 50 ns each
        least_s = pauses_s + sum(_spoken_s(_letters(part.input), part.target_duration_ms) for part in parts)
    else:
        return faults
    if (size := _bytes(least_s, output, sample_rate)) > max_bytes:
        faults.append(_too_large(least_s, size, output, sample_rate, max_bytes))
    return faults


def silence_between(chapters: int, pauses: Pauses) -> int:
    """Milliseconds between so many chapters, before the first and after the last."""
    return (chapters - 1) * pauses.chapter + chapters * pauses.before_chapter + pauses.end


def _spoken_s(characters: int, target_duration_ms: int | None) -> float:
    return characters * _SECONDS_PER_CHARACTER if target_duration_ms is None else target_duration_ms / 1000


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _is_silence(pauses_s: float, speech_s: float) -> bool:
    return pauses_s > max(MAX_PAUSES_S, speech_s)


def _bytes(seconds: float, output: Output, sample_rate: int) -> float:
    seconds *= 1 + output.per_chapter + len(output.also)  # in the whole, in the files of chapters, in a book
    if (kbps := mp3_kbps(output)) is not None:
        return seconds * kbps * 125
    return seconds * _BYTES_PER_SECOND.get(output.format, 2 * (output.sample_rate or sample_rate))


def _too_silent(pauses_s: float, between: str, pointer: str) -> BadInput:
    field = pointer[1:].replace("/", ".")
    return BadInput(
        f"{field}: the pauses between {between} are {pauses_s / 3600:.1f} hours, more than {MAX_PAUSES_S // 3600} "
        f"hours and more than the speech; set {field} lower, or split the job",
        code="pauses_too_long", pointer=pointer,
    )  # fmt: skip


def _too_large(seconds: float, size: float, output: Output, sample_rate: int, max_bytes: int) -> BadInput:
    twice = ", more than once," if output.in_chapters else ""
    return BadInput(
        f"output.format: about {seconds / 3600:.0f} hours of {output.format} at {output.sample_rate or sample_rate} Hz"
        f"{twice} would be {size / 1e9:.0f} GB, more than {max_bytes / 1e9:.0f} GB; ask for mp3 or opus, for a lower "
        "output.sample_rate, or split the job",
        code="output_too_large", pointer="/output/format",
    )  # fmt: skip

"""Whether a recording is what its preset asks for, line by line: each line has its limits, the value that was measured
before encoding, and a pass or fail. Each chapter is looked at as a file of its own, unless one gain serves all and the
job asked for no such files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from farm.presets import PRESETS, Preset, mp3_kbps
from farm.sound.timeline import Span
from farm.wire import Output
from worker.desk.loudness import Figures
from worker.desk.stitch import Stitched

_DIGITAL_SILENCE = "digital silence, which shops warn of; room_tone_dbfs puts a quiet noise under it"
_SHOWN = {"loudness_lufs": "loudness", "rms_dbfs": "rms"}


@dataclass(frozen=True, slots=True)
class Line:
    check: str
    wanted: str
    value: float | str | None  # None for silence
    passed: bool
    note: str | None = None

    def shown(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "note" or value}


@dataclass(frozen=True, slots=True)
class Part:
    """What would be a file: seconds of all of it, and of the silence at its ends."""

    chapter: int | None  # None for the whole recording
    figures: Figures
    seconds: float
    before_s: float
    after_s: float


def checklist(output: Output, stitched: Stitched, heard: Mapping[int, Sequence[Span]]) -> dict[str, Any] | None:
    """For the manifest; `heard` has the places of each chapter's clips. None without a preset."""
    if output.preset is None:
        return None
    preset = PRESETS[output.preset]
    files = []
    for part in _parts(output, stitched, heard):
        lines = list(_lines(preset, part, output, stitched))
        passed = all(line.passed for line in lines)
        files.append({"chapter": part.chapter, "passed": passed, "checks": [line.shown() for line in lines]})
    return {"name": output.preset, "passed": all(file["passed"] for file in files), "files": files}


def _parts(output: Output, stitched: Stitched, heard: Mapping[int, Sequence[Span]]) -> Iterator[Part]:
    rate, chapters = stitched.sample_rate, {number: spans for number, spans in heard.items() if spans}
    if not output.gain_per_chapter:
        every = [span for spans in chapters.values() for span in spans]
        yield _part(None, stitched.figures, every, 0, stitched.frames, rate)
    if not (output.gain_per_chapter or output.per_chapter):
        return
    lead = output.pause_ms.before_chapter * rate // 1000
    starts = [max(0, spans[0].start - lead) for spans in chapters.values()]
    ends = [*starts[1:], stitched.frames]
    for (number, spans), start, end in zip(chapters.items(), starts, ends, strict=True):
        yield _part(number, stitched.chapters[number], spans, start, end, rate)


def _part(chapter: int | None, figures: Figures, spans: Sequence[Span], start: int, end: int, rate: int) -> Part:
    last = spans[-1].start + spans[-1].frames
    return Part(chapter, figures, (end - start) / rate, (spans[0].start - start) / rate, (end - last) / rate)


def _lines(preset: Preset, part: Part, output: Output, stitched: Stitched) -> Iterator[Line]:
    figures, unit = part.figures, "LUFS" if preset.measure == "loudness_lufs" else "dB"
    yield _within(_SHOWN[preset.measure], getattr(figures, preset.measure), preset.accepted, unit)
    yield _at_most("true_peak", figures.true_peak_dbtp, preset.true_peak_dbtp, "dBTP")
    if preset.floor_dbfs is not None:
        yield _at_most("floor", figures.floor_dbfs, preset.floor_dbfs, "dB", _DIGITAL_SILENCE)
    if preset.longest_s is not None:
        yield _at_most("minutes", round(part.seconds / 60, 2), preset.longest_s / 60, "minutes")
    if "before_chapter" in preset.pauses_ms:
        yield _silence("silence_before", part.before_s, preset.pauses_ms["before_chapter"])
        yield _silence("silence_after", part.after_s, preset.pauses_ms["end"])
    if "sample_rate" in preset.fixed:
        wanted = preset.fixed["sample_rate"]
        yield Line("sample_rate", f"{wanted} Hz", stitched.sample_rate, stitched.sample_rate == wanted)
    if preset.mp3_kbps is not None:
        wanted = f"mp3, {preset.mp3_kbps} kbit/s, constant"
        found = f"{stitched.format}, {mp3_kbps(output)} kbit/s, constant"
        yield Line("format", wanted, found, found == wanted)


def _within(check: str, value: float | None, limits: tuple[float, float], unit: str) -> Line:
    lowest, highest = limits
    passed = value is not None and lowest <= value <= highest
    return Line(check, f"{lowest:g} to {highest:g} {unit}", value, passed, None if value is not None else "silence")


def _silence(check: str, seconds: float, limits_ms: tuple[int, int]) -> Line:
    """To the hundredth of a second, because an encoder may take a few milliseconds of a pause."""
    return _within(check, round(seconds, 2), (limits_ms[0] / 1000, limits_ms[1] / 1000), "s")


def _at_most(check: str, value: float | None, limit: float, unit: str, silent: str | None = None) -> Line:
    """Silence is below every limit."""
    passed = value is None or value <= limit
    return Line(check, f"at most {limit:g} {unit}", value, passed, silent if value is None else None)

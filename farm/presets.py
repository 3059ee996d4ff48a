"""Presets of a result: what a shop or a platform asks for, as fields of `output`, and as limits that the result is
compared with.

    acx       the submission requirements of Audible's ACX: a file for each chapter, measured by RMS
    podcast   Apple Podcasts and AES TD1008: -16 LUFS, -1 dBTP
    book      what other shops of audiobooks accept: -20 LUFS, -3 dBTP
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from farm.wire import ROOM_TONE_DBFS, TRIM_DBFS, Output, Pauses, PresetName


@dataclass(frozen=True, slots=True)
class Preset:
    """Levels in dB; a range has both of its ends."""

    fixed: Mapping[str, Any]  # fields of `output`: another value contradicts the preset
    measure: Literal["loudness_lufs", "rms_dbfs"]  # what the gain aims at
    aim: float
    accepted: tuple[float, float]
    true_peak_dbtp: float  # at most
    defaults: Mapping[str, Any] = field(default_factory=dict)  # a job may say otherwise
    pauses_ms: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # the first is the default
    floor_dbfs: float | None = None  # at most
    longest_s: int | None = None  # a file
    mp3_kbps: int | None = None  # constant bit rate


PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {
        "acx": Preset(
            fixed={"format": "mp3", "sample_rate": 44_100, "loudness_per": "chapter", "loudness_lufs": None},
            measure="rms_dbfs",
            aim=-20.0,
            accepted=(-23.0, -18.0),
            true_peak_dbtp=-3.0,
            defaults={"trim_dbfs": TRIM_DBFS, "room_tone_dbfs": ROOM_TONE_DBFS},
            pauses_ms={"before_chapter": (500, 1_000), "chapter": (1_000, 5_000), "end": (1_000, 5_000)},
            floor_dbfs=-60.0,
            longest_s=7_200,
            mp3_kbps=192,
        ),
        "podcast": Preset(
            fixed={"loudness_lufs": -16.0},
            measure="loudness_lufs",
            aim=-16.0,
            accepted=(-17.0, -15.0),
            true_peak_dbtp=-1.0,
            defaults={"loudness_per": "chapter"},
        ),
        "book": Preset(
            fixed={"loudness_lufs": -20.0},
            measure="loudness_lufs",
            aim=-20.0,
            accepted=(-21.0, -19.0),
            true_peak_dbtp=-3.0,
            defaults={"loudness_per": "chapter"},
        ),
    }
)


def resolved(output: Output) -> Output:
    """With every field that its preset decides."""
    if output.preset is None:
        return output
    preset = PRESETS[output.preset]
    said = output.model_fields_set
    fields = {name: value for name, value in preset.defaults.items() if name not in said} | dict(preset.fixed)
    pauses = output.pause_ms.model_fields_set
    lasting = {name: shortest for name, (shortest, _) in preset.pauses_ms.items() if name not in pauses}
    return output.model_copy(update={**fields, "pause_ms": output.pause_ms.model_copy(update=lasting)})


def without_preset(output: Output) -> Output:
    """Without its preset, and without what that had decided."""
    if output.preset is None:
        return output
    preset = PRESETS[output.preset]
    kept = output.model_fields_set - {*preset.defaults, *preset.fixed, "preset"}
    fields = {name: getattr(output, name) for name in kept}
    if "pause_ms" in fields:
        said = output.pause_ms.model_fields_set - preset.pauses_ms.keys()
        fields["pause_ms"] = Pauses(**{name: getattr(output.pause_ms, name) for name in said})
    return Output(**fields)


def contradictions(output: Output) -> Iterator[tuple[str, str]]:
    """The fields of an output that its preset does not allow as they are, as places in `output`, and why. A field that
    is null says nothing."""
    if output.preset is None:
        return
    preset = PRESETS[output.preset]
    for name, value in preset.fixed.items():
        if name in output.model_fields_set and getattr(output, name) not in (None, value):
            wanted = "decides how loud it is" if value is None else f"needs {value}"
            yield name, f"the preset {output.preset} {wanted}; leave out {name}, or the preset"
    for name, (shortest, longest) in preset.pauses_ms.items():
        if name in output.pause_ms.model_fields_set and not shortest <= getattr(output.pause_ms, name) <= longest:
            yield f"pause_ms/{name}", f"the preset {output.preset} needs {shortest} to {longest} ms for {name}"
    tone = output.room_tone_dbfs
    if tone is not None and preset.floor_dbfs is not None and tone >= preset.floor_dbfs:
        yield "room_tone_dbfs", f"the preset {output.preset} needs less noise than {preset.floor_dbfs:g} dB"


def mp3_kbps(output: Output) -> int | None:
    """The constant bit rate that its preset asks for."""
    return None if output.preset is None or output.format != "mp3" else PRESETS[output.preset].mp3_kbps

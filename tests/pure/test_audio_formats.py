"""One table of the formats of a result, for the wire, the encoder, storage, the API and the command line."""

from __future__ import annotations

from typing import get_args

import pytest
import soundfile as sf

from farm.audio_formats import (
    AUDIO_FORMATS,
    FORMAT_OF_SUFFIX,
    MEDIA_TYPE_OF_SUFFIX,
    SUBTITLE_FORMATS,
    AudioFormat,
    SubtitleFormat,
)
from farm.wire import Output


def test_the_tables_have_every_format_that_a_job_can_ask_for() -> None:
    assert set(AUDIO_FORMATS) == set(get_args(AudioFormat))
    assert set(SUBTITLE_FORMATS) == set(get_args(SubtitleFormat))
    for name in AUDIO_FORMATS:
        assert Output(format=name, subtitles=list(SUBTITLE_FORMATS)).format == name


@pytest.mark.parametrize("name", [name for name in AUDIO_FORMATS if name != "m4b"])
def test_libsndfile_writes_every_format_at_every_rate_of_its_table(name: AudioFormat) -> None:
    encoding = AUDIO_FORMATS[name]
    assert sf.check_format(encoding.container, encoding.subtype)
    assert list(encoding.sample_rates) == sorted(encoding.sample_rates)


def test_a_file_keeps_its_suffix_and_media_type_from_release_to_release() -> None:
    assert FORMAT_OF_SUFFIX == {
        ".mp3": "mp3",
        ".wav": "wav",
        ".flac": "flac",
        ".opus": "opus",
        ".ogg": "opus",
        ".m4b": "m4b",
    }
    assert MEDIA_TYPE_OF_SUFFIX == {
        ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg",
        ".m4b": "audio/mp4", ".json": "application/json", ".vtt": "text/vtt", ".srt": "application/x-subrip",
        ".lrc": "text/plain", ".epub": "application/epub+zip",
    }  # fmt: skip

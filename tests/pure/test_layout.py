"""Keys of objects as buckets have them: an object under another key is lost to the farm."""

from __future__ import annotations

import pytest

from farm import layout

KEYS = {
    layout.MARK: "birth-mark",
    layout.text_key("job_a"): "jobs/job_a/text.json",
    layout.plan_key("job_a"): "jobs/job_a/plan.json",
    layout.pages_key("job_a"): "jobs/job_a/plan.jsonl.gz",
    layout.edited_text_key("job_a", "6f"): "jobs/job_a/texts/6f.json",
    layout.plan_key("job_a", 2): "jobs/job_a/revisions/2/plan.json",
    layout.pages_key("job_a", 2): "jobs/job_a/revisions/2/plan.jsonl.gz",
    layout.lines_key("batch_b"): "batches/batch_b/jobs.jsonl.gz",
    layout.voice_key("ann", "5f1d"): "voices/ann/5f1d.flac",
    layout.voice_key("Ann Lee: ü*[z]", "5f1d"): "voices/Ann Lee: ü*[z]/5f1d.flac",
    layout.voice_key(
        "a/../b", "5f1d"
    ): "voices/%900ea8b7e0d8fe30857c1bb629272e28cfd7f7af61a81f7b6964b271b69dab69/5f1d.flac",
    layout.tempo_key("ann", "5f1d"): "tempos/ann/5f1d.json",
    layout.clip_key("71b3"): "segments/71/71b3.flac",
    layout.audio_key("job_a", "7", ".ogg"): "results/job_a/7/audio.ogg",
    layout.manifest_key("job_a", "7"): "results/job_a/7/manifest.json",
    layout.subtitles_key("job_a", "7", "vtt"): "results/job_a/7/subtitles.vtt",
}


@pytest.mark.parametrize(("key", "expected"), KEYS.items())
def test_an_object_keeps_its_key_from_release_to_release(key: str, expected: str) -> None:
    assert key == expected


def test_all_objects_of_a_job_but_clips_lie_under_its_two_prefixes() -> None:
    prefixes = (layout.job_prefix("job_a"), layout.result_prefix("job_a"))
    assert prefixes == ("jobs/job_a/", "results/job_a/")
    assert [key for key in KEYS.values() if "job_a" in key and not key.startswith(prefixes)] == []


def test_only_clips_are_rerenderable() -> None:
    assert [key for key in KEYS.values() if layout.is_rerenderable(key)] == ["segments/71/71b3.flac"]

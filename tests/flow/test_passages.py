"""A long job is joined passage by passage while the rest is rendered, by any desk, and each desk may be killed."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf
from mutagen.mp4 import MP4

import farm.passages
from examples.book import make
from farm.documents.reader import read_document
from farm.job import Due, Status
from farm.layout import book_cover_key, book_key, clip_key, job_prefix, passages_prefix
from farm.plan_reader import PlanReader
from farm.sound.flac import decode
from farm.sound.timeline import Piece
from farm.store import jobs, segments, tasks
from farm.wire import Output
from tests.flow.house import House
from tests.flow.mortal import STRIDE, due_now, mortal_desks
from worker.desk import binding
from worker.desk.desk import Desk
from worker.desk.passage import Passage, read_passage
from worker.desk.passage_maker import PassageMaker
from worker.desk.stitch import stitch

CHAPTERS = [
    {
        "title": title,
        "input": f"{title} begins here. It goes on for a while.\n\nAnd so {title.lower()} comes to its end.",
    }
    for title in ("Morning", "Noon", "Evening")
]

EDGE = 200  # frames of a clip that may be made softer


@pytest.fixture(autouse=True)
def short_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chapter is one."""
    monkeypatch.setattr(farm.passages, "PASSAGE_MS", 6_000)


@pytest.fixture
def spoken(house: House) -> House:
    """A house that has the clips of every chapter."""
    house.submit(chapters=CHAPTERS)
    house.finish()
    return house


def planned(house: House, format: str = "flac", *, output: Any = None, **fields: Any) -> str:
    job = house.submit(**{"chapters": CHAPTERS, **fields}, output={"format": format, **(output or {})})
    house.desk.drain()
    return job


def settle(house: House, job: str, *chapters: int) -> int:
    """Settles every segment of these chapters, whose clips are in storage. Returns how much became due by that."""
    rows = [row.index for row in PlanReader(house.storage, job).rows() if row.chapter in chapters]
    return house.store.run(segments.settle("0", [segments.Settled(job, index, 100) for index in rows])).became_due


def passages(house: House, job: str) -> list[str]:
    return sorted(found.key for found in house.storage.list(passages_prefix(job)))


def result(house: House, job: str) -> bytes:
    return house.storage.get(house.outcome(job).audio_key)


def samples(house: House, job: str) -> npt.NDArray[np.int16]:
    heard: npt.NDArray[np.int16] = sf.read(io.BytesIO(result(house, job)), dtype="int16")[0]
    return heard


def stitched(house: House, job: str, folder: Any, **output: Any) -> npt.NDArray[np.int16]:
    """The clips of a job as one pass would join them."""
    reader = PlanReader(house.storage, job)
    rows, rate = list(reader.rows()), reader.plan.sample_rate
    clips = [decode(house.storage.get(clip_key(row.digest)), rate).pcm for row in rows]
    wanted = Output.model_validate({"format": "wav", **output})
    before, end = wanted.pause_ms.before_chapter, wanted.pause_ms.end
    pauses = [*(row.pause_ms for row in rows[:-1]), end]
    firsts = {chapter.first for chapter in reader.plan.chapters}
    leads = [before if row.index in firsts else 0 for row in rows]
    target, pieces = folder / "whole.wav", map(Piece, clips, pauses, leads)
    stitch(pieces, sample_rate=rate, output=wanted, target=target, check=lambda: None)
    heard: npt.NDArray[np.int16] = sf.read(target, dtype="int16")[0]
    return heard


# --- early ------------------------------------------------------------------------------------------------------------


def test_a_passage_is_made_as_soon_as_its_last_segment_is_settled(spoken: House) -> None:
    job = planned(spoken)
    assert settle(spoken, job, 1) == 1
    spoken.desk.drain()
    assert (spoken.record(job).status, len(passages(spoken, job))) == (Status.RUNNING, 1)
    assert settle(spoken, job, 0, 2) == 2
    spoken.desk.drain()
    assert spoken.record(job).status is Status.SUCCEEDED
    assert passages(spoken, job) == []


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_recording_of_passages_has_the_samples_of_one_that_was_joined_at_once(
    spoken: House, tmp_path: Any, format: str
) -> None:
    job = planned(spoken, format)
    settle(spoken, job, 0, 1, 2)
    spoken.desk.drain()
    whole = samples(spoken, job)
    assert np.array_equal(whole, stitched(spoken, job, tmp_path))
    manifest = json.loads(spoken.storage.get(spoken.outcome(job).manifest_key))
    assert manifest["frames"] == len(whole)
    for row in manifest["segments"]:
        clip = decode(spoken.storage.get(clip_key(row["digest"])), manifest["sample_rate"]).pcm
        assert np.array_equal(whole[row["offset_frames"] :][: row["frames"]][EDGE:-EDGE], clip[EDGE:-EDGE])


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_passages_of_trimmed_clips_with_silence_around_chapters_are_those_joined_at_once(
    spoken: House, tmp_path: Any, format: str
) -> None:
    output = {"trim_dbfs": -20, "pause_ms": {"before_chapter": 500, "end": 1000}}
    job = planned(spoken, format, output=output)
    settle(spoken, job, 2, 0, 1)
    spoken.desk.drain()
    whole = samples(spoken, job)
    assert np.array_equal(whole, stitched(spoken, job, tmp_path, **output))
    assert len(whole) < len(stitched(spoken, job, tmp_path, pause_ms=output["pause_ms"]))
    manifest = json.loads(spoken.storage.get(spoken.outcome(job).manifest_key))
    rate, rows = manifest["sample_rate"], manifest["segments"]
    assert (rows[0]["offset_frames"], manifest["frames"]) == (
        rate // 2,
        rows[-1]["offset_frames"] + rows[-1]["frames"] + rate,
    )
    for row, following in itertools.pairwise(rows):
        gap = following["offset_frames"] - row["offset_frames"] - row["frames"]
        assert gap == row["pause_ms"] * rate // 1000 + (rate // 2 if row["chapter"] != following["chapter"] else 0)
    for row in rows:  # they begin and end with what is as loud, but for 20 ms
        loud = np.flatnonzero(np.abs(whole[row["offset_frames"] :][: row["frames"]].astype(int)) >= 3277)
        assert max(loud[0], row["frames"] - 1 - loud[-1]) <= 0.02 * rate + 1


@pytest.mark.parametrize("format", ["flac", "m4b"])
def test_room_tone_is_the_same_whichever_desk_makes_a_passage(spoken: House, format: str) -> None:
    """The first job is joined by the assembly alone, which finds no passage."""
    output = {"room_tone_dbfs": -60, "pause_ms": {"paragraph": 700}}
    first, second = (planned(spoken, format, output=output, metadata={"title": "Day"}) for _ in range(2))
    for job in (first, second):
        settle(spoken, job, 0, 1)
        spoken.desk.drain()
    assert len(passages(spoken, first)) == 2
    spoken.storage.delete(*passages(spoken, first))
    for job in (first, second):
        settle(spoken, job, 2)
        spoken.desk.drain()
    assert spoken.outcome(first).sha256 == spoken.outcome(second).sha256
    manifest = json.loads(spoken.storage.get(spoken.outcome(second).manifest_key))
    assert [chapter["floor_dbfs"] for chapter in manifest["chapters"]] == pytest.approx([-60] * 3, abs=1.5)


def test_a_flac_that_is_too_long_to_be_joined_is_encoded_as_a_whole(
    spoken: House, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = planned(spoken)
    settle(spoken, joined, 0, 1, 2)
    spoken.desk.drain()
    monkeypatch.setattr("farm.sound.flac_frames.LONGEST", 200_000)
    job = planned(spoken)
    settle(spoken, job, 0, 1, 2)
    spoken.desk.drain()
    knows_md5 = [any(result(spoken, each)[26:42]) for each in (joined, job)]
    assert knows_md5 == [False, True], "only an encoder of the whole knows it"
    assert np.array_equal(samples(spoken, job), stitched(spoken, job, tmp_path))
    assert len(samples(spoken, job)) > 200_000


def test_a_recording_of_passages_at_another_rate_lasts_as_long_and_is_as_loud(spoken: House, tmp_path: Any) -> None:
    job = planned(spoken, output={"sample_rate": 44100})
    settle(spoken, job, 0, 1, 2)
    spoken.desk.drain()
    whole, once = samples(spoken, job), stitched(spoken, job, tmp_path, sample_rate=44100)
    assert abs(len(whole) - len(once)) <= len(CHAPTERS)
    first = len(whole) // 4
    assert np.array_equal(whole[:first], once[:first])


def test_a_short_job_is_joined_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm.passages, "PASSAGE_MS", 600_000)
    job = planned(house)
    house.renderer().drain()
    assert house.store.run(tasks.next_due((Due.PASSAGE, Due.ASSEMBLE))).keys() == {Due.ASSEMBLE}
    house.desk.drain()
    assert house.record(job).status is Status.SUCCEEDED


@pytest.mark.parametrize("format", ["m4b", "mp3", "opus"])
def test_a_book_of_a_long_job_has_chapters_at_their_first_clips_and_the_tags_of_its_metadata(
    spoken: House, format: str
) -> None:
    job = planned(spoken, format, metadata={"title": "A Day", "Author": "N. N.", "narrator": "Nobody"})
    assert settle(spoken, job, 0) == 1
    spoken.desk.drain()
    assert len(passages(spoken, job)) == 1
    settle(spoken, job, 1, 2)
    spoken.desk.drain()
    manifest = json.loads(spoken.storage.get(spoken.outcome(job).manifest_key))
    with av.open(io.BytesIO(result(spoken, job))) as file:
        chapters = [
            (chapter["metadata"]["title"], round(1000 * chapter["start"] * chapter["time_base"]))
            for chapter in file.chapters()
        ]
        told = {**file.metadata, **file.streams.audio[0].metadata}
    tags = {name.lower(): text for name, text in told.items()}
    assert chapters == [(each["title"], each["offset_ms"]) for each in manifest["chapters"]]
    assert (tags["title"], tags["artist"], tags["composer"]) == ("A Day", "N. N.", "Nobody")
    assert "machine" in tags["comment"]
    assert manifest["file"] == {"chapters": 3, "cover": False, "note": ""}


def test_the_manifest_says_how_loud_each_chapter_became(spoken: House) -> None:
    job = planned(spoken, "m4b", output={"loudness_lufs": -23, "loudness_per": "chapter"})
    settle(spoken, job, 0, 1, 2)
    spoken.desk.drain()
    manifest = json.loads(spoken.storage.get(spoken.outcome(job).manifest_key))
    assert [chapter["loudness_lufs"] for chapter in manifest["chapters"]] == pytest.approx([-23] * 3, abs=0.5)
    assert len({chapter["gain_db"] for chapter in manifest["chapters"]}) == 3
    for each in (manifest, *manifest["chapters"]):
        assert each["rms_dbfs"] < each["peak_dbfs"] <= each["true_peak_dbtp"] <= 0
    floors = [chapter["floor_dbfs"] for chapter in manifest["chapters"]]
    assert (floors[:2], manifest["floor_dbfs"]) == ([None, None], None), "the pauses after them are digital silence"
    assert floors[2] < manifest["chapters"][2]["rms_dbfs"], "no pause follows"
    assert manifest["gain_db"] is None


def test_an_m4b_of_a_short_job_is_made_at_its_end(house: House) -> None:
    job = planned(house, "m4b", chapters=[{"title": "", "input": "Just a line."}])
    house.finish()
    with av.open(io.BytesIO(result(house, job))) as file:
        assert [chapter["metadata"]["title"] for chapter in file.chapters()] == ["Chapter 1"]
        assert file.metadata["title"] == job


def test_an_m4b_of_a_document_has_its_title_its_author_and_its_cover(house: House, tmp_path: Path) -> None:
    make.write(tmp_path / "book.epub")
    document = read_document((tmp_path / "book.epub").read_bytes(), "book.epub").metadata
    assert document.cover is not None
    job = planned(house, "m4b", chapters=[{"title": "", "input": "Just a line."}])
    house.storage.put(book_key(job), document.to_json().encode())
    house.storage.put(book_cover_key(job), document.cover.data)
    house.finish()
    tags = MP4(io.BytesIO(result(house, job))).tags
    assert tags is not None
    assert (tags["©nam"], tags["©ART"]) == ([document.title], [document.author])
    assert bytes(tags["covr"][0]) == document.cover.data


def test_a_desk_without_the_encoder_fails_an_m4b_and_says_why(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.encoders.find_spec", lambda name: None)
    job = planned(house, "m4b")
    assert house.record(job).status is Status.FAILED
    assert house.outcome(job).code == "encoder_missing"


@pytest.mark.parametrize("format", ["mp3", "opus"])
def test_without_the_encoder_an_mp3_is_made_at_the_end_and_says_that_it_holds_no_chapters(
    spoken: House, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.encoders.find_spec", lambda name: None)
    job = planned(spoken, format)
    settle(spoken, job, 0, 1, 2)
    spoken.desk.drain()
    manifest = json.loads(spoken.storage.get(spoken.outcome(job).manifest_key))
    assert (manifest["file"]["chapters"], manifest["file"]["note"].split(":")[0]) == (0, "encoder_missing")
    with av.open(io.BytesIO(result(spoken, job))) as file:
        assert file.chapters() == []
    assert len(samples(spoken, job)) == manifest["frames"]


@pytest.mark.parametrize("before", [True, False])
def test_desks_with_and_without_the_encoder_finish_a_job_together(
    spoken: House, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned(spoken, "mp3")
    for chapters, is_there in (((0, 1), before), ((2,), not before)):
        with monkeypatch.context() as patched:
            if not is_there:
                patched.setattr("farm.encoders.find_spec", lambda name: None)
            settle(spoken, job, *chapters)
            spoken.desk.drain()
    manifest = json.loads(spoken.storage.get(spoken.outcome(job).manifest_key))
    assert manifest["file"]["chapters"] == (0 if before else 3)
    assert len(samples(spoken, job)) == manifest["frames"]
    assert passages(spoken, job) == []


def test_a_streamed_job_has_no_passages_because_it_has_no_recording(spoken: House) -> None:
    job = planned(spoken, streamed=True)
    assert settle(spoken, job, 0, 1, 2) == 0
    assert spoken.record(job).status is Status.SUCCEEDED


# --- a gain that passages share ---------------------------------------------------------------------------------------

BY_CHAPTER = {"loudness_lufs": -20, "loudness_per": "chapter"}
GAINS = [
    ("m4b", BY_CHAPTER),
    ("mp3", {"preset": "acx", "loudness_per": "chapter"}),
    ("flac", BY_CHAPTER),
    ("m4b", {"loudness_lufs": -20}),
]


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chapter is two passages."""
    monkeypatch.setattr(farm.passages, "PASSAGE_MS", 2_000)


def gains(house: House, job: str) -> list[float | None]:
    """Of the passages in storage; None for one that waits for its gain."""
    read = [read_passage(house.storage.get(key), 0) for key in passages(house, job)]
    return [passage.gain for passage in read if passage is not None]


@pytest.fixture
def encoded_late(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The chapter of each passage that an assembly brings under its gain."""
    late: list[int] = []
    real = binding.gained

    def gained(passage: Passage, *args: Any) -> Passage:
        late.append(passage.chapter)
        return real(passage, *args)

    monkeypatch.setattr(binding, "gained", gained)
    return late


def test_the_passages_of_a_chapter_are_encoded_under_its_gain_while_others_are_rendered(
    spoken: House, halves: None
) -> None:
    job = planned(spoken, "m4b", output=BY_CHAPTER)
    settle(spoken, job, 1)
    spoken.desk.drain()
    found = gains(spoken, job)
    known = {gain for gain in found if gain is not None}
    assert (len(found), found.count(None), len(known)) == (4, 2, 1)
    settle(spoken, job, 0)
    spoken.desk.drain()
    assert len(gains(spoken, job)) == 8


@pytest.mark.parametrize(("format", "output"), GAINS)
def test_an_assembly_encodes_no_passage_that_desks_brought_under_its_gain(
    spoken: House, halves: None, encoded_late: list[int], monkeypatch: pytest.MonkeyPatch, format: str, output: Any
) -> None:
    job = planned(spoken, format, output=output, metadata={"title": "A Day"})
    settle(spoken, job, 0, 1, 2)
    spoken.desk.drain()
    assert (spoken.record(job).status, encoded_late) == (Status.SUCCEEDED, [])
    monkeypatch.setattr(PassageMaker, "make", lambda self, task, check: self._store.run(tasks.passage_done(task)))
    alone = planned(spoken, format, output=output, metadata={"title": "A Day"})  # made by its assembly
    settle(spoken, alone, 0, 1, 2)
    Desk(spoken.store, spoken.storage, spoken.waker, spoken.settings).drain()
    assert encoded_late == [0, 0, 1, 1, 2, 2]
    assert result(spoken, job) == result(spoken, alone)


@pytest.mark.parametrize("trouble", ["gone", "damaged"])
@pytest.mark.parametrize("which", ["under its gain", "before it", "both"])
def test_a_passage_with_a_shared_gain_that_is_gone_or_damaged_is_made_again(
    spoken: House, halves: None, encoded_late: list[int], which: str, trouble: str
) -> None:
    undisturbed = planned(spoken, "m4b", output=BY_CHAPTER, metadata={"title": "A Day"})
    settle(spoken, undisturbed, 0, 1, 2)
    spoken.desk.drain()
    job = planned(spoken, "m4b", output=BY_CHAPTER, metadata={"title": "A Day"})
    settle(spoken, job, 0)
    spoken.desk.drain()
    keys = passages(spoken, job)
    finished, measured = ([key for key in keys if ("." in key) is is_finished] for is_finished in (True, False))
    for key in {"under its gain": finished[:1], "before it": measured[:1], "both": [*finished, *measured]}[which]:
        data = bytearray(spoken.storage.get(key))
        data[len(data) // 2] ^= 1
        spoken.storage.delete(key)
        if trouble == "damaged":
            spoken.storage.put(key, bytes(data))
    settle(spoken, job, 1, 2)
    spoken.desk.drain()
    assert result(spoken, job) == result(spoken, undisturbed)
    assert set(encoded_late) == (set() if which == "before it" else {0})


@pytest.mark.parametrize("place", [8, -8], ids=["levels", "samples"])
def test_a_damaged_passage_keeps_no_desk_busy(spoken: House, halves: None, place: int) -> None:
    """Nothing is known of the gain then, and the chapter is left to the assembly."""
    job = planned(spoken, "m4b", output=BY_CHAPTER)
    rows = [row.index for row in PlanReader(spoken.storage, job).rows() if row.chapter == 0]
    spoken.store.run(segments.settle("0", [segments.Settled(job, rows[0], 100)]))
    spoken.desk.drain()
    (key,) = passages(spoken, job)
    data = bytearray(spoken.storage.get(key))
    data[data.index(b"\n") + place if place > 0 else place] ^= 1
    spoken.storage.put(key, bytes(data))
    settle(spoken, job, 0)
    spoken.desk.drain()
    settle(spoken, job, 1, 2)
    spoken.desk.drain()
    assert spoken.record(job).status is Status.SUCCEEDED


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_a_passage_that_is_gone_or_damaged_is_made_again_by_the_assembly(spoken: House) -> None:
    undisturbed = planned(spoken)
    settle(spoken, undisturbed, 0, 1, 2)
    job = planned(spoken)
    settle(spoken, job, 0, 1)
    spoken.desk.drain()
    first, second = passages(spoken, job)
    spoken.storage.delete(first)
    data = bytearray(spoken.storage.get(second))
    data[len(data) // 2] ^= 1
    spoken.storage.put(second, bytes(data))
    settle(spoken, job, 2)
    spoken.desk.drain()
    assert result(spoken, job) == result(spoken, undisturbed)


@pytest.mark.parametrize("format", ["flac", "m4b", "mp3", "opus"])
def test_a_clip_that_is_gone_before_its_passage_is_made_is_rendered_again(spoken: House, format: str) -> None:
    undisturbed = planned(spoken, format, metadata={"title": "A Day"})
    settle(spoken, undisturbed, 0, 1, 2)
    spoken.desk.drain()
    job = planned(spoken, format, metadata={"title": "A Day"})
    rows = list(PlanReader(spoken.storage, job).rows())
    spoken.storage.delete(clip_key(rows[0].digest))
    settle(spoken, job, 0, 1, 2)
    spoken.finish()
    assert (spoken.record(job).redos, spoken.record(job).status) == (1, Status.SUCCEEDED)
    assert result(spoken, job) == result(spoken, undisturbed)
    assert passages(spoken, job) == []


def test_a_passage_has_no_place_for_a_segment_that_failed(spoken: House) -> None:
    job = planned(spoken, on_error="skip")
    dead = 1
    while grant := spoken.store.run(segments.claim(spoken.engine.card.name, want=99, worker="w", lease_ms=60_000)):
        spoken.store.run(segments.fail(grant.token, job, dead, "can't say that"))
        spoken.store.run(segments.release(grant.token))
        if spoken.record(job).dead:
            break
    rows = [row for row in PlanReader(spoken.storage, job).rows() if row.index != dead]
    for row in rows:
        spoken.store.run(segments.settle("0", [segments.Settled(job, row.index, 100)]))
    due = spoken.store.run(tasks.next_due((Due.PASSAGE, Due.ASSEMBLE)))
    assert (due[Due.PASSAGE], due[Due.ASSEMBLE] > 0) == (0, True)
    spoken.desk.drain()
    manifest = json.loads(spoken.storage.get(spoken.outcome(job).manifest_key))
    assert [row["index"] for row in manifest["segments"] if "error" in row] == [dead]
    assert manifest["frames"] == len(samples(spoken, job))


def test_a_retry_finds_the_passages_that_were_made_before(spoken: House) -> None:
    job = planned(spoken)
    settle(spoken, job, 0, 1)
    spoken.desk.drain()
    made = {found.key: found.modified for found in spoken.storage.list(passages_prefix(job))}
    spoken.store.run(jobs.cancel(job, "default"))
    spoken.store.run(jobs.retry(job, "default"))
    spoken.desk.drain()
    settle(spoken, job, 0, 1)
    spoken.desk.drain()
    assert {found.key: found.modified for found in spoken.storage.list(passages_prefix(job))} == made
    settle(spoken, job, 2)
    spoken.desk.drain()
    assert spoken.record(job).status is Status.SUCCEEDED


class Interposed:
    """Storage that calls `happens` just before it writes a passage."""

    def __init__(self, real: Any, happens: Callable[[], object]) -> None:
        self._real, self._happens = real, happens

    def put(self, key: str, data: bytes, content_type: str = "", *, synced: bool = True) -> None:
        if "/passages/" in key:
            self._happens()
        self._real.put(key, data, content_type, synced=synced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("end", ["canceled", "deleted"])
def test_a_passage_of_a_job_that_ended_meanwhile_is_deleted(spoken: House, end: str) -> None:
    job = planned(spoken)
    settle(spoken, job, 0)
    verb = jobs.cancel(job, "default") if end == "canceled" else jobs.forget(job)
    storage = Interposed(spoken.storage, lambda: spoken.store.run(verb))
    Desk(spoken.store, storage, spoken.waker, spoken.settings).drain()  # type: ignore[arg-type]
    assert passages(spoken, job) == []
    assert Due.PASSAGE not in spoken.store.run(tasks.next_due(tuple(Due)))


def test_the_passages_of_a_canceled_job_go_with_its_expiry(spoken: House) -> None:
    job = planned(spoken)
    settle(spoken, job, 0)
    spoken.desk.drain()
    spoken.store.run(jobs.cancel(job, "default"))
    assert len(passages(spoken, job)) == 1
    due_now(spoken, "expire")
    spoken.desk.drain()
    assert spoken.record(job).status is Status.EXPIRED
    assert list(spoken.storage.list(job_prefix(job))) == []


def test_two_desks_at_once_make_one_recording(spoken: House) -> None:
    alone = planned(spoken)
    settle(spoken, alone, 0, 1, 2)
    spoken.desk.drain()
    job = planned(spoken)
    settle(spoken, job, 0, 1, 2)
    spoken.drain_by_two_desks()
    assert result(spoken, job) == result(spoken, alone)


# --- kills ------------------------------------------------------------------------------------------------------------


def kills(house: House, format: str, output: Any) -> Iterator[str]:
    """Jobs, each with a desk that was killed later than that of the one before."""
    for desk in mortal_desks(house):
        job = planned(house, format, output=output, metadata={"title": "A Day"})
        settle(house, job, 0, 2)
        desk.drain()
        settle(house, job, 1)
        desk.drain()
        due_now(house, Due.PASSAGE, Due.ASSEMBLE)
        house.desk.drain()
        yield job


@pytest.mark.parametrize(("format", "output"), [("flac", {}), ("m4b", BY_CHAPTER)])
def test_a_desk_may_be_killed_between_any_two_steps(spoken: House, halves: None, format: str, output: Any) -> None:
    undisturbed = planned(spoken, format, output=output, metadata={"title": "A Day"})
    settle(spoken, undisturbed, 0, 1, 2)
    spoken.desk.drain()
    left = []
    for job in kills(spoken, format, output):
        assert spoken.record(job).status is Status.SUCCEEDED
        assert result(spoken, job) == result(spoken, undisturbed)
        left.append(passages(spoken, job))
    assert len(left) > 50 // STRIDE
    assert sum(map(bool, left)) <= 3, "only a desk that dies after the end of the job leaves them until its expiry"

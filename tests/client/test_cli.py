"""The command line as a script sees it: exit codes, stdout, stderr."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import httpx
import pytest
import soundfile as sf

from examples.book import make
from farm.cli import main
from farm.cli.narrate import _file_name
from farm.cli.screen import why
from farm.client import Farm, Refused
from farm.embedded.supervisor import Local
from farm.layout import tempo_key
from farm.storage.folder import LocalStorage
from farm.webhooks.secrets import secret_for
from farm.wire import Job, JobError, JobRequest, Result
from tests.client.conftest import Command, clean_environment
from tests.client.scripted import Reply, Scripted
from tests.patience import patient


def test_a_file_is_narrated_and_the_suffix_says_the_format(command: Command, tmp_path: Path) -> None:
    (tmp_path / "book.md").write_text("# One\n\nThe first.\n\n# Two\n\nThe second.\n")
    ended = command(
        "narrate", "book.md", "-o", "book.flac", "--chapters", "--voice", "en-gb", "--speed", "1.1",
        "--subtitles", "vtt", "--metadata", "book=7", "--json",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "book.flac").read_bytes()[:4] == b"fLaC"
    assert (tmp_path / "book.vtt").read_text().startswith("WEBVTT")
    job = json.loads(ended.stdout)
    assert (job["status"], job["voice"], job["metadata"]) == ("succeeded", "en-gb", {"book": "7"})
    assert "is accepted" in ended.stderr


def test_a_preset_shows_its_table_at_the_end(command: Command, tmp_path: Path) -> None:
    said = "The tide went out, and nobody saw it go. " * 3
    (tmp_path / "book.md").write_text(f"# One\n\n{said}\n\n# Two\n\n{said}\n")
    ended = command("narrate", "book.md", "--chapters", "--preset", "acx")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[-1] == "acx: passed"
    assert [line.split()[0] for line in lines[-4:-1]] == ["rms", "One", "Two"]
    assert (tmp_path / "book.mp3").exists()


QUEUED = {
    "id": "job_1", "status": "queued", "model": "tones", "language": "en", "seed": 7, "revision": 2,
    "priority": "normal", "characters": 30, "status_url": "", "created_at": "2026-11-29T00:00:00Z",
    "progress": {
        "segments_total": 0, "segments_done": 0, "segments_failed": 0, "cached": 0, "audio_seconds": 0, "percent": 0,
    },
}  # fmt: skip


def test_an_edit_sends_what_changes_and_nothing_else(command: Command, scripted: Scripted, tmp_path: Path) -> None:
    scripted.replies = [Reply(202, body=QUEUED)] * 2
    sentence = command(
        "edit", "job_1", "--segment", "3", "--text", "Yes.", "--segment", "4", "--text", "", "--revision", "1",
        FARM_URL=scripted.url,
    )  # fmt: skip
    (tmp_path / "new.txt").write_text("All anew.")
    manner = command(
        "edit", "job_1", str(tmp_path / "new.txt"), "--speed", "1.5", "--lexicon", "", "--format", "m4b",
        FARM_URL=scripted.url,
    )  # fmt: skip
    assert (sentence.returncode, manner.returncode) == (0, 0), sentence.stderr + manner.stderr
    first, second = scripted.asked
    assert (first.method, first.path, first.headers["if-match"]) == ("PATCH", "/v1/jobs/job_1", '"1"')
    assert json.loads(first.body) == {"segments": [{"index": 3, "text": "Yes."}, {"index": 4, "text": ""}]}
    assert json.loads(second.body) == {
        "input": "All anew.", "speed": 1.5, "lexicons": [], "output": {"format": "m4b"},
    }  # fmt: skip
    assert "if-match" not in second.headers
    for wrong in ((), ("--segment", "3"), ("--segment", "3", "--text", "A.", "--speaker", "a", "--speaker", "b")):
        refused = command("edit", "job_1", *wrong, FARM_URL=scripted.url)
        assert (refused.returncode, "--text" in refused.stderr) == (2, True)


def test_an_edit_that_no_job_takes_is_one_line(command: Command, tmp_path: Path) -> None:
    beyond = command("edit", "job_1", "--segment", "9" * 20, "--text", "A.")
    (tmp_path / "old.txt").write_bytes("Größe".encode("latin-1"))
    other = command("edit", "job_1", str(tmp_path / "old.txt"))
    assert (beyond.returncode, other.returncode) == (2, 2)
    assert beyond.stderr.startswith("farm: segments.0.index: ")
    assert beyond.stderr.count("\n") == 1
    assert "old.txt is not UTF-8 (byte 2)" in other.stderr


@pytest.mark.parametrize("options", [(), ("--list",)], ids=["text", "document"])
def test_a_file_without_an_end_is_not_read_to_it(command: Command, options: tuple[str, ...], tmp_path: Path) -> None:
    refused = command("narrate", "/dev/zero", "-o", str(tmp_path / "a.mp3"), *options)
    assert refused.returncode == 2
    assert "/dev/zero has more than" in refused.stderr


def test_a_dry_run_of_an_edit_says_what_it_would_render(command: Command, scripted: Scripted) -> None:
    row = {"index": 3, "chapter": 0, "start": 0, "end": 4, "text": "Yes.", "voice": "anna", "pause_ms": 0, "digest": ""}
    cost = {"revision": 1, "segments": 9, "rendered": 1, "reused": 8, "characters": 4, "audio_seconds": 1.5}
    scripted.replies = [Reply(200, body={**cost, "changed": [row]})]
    told = command("edit", "job_1", "--segment", "3", "--speaker", "anna", "--dry-run", FARM_URL=scripted.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "    3  anna: Yes.\n1 of 9 segments would be rendered, about 1.5 s of audio\n"
    (asked,) = scripted.asked
    assert (asked.method, asked.path) == ("POST", "/v1/jobs/job_1/preview")
    assert json.loads(asked.body) == {"segments": [{"index": 3, "voice": "anna"}]}


def test_a_retry_of_a_segment_asks_for_that_one_and_says_where_the_job_stands(
    command: Command, scripted: Scripted
) -> None:
    scripted.replies = [Reply(202, body=QUEUED)]
    ended = command("retry", "job_1", "--segment", "3", "--seed", "9", FARM_URL=scripted.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("job_1: queued")
    (asked,) = scripted.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/jobs/job_1/segments/3/retry", b'{"seed":9}')
    refused = command("retry", "job_1", "--seed", "9", FARM_URL=scripted.url)
    assert (refused.returncode, "--segment" in refused.stderr) == (2, True)


def test_listen_prints_an_address_that_needs_no_key(command: Command, client: Farm) -> None:
    job = client.submit(JobRequest(input="The tide went out."))
    ended = command("listen", job.id)
    assert ended.returncode == 0, ended.stderr
    assert "no key for 12 hours" in ended.stderr
    listed = httpx.get(ended.stdout.strip(), trust_env=False, timeout=patient(30))
    assert listed.text.startswith("#EXTM3U\n")
    assert json.loads(command("listen", job.id, "--json").stdout)["url"].startswith(client.url)
    refused = command("listen", "job_0000000000000000")
    assert (refused.returncode, "there is no job" in refused.stderr) == (3, True)


def test_review_names_what_to_listen_to_and_where(command: Command, scripted: Scripted) -> None:
    rows = [
        {"index": 0, "text": "Fine.", "offset_ms": 0, "voice": "anna"},
        {
            "index": 1, "text": "It's held\nfor long.", "offset_ms": 3_723_460, "voice": "anna", "needs_review": True,
            "warnings": ["long_silence: 1.3 s of silence"],
        },
        {"index": 2, "text": "Lost.", "error": "the engine fell over", "voice": "f" * 64},
    ]  # fmt: skip
    manifest = Reply(body={"segments": rows, "model": "tones", "language": "en"})
    card = {
        "name": "tones", "revision": "1", "sample_rate": 24000, "languages": {"en": {"max_characters": 300}},
        "voices": {"anna": "en"}, "uploaded_voices": True, "parameters": ["seed"],
    }  # fmt: skip
    scripted.replies = [manifest, Reply(body={"data": [card], "has_more": False}), manifest]
    ended = command("review", "job_1", FARM_URL=scripted.url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "segment 1, 1:02:03.4: It's held for long.",
        "    long_silence: 1.3 s of silence",
        "    again: farm retry job_1 --segment 1",
        "    change: farm edit job_1 --segment 1 --text " + shlex.quote("It's held for long."),
        "segment 2, not in the audio: Lost.",
        "    failed: the engine fell over",
        "    again: farm retry job_1 --segment 2",
        "    change: farm edit job_1 --segment 2 --text Lost.",
        "2 of 3 segments to listen to, 2 of them need a review",
    ]
    told = json.loads(command("review", "job_1", "--json", FARM_URL=scripted.url).stdout)
    assert [row["index"] for row in told] == [1, 2]
    assert scripted.asked[0].path == "/v1/jobs/job_1/manifest"


def test_a_job_that_is_rendered_shows_how_many_segments_somebody_should_listen_to(
    command: Command, scripted: Scripted
) -> None:
    job = {
        "id": "job_1", "status": "running", "model": "tones", "language": "en", "seed": 7, "priority": "normal",
        "characters": 30, "status_url": "", "created_at": "2026-11-29T00:00:00Z",
        "progress": {
            "segments_total": 3, "segments_done": 2, "segments_failed": 0, "cached": 0, "needs_review": 1,
            "audio_seconds": 1, "percent": 66.7,
        },
    }  # fmt: skip
    scripted.replies = [Reply(body=job)]
    ended = command("status", "job_1", FARM_URL=scripted.url)
    assert ended.stdout.splitlines() == ["job_1: running, 2 of 3 segments, 1 segment needs review"]


def test_a_play_is_shown_before_it_is_spoken_and_then_spoken_by_its_cast(command: Command, tmp_path: Path) -> None:
    (tmp_path / "play.txt").write_text("Somebody knocked. [pause:2s][voice:anna]Who is [rate:0.8]there?[/rate][/voice]")
    options = ("play.txt", "--markup", "tags", "--cast", "narrator=en-gb", "--cast", "anna=en-us")
    shown = command("preview", *options)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        "    0  en-gb, then 2000 ms: Somebody knocked.",
        "    1  anna (en-us), then 120 ms: Who is",
        "    2  anna (en-us), speed 0.8, then 1500 ms: there?",
        "3 segments",
    ]
    assert command("narrate", *options, "-o", "play.wav").returncode == 0
    assert sf.info(tmp_path / "play.wav").duration > 3.5
    (tmp_path / "play.txt").write_text("One.\n[voice:eve]Two.")
    refused = command("preview", *options)
    assert (refused.returncode, "line 2, column 1: " in refused.stderr) == (1, True), refused.stderr


def test_a_lexicon_is_put_shown_used_and_deleted(command: Command, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# names\nNguyen = win\n\nSiobhan = shivawn\n")
    (tmp_path / "text.txt").write_text("Nguyen's house.")
    assert command("lexicons", "put", "names", "names.txt").stdout == "names@1: 2 entries\n"
    shown = command("preview", "text.txt", "--lexicon", "names", "--voice", "en-us")
    assert shown.stdout.splitlines() == [
        "    0  en-us, then 1500 ms: Nguyen's house.", "       said: win's house.", "names@1: Nguyen is said win",
        "1 segments",
    ]  # fmt: skip
    (tmp_path / "names.pls").write_text(command("lexicons", "get", "names", "--pls").stdout)
    assert command("lexicons", "put", "names", "names.pls").stdout == "names@1: 2 entries\n"
    assert json.loads(command("lexicons", "get", "names@1").stdout)["entries"][0] == {
        "written": "Nguyen",
        "alias": "win",
    }
    assert "names@1" in command("lexicons", "list").stdout
    assert command("narrate", "text.txt", "--lexicon", "names@1", "-o", "text.wav").returncode == 0
    (tmp_path / "wrong.txt").write_text("Nguyen")
    assert "line 1 is not `word = said`" in command("lexicons", "put", "names", "wrong.txt").stderr
    assert command("lexicons", "delete", "names").returncode == 0
    assert command("lexicons", "get", "names").returncode == 3


def test_a_book_is_listed_and_the_chapters_that_are_named_are_narrated(
    command: Command, client: Farm, tmp_path: Path
) -> None:
    make.write(tmp_path / "book.epub")
    listed = command("narrate", "book.epub", "--list")
    assert listed.returncode == 0, listed.stderr
    assert "The Keeper of Hook Point · The TTS Farm authors · en · epub" in listed.stdout
    assert "3 of 6 chapters" in listed.stdout
    assert re.search(r"1 +Title page +\d+ +front matter", listed.stdout)
    ended = command("narrate", "book.epub", "--chapters", "2-3,4", "--rule", "notes=end", "--json")
    assert ended.returncode == 0, ended.stderr
    job = json.loads(ended.stdout)
    chapters = client.manifest(job["id"])["chapters"]
    assert [chapter["title"] for chapter in chapters] == ["1. The Lamp", "2. The Letter", "3. The Storm"]
    assert (tmp_path / "book.mp3").stat().st_size > 10_000
    assert command("narrate", "book.epub", "--chapters", "7").returncode == 2


def test_each_chapter_is_saved_in_a_folder_beside_the_whole_and_so_is_a_read_along(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "book.md").write_text("# One: a start\n\nThe first.\n\n# Two\n\nThe second.\n")
    said = ("book.md", "--chapters", "--per-chapter", "--subtitles", "srt", "--also", "epub")
    ended = command("narrate", *said, "--json")
    assert ended.returncode == 0, ended.stderr
    assert zipfile.is_zipfile(tmp_path / "book-readalong.epub")
    assert "book-chapters/: 2 chapters" in ended.stderr
    folder = tmp_path / "book-chapters"
    names = ["01 One_ a start.mp3", "01 One_ a start.srt", "02 Two.mp3", "02 Two.srt"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / names[1]).read_text().startswith("1\n00:00:00,000 --> ")
    lengths = [sf.info(path).frames for path in (tmp_path / "book.mp3", folder / names[0], folder / names[2])]
    assert lengths[0] == lengths[1] + lengths[2]
    again = command("wait", json.loads(ended.stdout)["id"], "-o", "again.mp3")
    assert again.returncode == 0, again.stderr
    assert len(list((tmp_path / "again-chapters").iterdir())) == 4


def test_a_folder_for_chapters_that_can_not_be_made_is_refused_at_once(command: Command, tmp_path: Path) -> None:
    (tmp_path / "book.md").write_text("# One\n\nThe first.\n")
    (tmp_path / "book-chapters").write_text("a file")
    ended = command("narrate", "book.md", "--chapters", "--per-chapter")
    assert (ended.returncode, "book-chapters is no folder" in ended.stderr) == (2, True), ended.stderr
    assert "is accepted" not in ended.stderr


def test_a_length_is_asked_for_in_seconds_and_how_near_it_came_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "cue.txt").write_text("It came back in the evening, as it always had.")
    ended = command("narrate", "cue.txt", "-o", "cue.wav", "--target-duration", "3.2")
    assert ended.returncode == 0, ended.stderr
    said = re.search(r"succeeded, 0:03 of audio, .* ([+-]\d+) ms from its target", ended.stdout)
    assert said is not None
    info = sf.info(tmp_path / "cue.wav")
    assert round(1000 * info.frames / info.samplerate) == 3200 + int(said[1])
    assert abs(int(said[1])) < 100


def test_a_model_that_can_not_leave_numbers_as_they_are_says_so(command: Command) -> None:
    ended = command("submit", "-", "--no-normalize", say=b"8 bells.")
    assert ended.returncode == 3
    assert "does not honour normalize" in ended.stderr


def test_stdin_is_narrated(command: Command, tmp_path: Path) -> None:
    ended = command("narrate", "-", "-o", "hallo.opus", "--language", "de", say="Grüß Gott.".encode())
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "hallo.opus").read_bytes()[:4] == b"OggS"
    assert ended.stdout.startswith("hallo.opus: succeeded")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["narrate", "missing.txt"], "missing.txt: No such file"),
        (["narrate", "-"], "say with -o"),
        (["narrate", "-", "-o", "x.mid"], ".mp3 .wav .flac .opus"),
        (["narrate", "-", "-o", "nowhere/x.mp3"], "nowhere/ is no folder"),
        (["submit", "-", "--speed", "9"], "speed"),
        (["submit", "-", "--target-duration", "0.05"], "target_duration_ms"),
        (["submit", "-", "--target-duration", "nan"], "--target-duration nan: give seconds"),
        (["submit", "-", "--metadata", "x"], "KEY=VALUE"),
        (["narrate", "-", "-o", "x.mp3", "--format", "wav"], "x.mp3 is named as mp3, and the audio is wav"),
        (["narrate", "-", "-o", "/dev/null"], "/dev/null is no regular file"),
        (["narrate", "."], "Is a directory"),
        (["narrate", "a-file", "-o", "a-file", "--format", "mp3"], "a-file is the text itself"),
        (["status", "\udcff"], "an argument is not UTF-8"),
        (["voices", "rm", "\udcff"], "an argument is not UTF-8"),
        (["narrate", "/"], "Is a directory"),
        (["narrate", "a-file", "--chapters", "7-3"], "is no range of chapters"),
        (["narrate", "--chapters", "a-file"], "'a-file' is not like 3-7,9; put FILE before --chapters"),
        (["narrate", "a-file", "--rule", "songs=read"], "there is no rule 'songs'; there are front_matter"),
        (["narrate", "-", "--list"], "a document is read from a file"),
        (["narrate", "missing.epub", "--list"], "missing.epub: No such file"),
        (["wait", "job_1", "-o", "nowhere/x.mp3"], "nowhere/ is no folder"),
        (["wait", "job_1", "-o", "a-file/x.mp3"], "a-file/ is no folder"),
        (["wait", "job_1", "-o", "."], "is a folder; name the file in it"),
        (["wait", "job_1", "-o", "/"], "is a folder; name the file in it"),
        (["wait", "job_1", "-o", "saved/"], "is a folder; name the file in it"),
        (["wait", "batch_1", "-o", "a-file"], "a-file is no folder"),
        (["batch", "-", "-o", "a-file/sub"], "a-file is no folder"),
        (["batch", "missing.jsonl"], "missing.jsonl"),
        (["batch", "."], "there is no such file"),
        (["batch", "-", "--idempotency-key", "\u00e9"], "an idempotency key must be 1 to 255 printable"),
        (["submit", "-", "--idempotency-key", ""], "an idempotency key must be 1 to 255 printable"),
        (["submit", "-", "--idempotency-key", "a\r"], "an idempotency key must be 1 to 255 printable"),
        (["voices", "add", "me", "missing.wav", "--consent", "me"], "missing.wav"),
    ],
)
def test_a_wrong_command_line_names_its_fault_and_exits_with_2(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("FARM_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Hello.")))
    try:
        code: object = main(words)
    except SystemExit as end:  # argparse's own refusals
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port", "99999"], "--port 99999: give a number up to 65535"),
        (["--port", "-1"], "--port -1: give a number"),
        (["--port", "0", "--host", "192.0.2.1"], "192.0.2.1 is no address of this machine"),
        (["--port", "9", "--host", "no host"], "no host is no address of this machine"),
        (["--port", "0", "--host", "a..b"], "a..b is no address of this machine"),
        (["--port", "0", "--data", "/proc/x"], "/proc/x can't be used (No such file or directory)"),
        (["--port", "0", "--data", "a-file"], "a-file can't be used (File exists)"),
        (["--port", "0", "--data", "\udcff"], "\\xff is not UTF-8"),
    ],
)
def test_an_embedded_farm_that_cannot_start_as_told_says_why_on_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process keeps its own handlers
    (tmp_path / "a-file").touch()
    assert main(["up", *words]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert says in last


def test_a_refusal_is_exit_code_3_and_names_the_field(command: Command) -> None:
    ended = command("submit", "-", "--voice", "nobody", say=b"Hello.")
    assert ended.returncode == 3
    assert "voice" in ended.stderr
    assert "req_" in ended.stderr
    assert command("status", "job_nothing").returncode == 3


def test_a_farm_that_is_away_is_exit_code_4(command: Command) -> None:
    ended = command("queue", FARM_URL="http://127.0.0.1:9")
    assert ended.returncode == 4
    assert "farm up" in ended.stderr


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ALL_PROXY", "socks://u:hidden@127.0.0.1:9", "ALL_PROXY is no URL of a proxy"),
        ("ALL_PROXY", "socks5://u:hidden@127.0.0.1:9", "ALL_PROXY names a SOCKS proxy, which needs a package"),
        ("ALL_PROXY", "http://hidden:99999", "ALL_PROXY is no URL of a proxy"),
        ("https_proxy", "http://[::1", "https_proxy is no URL of a proxy"),
        ("NO_PROXY", "[::1", "NO_PROXY has an entry"),
        ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE or SSL_CERT_DIR names certificates"),
        ("FARM_URL", "http://farm:8000\r", "FARM_URL is not a URL of a farm: it has a blank, a line end"),
        ("FARM_URL", "http://u:hidden@[::1", "FARM_URL is not a URL of a farm: its host or its port"),
        ("FARM_URL", "http://farm:port", "FARM_URL is not a URL of a farm: its host or its port"),
        ("FARM_URL", "farm:8000", "FARM_URL is not a URL of a farm: it does not begin with http"),
        ("FARM_URL", "http://a..b", "FARM_URL is not a URL of a farm: its host or its port"),
        ("FARM_URL", "http://xn--/", "FARM_URL is not a URL of a farm: its host or its port"),
        ("FARM_URL", "http://", "FARM_URL is not a URL of a farm: it names no host"),
        ("FARM_API_KEY", "fk_hidden\r", "FARM_API_KEY has a blank, a line end"),
        ("FARM_API_KEY", "fk_hidden\u00e9", "FARM_API_KEY has a blank, a line end"),
    ],
)
def test_a_client_that_cannot_be_set_up_names_the_variable_and_nothing_secret(
    variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FARM_URL", "http://farm.invalid:8000")
    monkeypatch.setenv(variable, value)
    for words in (["queue"], ["wait", "job_1"]):
        assert main(words) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert says in said
        assert "hidden" not in said
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert says in out
    assert "hidden" not in out


def test_what_is_no_farm_is_told_so(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FARM_URL", scripted.url)
    scripted.replies = [Reply(200, {"hello": "world"})]
    assert main(["status", "job_1"]) == 2
    assert "what answers at FARM_URL is no farm" in capsys.readouterr().err


def test_a_password_in_the_url_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FARM_URL", "http://me:hidden@127.0.0.1:9")
    assert main(["queue"]) == 4
    assert "no answer from http://127.0.0.1:9" in (said := capsys.readouterr().err)
    assert "hidden" not in said


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert re.fullmatch(r"farm \d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [
        (">&-", 0, ""),
        (">/dev/full", 2, "farm: stdout: No space left on device\n"),
        ("2>/dev/full", 0, ""),
        ("2>&-", 0, ""),
        ("<&-", 0, ""),
    ],
)
def test_a_stream_that_takes_nothing_is_no_traceback(farm: Local, where: str, code: int, says: str) -> None:
    ended = subprocess.run(
        ("sh", "-c", f'FARM_APIKEY=x "$0" -P -m farm queue {where}', sys.executable),
        capture_output=True, text=True, env=clean_environment() | {"FARM_URL": farm.url}, timeout=patient(60),
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.endswith(says)
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr


def test_letters_that_the_encoding_lacks_are_escaped(farm: Local, client: Farm) -> None:
    job = client.submit(JobRequest(input="Hello.", metadata={"title": "\u6d77 \U0001f30a"}, custom_id="\u6d77"))
    shown = subprocess.run(
        (sys.executable, "-P", "-m", "farm", "status", job.id, "--json"),
        capture_output=True, text=True, timeout=patient(60),
        env=clean_environment() | {"FARM_URL": farm.url, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["metadata"] == {"title": "\u6d77 \U0001f30a"}


def test_lines_of_a_batch_come_through_a_pipe(command: Command, tmp_path: Path) -> None:
    lines = '{"input": "One of a pipe."}\n{"input": "Two of a pipe."}\n'
    ended = command("batch", "-", "-o", "saved", say=lines.encode())
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "saved").iterdir())) == 2
    assert command("batch", "/dev/stdin", "--no-wait", say=lines.encode()).returncode == 0


def test_a_disk_that_takes_no_more_is_said_with_where_the_audio_can_be_had(
    farm: Local, client: Farm, tmp_path: Path
) -> None:
    job = client.wait(client.submit(JobRequest(input="There is no room for this. " * 5)).id)
    ended = subprocess.run(
        ("bash", "-c", 'ulimit -f 1; exec "$0" -P -m farm wait "$1" -o "$2"', sys.executable, job.id, "my x.mp3"),
        capture_output=True, text=True, cwd=tmp_path, env=clean_environment() | {"FARM_URL": farm.url},
        timeout=patient(60),
    )  # fmt: skip
    assert ended.returncode == 2
    again, said = ended.stderr.splitlines()
    assert again == f"The farm keeps the audio. Get it with farm wait {job.id} -o 'my x.mp3'"
    assert said == "farm: my x.mp3: File too large"
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_setting_is_named_with_the_right_one(command: Command) -> None:
    assert "did you mean FARM_API_KEY?" in command("queue", FARM_APIKEY="x").stderr


def test_a_batch_is_seen_through_and_saved(command: Command, tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text('{"input": "One.", "custom_id": "a/b"}\n{"input": "Two."}\n')
    ended = command("batch", "jobs.jsonl", "-o", "saved", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["counts"] == {"succeeded": 2}
    names = sorted(path.name for path in (tmp_path / "saved").iterdir())
    assert names[0] == "001-a_b.mp3"
    assert len(names) == 2
    batch = json.loads(ended.stdout)["id"]
    assert "2 of 2 succeeded" in command("status", batch).stdout


def test_all_results_are_saved_as_an_archive(command: Command, tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text('{"input": "One.", "custom_id": "a/b"}\n{"input": "Two."}\n')
    batch = json.loads(command("batch", "jobs.jsonl", "--json").stdout)["id"]
    saved = command("download", batch)
    assert (saved.returncode, saved.stdout) == (0, f"{batch}.zip\n"), saved.stderr
    with zipfile.ZipFile(tmp_path / f"{batch}.zip") as archive:
        assert archive.testzip() is None
        one, manifest, two, _ = archive.namelist()
    assert one.startswith("001-a_b-job_")
    assert one.endswith("/a_b.mp3")
    assert two.startswith("002-job_")
    job = one.split("/")[0].removeprefix("001-a_b-")
    assert json.loads(command("download", job, "-o", "one.zip", "--json").stdout) == {"id": job, "file": "one.zip"}
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert [f"001-{name}" for name in archive.namelist()] == [one, manifest]


def test_a_batch_without_some_results_is_saved_as_an_archive_only_in_part(
    command: Command, client: Farm, tmp_path: Path
) -> None:
    batch = client.submit_batch([JobRequest(input="One."), JobRequest(input=_long_text("acre"))])
    while batch.counts.get("succeeded", 0) < 1:  # pytest's timeout is the limit
        batch = client.batch(batch.id, wait=0.1)
    client.cancel_batch(batch.id)
    client.batch(batch.id, wait=30)
    refused = command("download", batch.id, "-o", "some.zip")
    assert (refused.returncode, "1 of the 2 jobs" in refused.stderr) == (3, True), refused.stderr
    assert not (tmp_path / "some.zip").exists()
    assert command("download", batch.id, "-o", "some.zip", "--partial").returncode == 0
    with zipfile.ZipFile(tmp_path / "some.zip") as archive:
        (missed,) = json.loads(archive.read("missing.json"))["jobs"]
    assert missed["status"] == "canceled"
    client.delete_batch(batch.id)


def test_names_of_a_batch_are_cut_by_bytes_and_sort_by_their_place(command: Command, tmp_path: Path) -> None:
    ids = ["海" * 100, "é" * 130, "a" * 200]
    lines = [json.dumps({"input": f"Line {number}.", "custom_id": id}) for number, id in enumerate(ids)]
    (tmp_path / "jobs.jsonl").write_text("\n".join(lines))
    ended = command("batch", "jobs.jsonl", "-o", "saved")
    assert ended.returncode == 0, ended.stderr
    names = sorted(os.listdir(tmp_path / "saved"))
    assert [name[:5] for name in names] == ["001-海", "002-é", "003-a"]
    assert all(len(os.fsencode(name)) <= 255 and name.endswith(".mp3") for name in names)


def test_a_name_that_cannot_be_written_costs_no_other_file_of_the_batch(command: Command, tmp_path: Path) -> None:
    lines = [json.dumps({"input": f"Line {number}.", "custom_id": f"line-{number}"}) for number in range(3)]
    (tmp_path / "jobs.jsonl").write_text("\n".join(lines))
    (tmp_path / "saved" / "002-line-1.mp3").mkdir(parents=True)
    ended = command("batch", "jobs.jsonl", "-o", "saved")
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "saved/002-line-1.mp3: Is a directory; get it with `farm wait job_" in ended.stderr
    assert (tmp_path / "saved" / "001-line-0.mp3").is_file()
    assert (tmp_path / "saved" / "003-line-2.mp3").is_file()


@pytest.mark.parametrize(("total", "name"), [(3, "002-x.mp3"), (999, "002-x.mp3"), (50_000, "00002-x.mp3")])
def test_numbers_of_file_names_are_as_wide_as_the_batch_is_long(total: int, name: str) -> None:
    result = Result.model_construct(format="mp3")
    assert _file_name(Job.model_construct(id="job_1", custom_id="x", result=result), 2, total) == name


def test_a_text_with_the_longest_name_is_narrated(command: Command, tmp_path: Path) -> None:
    name = "n" * 251
    (tmp_path / f"{name}.txt").write_text("Hello.")
    ended = command("narrate", f"{name}.txt")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / f"{name}.mp3").is_file()
    late = command("narrate", f"{name}.txt", "-o", f"{name}n.flac")
    assert (late.returncode, "at most 255 bytes" in late.stderr) == (2, True)


def test_waiting_for_a_canceled_job_exits_with_1_and_the_job_can_be_retried(
    command: Command, client: Farm, tmp_path: Path
) -> None:
    job = client.submit(JobRequest(input=_long_text("mile")))
    late = command("wait", job.id, "--timeout", "0")
    assert late.returncode == 124
    assert f"farm wait {job.id}" in late.stderr
    assert "canceled" in command("cancel", job.id).stdout
    waited = command("wait", job.id, "-o", "never.mp3")
    assert (waited.returncode, waited.stdout) == (1, "")
    assert not (tmp_path / "never.mp3").exists()
    assert command("cancel", job.id).returncode == 3
    assert json.loads(command("retry", job.id, "--json").stdout)["status"] != "canceled"
    client.delete(job.id)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_the_job_running_and_says_how_to_resume(
    farm: Local, client: Farm, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "long.txt").write_text(_long_text("league"))
    process = subprocess.Popen(
        (sys.executable, "-P", "-m", "farm", "narrate", "long.txt"),
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environment() | {"FARM_URL": farm.url},
        # Whoever runs the tests in the background has them ignore it, and children inherit that.
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),
    )
    assert process.stderr is not None
    job = process.stderr.readline().split()[0]
    process.send_signal(number)
    try:
        _, said = process.communicate(timeout=patient(30))
    finally:
        process.kill()
    assert process.returncode == code
    assert f"farm wait {job} -o long.mp3" in said
    assert client.job(job).status in ("queued", "running")
    client.delete(job)


INTERRUPTED_IMPORT = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "farm.cli.command":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
"""


def test_ctrl_c_while_the_command_is_loaded_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_IMPORT)
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    ended = subprocess.run(
        (sys.executable, "-P", "-m", "farm", "queue"),
        capture_output=True, text=True, env=clean_environment() | {"PYTHONPATH": paths}, timeout=patient(60),
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_neither_an_odd_environment_nor_none_keeps_a_text_from_being_narrated(farm: Local, tmp_path: Path) -> None:
    """The farm is on this machine, so nothing is asked of a proxy."""
    odd = {
        "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
        "HTTP_PROXY": "rubbish", "ALL_PROXY": "http://127.0.0.1:9", "NO_PROXY": "[::1",
    }  # fmt: skip
    (tmp_path / "海.txt").write_text("The sea.", "utf-8")
    for number, environment in enumerate((odd, {})):
        known = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ} | {"FARM_URL": farm.url}
        ended = subprocess.run(
            (sys.executable, "-P", "-m", "farm", "narrate", "海.txt", "-o", f"{number}.mp3"),
            capture_output=True, cwd=tmp_path, env=known | environment, timeout=patient(60),
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert (tmp_path / f"{number}.mp3").stat().st_size > 1000


def test_lists_are_readable_and_machine_readable(command: Command) -> None:
    voices = command("voices", "list")
    assert voices.stdout.splitlines()[0].split() == ["voice", "kind", "language", "models", "seconds"]
    assert {"name": "en-gb", "kind": "builtin"}.items() <= {
        item for voice in json.loads(command("voices", "list", "--json").stdout) for item in voice.items()
        if not isinstance(item[1], list)
    }  # fmt: skip
    queue = command("queue")
    assert "espeak" in queue.stdout
    assert "desk" in queue.stdout


def test_the_doctor_finds_a_whole_farm_well(command: Command) -> None:
    ended = command("doctor")
    assert ended.returncode == 0, ended.stdout
    parts = {row.split()[1]: row.split()[0] for row in ended.stdout.splitlines()}
    looked_at = ("settings", "api", "engine", "device", "workers", "redis", "broker", "storage", "webhooks")
    assert parts == dict.fromkeys(looked_at, "OK")


def test_the_doctor_names_variables_that_the_farm_ignores(command: Command) -> None:
    ended = command("doctor", CELERY_BROKER_URL="redis://127.0.0.1:1/0")
    settings = next(row for row in ended.stdout.splitlines() if "settings" in row)
    assert settings.startswith("OK")
    assert "the farm ignores " in settings
    assert "CELERY_BROKER_URL" in settings


def test_the_doctor_says_what_to_mend(command: Command, tmp_path: Path) -> None:
    ended = command(
        "doctor", "--json", FARM_MODEL="indextts-2", FARM_DATADIR="x", FARM_REDIS_URL="redis://:secret@127.0.0.1:9/0",
        FARM_STORAGE_URL=f"file://{tmp_path}/absent/for/ever", FARM_WEBHOOK_SECRET="whsec_short",
    )  # fmt: skip
    assert ended.returncode == 1
    found = {finding["part"]: finding for finding in json.loads(ended.stdout)}
    assert {part for part, finding in found.items() if finding["ok"] is False} >= {
        "settings",
        "engine",
        "redis",
        "webhooks",
    }
    assert "FARM_DATA_DIR" in found["settings"]["says"]
    assert "set FARM_MODEL" in found["engine"]["says"]
    assert "secret" not in found["redis"]["says"]


def test_the_doctor_makes_no_folder_and_judges_no_storage_that_nobody_named(
    command: Command, farm: Local, tmp_path: Path
) -> None:
    ended = command("doctor", FARM_REDIS_URL=farm.redis_url)
    assert "-     storage   not looked at: set FARM_STORAGE_URL" in ended.stdout
    ended = command("doctor", FARM_REDIS_URL=farm.redis_url, FARM_STORAGE_URL=f"file://{tmp_path}/absent")
    assert "MEND  storage" in ended.stdout
    assert "there is no such folder" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_says_which_networks_webhooks_reach(command: Command) -> None:
    assert "127.0.0.0/8 until there is an API key" in command("doctor").stdout


def test_the_doctor_of_a_client_says_that_the_farm_is_away(command: Command, tmp_path: Path) -> None:
    ended = command("doctor", FARM_URL="http://127.0.0.1:9", FARM_DATA_DIR=str(tmp_path))
    assert ended.returncode == 1
    assert "farm up" in ended.stdout


def test_a_closed_pipe_is_no_error(farm: Local, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        (sys.executable, "-P", "-m", "farm", "voices", "list"),
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=clean_environment() | {"FARM_URL": farm.url},
        timeout=patient(60),
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_key_is_shown_once_opens_the_farm_and_can_be_revoked(command: Command, farm: Local) -> None:
    made = command("keys", "create", "reader", "--tenant", "library", "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    try:
        assert key["key"].startswith("fk_")
        assert key["webhook_secret"] == secret_for("library", (farm.data / "webhook.secret").read_text())
        assert command("keys", "secret", "library").stdout.strip() == key["webhook_secret"]
        assert command("keys", "secret").stdout.strip() == secret_for(
            "default", (farm.data / "webhook.secret").read_text()
        )
        assert command("keys", "create", "reader").returncode == 2
        listed = command("keys", "list").stdout
        assert "library" in listed
        assert key["key"] not in listed
        with Farm(farm.url, key["key"]) as client:
            assert list(client.jobs()) == []
    finally:
        assert command("keys", "open").returncode == 2, "there is a key"
        revoked = command("keys", "revoke", "reader")
        assert revoked.returncode == 0
        assert "`farm keys open`" in revoked.stderr
        assert "`farm keys open`" in command("keys", "list").stderr
        with Farm(farm.url) as client, pytest.raises(Refused, match="needs an API key"):
            client.queue()
        _forget_keys(command, farm)
    with Farm(farm.url) as client:
        client.queue()
    assert command("keys", "revoke", "reader").returncode == 2


def test_quotas_of_a_keys_tenant_are_set_and_shown(command: Command, farm: Local) -> None:
    command("keys", "create", "reader", "--tenant", "library")
    command("keys", "create", "ops", "--operator")
    try:
        shown = command("keys", "limit", "reader")
        assert (shown.returncode, "20,000,000" in shown.stdout) == (0, True), shown.stderr
        set_ = command("keys", "limit", "reader", "--characters", "5k", "--bytes", "none", "--segments", "8",
                       "--running-jobs", "3", "--lane", "normal", "--json")  # fmt: skip
        limits = json.loads(set_.stdout)
        assert limits["tenant"] == "library"
        assert limits["characters"] == {"used": 0, "limit": 5_000}
        assert (limits["bytes"]["limit"], limits["segments"]["limit"], limits["lane"]) == (None, 8, "normal")
        assert limits["running_jobs"] == {"used": 0, "limit": 3}
        ops, reader = json.loads(command("keys", "list", "--json").stdout)
        assert (ops["operator"], ops["quotas"]["characters"]["limit"]) == (True, 20_000_000)
        assert (reader["operator"], reader["quotas"]["characters"]) == (False, {"used": 0, "limit": 5_000})
        assert "0 / 5k" in command("keys", "list").stdout
        again = command("keys", "limit", "reader", "--characters", "default", "--lane", "default",
                        "--running-jobs", "none", "--json")  # fmt: skip
        assert json.loads(again.stdout)["characters"]["limit"] == 20_000_000
        assert json.loads(again.stdout)["running_jobs"]["limit"] is None
        for wrong in (("reader", "--characters", "many"), ("reader", "--bytes", "9" * 20), ("nobody",)):
            assert command("keys", "limit", *wrong).returncode == 2
    finally:
        for name in ("reader", "ops"):
            command("keys", "revoke", name)
        _forget_keys(command, farm)


def test_a_webhook_secret_is_rotated_by_the_name_of_a_key(command: Command, farm: Local) -> None:
    master = (farm.data / "webhook.secret").read_text()
    command("keys", "create", "reader", "--tenant", "rotated")
    try:
        before = command("keys", "secret", "rotated").stdout
        rotated = command("keys", "rotate-secret", "reader")
        assert (rotated.returncode, rotated.stdout.strip()) == (0, secret_for("rotated", master, 1)), rotated.stderr
        assert "24 hours" in rotated.stderr
        assert command("keys", "secret", "rotated").stdout == rotated.stdout != before
        assert command("keys", "rotate-secret", "nobody").returncode == 2
    finally:
        command("keys", "revoke", "reader")
        _forget_keys(command, farm)


def test_a_failed_job_is_told_with_its_chapter_and_its_text() -> None:
    error = JobError(
        code="segment_failed", message="espeak crashed", segment=41, chapter=2, chapter_title="The Storm", start=120,
        end=134, text="Nobody saw it.",
    )  # fmt: skip
    job = Job.model_construct(id="job_1", status="failed", error=error)
    told = why(job)
    assert 'segment 41 in chapter 3 "The Storm", characters 120 to 134' in told
    assert "Nobody saw it." in told
    plain = why(job.model_copy(update={"error": JobError(code="segment_failed", message="it crashed", segment=1)}))
    assert "(segment_failed, segment 1): it crashed" in plain


def test_a_purge_deletes_all_of_one_tenant_and_nothing_of_another(
    command: Command, farm: Local, client: Farm, tmp_path: Path
) -> None:
    def objects() -> set[str]:
        return {str(path) for path in (farm.data / "storage").rglob("*") if path.is_file()}

    kept = client.wait(client.submit(JobRequest(input="What was here before.")).id)
    before = objects()
    sf.write(tmp_path / "voice.wav", [0.5 * (number % 40 < 20) for number in range(48_000)], 24_000)
    made = json.loads(command("keys", "create", "gone", "--json").stdout)
    try:
        with Farm(farm.url, made["key"]) as gone:
            gone.add_voice("anna", tmp_path / "voice.wav", consent="true")
            LocalStorage(farm.data / "storage").put(tempo_key("gone", "5f1d"), b"[]")  # as a worker with an ear does
            gone.wait(gone.submit(JobRequest(input="Nobody keeps this.")).id)
            batch = gone.submit_batch([JobRequest(input=f"Nor line {number}.") for number in range(5)])
            asked = command("tenants", "purge", "gone", say=b"")
            assert (asked.returncode, gone.batch(batch.id).total) == (2, 5)
            assert "1 batches, 1 voices, 1 API keys" in asked.stderr
            assert "--yes" in asked.stderr
            purged = command("tenants", "purge", "gone", "--yes", "--json")
            assert purged.returncode == 0, purged.stderr
            assert json.loads(purged.stdout)["batches"] == 1
    finally:
        command("keys", "revoke", "gone")
        _forget_keys(command, farm)
    assert client.job(kept.id).status == "succeeded"
    assert objects() == before
    assert command("tenants", "purge", "gone", "--yes").stdout.startswith("gone is forgotten: 0 jobs, 0 batches")


def _forget_keys(command: Command, farm: Local) -> None:
    """Opens the farm for other tests. The API goes by keys that it read up to 2 s ago; for one that is not among them
    it reads them again."""
    assert command("keys", "open").returncode == 0
    with Farm(farm.url, "fk_nobodys") as client, pytest.raises(Refused, match="not known"):
        client.queue()


@pytest.mark.parametrize(
    "name", ["", " ", " ann", "a/../b", "../ann", ".hidden", "x\ny", "z\udcff", "a\\b", "x" * 101, "\u202eann"]
)
def test_a_name_that_would_break_later_makes_no_key(command: Command, name: str) -> None:
    for words in (("keys", "create", name), ("keys", "create", "well", "--tenant", name)):
        ended = command(*words)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "1 to 100 printable characters" in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert "well" not in command("keys", "list").stdout


def _long_text(word: str) -> str:
    """Minutes of work, with no sentence that another test had rendered before."""
    return " ".join(f"This is {word} number {number}, and there are more to come." for number in range(5000))

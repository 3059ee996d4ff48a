"""Records the data folder of a farm that was killed at work, for a later version to be started on.

    python -m tests.flow.record_farm tests/flow/recorded/COMMIT     writes COMMIT.tar.gz and COMMIT.json

The archive has Redis's append-only file, the storage and the webhook secret. Its farm has a finished job with a webhook
that could not be delivered, a book that was being rendered when every process was killed, a job and a batch that were
not planned yet, and an uploaded voice. The JSON file has the id of each, and the SHA-256 of the samples that an
undisturbed farm of the same version makes of it, and the part of the engine's revision that the engine's file decides.
Nothing in the archive expires for a hundred years.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import redis
import soundfile as sf

from farm.client import Farm
from farm.embedded.supervisor import Local
from farm.wire import Chapter, JobRequest, Output, Webhook
from worker.engines.espeak.engine import _RENDERING

ENVIRONMENT = {"FARM_LEASE_SECONDS": "2", "FARM_RETENTION_DAYS": "36500"}
FLAC = Output(format="flac")
TALE = JobRequest(
    chapters=[
        Chapter(title="One", input="The tide went out. Nobody saw it go."),
        Chapter(title="Zwei", input="Jede Flut bringt etwas.", voice="de"),
    ],
    output=Output(format="flac", subtitles=["vtt"]),
    webhook=Webhook(url="http://127.0.0.1:9/nobody"),
    metadata={"shelf": "sea"},
)
BOOK = JobRequest(input="\n\n".join(f"Wave {number}." for number in range(40)), speed=1.5, output=FLAC)
LETTER = JobRequest(input="Dear reader, " + "the sea was calm and the letter was long. " * 250, speed=2.0, output=FLAC)
LINES = [JobRequest(input=f"Line {number}.", custom_id=f"line-{number}", output=FLAC) for number in range(3)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="the two files' path without their suffixes")
    target = parser.parse_args().target
    with tempfile.TemporaryDirectory() as folder:
        sums = undisturbed(Path(folder, "undisturbed"))
        ids = killed(Path(folder, "killed"), Path(f"{target}.tar.gz"))
    recorded = {"rendering": _RENDERING, "ids": ids, "sha256": sums}
    Path(f"{target}.json").write_text(json.dumps(recorded, indent=2) + "\n")


def undisturbed(data: Path) -> dict[str, str]:
    """name -> SHA-256 of its audio."""
    with Local(data, environment=ENVIRONMENT) as local, Farm(local.url) as farm:
        named = {"tale": TALE, "book": BOOK, "letter": LETTER, **{line.custom_id or "": line for line in LINES}}
        sums = {}
        for name, request in named.items():
            job = farm.wait(farm.submit(request).id)
            sums[name] = samples_digest(farm.audio(job.id, data / "audio.flac"))
        return sums


def samples_digest(audio: Path) -> str:
    """SHA-256 of the decoded 16 bit samples: the file's own would change with the FLAC library's version."""
    samples, _ = sf.read(audio, dtype="int16")
    return hashlib.sha256(samples.tobytes()).hexdigest()


def killed(data: Path, archive: Path) -> dict[str, str]:
    """name -> id of its job or batch. The archive is made while every process stands still, and then all are killed."""
    local = Local(data, environment=ENVIRONMENT).start()
    with Farm(local.url) as farm, closing(redis.Redis.from_url(local.redis_url)) as store:
        tone = np.sin(np.arange(32_000) / 20) * 0.3
        sf.write(data / "tone.wav", tone, 16_000)
        farm.add_voice("anna", data / "tone.wav", consent="It is a tone")
        ids = {"tale": farm.wait(farm.submit(TALE).id).id}
        local.kill("render", signal.SIGSTOP)
        ids["book"] = farm.submit(BOOK).id
        _until(lambda: farm.job(ids["book"]).status == "running")
        local.kill("render", signal.SIGCONT)
        _until(lambda: int(store.hget(f"f:j:{ids['book']}", "done") or 0) > 0)
        local.kill("render", signal.SIGSTOP)
        local.kill("desk", signal.SIGSTOP)
        ids["letter"] = farm.submit(LETTER).id
        ids["batch"] = farm.submit_batch(LINES).id
        for id in (ids["book"], ids["letter"]):
            job = farm.job(id)
            print(f"{id}: {job.status}, {job.progress.segments_done} of {job.progress.segments_total} segments")  # noqa: T201
        time.sleep(1.5)  # appendfsync everysec: no event tells that a write is on disk
    for name in local.names:
        local.kill(name, signal.SIGSTOP)
    with tarfile.open(archive, "w:gz") as file:
        for name in ("redis", "storage", "webhook.secret"):
            file.add(data / name, name)
    for name in local.names:
        local._children[name].end()
        local.kill(name)
    local.stop()
    return ids


def _until(holds: Callable[[], object]) -> None:
    while not holds():
        time.sleep(0.002)  # the store tells of states and not of segments: it has to be asked


if __name__ == "__main__":
    main()

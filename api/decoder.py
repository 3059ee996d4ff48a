"""Where uploads are decoded: each in a process of its own, which a broken or malicious file can't use to harm the API.

A C library that reads what strangers send may crash, loop or take memory. So such a process has limits, no secret in
its environment, and one file to do. Two of them run at once, of one tenant one; the other uploads wait for their turn.

    parent -> child   standard input: one line of JSON, {"filename"}, then the bytes of the file
    child -> parent   standard output: one line of JSON, the fields of a Reference or {"refused": why}, then its FLAC
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import BinaryIO

from api.places import Places
from api.reference_audio import Reference, ingest, refusal, too_large
from farm.errors import BadInput
from farm.wire import MAX_VOICE_BYTES

log = logging.getLogger(__name__)

AT_ONCE = 2
_CPU_SECONDS = 20  # 60 s of 192 kHz in 8 channels take 3
_SECONDS = 60.0  # on a machine that has other work as well
_MEMORY_BYTES = 256 << 20  # beside what the process takes before it has read its file; the same 60 s take 100 MB
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG")
_BY_LIMIT = {signal.SIGXCPU, signal.SIGKILL}


class Decoder:
    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "api.decoder")) -> None:
        self._command = command
        self._places = Places(AT_ONCE)

    async def reference(self, tenant: str, file: BinaryIO, filename: str) -> Reference:
        """Waits for its turn before it reads the file, so that waiting uploads take no memory. Raises BadInput, or
        TooLarge, at the pointer /audio."""
        return await self._places.run(tenant, partial(_decode, self._command, file, filename))


def _decode(command: Sequence[str], file: BinaryIO, filename: str) -> Reference:
    data = file.read(MAX_VOICE_BYTES + 1)
    if len(data) > MAX_VOICE_BYTES:
        raise too_large(filename)
    try:
        ended = subprocess.run(
            command,
            input=json.dumps({"filename": filename}).encode() + b"\n" + data,
            capture_output=True,
            timeout=_SECONDS,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"OPENBLAS_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_slow(filename) from None
    if ended.returncode < 0:
        log.warning("an upload ended its decoder by %s", signal.Signals(-ended.returncode).name)
        if -ended.returncode in _BY_LIMIT:
            raise _too_slow(filename)
        raise refusal(f"{filename} can't be decoded: it crashes the decoder; export it again as WAV")
    if ended.returncode:
        raise RuntimeError(f"the decoder failed: {ended.stderr.decode(errors='replace')[-2000:]}")
    head, _, flac = ended.stdout.partition(b"\n")
    said = json.loads(head)
    if "refused" in said:
        raise refusal(said["refused"])
    return Reference(flac=flac, **said | {"notes": tuple(said["notes"])})


def _too_slow(filename: str) -> BadInput:
    return refusal(f"{filename} takes too long to decode; export it again as WAV")


# --- the child --------------------------------------------------------------------------------------------------------


def main() -> None:
    _limit_this_process()
    filename = json.loads(sys.stdin.buffer.readline())["filename"]
    said, flac = _answer(sys.stdin.buffer.read(), filename)
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + flac)


def _answer(data: bytes, filename: str) -> tuple[dict[str, object], bytes]:
    try:
        reference = asdict(ingest(data, filename))
    except BadInput as error:
        return {"refused": error.message}, b""
    except MemoryError:
        return {"refused": f"{filename} takes too much memory to decode; export it again as WAV"}, b""
    return reference, reference.pop("flac")


def _limit_this_process() -> None:
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_CPU, _CPU_SECONDS, _CPU_SECONDS + 1)
    try:
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # macOS has neither the file nor the limit
        return
    _limit(resource.RLIMIT_AS, taken + _MEMORY_BYTES, taken + _MEMORY_BYTES)


def _limit(kind: int, soft: int, hard: int) -> None:
    """A lower limit that the operator has set stays."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


if __name__ == "__main__":
    main()

"""The processes in which uploads are decoded: their limits, their number, and what an upload hears of their end."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.decoder import AT_ONCE, Decoder
from api.reference_audio import Reference, ingest
from farm.errors import BadInput, TooLarge
from tests.api.test_voices import recording
from tests.patience import patient


def child(code: str) -> Sequence[str]:
    return (sys.executable, "-c", code)


def instead_of_decoding(work: str) -> Sequence[str]:
    """The real process, with its limits, that does something else with the file."""
    return child(
        f"import api.decoder as d\nd._CPU_SECONDS = 1\ndef work(data, name):\n    {work}\nd.ingest = work\nd.main()"
    )


def decode(decoder: Decoder, data: bytes, times: int = 1) -> list[Reference]:
    """Each time for another tenant."""

    async def all_at_once() -> list[Reference]:
        uploads = (decoder.reference(f"tenant {n}", io.BytesIO(data), "me.wav") for n in range(times))
        return await asyncio.gather(*uploads)

    return asyncio.run(all_at_once())


def test_the_process_decodes_as_a_call_does() -> None:
    assert decode(Decoder(), recording()) == [ingest(recording(), "me.wav")]


def test_its_refusals_arrive() -> None:
    with pytest.raises(BadInput, match=r"me\.wav has 0\.2 s of audio") as refused:
        decode(Decoder(), recording(seconds=0.2))
    assert (refused.value.code, refused.value.fields[0].pointer) == ("bad_audio", "/audio")
    with pytest.raises(TooLarge, match="20,000,000"):
        decode(Decoder(), bytes(20_000_001))


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("import os; os.abort()", "crashes the decoder"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashes the decoder"),
        ("while True: pass", "takes too long"),
        ("return bytearray(1 << 30)", "takes too much memory"),
        ("import os; raise d.refusal(str(sorted(n for n in os.environ if 'FARM' in n or 'AWS' in n)))", r"^\[\]"),
    ],
)
def test_an_upload_that_harms_its_decoder_is_refused(work: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_WEBHOOK_SECRET", "whsec_secret")
    with pytest.raises(BadInput, match=said) as refused:
        decode(Decoder(instead_of_decoding(work)), recording())
    assert (refused.value.code, refused.value.fields[0].pointer) == ("bad_audio", "/audio")


def test_a_lower_limit_of_the_operator_stays() -> None:
    low = "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (9, 9))\nr.setrlimit(r.RLIMIT_AS, (1 << 31, 1 << 31))\n"
    command = child(low + "import api.decoder as d\nd._MEMORY_BYTES = 1 << 40\nd.main()")
    assert decode(Decoder(command), recording()) == [ingest(recording(), "me.wav")]


def test_a_decoder_that_can_not_start_is_a_fault_of_the_farm() -> None:
    with pytest.raises(RuntimeError, match="no module of that kind"):
        decode(Decoder(child("raise ImportError('no module of that kind')")), recording())


def test_few_uploads_are_decoded_at_once(tmp_path: Path) -> None:
    """Every process notes itself, waits until the others could have begun, and answers with the number that it met."""
    count = f"""
import json, os, sys, time
sys.stdin.buffer.read()
mine = os.path.join({str(tmp_path)!r}, str(os.getpid()))
open(mine, "w").close()
time.sleep({patient(0.3)})  # long enough for the others to be met, if they were let in
met = len(os.listdir({str(tmp_path)!r}))
os.remove(mine)
print(json.dumps(dict(digest="", seconds=met, sample_rate=24000, notes=[])))
"""
    met = [reference.seconds for reference in decode(Decoder(child(count)), recording(), times=3 * AT_ONCE)]
    assert (len(met), max(met)) == (3 * AT_ONCE, AT_ONCE)

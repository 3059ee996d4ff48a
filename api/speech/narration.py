"""The clips of one streamed job, in order, as the bytes of one file: each as soon as it is settled.

Nothing is kept beside the clip that is being sent. A clip that a slow listener has not reached yet lies in storage. A
clip that is gone from there, or damaged, is rendered again by a second job of the same text.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from api.speech.encoder import StreamEncoder, stream_encoder
from api.speech.hire import Hired, hire
from api.speech.request import Wanted
from api.speech.studio import Studio
from api.state import AppState
from api.watch import GLANCE
from farm.errors import BadInput, ClipCorrupt, Conflict, FarmError, ObjectMissing, StoreUnavailable, Unavailable
from farm.job import ENDED, Status
from farm.layout import clip_key
from farm.outcome import SEGMENT_FAILED, read_outcome
from farm.plan import PAGE
from farm.plan_reader import PlanReader
from farm.segment import Segment
from farm.sound.flac import Pcm, Samples, decode
from farm.sound.timeline import Piece, Resampler, Timeline
from farm.store import jobs, registry
from farm.tracing import unix_ns
from farm.wire import JobError

log = logging.getLogger(__name__)

LONGEST_SILENCE = 300.0  # seconds without a fresh clip, after which nobody is going to make one

_UNKNOWN = jobs.Settling(Status.QUEUED, 0, jobs.Bits(b""), None)
_NOT_OF_THE_TEXT = frozenset({SEGMENT_FAILED, ObjectMissing.code, "plan_damaged"})


class NotSpoken(Unavailable):
    """The farm could not say a part of the text. A further try would end the same."""

    code = "not_spoken"
    retryable = False


class Narration:
    """`begin` accepts its job. `close` it, whatever happens: a job that has not ended is canceled then."""

    def __init__(self, state: AppState, tenant: str, wanted: Wanted, studio: Studio, trace: str | None = None) -> None:
        self.wanted = wanted
        self._state, self._tenant, self._studio, self._trace = state, tenant, studio, trace
        self._hired: Hired | None = None
        self._known = _UNKNOWN
        self._is_second = False
        self.whole = False  # all of the file comes in one chunk
        self.milliseconds = 0  # of audio, so far

    @property
    def job(self) -> str:
        assert self._hired is not None
        return self._hired.id

    async def begin(self) -> None:
        """Raises BadInput for a text beyond a limit of jobs, TooOften where the tenant has many requests here."""
        self._studio.enter(self._tenant)
        try:
            await self._hire()
        except BaseException:
            self._studio.leave(self._tenant)
            raise

    async def close(self) -> None:
        self._studio.leave(self._tenant)
        await self._cancel()
        await self._trace_rendering()

    async def _hire(self) -> None:
        hired = await hire(self._state, self._tenant, self.wanted.order, self._trace)
        self._hired, self._known = hired, _UNKNOWN

    async def _cancel(self) -> None:
        if self._hired is not None and self._known.status not in ENDED:
            with suppress(StoreUnavailable):  # then it is rendered for nobody, and its clips are kept
                await self._state.store.run(jobs.cancel(self.job, self._tenant))

    async def _trace_rendering(self) -> None:
        """The `render` span of a job that has ended well; of others, a desk makes it when it assembles."""
        tracing, store = self._state.tracing, self._state.store
        if not tracing.on or self._trace is None or self._known.status is not Status.SUCCEEDED:
            return
        with suppress(StoreUnavailable):
            record, clock = await asyncio.gather(store.run(jobs.record(self.job)), store.run(registry.clock()))
            if record is None or record.running_ms is None or record.ended_ms is None:
                return
            began, ended = (unix_ns(at, clock.timestamp() * 1000) for at in (record.running_ms, record.ended_ms))
            tracing.past(
                "render", parent=self._trace, began_ns=began, ended_ns=ended,
                job_id=record.id, segments=record.total, cached=record.cached, redos=record.redos,
            )  # fmt: skip

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of each clip with its pause, none of them empty. The only clip of a short text comes with the end
        of the file, so that the header of the file has its true length.

        Raises BadInput, NotSpoken, Conflict or Unavailable when the job does not come to its end."""
        total, sample_rate, rows = await self._planned()
        self.whole = total == 1
        voice = _Voice(sample_rate, await self._studio.run(stream_encoder, self.wanted.format, sample_rate))
        async for row in rows:
            await self._until(lambda known, index=row.index: known.has(index))  # type: ignore[misc]
            pcm = await self._clip(row, sample_rate)
            chunk = await self._studio.run(voice.speak, pcm, row.pause_ms, row.index == total - 1)
            self.milliseconds = voice.milliseconds
            if chunk:
                yield chunk

    # --- the plan and its clips ---------------------------------------------------------------------------------------

    async def _planned(self) -> tuple[int, int, AsyncIterator[Segment]]:
        """The number of segments, their sample rate in Hz, and the segments."""
        assert self._hired is not None
        if self._hired.rows is not None:
            return len(self._hired.rows), self._hired.sample_rate, _each(self._hired.rows)
        await self._until(lambda known: known.status is not Status.QUEUED)
        reader = await self._state.blocking(PlanReader, self._state.storage, self.job)
        return reader.plan.total, reader.plan.sample_rate, self._read(reader)

    async def _read(self, reader: PlanReader) -> AsyncIterator[Segment]:
        for number in range(-(-reader.plan.total // PAGE)):
            for row in await self._state.blocking(reader.page, number):
                yield row

    async def _clip(self, row: Segment, sample_rate: int) -> Pcm:
        try:
            return await self._fetched(row, sample_rate)
        except (ObjectMissing, ClipCorrupt) as error:
            if self._is_second:
                raise Unavailable("clips of this text disappear from storage; its operator has to see to it") from error
            log.warning("job %s: a clip is lost and is rendered again: %s", self.job, error.message)
        await self._cancel()
        self._is_second = True
        await self._hire()
        await self._until(lambda known: known.has(row.index))
        return await self._fetched(row, sample_rate)

    async def _fetched(self, row: Segment, sample_rate: int) -> Pcm:
        key = clip_key(row.digest)
        data = await self._state.blocking(self._state.storage.get, key)
        try:
            return (await self._studio.run(decode, data, sample_rate)).pcm
        except ClipCorrupt:
            await self._state.blocking(self._state.storage.delete, key)  # or it would be found, and settled as good
            raise

    async def _until(self, met: Callable[[jobs.Settling], bool]) -> None:
        """Waits for the job. Raises what ended it, or Unavailable when no clip comes for LONGEST_SILENCE."""
        if met(self._known):
            return
        heard_at = time.monotonic()
        with self._state.watch.listening(self.job, clips=True) as heard:
            while True:
                heard.clear()
                with suppress(StoreUnavailable):  # the job goes on meanwhile; the watch wakes us after the outage
                    known = await self._state.store.run(jobs.settled(self.job, self._tenant))
                    if known is None:
                        raise Conflict("the job of this request was deleted", code="job_deleted")
                    if known != self._known:
                        self._known, heard_at = known, time.monotonic()
                    if met(known):
                        return
                    if known.status in ENDED:
                        raise _end(known)
                left = heard_at + LONGEST_SILENCE - time.monotonic()
                if left <= 0:
                    raise Unavailable(
                        f"nothing was rendered for {LONGEST_SILENCE:g} s; GET /v1/queue shows whether a worker serves "
                        f"{self.wanted.order.model!r}, and how much is before you",
                        code="no_audio",
                    )
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, GLANCE)):
                        await heard.wait()


class _Voice:
    """Clips and pauses in, the bytes of a file out."""

    def __init__(self, sample_rate: int, encoder: StreamEncoder) -> None:
        self._timeline = Timeline(sample_rate)
        self._resampler = Resampler(sample_rate, encoder.sample_rate)
        self._encoder = encoder
        self._frames = 0

    def speak(self, pcm: Pcm, pause_ms: int, is_last: bool) -> bytes:
        """No pause follows the last clip."""
        for block in self._timeline.blocks([Piece(pcm, 0 if is_last else pause_ms)]):
            self._write(self._resampler.feed(block))
        if is_last:
            self._write(self._resampler.rest())
            self._encoder.close()
        return self._encoder.take()

    @property
    def milliseconds(self) -> int:
        return round(self._frames * 1000 / self._encoder.sample_rate)

    def _write(self, samples: Samples) -> None:
        if len(samples):
            self._encoder.write(samples)
            self._frames += len(samples)


async def _each(rows: tuple[Segment, ...]) -> AsyncIterator[Segment]:
    for row in rows:
        yield row


def _end(known: jobs.Settling) -> FarmError:
    if known.status is Status.FAILED and known.outcome is not None:
        error = read_outcome(known.outcome)
        assert isinstance(error, JobError)
        if error.code in _NOT_OF_THE_TEXT:
            return NotSpoken(f"the farm could not render this: {error.message}")
        return BadInput(error.message, code=error.code, pointer="/input")
    return Conflict(f"the job of this request is {known.status}", code=f"job_{known.status}")

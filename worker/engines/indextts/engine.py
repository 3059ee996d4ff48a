"""The engine: utterances join a running decode as others leave it, and none waits for the longest sentence.

    feed ──> take ──> prepare ──> decode ──> finish ──> clip     take, prepare and finish have threads of their own;
                      text,       slots,      content,           the decode runs in the caller's, one code of every
                      voice,      one code    flow,              row at a time, and takes in what is prepared
                      emotion     a step      vocoder            between two steps

An utterance has several parts where its text was too long for one; they are joined again at the end. A part whose take
is odd (cut off at the limit of codes, too long or short for its text, silent inside: scrutiny.py) is decoded once more
under another seed. The better take stays, and the clip gets a warning where that one is odd too.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TypeVar

import torch

from farm.errors import FarmError
from farm.warmth import CREEPS
from farm.wire import Model
from worker.engine import Clip, DeviceFault, Failure, Feed
from worker.engines.indextts.creep import Creep, reserved
from worker.engines.indextts.decode.decoder import Decoder
from worker.engines.indextts.device_error import broken_hardware, device_failed
from worker.engines.indextts.duration import held
from worker.engines.indextts.isolation import Broken, Isolation
from worker.engines.indextts.preparation import Preparation
from worker.engines.indextts.rendition import Rendition, Samples, Take
from worker.engines.indextts.scrutiny import Limits, silence_inside
from worker.engines.indextts.shapes import Adapter, Codes, Fault, Piece, Request, Sampling, Voice
from worker.engines.indextts.sound.acoustic import Acoustic
from worker.engines.indextts.stage import Stage
from worker.engines.indextts.taker import Taker
from worker.engines.indextts.unexplained import Unexplained

Left = TypeVar("Left", Clip, Failure, Clip | Failure)

_WAIT_S = 0.05  # for a result of a stage, while no row is decoded
_GATHER_S = 0.25  # a decoded part waits so long at most for others to be finished with
_CONTENTS = 16  # parts whose codes become contents at once


@dataclass(frozen=True, slots=True)
class _Key:
    number: int  # of the rendition: an utterance that failed may come again under its key while parts of it still run
    part: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Decoded:
    key: _Key
    take: Take
    voice: Voice
    speed: float
    frames: int | None  # wanted, where the clip has a length to keep


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine consists of, for those who examine it while it renders nothing."""

    adapter: Adapter
    decoder: Decoder
    acoustic: Acoustic


class IndexTTS:
    """Runs the stages that it is given. `slots` utterances are decoded at once, a quarter more are prepared ahead."""

    def __init__(
        self, *, card: Model, device: torch.device, name: str, preparation: Preparation, adapter: Adapter,
        decoder: Decoder, acoustic: Acoustic, sampling: Sampling, slots: int, standing: Mapping[str, str],
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self.card, self.device, self.capacity = card, name, slots
        self._torch_device = device
        self._preparation, self._adapter, self._decoder, self._acoustic = preparation, adapter, decoder, acoustic
        self._sampling, self._standing, self._limits = sampling, standing, limits
        self._ahead = max(1, slots // 4)
        self._isolation, self._unexplained = Isolation("the reading of codes"), Unexplained()
        self._steps = self._rows = 0
        self._creep = Creep()
        self._run: _Run | None = None
        self._finishing = Stage[tuple[_Run, _Decoded]](
            "finish", device, self._finish, enough=max(1, slots // 8), patience=_GATHER_S, hurry=self._decode_is_empty
        )

    def render(self, feed: Feed) -> Iterator[Clip | Failure]:
        try:
            yield from self._render(feed)
        except Exception as error:
            if device_failed(error) or isinstance(error, Broken):
                raise DeviceFault(str(error).partition("\n")[0], certain=broken_hardware(error)) from error
            raise

    def _render(self, feed: Feed) -> Iterator[Clip | Failure]:
        self._decoder.clear()
        self._run = run = _Run(self._decoder, self._sampling, self._limits, self._unexplained)
        room = partial(run.room, self.capacity, self.capacity + self._ahead)
        run.taker = taker = Taker(feed, room, self._preparation.put)
        self._preparation.open(partial(self._prepared, run))
        taker.start()
        try:
            while taker.in_hand or not taker.over or self._unexplained.holds:
                if self._decoder.busy:
                    for decoded in run.sort(self._decoder.step()):
                        self._finishing.put((run, decoded))
                    self._steps += 1
                    self._rows += self._decoder.running
                yield from run.collect()
                if fault := run.fault or taker.fault:
                    raise fault
        finally:
            self._run = None
            taker.abandon()
            self._preparation.clear()
            self._finishing.clear()
            self._unexplained.released()
        if taker.taken:
            self._creep.drained(reserved(self._torch_device))

    def facts(self) -> Mapping[str, str]:
        facts = {**self._standing, **self._acoustic.facts(), "slots": str(self.capacity)}
        if self._steps:
            facts["rows"] = f"{self._rows / self._steps:.1f} on average"
        if self._torch_device.type == "cuda":
            facts["memory"] = _memory(self._torch_device)
        if self._creep.fact:
            facts[CREEPS] = self._creep.fact
        return facts

    @property
    def parts(self) -> Parts:
        return Parts(self._adapter, self._decoder, self._acoustic)

    def note(self, facts: Mapping[str, str]) -> None:
        """Adds facts that stand from now on."""
        self._standing = {**self._standing, **facts}

    @contextmanager
    def limited(self, codes: int) -> Iterator[None]:
        """Within, a part has at most so many codes."""
        usual = self._sampling
        self._sampling = replace(usual, limit=min(codes, usual.limit))
        try:
            yield
        finally:
            self._sampling = usual

    def close(self) -> None:
        self._preparation.close()
        self._finishing.close()
        self._decoder.clear()

    # --- the work of the stages, each in its own thread -------------------------------------------------------------

    def _prepared(self, run: _Run, made: Sequence[Rendition | Failure] | BaseException) -> None:
        if isinstance(made, BaseException):
            self._failed(run, made)
        else:
            run.arrived.put(_Prepared(made))

    def _finish(self, tasks: Sequence[tuple[_Run, _Decoded]]) -> None:
        """Works for the call of render that goes on. The tasks of an abandoned one are dropped."""
        run = self._run
        wanted = [decoded for owner, decoded in tasks if owner is run]
        if run is None or not wanted:
            return
        try:
            run.arrived.put(self._finished(wanted))
        except BaseException as error:
            self._failed(run, error)

    @staticmethod
    def _failed(run: _Run, error: BaseException) -> None:
        run.fault = run.fault or error  # what came first is the reason of what follows
        run.arrived.put(_Sounded([]))  # so that the decode's thread looks at once

    def _finished(self, decoded: Sequence[_Decoded]) -> _Sounded:
        read = [
            piece
            for start in range(0, len(decoded), _CONTENTS)
            for piece in self._isolation.run(decoded[start : start + _CONTENTS], self._pieces, _unread)
        ]
        faults = [piece for piece in read if isinstance(piece, Fault)]
        by_key = {one.key: one for one in decoded}
        sounds = [
            sound if isinstance(sound, Fault) else self._listened(by_key[sound[0]], sound[1])  # type: ignore[index]
            for sound in self._acoustic.render([piece for piece in read if isinstance(piece, Piece)])
        ]
        return _Sounded([*faults, *sounds])

    def _listened(self, decoded: _Decoded, samples: Samples) -> _Sound:
        """With the silence inside, as long as it is at the voice's own pace."""
        stretch = self._frames(decoded) / max(1, self._adapter.frames(len(decoded.take.codes.codes), 1.0))
        silence_s = silence_inside(samples) / max(stretch, 1e-3) if self._limits is not None else 0.0
        return _Sound(decoded.key, replace(decoded.take, samples=samples), silence_s)

    def _pieces(self, decoded: Sequence[_Decoded]) -> list[Piece]:
        contents = self._adapter.contents(
            [one.take.codes.request.prompt for one in decoded], [one.take.codes.codes for one in decoded]
        )
        return [
            Piece(one.key, rows, self._frames(one), one.voice, one.key.seed)
            for one, rows in zip(decoded, contents, strict=True)
        ]

    def _frames(self, decoded: _Decoded) -> int:
        codes = len(decoded.take.codes.codes)
        if decoded.frames is None:
            return self._adapter.frames(codes, decoded.speed)
        return held(decoded.frames, self._adapter, codes)

    def _decode_is_empty(self) -> bool:
        return self._run is None or not self._run.decoding


@dataclass(frozen=True, slots=True)
class _Prepared:
    made: Sequence[Rendition | Failure]


@dataclass(frozen=True, slots=True)
class _Sound:
    key: _Key
    take: Take
    silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Sounded:
    sounds: Sequence[_Sound | Fault]


class _Run:
    """One call of render: the utterances in hand, and where each stands."""

    def __init__(
        self, decoder: Decoder, sampling: Sampling, limits: Limits | None, unexplained: Unexplained
    ) -> None:  # fmt: skip
        self._decoder, self._sampling, self._limits, self._unexplained = decoder, sampling, limits, unexplained
        self.arrived: queue.SimpleQueue[_Prepared | _Sounded] = queue.SimpleQueue()
        self.renditions: dict[int, Rendition] = {}
        self.taker: Taker
        self._numbers = count()
        self._begun = 0  # utterances that are prepared
        self.decoding = 0  # renditions that have parts in the decode
        self._witness: int | None = None  # the number of the rendition by which the device is tried
        self.fault: BaseException | None = None  # of a stage

    def room(self, capacity: int, ahead: int) -> int:
        """How many more utterances may come: `ahead` in preparation and decode together, and up to `capacity` more that
        wait for their sound."""
        preparing = self.taker.taken - self._begun
        return min(ahead - preparing - self.decoding, ahead + capacity - preparing - len(self.renditions))

    def sort(self, outcomes: Iterable[Codes | Fault]) -> Iterator[_Decoded]:
        """Yields the decoded parts that are complete, and sends those back that get another try."""
        for outcome in outcomes:
            key = outcome.key if isinstance(outcome, Fault) else outcome.request.key
            assert isinstance(key, _Key)
            rendition = self.renditions.get(key.number)
            if rendition is None:
                continue  # another part of it has failed
            if isinstance(outcome, Fault):
                if (first := rendition.fallen_back(key.part, sound=False)) is not None:
                    yield self._decoded(rendition, first)
                else:
                    self.arrived.put(_Sounded([outcome]))
            elif (take := rendition.heard_codes(key.part, outcome, self._limits)) is None:
                self._submit(key.number, rendition, key.part, another=True)
                continue
            elif take.found.empty:
                self.arrived.put(_Sounded([Fault(key, "the model ended before it spoke a sound, under two seeds")]))
            else:
                yield self._decoded(rendition, take)
            rendition.decoding.discard(key.part)
            if not rendition.decoding:
                self.decoding -= 1
                self.taker.room_changed()

    def collect(self) -> Iterator[Clip | Failure]:
        """Takes the results of the stages, and yields finished clips. Waits a moment when there is nothing else to
        do."""
        try:
            event = self.arrived.get(block=not self._decoder.busy, timeout=_WAIT_S)
        except queue.Empty:
            if self._unexplained.holds and not self.taker.in_hand and (self._unexplained.overdue or self.taker.over):
                yield from self._try_the_device()
            return
        while True:
            yield from self._begin(event.made) if isinstance(event, _Prepared) else self._finish(event.sounds)
            try:
                event = self.arrived.get_nowait()
            except queue.Empty:
                return

    def _try_the_device(self) -> Iterator[Failure]:
        """Failures are held back, and no other utterance is there that tells whose they are."""
        witness = self._unexplained.witness
        if witness is None:
            yield from self._unexplained.released()
        elif self._witness is None:
            self._witness = self._decode(witness.again())

    def _begin(self, made: Iterable[Rendition | Failure]) -> Iterator[Clip | Failure]:
        for rendition in made:
            self._begun += 1
            if isinstance(rendition, Failure):
                yield self._leaves(rendition)
            elif not rendition.prompts:
                yield self._leaves(rendition.clip())
            else:
                self._decode(rendition)

    def _decode(self, rendition: Rendition) -> int:
        number = next(self._numbers)
        self.renditions[number] = rendition
        self.decoding += 1
        for part in range(len(rendition.prompts)):
            rendition.decoding.add(part)
            self._submit(number, rendition, part)
        return number

    def _finish(self, sounds: Iterable[_Sound | Fault]) -> Iterator[Clip | Failure]:
        for sound in sounds:
            key = sound.key
            assert isinstance(key, _Key)
            rendition = self.renditions.get(key.number)
            if rendition is None:
                continue
            voice = rendition.utterance.speech.voice
            if isinstance(sound, Fault) and (first := rendition.fallen_back(key.part, sound=True)) is not None:
                sound = _Sound(key, first)
            if isinstance(sound, Fault):
                del self.renditions[key.number]
                self.decoding -= bool(rendition.decoding)
                if key.number == self._witness:
                    self._unexplained.witness_failed(sound.error)
                failure = self._leaves(Failure(rendition.utterance.key, sound.error))
                yield from self._unexplained.failed(voice, failure) if sound.unexplained else [failure]
                continue
            if not rendition.heard_samples(key.part, sound.take, sound.silence_s, self._limits):
                self.decoding += not rendition.decoding
                rendition.decoding.add(key.part)
                self._submit(key.number, rendition, key.part, another=True)
                continue
            if rendition.whole:
                del self.renditions[key.number]
                if key.number == self._witness:
                    self._witness = None
                    yield from self._unexplained.witness_spoke()
                    continue
                if self._unexplained.witness is None:
                    self._unexplained.witness = rendition.again()
                yield from self._unexplained.spoke(voice)
                yield self._leaves(rendition.clip())

    def _decoded(self, rendition: Rendition, take: Take) -> _Decoded:
        key = take.codes.request.key
        assert isinstance(key, _Key)
        frames = rendition.frames[key.part] if rendition.frames else None
        return _Decoded(key, take, rendition.voice, rendition.utterance.speech.manner.speed, frames)

    def _leaves(self, outcome: Left) -> Left:
        self.taker.left()
        return outcome

    def _submit(self, number: int, rendition: Rendition, part: int, *, another: bool = False) -> None:
        seed = part_seed(rendition.utterance.speech.manner.seed, part, another=another)
        sampling = replace(self._sampling, seed=seed)
        self._decoder.submit(Request(_Key(number, part, seed), rendition.prompts[part], sampling))


def _memory(device: torch.device) -> str:
    """In use, by all processes. The heartbeat asks from a thread of its own, which must outlive a GPU that is lost."""
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as error:
        return f"the GPU does not answer: {error}".partition("\n")[0]
    return f"{(total - free) / 2**30:.1f} of {total / 2**30:.1f} GiB"


def _unread(decoded: _Decoded, error: Exception) -> Fault:
    unexplained = not isinstance(error, FarmError)
    return Fault(decoded.key, f"the codes of this text can't be read back: {error}", unexplained=unexplained)


def part_seed(seed: int, part: int, *, another: bool = False) -> int:
    """The seed of a part, in 32 bits. The first part has the utterance's own; odd multipliers have no common period."""
    return (seed + part * 0x9E3779B1 + another * 0x85EBCA6B) % 2**32

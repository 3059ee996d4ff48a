"""The gate: an ear between the engine and the commit tells whether a clip says its text.

        engine ──> put() ──> queue ──> ear (a process of its own) ──> verdict ── good, or the last take ──> commit
          ^                                                              └────── bad: the next seed ──┐
          └───────────── Intake.again(), before all other work <──────────────────────────────────────┘

The engine goes on meanwhile: a thread waits for the ear. No check fails a segment. A clip that no ear has heard passes
with the warning `unchecked`, one that is still bad after the last try passes as the best of them with `misread`.

The seed of another take follows from the utterance alone, and so does the choice among takes. So every worker with the
same gate comes to the same clip, and the gate's revision is part of the card's, which names clips. A clip whose name
was made for another gate gets one take.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

from farm.speech import NEUTRAL
from farm.wire import Model
from worker.ear.ear import Deaf, Ear, Heard
from worker.ear.rules import Report, Verdict, finding, limits_of, verdict
from worker.engine import Clip, Failure, Notice, NoticeCode, Utterance
from worker.render.commit import Commit
from worker.render.intake import Intake
from worker.render.leases import Leases
from worker.render.sound_checks import checked
from worker.render.tempo import Tempo, Voice
from worker.render.work import Work

log = logging.getLogger(__name__)

TAKES = 3  # of an utterance, the first included
_BATCH = 4  # clips that the ear hears at once
_QUOTED = 300  # characters of what was heard, in a warning
_MARK = "+ear-"
_NAMED = re.compile(re.escape(_MARK) + r"[0-9a-f]+$")

# Another take may heal these faults of the sound; the others lie in the text, the voice or the level.
_HEALED = frozenset({NoticeCode.LONG_SILENCE, NoticeCode.NOISE, NoticeCode.TOO_QUIET, NoticeCode.NOT_FINITE})


@dataclass(frozen=True, slots=True)
class Policy:
    """What the gate of a worker does with what it hears."""

    revision: str = ""  # of the whole card, with the gate's own where it asks for other takes
    rerenders: bool = False
    waits: bool = True  # the engine, while the ear is behind; else clips pass unheard


def named(card: Model, gate: str) -> Model:
    """The card of an engine whose clips are chosen by the gate of this revision."""
    return card.model_copy(update={"revision": f"{card.revision}{_MARK}{gate}"})


def for_another_gate(work: Work, revision: str) -> bool:
    """Whether the clip's name promises a gate which this worker, with this card, does not have."""
    return work.revision != revision and _NAMED.search(work.revision) is not None


def unchecked(outcome: Clip | Failure, why: str) -> Clip | Failure:
    if isinstance(outcome, Failure):
        return outcome
    return replace(outcome, warnings=(*outcome.warnings, Notice(NoticeCode.UNCHECKED, why)))


@dataclass(frozen=True, slots=True)
class Take:
    """One clip of an utterance, and what was found of it."""

    clip: Clip
    report: Report | None = None
    faults: int = 0  # of its sound

    @property
    def badness(self) -> tuple[int, float]:
        return self.faults, self.report.wrong if self.report else 0.0


@dataclass(slots=True)
class _Case:
    work: Work
    clip: Clip  # the latest
    takes: list[Take] = field(default_factory=list)  # those that were heard

    @property
    def best(self) -> Take:
        return min(self.takes, key=lambda take: take.badness)


class Gate:
    """As Commit, a place behind the engine, for the time of one drain. `room` clips wait for the ear at most."""

    def __init__(
        self, ear: Ear, policy: Policy, intake: Intake, commit: Commit, leases: Leases, tally: Tally,
        tempo: Tempo, *, sample_rate: int, room: int,
    ) -> None:  # fmt: skip
        self._ear, self._policy, self._tally = ear, policy, tally
        self._intake, self._commit, self._leases = intake, commit, leases
        self._sample_rate, self._room = sample_rate, room
        self._tempo = tempo
        self._queue: deque[_Case] = deque()
        self._away: dict[str, _Case] = {}  # by the id of their work: another take of it is made
        self._over = False
        self._change = threading.Condition()  # guards the three above
        self._thread = threading.Thread(target=self._listening, name="gate", daemon=True)

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._over = True
            self._change.notify_all()
        self._thread.join()

    def put(self, work: Work, outcome: Clip | Failure) -> None:
        """Accepts what the engine made of an utterance. Blocks while there is no room, if the engine is to wait."""
        with self._change:
            case = self._away.pop(work.id, None)
            if case is not None and isinstance(outcome, Clip):
                case.clip = outcome
                self._queue.append(case)
                self._change.notify_all()
                return
        if case is not None:  # this take failed, and an earlier one is there
            self._pass(case)
        elif isinstance(outcome, Failure) or not _can_be_heard(work, outcome):
            self._commit.put(work, outcome)
        elif not self._queued(_Case(work, outcome)):
            self._tally.unchecked += 1
            self._commit.put(work, unchecked(outcome, "the ear is behind the engine"))

    def give_up(self) -> None:
        """The worker must end: what is not heard by now passes unheard."""
        self._ear.turn_off()

    def _queued(self, case: _Case) -> bool:
        with self._change:
            while len(self._queue) >= self._room:
                if not self._policy.waits:
                    return False
                self._change.wait()
            self._queue.append(case)
            self._change.notify_all()
            return True

    # --- the thread that waits for the ear ----------------------------------------------------------------------------

    def _listening(self) -> None:
        while batch := self._next_batch():
            try:
                clips = [_asked(case) for case in batch]
                answers = self._ear.hear(clips, self._sample_rate)
            except Exception:
                log.exception("the ear could not be asked")
                answers = [Deaf("the ear could not be asked")] * len(batch)
            for case, answer in zip(batch, answers, strict=True):
                self._decide(case, answer)

    def _next_batch(self) -> Sequence[_Case]:
        with self._change:
            self._change.wait_for(lambda: self._queue or self._over)
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            self._change.notify_all()
            return batch

    def _decide(self, case: _Case, answer: Report | Deaf | None) -> None:
        if isinstance(answer, Deaf):
            self._tally.unchecked += 1
            if not case.takes:
                self._commit.put(case.work, unchecked(case.clip, str(answer)))
                return
        else:
            self._tally.heard += 1
            clip = checked(case.clip, case.work.utterance, self._sample_rate)
            faults = sum(notice.code in _HEALED for notice in clip.warnings)
            case.takes.append(Take(clip, answer, faults))
            if self._wants_another(case):
                self._ask_again(case)
                return
        self._pass(case)

    def _wants_another(self, case: _Case) -> bool:
        """A quarantined utterance gets none: that would risk the worker for a clip that is there."""
        work, take = case.work, case.takes[-1]
        return (
            self._policy.rerenders
            and not work.quarantined
            and work.revision == self._policy.revision
            and len(case.takes) < TAKES
            and _is_bad(take, work.utterance.speech.language)
            and any(self._leases.has(held) for held in work.held)
        )

    def _ask_again(self, case: _Case) -> None:
        self._tally.again += 1
        with self._change:
            self._away[case.work.id] = case
        if not self._intake.again(case.work, another(case.work.utterance, len(case.takes) + 1)):
            with self._change:
                del self._away[case.work.id]
            self._leases.give_back(case.work.held)  # this worker stops; the next one makes the same takes
            return
        case.work.again += 1

    def _pass(self, case: _Case) -> None:
        language = case.work.utterance.speech.language
        best = case.best
        notice = told(best, language, takes=len(case.takes)) or self._tempo_of(case, best.clip)
        if notice is not None:
            self._tally.told += 1
            best = replace(best, clip=replace(best.clip, warnings=(*best.clip.warnings, notice)))
        self._commit.put(case.work, replace(best.clip, key=case.work.id))

    def _tempo_of(self, case: _Case, clip: Clip) -> Notice | None:
        """Of a clip in which the ear found nothing."""
        utterance = case.work.utterance
        speech, seconds = utterance.speech, len(clip.samples) / self._sample_rate
        if speech.target_duration_ms is not None or clip.warnings:
            return None
        voice = _voice_of(case.work)
        odd = self._tempo.odd(voice, utterance.text, seconds)
        if odd is None:
            self._tempo.remember(voice, utterance.text, seconds)
            return None
        return Notice(NoticeCode.PACE, f"it lasts {odd:.2f} times as long as this voice takes for such a text")


@dataclass(slots=True)
class Tally:
    """Clips of this process, for the operator: what became of those that came to the gate."""

    heard: int = 0
    told: int = 0
    again: int = 0
    unchecked: int = 0

    def facts(self) -> Mapping[str, str]:
        said = f"{self.heard} clips heard, {self.told} told of, {self.again} made again, {self.unchecked} unchecked"
        return {"check": said}


def another(utterance: Utterance, number: int) -> Utterance:
    """The utterance of the take of that number, from 2 on: under a seed that follows from the first one."""
    manner = utterance.speech.manner
    digest = hashlib.sha256(f"{manner.seed} take {number}".encode()).digest()
    speech = replace(utterance.speech, manner=replace(manner, seed=int.from_bytes(digest[:4], "big")))
    return replace(utterance, key=f"{utterance.key}/take/{number}", speech=speech)


def told(take: Take, language: str, *, takes: int) -> Notice | None:
    """What the clip's owner is told of what the ear heard; None where that is as good as the text."""
    report = take.report
    found = finding(report, language) if report is not None else ""
    if report is None or not found:
        return None
    best = f", in the best of {takes} takes" if takes > 1 else ""
    heard = " ".join(report.heard.split())
    heard = heard if len(heard) <= _QUOTED else f"{heard[:_QUOTED]}…"
    said = f"{found}{best}: {heard or 'nothing'}"
    if limits_of(language).weak:
        return Notice(NoticeCode.DOUBTED, f"by an ear that is weak in {language}, {said}")
    return Notice(NoticeCode.MISREAD, said)


def _voice_of(work: Work) -> Voice:
    speech = work.utterance.speech
    own = replace(speech.manner, seed=NEUTRAL.seed) == NEUTRAL
    job = None if own else work.held[0].job if work.held else ""
    return Voice(work.tenant, _NAMED.sub("", work.revision), speech.language, speech.voice, job)


def _is_bad(take: Take, language: str) -> bool:
    if take.faults:
        return True
    return take.report is not None and not limits_of(language).weak and verdict(take.report, language) is Verdict.BAD


def _can_be_heard(work: Work, clip: Clip) -> bool:
    """A job may want no checks, and a text in which nothing can be spoken is silent by right."""
    silent = any(notice.code == NoticeCode.UNSPEAKABLE for notice in clip.warnings)
    return work.utterance.speech.manner.checks and not silent and len(clip.samples) > 0


def _asked(case: _Case) -> Heard:
    utterance = case.work.utterance
    return Heard(case.clip.samples, utterance.speech.language, utterance.text)

"""Before the decode: text into tokens, references into voices, emotions into vectors, and all of these into prompts.

    put ──> read ──> what is still unknown is learned ──> prompts ──> deliver
            (a pool)   voices    (a stage: new references)   (a stage: all that
                       emotions  (a stage: new texts)         wait at once)

An utterance passes through a stage only where it brings something new, so a new voice holds up nobody but those who
speak with it. What was learned comes from caches. An utterance that can't be spoken becomes a Failure, and its
neighbours go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

from farm.errors import BadInput, FarmError
from worker.engine import Failure, Notice, NoticeCode, Utterance
from worker.engines.indextts.duration import shares
from worker.engines.indextts.isolation import Isolation
from worker.engines.indextts.rendition import GAP, Rendition
from worker.engines.indextts.shapes import Adapter, Segments, Voice
from worker.engines.indextts.stage import Stage
from worker.engines.indextts.text.wording import Wording
from worker.engines.indextts.voice.cache import EmotionCache, VoiceCache
from worker.engines.indextts.voice.emotion import Emotion, Emotions, parse

log = logging.getLogger(__name__)

_NAMED = 12  # characters that a warning lists at most
_TOGETHER = 64  # drafts that a stage takes at once
_VOICES = 4  # new ones that are conditioned together

Deliver = Callable[[Sequence[Rendition | Failure] | BaseException], None]


@dataclass(slots=True, eq=False)
class _Draft:
    """An utterance on its way through the preparation."""

    utterance: Utterance
    deliver: Deliver
    reference: str
    emotion: Emotion
    clip_reference: str  # the audio of the emotion's voice; "" where it has none
    text: Segments | None = None
    voice: Voice | None = None
    clip: torch.Tensor | None = None  # of the emotion's voice


class Preparation:
    """`wording` normalises the adapter's texts, `readers` of them at a time."""

    def __init__(
        self, adapter: Adapter, voices: VoiceCache, clips: EmotionCache, emotions: Emotions, wording: Wording,
        readers: int, device: torch.device,
    ) -> None:  # fmt: skip
        self._adapter, self._voices, self._clips, self._emotions = adapter, voices, clips, emotions
        self._wording, self._device = wording, device
        self._readers = ThreadPoolExecutor(max(1, readers), "read")
        self._isolations = {name: Isolation(f"the {name}") for name in ("reading", "voices", "prompts")}
        self._in_readers = threading.Condition()
        self._reading = 0
        self._deliver: Deliver | None = None
        here = torch.device("cpu")  # what a process of its own computes needs no stream of ours
        self._learning = Stage[_Draft]("voices", device, self._guarded(self._learn), enough=_TOGETHER)
        self._feeling = Stage[_Draft]("emotions", here, self._guarded(self._feel), enough=emotions.reader.together)
        self._prompting = Stage[_Draft]("prompts", device, self._guarded(self._prompt), enough=_TOGETHER)

    def open(self, deliver: Deliver) -> None:
        """From now on `deliver` gets what is made, in any order, from several threads; or an exception, when the device
        failed or so many utterances in a row that they are not to blame."""
        self._deliver = deliver

    def put(self, utterances: Sequence[Utterance]) -> None:
        deliver = self._deliver
        if deliver is None:
            return
        for utterance in utterances:
            with self._in_readers:
                self._reading += 1
            self._readers.submit(self._read, utterance, deliver)

    def clear(self) -> None:
        """Nothing is wanted any more. Returns once nothing is under way."""
        self._deliver = None
        with self._in_readers:
            self._in_readers.wait_for(lambda: not self._reading)
        for stage in (self._learning, self._feeling, self._prompting):
            stage.clear()

    def close(self) -> None:
        self.clear()
        self._readers.shutdown()
        for stage in (self._learning, self._feeling, self._prompting):
            stage.close()
        self._emotions.reader.close()
        self._adapter.close()
        self._wording.close()

    # --- the way of a draft -----------------------------------------------------------------------------------------

    def _read(self, utterance: Utterance, deliver: Deliver) -> None:
        """In a thread of the readers, for one utterance."""
        try:
            if self._deliver is deliver:
                (draft,) = self._isolations["reading"].run(
                    [utterance], lambda utterances: [self._draft(one, deliver) for one in utterances], _unprepared
                )
                if isinstance(draft, Failure):
                    deliver([draft])
                else:
                    self._go_on(draft)
        except BaseException as error:
            deliver(error)
        finally:
            with self._in_readers:
                self._reading -= 1
                self._in_readers.notify_all()

    def _go_on(self, draft: _Draft) -> None:
        """Sends the draft to the stage that it needs next."""
        if self._deliver is not draft.deliver:
            return
        draft.voice = draft.voice or self._voices.find(draft.utterance.speech.voice)
        if draft.emotion.voice and draft.clip is None:
            draft.clip = self._clips.find(draft.emotion.voice)
        if draft.voice is None or (draft.emotion.voice and draft.clip is None):
            self._learning.put(draft)
            return
        if draft.emotion.text is not None:
            weights = self._emotions.reader.find(draft.emotion.text)
            if weights is None:
                self._feeling.put(draft)
                return
            draft.emotion = draft.emotion.as_read(weights)
        self._prompting.put(draft)

    def _learn(self, drafts: Sequence[_Draft]) -> None:
        """Conditions a few new references together. The drafts of more wait for the next turn, so that nobody waits for
        all of them."""
        turn = list(dict.fromkeys(draft.utterance.speech.voice for draft in drafts))[:_VOICES]
        for draft in drafts:
            if draft.utterance.speech.voice not in turn:
                self._learning.put(draft)
        drafts = [draft for draft in drafts if draft.utterance.speech.voice in turn]
        learned = self._isolations["voices"].run(drafts, self._learned, lambda draft, error: (draft, error))
        for draft, error in learned:
            if error is None:
                self._go_on(draft)
            else:
                draft.deliver([_unprepared(draft.utterance, error)])

    def _learned(self, drafts: Sequence[_Draft]) -> list[tuple[_Draft, Exception | None]]:
        voices = self._voices.get({draft.utterance.speech.voice: draft.reference for draft in drafts})
        clips = self._clips.get({draft.emotion.voice: draft.clip_reference for draft in drafts if draft.emotion.voice})
        self._synchronize()
        learned: list[tuple[_Draft, Exception | None]] = []
        for draft in drafts:
            voice, clip = voices[draft.utterance.speech.voice], clips.get(draft.emotion.voice or "")
            if isinstance(voice, Exception):
                learned.append((draft, voice))
            elif isinstance(clip, Exception):
                learned.append((draft, clip))
            else:
                draft.voice, draft.clip = voice, clip
                learned.append((draft, None))
        return learned

    def _feel(self, drafts: Sequence[_Draft]) -> None:
        """Reads the emotions of new texts together."""
        texts = {draft.utterance.key: draft.emotion.text for draft in drafts if draft.emotion.text is not None}
        answers = self._emotions.reader.read_all(texts.values())
        for draft in drafts:
            answer = answers[texts[draft.utterance.key]]
            if isinstance(answer, FarmError):
                draft.deliver([Failure(draft.utterance.key, answer.message)])
            else:
                draft.emotion = draft.emotion.as_read(answer)
                self._go_on(draft)

    def _prompt(self, drafts: Sequence[_Draft]) -> None:
        made = self._isolations["prompts"].run(
            drafts, self._renditions, lambda draft, error: _unprepared(draft.utterance, error)
        )
        drafts[0].deliver(made)

    def _renditions(self, drafts: Sequence[_Draft]) -> list[Rendition | Failure]:
        made = [self._rendition(draft) for draft in drafts]
        self._synchronize()
        return made

    def _guarded(self, work: Callable[[Sequence[_Draft]], None]) -> Callable[[Sequence[_Draft]], None]:
        """`work`, for the drafts that are still wanted; what it raises is delivered."""

        def guarded(drafts: Sequence[_Draft]) -> None:
            deliver = self._deliver
            wanted = [draft for draft in drafts if draft.deliver is deliver]
            if deliver is None or not wanted:
                return
            try:
                work(wanted)
            except BaseException as error:
                deliver(error)

        return guarded

    def _synchronize(self) -> None:
        """Waits for this thread's stream, because other streams read its results."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

    # --- one utterance ----------------------------------------------------------------------------------------------

    def _draft(self, utterance: Utterance, deliver: Deliver) -> _Draft | Failure:
        speech = utterance.speech
        if speech.language not in self._adapter.languages:
            spoken = ", ".join(self._adapter.languages)
            return Failure(
                utterance.key, f"IndexTTS does not speak {speech.language!r} as voice {speech.voice!r}; give {spoken}"
            )
        if speech.reference is None:
            return Failure(
                utterance.key,
                f"IndexTTS has no voice {speech.voice!r} of its own; upload one to /v1/voices, and name it",
            )
        try:
            emotion = parse(speech.manner.emotion)
        except BadInput as error:
            return Failure(utterance.key, error.message)
        if emotion.voice and speech.emotion_reference is None:
            return Failure(
                utterance.key, f"the emotion's voice {emotion.voice!r} has no audio; upload it to /v1/voices"
            )
        text = self._adapter.segments(utterance.text, speech.language, normalize=speech.manner.normalize)
        return _Draft(utterance, deliver, str(speech.reference), emotion, str(speech.emotion_reference or ""), text)

    def _rendition(self, draft: _Draft) -> Rendition | Failure:
        key, speech, text, voice = draft.utterance.key, draft.utterance.speech, draft.text, draft.voice
        assert text is not None
        assert voice is not None
        try:
            emotion = self._emotions.vector(draft.emotion, voice, draft.clip)
        except FarmError as error:
            return Failure(key, error.message)
        tokens = [len(ids) for ids in text.ids]
        parts = len(tokens)
        prompts = self._adapter.prompts(text.ids, [voice] * parts, [emotion] * parts, [speech.language] * parts)
        frames = None
        if parts and speech.target_duration_ms is not None:
            frames = shares(speech.target_duration_ms, tokens, GAP)
        return Rendition(
            draft.utterance, voice, prompts, _characters(draft.utterance.text, text), tokens, frames, _warnings(text)
        )


def _characters(written: str, text: Segments) -> list[int]:
    """How much of the utterance's text each part stands for: all of it but what has no token, in proportion to the
    tokens. The text is put into other words before it is cut, so no part knows its own place in it."""
    unknown = {form for character in text.unknown for form in (character, character.lower(), character.upper())}
    known = sum(character not in unknown for character in written)
    ends = list(accumulate(len(ids) for ids in text.ids))
    places = [0, *(round(known * end / ends[-1]) for end in ends)]
    return [end - start for start, end in pairwise(places)]


def _warnings(text: Segments) -> list[Notice]:
    warnings = []
    if not text.ids:
        warnings.append(Notice(NoticeCode.UNSPEAKABLE, "nothing in this text can be spoken; it became a short silence"))
    if text.unknown:
        listed = " ".join(text.unknown[:_NAMED]) + (" …" if len(text.unknown) > _NAMED else "")
        warnings.append(Notice(NoticeCode.UNKNOWN_TEXT, f"the model has no token for {listed}"))
    return warnings


def _unprepared(utterance: Utterance, error: Exception) -> Failure:
    if isinstance(error, FarmError):
        return Failure(utterance.key, error.message)
    if isinstance(error, OSError):  # its text names a path of this machine, which tenants must not see
        log.error("a reference can't be read: %s", error)
        return Failure(utterance.key, f"the reference audio can't be read: {error.strerror}")
    return Failure(utterance.key, f"can't be prepared: {error}")

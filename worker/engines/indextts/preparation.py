"""Before the decode: text into tokens, references into voices, emotions into vectors, and all of these into prompts.

New references are conditioned together; the others come from the caches. An utterance that can't be spoken becomes a
Failure here, and its neighbours go on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
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
from worker.engines.indextts.text.wording import Wording
from worker.engines.indextts.voice.cache import EmotionCache, VoiceCache
from worker.engines.indextts.voice.emotion import Emotion, Emotions, parse

log = logging.getLogger(__name__)

_GATHERS = 8
_ROUNDS = 4  # of the readers
_NAMED = 12  # characters that a warning lists at most


@dataclass(frozen=True, slots=True)
class _Draft:
    utterance: Utterance
    reference: str
    text: Segments
    emotion: Emotion
    clip: str  # the audio of the emotion's voice; "" where it has none


class Preparation:
    """`wording` normalises the adapter's texts, `readers` of them at a time."""

    def __init__(
        self, adapter: Adapter, voices: VoiceCache, clips: EmotionCache, emotions: Emotions, wording: Wording,
        readers: int,
    ) -> None:  # fmt: skip
        self._adapter, self._voices, self._clips, self._emotions = adapter, voices, clips, emotions
        self._wording = wording
        self.gathers = gathers(readers)
        self._readers = ThreadPoolExecutor(max(1, readers), "read")
        self._isolation = Isolation("the preparation")

    def prepare(self, utterances: Sequence[Utterance]) -> list[Rendition | Failure]:
        """In the order of the utterances. Raises only when the device failed, or so many utterances in a
        row that they are not to blame."""
        return self._isolation.run(utterances, self._renditions, _unprepared)

    def close(self) -> None:
        self._readers.shutdown()
        self._wording.close()

    def _renditions(self, utterances: Sequence[Utterance]) -> list[Rendition | Failure]:
        drafts = list(self._readers.map(self._draft, utterances))
        good = [draft for draft in drafts if isinstance(draft, _Draft)]
        voices = self._voices.get({draft.utterance.speech.voice: draft.reference for draft in good})
        clips = self._clips.get({draft.emotion.voice: draft.clip for draft in good if draft.emotion.voice})
        return [self._rendition(draft, voices, clips) if isinstance(draft, _Draft) else draft for draft in drafts]

    def _draft(self, utterance: Utterance) -> _Draft | Failure:
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
        return _Draft(utterance, str(speech.reference), text, emotion, str(speech.emotion_reference or ""))

    def _rendition(
        self,
        draft: _Draft,
        voices: Mapping[str, Voice | Exception],
        clips: Mapping[str, torch.Tensor | Exception],
    ) -> Rendition | Failure:
        key, speech = draft.utterance.key, draft.utterance.speech
        voice, clip = voices[speech.voice], clips.get(draft.emotion.voice or "")
        for reference in (voice, clip):
            if isinstance(reference, Exception):
                return _unprepared(draft.utterance, reference)
        assert isinstance(voice, Voice)
        assert not isinstance(clip, Exception)
        try:
            emotion = self._emotions.vector(draft.emotion, voice, clip)
        except FarmError as error:
            return Failure(key, error.message)
        parts = len(draft.text.ids)
        prompts = self._adapter.prompts(draft.text.ids, [voice] * parts, [emotion] * parts, [speech.language] * parts)
        tokens = [len(ids) for ids in draft.text.ids]
        frames = None
        if parts and speech.target_duration_ms is not None:
            frames = shares(speech.target_duration_ms, tokens, GAP)
        return Rendition(draft.utterance, voice, prompts, _characters(draft), tokens, frames, _warnings(draft.text))


def _characters(draft: _Draft) -> list[int]:
    """How much of the utterance's text each part stands for: all of it but what has no token, in proportion to the
    tokens. The text is put into other words before it is cut, so no part knows its own place in it."""
    unknown = {form for character in draft.text.unknown for form in (character, character.lower(), character.upper())}
    known = sum(character not in unknown for character in draft.utterance.text)
    ends = list(accumulate(len(ids) for ids in draft.text.ids))
    places = [0, *(round(known * end / ends[-1]) for end in ends)]
    return [end - start for start, end in pairwise(places)]


def gathers(readers: int) -> int:
    """Utterances that are worth preparing together: enough for all readers, and few enough for the first rows of a full
    feed to begin soon."""
    return max(_GATHERS, _ROUNDS * readers)


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

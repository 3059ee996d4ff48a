"""Admission: a request is resolved against the model cards and becomes an Order, or is refused with every wrong field
named.

The decision is pure. A Catalog carries all that it depends on: cards, the tenant's voices, the networks that webhooks
may reach. So a thread can decide a batch of 50,000 jobs against one Catalog.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from api.markup import Written, written
from farm.audio_formats import BOOK_FORMATS
from farm.encoders import missing_encoder
from farm.errors import BadInput, FieldError, Unavailable
from farm.job import Lane, new_id
from farm.job_limits import beyond_limits, silence_between
from farm.markup import Means
from farm.markup.means import alphabets
from farm.order import Order
from farm.presets import contradictions, resolved
from farm.script import Speaker
from farm.spec import Spec
from farm.speech import PARAMETERS, Manner, Parameter, emotion_json
from farm.spelling import plain_spelling
from farm.stored import StoredLexicon
from farm.text_document import StoredChapter, write_text
from farm.webhooks.addresses import Network, check_url
from farm.wire import NARRATOR, Chapter, Emotion, JobOptions, JobRequest, Model, Webhook

_ORDER = {lane: place for place, lane in enumerate(Lane)}
_NAMED = 12  # names or fields of one kind that a refusal lists at most


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that requests are resolved against. `uploads` are the tenant's voices: name -> content digest."""

    cards: Mapping[str, Model]
    default_model: str
    uploads: Mapping[str, str]
    signs_webhooks: bool
    allow: tuple[Network, ...]
    retention_s: int
    lexicons: Mapping[str, StoredLexicon] = field(default_factory=dict)  # the tenant's
    highest: Lane = Lane.INTERACTIVE  # that the tenant may use
    _checked: set[str] = field(default_factory=set)  # webhook URLs that were found good

    def admit(self, request: JobRequest) -> Order:
        """A request that names a document has its chapters already. Raises BadInput with every wrong field named,
        Unavailable while the farm does not know its own model."""
        card = self._card(request.model)
        asked = request.output
        if asked.preset is not None:
            request = request.model_copy(update={"output": resolved(asked)})
        if request.document is not None and request.markup == "ssml":
            why = "the text of a document is no SSML; leave markup out, or give tags"
            raise BadInput(why, code="conflicting_fields", pointer="/markup")
        faults: list[BadInput] = []
        language = voice = ""
        emotion = None
        uploads: dict[str, str] = {}
        try:
            language = self._language(request, card)
            voice = self._voice(request, card, language, uploads)
            text = written(request, card, partial(self._means, request, card, language, voice, uploads))
            faults += text.faults
        except BadInput as fault:
            faults.append(fault)
            text = Written(request.parts(), request.parts())
        faults += islice(self._cast(request, card, uploads), _NAMED)
        faults += islice(self._chapter_voices(request, card, uploads), _NAMED)
        lexicons: dict[str, str] = {}
        faults += self._find_lexicons(request, card, lexicons)
        faults += _unsupported_parameters(request, card)
        faults += _conflicting_targets(request)
        faults += (_conflict(why, "/output/preset", f"/output/{place}") for place, why in contradictions(asked))
        faults += beyond_limits(
            text.spoken, request.output, card.sample_rate, target_duration_ms=request.target_duration_ms
        )
        if _ORDER[request.priority] < _ORDER[self.highest]:
            faults.append(_too_high(request.priority, self.highest))
        if request.emotion is not None and Parameter.EMOTION in card.parameters:
            try:
                emotion = self._emotion(request.emotion, card)
            except BadInput as fault:
                faults.append(fault)
        if (missing := missing_encoder(request.output.format)) is not None:
            faults.append(missing)
        if "epub" in request.output.also and request.output.format not in BOOK_FORMATS:
            why = f"readers of EPUB do not play {request.output.format}; ask for mp3, opus or m4b, or leave out also"
            faults.append(_conflict(why, "/output/also", "/output/format"))
        if request.webhook is not None:
            faults += self._webhook(
                request.webhook, "job.", "a job's webhook hears of job.succeeded, job.failed and job.canceled"
            )
        if faults:
            raise _together(faults)
        return Order(
            id=new_id("job"),
            model=card.name,
            lane=request.priority,
            spec=Spec(
                language=language,
                voice=voice,
                uploads=uploads,
                voices=request.voices,
                markup=request.markup,
                lexicons=lexicons,
                manner=Manner.of(request, emotion=emotion),
                target_duration_ms=request.target_duration_ms,
                output=request.output,
                metadata=request.metadata,
                webhook=request.webhook,
                custom_id=request.custom_id,
                on_error=request.on_error,
                on_review=request.on_review,
                document=request.document.id if request.document is not None else "",
            ),
            text=write_text(text.parts),
            characters=sum(len(part.input) for part in text.parts),
            retention_s=request.expires_after or self.retention_s,
        )

    def in_language(self, request: JobRequest, language: str) -> JobRequest:
        """The request in the language of its document, where it names neither a language nor a voice, and the model
        speaks it."""
        card = self.cards.get(request.model or self.default_model)
        if not language or card is None or request.language is not None or request.voice is not None:
            return request
        spoken = card.language_for(language)
        return request if spoken is None else request.model_copy(update={"language": spoken})

    def check_voice(self, request: JobRequest, name: str, pointer: str) -> None:
        """Raises BadInput where the request could not say the name in a chapter."""
        for fault in self._resolve(request.voices.get(name, name), self._card(request.model), {}, pointer):
            raise fault

    def check_batch_webhook(self, webhook: Webhook) -> None:
        """Checks the batch's own webhook, which reports its completion. Jobs of the batch may have webhooks too."""
        hears = "a batch's webhook hears of batch.completed; give its jobs theirs in defaults.webhook"
        faults = self._webhook(webhook, "batch.", hears)
        asked = webhook.events if "events" in webhook.model_fields_set else ["batch.completed"]
        if not faults and asked != ["batch.completed"]:
            faults = [BadInput(hears, pointer="/webhook/events")]
        if faults:
            raise _together(faults)

    def _card(self, name: str | None) -> Model:
        card = self.cards.get(name or self.default_model)
        if card is not None:
            return card
        if name is None or name == self.default_model:
            raise Unavailable(
                f"no render worker has announced model {self.default_model!r} yet; start one and try again",
                code="model_not_ready",
            )
        known = _list(sorted(self.cards)) or "none so far"
        raise BadInput(f"model {name!r} is not known here; known: {known}", code="unknown_model", pointer="/model")

    def _language(self, request: JobRequest, card: Model) -> str:
        """The language as the card writes it: the one asked for, else its primary subtag, else the voice's, else
        English."""
        if request.language is None:
            spoken = card.voices.get(request.voices.get(NARRATOR) or request.voice or "")
            if spoken in card.languages:
                return spoken
            return card.language_for("en") or next(iter(card.languages))
        language = card.language_for(request.language)
        if language is None:
            raise BadInput(
                f"model {card.name!r} does not speak {request.language!r}; it speaks {_list(card.languages)}",
                code="unknown_language",
                pointer="/language",
            )
        return language

    def _voice(self, request: JobRequest, card: Model, language: str, uploads: dict[str, str]) -> str:
        narrator = request.voices.get(NARRATOR)
        if narrator is not None:
            return narrator
        if request.voice is None:
            voice = card.languages[language].voice or next(iter(card.voices), None)
            if voice is None:
                raise BadInput(
                    f"model {card.name!r} has no voice of its own; upload one to /v1/voices and name it",
                    code="voice_required",
                    pointer="/voice",
                )
            return voice
        for fault in self._resolve(request.voice, card, uploads, "/voice"):
            raise fault
        return request.voice

    def _resolve(self, name: str, card: Model, uploads: dict[str, str], pointer: str) -> list[BadInput]:
        """Looks for a built-in voice, then for the tenant's own, which it notes in `uploads`. Returns the faults that
        it found."""
        if name in card.voices:
            return []
        if name in self.uploads and card.uploaded_voices:
            uploads[name] = self.uploads[name]
            return []
        if name in self.uploads:
            why = f"voice {name!r} is an uploaded one, and model {card.name!r} speaks with its built-in voices only"
        else:
            names = [*card.voices, *(self.uploads if card.uploaded_voices else ())]
            near = difflib.get_close_matches(name, names, n=3)
            hint = f"did you mean {_list(near)}?" if near else f"it has {_list(names)}" if names else "upload it first"
            why = f"model {card.name!r} has no voice {name!r}; {hint}"
        return [BadInput(why, code="unknown_voice", pointer=pointer)]

    def _cast(self, request: JobRequest, card: Model, uploads: dict[str, str]) -> Iterator[BadInput]:
        if request.voice is not None and NARRATOR in request.voices:
            why = f"{NARRATOR} of voices speaks what no other does; leave voice out, or that"
            yield _conflict(why, "/voice", f"/voices/{NARRATOR}")
        for name, voice in request.voices.items():
            yield from self._resolve(voice, card, uploads, f"/voices/{name}")

    def _means(
        self, request: JobRequest, card: Model, language: str, voice: str, uploads: dict[str, str], chapter: Chapter
    ) -> Means:
        """What the markup of a chapter may ask for."""

        def speaker(name: str) -> Speaker | str:
            cast = request.voices.get(name, name)
            faults = self._resolve(cast, card, uploads, "")
            if faults:
                known = f"; the cast has {_list(request.voices)}" if request.voices else ""
                return faults[0].message + known
            return Speaker(name, uploads.get(cast, cast), cast in uploads)

        own = chapter.voice and speaker(chapter.voice)
        timed = request.target_duration_ms is not None or chapter.target_duration_ms is not None
        return Means(
            card, language, own if isinstance(own, Speaker) else Speaker(voice, uploads.get(voice, voice)), speaker,
            request.speed, timed,
        )  # fmt: skip

    def _find_lexicons(self, request: JobRequest, card: Model, found: dict[str, str]) -> Iterator[BadInput]:
        """Notes in `found` those that the request names, by `name@version`, in their order."""
        read = alphabets(card)
        for place, name in enumerate(request.lexicons):
            plain, _, number = name.partition("@")
            stored = self.lexicons.get(plain)
            version = None if stored is None else stored.version(int(number)) if number else stored.newest
            if version is None:
                near = _list(difflib.get_close_matches(plain, self.lexicons, n=3))
                hint = f"did you mean {near}?" if near and near != plain else "GET /v1/lexicons lists those there are"
                yield BadInput(
                    f"there is no lexicon {name!r}; {hint}", code="unknown_lexicon", pointer=f"/lexicons/{place}"
                )
                continue
            found.setdefault(f"{plain}@{version.number}", version.digest)
            if unread := [alphabet for alphabet in version.alphabets if alphabet not in read]:
                why = f"it reads {_list(read)}" if read else "it reads none; give aliases in place of them"
                yield BadInput(
                    f"lexicon {name!r} has pronunciations in {_list(unread)}, and model {card.name!r} does not read "
                    f"them: {why}",
                    code="not_honoured", pointer=f"/lexicons/{place}",
                )  # fmt: skip

    def _chapter_voices(self, request: JobRequest, card: Model, uploads: dict[str, str]) -> Iterator[BadInput]:
        """One by one, because the guess at each right name takes a millisecond and a job has up to 2,000 chapters."""
        for number, chapter in enumerate(request.chapters or ()):
            for name in _voices_of(chapter):
                voice = request.voices.get(name, name)
                yield from self._resolve(voice, card, uploads, f"/chapters/{number}/voice")

    def _emotion(self, emotion: Emotion, card: Model) -> str:
        """The emotion as canonical JSON. Equal emotions become equal strings, so their clips are shared."""
        said = emotion.model_dump(exclude_none=True)
        if emotion.text is not None:
            said["text"] = plain_spelling(emotion.text)
        if emotion.voice is not None:
            uploads: dict[str, str] = {}
            for fault in self._resolve(emotion.voice, card, uploads, "/emotion/voice"):
                raise fault
            said["voice"] = uploads.get(emotion.voice, emotion.voice)
        return emotion_json(said)

    def _webhook(self, webhook: Webhook, prefix: str, hears: str) -> list[BadInput]:
        if not self.signs_webhooks:
            why = "this farm has no secret to sign webhooks with; its operator can set FARM_WEBHOOK_SECRET"
            return [BadInput(why, code="webhooks_disabled", pointer="/webhook")]
        if not any(event.startswith(prefix) for event in webhook.events):
            return [BadInput(hears, pointer="/webhook/events")]
        url = str(webhook.url)
        if url not in self._checked:
            try:
                check_url(url, self.allow)
            except BadInput as fault:
                return [fault]
            self._checked.add(url)
        return []


def names_unknown_voices(request: JobRequest, built_in: Collection[str]) -> bool:
    """True when the request names a voice that is not built in, or may do so in its text; the tenant's own voices must
    be read then."""
    if request.markup != "none" or request.voices:
        return True
    names = [request.voice, *(name for chapter in request.chapters or () for name in _voices_of(chapter))]
    if request.emotion is not None:
        names.append(request.emotion.voice)
    return any(name is not None and name not in built_in for name in names)


def _voices_of(chapter: Chapter) -> list[str]:
    """That the chapter names, and those that edits gave to its sentences."""
    turns = chapter.turns if isinstance(chapter, StoredChapter) else ()
    return list(
        dict.fromkeys([*((chapter.voice,) if chapter.voice is not None else ()), *(turn.voice for turn in turns)])
    )


def with_defaults(request: JobRequest, defaults: JobOptions | None) -> JobRequest:
    """The request, with the defaults of its batch for every field that it leaves out. Both are valid, and so is the
    result."""
    if defaults is None:
        return request
    missing = defaults.model_fields_set - request.model_fields_set
    return request.model_copy(update={name: getattr(defaults, name) for name in missing})


def _unsupported_parameters(request: JobRequest, card: Model) -> list[BadInput]:
    return [
        BadInput(
            f"model {card.name!r} does not honour {pointer.rpartition('/')[2]}; it honours "
            f"{_list(card.parameters) or 'no parameter'}",
            code="not_honoured",
            pointer=pointer,
        )
        for parameter in PARAMETERS
        if parameter not in card.parameters
        for pointer in _asking(request, parameter)[:_NAMED]
    ]


def _asking(request: JobRequest, parameter: Parameter) -> list[str]:
    """The fields of the request that ask for a parameter."""
    field = PARAMETERS[parameter]
    ours = [f"/{field.name}"] if getattr(request, field.name) != field.neutral else []
    chapters = enumerate(request.chapters or ()) if field.in_chapters else ()
    return ours + [f"/chapters/{n}/{field.name}" for n, each in chapters if getattr(each, field.name) != field.neutral]


def _too_high(lane: Lane, highest: Lane) -> BadInput:
    why = f"{lane} is above what this tenant may use; take {highest}, or ask the operator for more (`farm keys limit`)"
    return BadInput(why, code="lane_not_allowed", pointer="/priority")


def _conflicting_targets(request: JobRequest) -> list[BadInput]:
    """Refuses targets that contradict each other or a speed. Whether a target fits its text shows only when it is
    planned."""
    timed = _asking(request, Parameter.DURATION)
    if not timed:
        return []
    faults = []
    if request.speed != 1.0:
        why = "target_duration_ms decides the speed by itself; leave out speed, or the target"
        faults.append(_conflict(why, timed[0], "/speed"))
    if request.output.trim_dbfs is not None:
        why = "a target counts the silent ends of clips, which trim_dbfs cuts off; leave out trim_dbfs, or the target"
        faults.append(_conflict(why, timed[0], "/output/trim_dbfs"))
    if request.target_duration_ms is not None:
        if len(timed) > 1:
            why = "target_duration_ms stands at the job, for the whole of its audio, or at its chapters; not at both"
            faults.append(_conflict(why, *timed[:_NAMED]))
        pauses = silence_between(len(request.parts()), request.output.pause_ms)
        if pauses >= request.target_duration_ms:
            why = f"target_duration_ms: the pauses between the chapters take {pauses} ms; give it more, or lower them"
            faults.append(_conflict(why, timed[0], "/output/pause_ms/chapter"))
    return faults


def _conflict(why: str, *pointers: str) -> BadInput:
    """A refusal of fields that are valid alone and contradict each other."""
    return BadInput(why, code="conflicting_fields", fields=[FieldError(pointer, why) for pointer in pointers])


def _together(faults: list[BadInput]) -> BadInput:
    """One refusal for all faults. Its code is the faults' own where all have the same."""
    fields: list[FieldError] = [each for fault in faults for each in fault.fields]
    codes = {fault.code for fault in faults}
    more = f"; {len(fields) - 1} more in errors" if len(fields) > 1 else ""
    return BadInput(faults[0].message + more, code=codes.pop() if len(codes) == 1 else None, fields=fields)


def _list(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_NAMED]) + (", …" if len(every) > _NAMED else "")

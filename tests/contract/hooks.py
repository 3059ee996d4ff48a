"""What schemathesis can't know about a running farm. Each rule here is of data, and none is of an answer.

The document says how a name is written; which names there are, only the farm knows. So a request that follows the
document gets names that exist, and a recording that is one. Requests that are wrong on purpose stay as they are.
"""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import schemathesis
import soundfile as sf
from hypothesis import strategies as st

from farm.speech import PARAMETERS, Parameter
from farm.wire import Model

CARD = Model.model_validate_json(os.environ["CONTRACT_CARD"])  # of the farm's one model
DOCUMENT = os.environ["CONTRACT_DOCUMENT"]  # that ann has uploaded, of one chapter
_NUMBERS = itertools.count()
_PAST = "1-1"  # an id of an event; no document can say which ids are of the future
_NOT_HONOURED = {field.name for parameter, field in PARAMETERS.items() if parameter not in CARD.parameters}


def _recording(pitch: float) -> bytes:
    """Two seconds of a tone, as WAV."""
    file = io.BytesIO()
    sf.write(file, 0.3 * np.sin(np.arange(32_000) * 2 * np.pi * pitch / 16_000), 16_000, format="WAV")
    return file.getvalue()


def _lines(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"input": text}).encode() + b"\n" for text in texts)


_TEXTS = st.text("abc, .!?é中😀", min_size=1, max_size=40).filter(lambda text: not text.isspace())
schemathesis.openapi.media_type(
    "audio/wav",
    st.sampled_from([_recording(220), _recording(330)]),
    aliases=["audio/flac", "audio/mpeg", "audio/ogg"],  # the farm looks at the content alone
)
schemathesis.openapi.media_type(
    "application/jsonl",
    st.lists(_TEXTS, min_size=1, max_size=3).map(_lines),
    aliases=["application/x-ndjson", "application/jsonlines"],
)

schemathesis.openapi.media_type(
    "text/markdown",
    st.sampled_from(
        [b"# One\n\nThe first.\n\n# Two\n\nThe second.\n", "<html><p>Gr\u00fc\u00df Gott.</p></html>".encode()]
    ),
    aliases=["text/html", "application/epub+zip"],  # here too
)

_LEXICON = """<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon" alphabet="x-cmu">
<lexeme><grapheme>WWW</grapheme><alias>web</alias></lexeme></lexicon>"""
schemathesis.openapi.media_type(
    "application/pls+xml", st.just(_LEXICON.encode()), aliases=["application/xml", "text/xml"]
)

# The fields of a voice: names, and consents, which no document can tell from refusals.
schemathesis.openapi.media_type("text/plain", st.sampled_from([b"true", b"yes"]))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.path == "/v1/lexicons" and case.method == "POST":  # PLS has no place for it, and JSON does not read it
        case.query["name"] = "words"
    if isinstance(case.body, dict):
        _BODIES.get(case.path, _nothing)(case.body)
        if any(isinstance(value, bytes) for value in case.body.values()):
            case._sync_validated_hashes()  # it can't judge a form with a file anew, and would take it for a wrong one
    for name, rule in _QUERIES.get(case.path, {}).items():
        if name in case.query:
            case.query[name] = rule(case.query[name])
    if "Idempotency-Key" in case.headers:  # a key is of one request
        case.headers["Idempotency-Key"] = f"{next(_NUMBERS)}"
    if "If-Match" in case.headers:  # only the job knows at which revision it is
        case.headers["If-Match"] = "*"
    if "Last-Event-ID" in case.headers:
        case.headers["Last-Event-ID"] = _PAST


def _nothing(body: dict[str, Any]) -> None:
    pass


def _of_job(said: dict[str, Any]) -> None:
    """Of a JobRequest or JobOptions."""
    for name, known in (("model", [CARD.name]), ("language", list(CARD.languages)), ("voice", list(CARD.voices))):
        if said.get(name) is not None:
            said[name] = known[len(str(said[name])) % len(known)]
    if said.get("document") is not None:
        said["document"]["id"] = DOCUMENT
        if said["document"].get("chapters") is not None:
            said["document"]["chapters"] = ["c1"]
    if said.get("voices") is not None:
        said["voices"] = {name: next(iter(CARD.voices)) for name in said["voices"] if name != "narrator"}
    said.pop("lexicons", None)  # which there are, and whether the text is SSML, no document can say
    if said.get("markup") is not None:
        said["markup"] = "none"
    for name in _NOT_HONOURED & said.keys():
        del said[name]
    if said.get("expires_after") is not None:  # the run is longer than the shortest retention
        said["expires_after"] = max(said["expires_after"], 86_400)
    output = said.get("output") or {}
    if output.get("preset") is not None:  # it decides most of the others
        said["output"] = output = {name: output[name] for name in ("preset", "subtitles") if name in output}
    if output.get("format", "mp3") in ("wav", "flac"):
        output.pop("also", None)  # no EPUB holds them
    chapters = said.get("chapters") or ()
    if said.get("target_duration_ms") is not None or any("target_duration_ms" in chapter for chapter in chapters):
        for name, where in (("speed", said), ("trim_dbfs", output), ("preset", output)):
            where.pop(name, None)  # it contradicts a target, and so does a second target
        if chapters:
            said.pop("target_duration_ms", None)
    for chapter in chapters:
        _of_job(chapter)
    _of_webhook(said)


def _of_retry(said: dict[str, Any]) -> None:
    for name in _NOT_HONOURED & said.keys():
        del said[name]


def _of_edit(said: dict[str, Any]) -> None:
    """Only the job knows how many segments and chapters it has, and what its target and preset contradict."""
    for name in ("segments", "left_out", "target_duration_ms", "speed"):
        said.pop(name, None)
    _of_job(said)
    if "output" in said:
        said["output"] = {"format": said["output"].get("format", "mp3")}


def _of_webhook(said: dict[str, Any]) -> None:
    """Nobody listens there, and nothing of a test leaves this machine."""
    if said.get("webhook") is not None:
        said["webhook"]["url"] = "http://127.0.0.1:9/"


def _of_batch(said: dict[str, Any]) -> None:
    for number, job in enumerate(said.get("jobs") or ()):
        _of_job(job)
        if job.get("custom_id") is not None:  # unique in its batch
            job["custom_id"] = f"{number} {job['custom_id']}"[:200]
    if said.get("defaults") is not None:
        _of_job(said["defaults"])
    _of_webhook(said)


def _of_document(said: dict[str, Any]) -> None:
    if said.get("encoding") is not None:
        said["encoding"] = "utf-8"


def _of_voice(said: dict[str, Any]) -> None:
    """A name of its own, or two links lead to one voice, which the first of them deletes."""
    if said.get("name") is not None:
        said["name"] = f"voice-{next(_NUMBERS)}".encode()


def _of_lexicon(said: dict[str, Any]) -> None:
    """Each entry has one way to be said, and a word."""
    for entry in said.get("entries") or ():
        language, case = entry.get("language"), entry.get("case", "exact")
        entry.clear()
        entry.update(written=f"Ada {next(_NUMBERS)}", alias="Ayda", case=case)
        if language is not None:
            entry["language"] = language


def _of_speech(said: dict[str, Any]) -> None:
    _of_job(said)
    if Parameter.EMOTION not in CARD.parameters:
        said.pop("instructions", None)


def _json(rule: Callable[[dict[str, Any]], None]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if not isinstance(value, str):
            rule(value)
            return value
        said = json.loads(value)
        rule(said)
        return json.dumps(said)

    return apply


def _past(value: Any) -> Any:
    return _PAST


_BODIES: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "/v1/jobs": _of_job,
    "/v1/jobs/{job_id}": _of_edit,
    "/v1/jobs/{job_id}/preview": _of_edit,
    "/v1/jobs/{job_id}/segments/{index}/retry": _of_retry,
    "/v1/preview": _of_job,
    "/v1/lexicons": _of_lexicon,
    "/v1/batches": _of_batch,
    "/v1/documents": _of_document,
    "/v1/voices": _of_voice,
    "/v1/audio/voices": _of_voice,
    "/v1/audio/speech": _of_speech,
}
_QUERIES: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "/v1/batches": {
        "defaults": _json(_of_job),
        "webhook": _json(lambda webhook: _of_webhook({"webhook": webhook})),
    },
    "/v1/events": {"after": _past},
    "/v1/jobs/{job_id}/events": {"after": _past},
    "/v1/batches/{batch_id}/events": {"after": _past},
}

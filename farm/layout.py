"""Where every object lies: the layout of the folder or bucket.

    jobs/<job>/text.json                        the chapters of a job that is planned, or whose text is long
    jobs/<job>/texts/<random id>.json           the same, as an edit made it; the spec names it
    jobs/<job>/plan.json, plan.jsonl.gz         its plan, and the segments of the plan in pages
    jobs/<job>/revisions/<n>/plan.json, …       the same of a later revision. All plans stay: they name the clips
    jobs/<job>/book.json, cover                 what the document of a job says of itself, and its picture
    jobs/<job>/passages/<digest>                stretches of its recording, each named by all that decides its bytes,
                                                until the recording is there
    documents/<tenant>/<document>/source        an uploaded document
                                 /view.json     what clients see of it: its chapters, without their text
                                 /tree.json.gz  its blocks, from which jobs take their text
                                 /cover         its picture
    batches/<batch>/jobs.jsonl.gz               the jobs of a batch, one on each line
                   /covers/<document>           the pictures of the documents that they name
    lexicons/<tenant>/<digest>.json             versions of lexicons, named by their content
    voices/<tenant>/<digest>.flac               uploaded reference audio, named by its content
    tempos/<tenant>/<digest>.json               how fast a voice speaks, fitted once: worker/render/tempo.py
    segments/<2 digits>/<digest>.flac           clips, each named by all that is heard in it; shared by a tenant's jobs
    results/<job>/<run>/audio.<suffix>          what assembly made. `run` is the token of the assembly, so that two
                       /manifest.json           desks never write to one object
                       /subtitles.<kind>
                       /readalong.<kind>       what it asked for in output.also
                       /register                where the passages of a long job lie in its audio, for its next revision
                       /chapters/<chapter>/audio.<suffix>, subtitles.<kind>
                                                each chapter as a file of its own, where the job asks for that
    birth-mark                                  a random id, by which each part knows the storage of its farm

Objects of running farms lie under these keys: a changed key loses them.
"""

from __future__ import annotations

import hashlib

MARK = "birth-mark"
JOBS, BATCHES, VOICES, CLIPS, RESULTS = "jobs/", "batches/", "voices/", "segments/", "results/"
DOCUMENTS, LEXICONS, TEMPOS = "documents/", "lexicons/", "tempos/"


def is_rerenderable(key: str) -> bool:
    """Whether the farm can make the object again by itself, so that losing it costs time only."""
    return key.startswith(CLIPS)


def job_prefix(job: str) -> str:
    """Of all that a job has but its result."""
    return f"{JOBS}{job}/"


def text_key(job: str) -> str:
    return f"{job_prefix(job)}text.json"


def edited_text_key(job: str, name: str) -> str:
    return f"{job_prefix(job)}texts/{name}.json"


def plan_key(job: str, revision: int = 1) -> str:
    return f"{_revision_prefix(job, revision)}plan.json"


def pages_key(job: str, revision: int = 1) -> str:
    return f"{_revision_prefix(job, revision)}plan.jsonl.gz"


def revisions_prefix(job: str) -> str:
    """Of the plans of later revisions: the next part of a key is their number."""
    return f"{job_prefix(job)}revisions/"


def _revision_prefix(job: str, revision: int) -> str:
    return job_prefix(job) if revision == 1 else f"{revisions_prefix(job)}{revision}/"


def book_key(job: str) -> str:
    """Metadata.to_json() of the document that the job narrates."""
    return f"{job_prefix(job)}book.json"


def book_cover_key(job: str) -> str:
    """The bytes of its cover."""
    return f"{job_prefix(job)}cover"


def passages_prefix(job: str) -> str:
    return f"{job_prefix(job)}passages/"


def passage_key(job: str, digest: str) -> str:
    return f"{passages_prefix(job)}{digest}"


def draft_keys(job: str) -> list[str]:
    """Of all that may be written for a job before it is accepted."""
    return [text_key(job), pages_key(job), plan_key(job), book_key(job), book_cover_key(job)]


def documents_prefix(tenant: str) -> str:
    return f"{DOCUMENTS}{_folder(tenant)}/"


def document_prefix(tenant: str, document: str) -> str:
    """Of all that a document has."""
    return f"{documents_prefix(tenant)}{document}/"


def document_key(tenant: str, document: str, part: str) -> str:
    """`part` is source, view.json, tree.json.gz or cover."""
    return f"{document_prefix(tenant, document)}{part}"


def batch_prefix(batch: str) -> str:
    """Of all that a batch has."""
    return f"{BATCHES}{batch}/"


def lexicons_prefix(tenant: str) -> str:
    return f"{LEXICONS}{_folder(tenant)}/"


def lexicon_key(tenant: str, digest: str) -> str:
    return f"{lexicons_prefix(tenant)}{digest}.json"


def lines_key(batch: str) -> str:
    return f"{batch_prefix(batch)}jobs.jsonl.gz"


def batch_cover_key(batch: str, document: str) -> str:
    return f"{batch_prefix(batch)}covers/{document}"


def voices_prefix(tenant: str) -> str:
    return f"{VOICES}{_folder(tenant)}/"


def voice_key(tenant: str, digest: str) -> str:
    return f"{voices_prefix(tenant)}{digest}.flac"


def tempos_prefix(tenant: str) -> str:
    return f"{TEMPOS}{_folder(tenant)}/"


def tempo_key(tenant: str, digest: str) -> str:
    return f"{tempos_prefix(tenant)}{digest}.json"


def clip_key(digest: str) -> str:
    return f"{CLIPS}{digest[:2]}/{digest}.flac"


def result_prefix(job: str) -> str:
    """Of the results of all runs of a job's assembly."""
    return f"{RESULTS}{job}/"


def run_prefix(key: str) -> str:
    """Of all objects of one result, by the key of one of them."""
    return "/".join(key.split("/")[:3]) + "/"


def audio_key(job: str, run: str, suffix: str) -> str:
    """`suffix` has its dot."""
    return f"{result_prefix(job)}{run}/audio{suffix}"


def manifest_key(job: str, run: str) -> str:
    return f"{result_prefix(job)}{run}/manifest.json"


def register_key(audio: str) -> str:
    """Of the result whose audio has that key."""
    return f"{run_prefix(audio)}register"


def subtitles_key(job: str, run: str, kind: str) -> str:
    """`kind` is vtt, srt, lrc or json."""
    return f"{result_prefix(job)}{run}/subtitles.{kind}"


def also_key(job: str, run: str, kind: str) -> str:
    """`kind` is epub."""
    return f"{result_prefix(job)}{run}/readalong.{kind}"


def chapter_key(result: str, chapter: int) -> str:
    """What a file of that chapter has instead of the whole's: `result` is the key of its audio or subtitles."""
    run, _, name = result.rpartition("/")
    return f"{run}/chapters/{chapter}/{name}"


def is_name(text: str) -> bool:
    """Whether a folder of storage can have this name."""
    return text.isprintable() and 0 < len(text.encode()) <= 255 and text[0] != "." and not set("/\\") & set(text)


def _folder(tenant: str) -> str:
    """Tenants of before their names were checked may have names that no folder can have."""
    return tenant if is_name(tenant) else "%" + hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()

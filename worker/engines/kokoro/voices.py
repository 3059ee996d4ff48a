"""The voices of Kokoro. A name says its language and its sex: af_heart is American and a woman's, bm_george British and
a man's. Grades are the author's own, of how good the training data were and how much there was: A is best."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language of the model. `espeak` is the name of eSpeak's voice that reads it; None: dictionaries do."""

    tag: str
    voice: str  # of a job that names none
    espeak: str | None


@dataclass(frozen=True, slots=True)
class Voice:
    tongue: Tongue
    sex: str
    grade: str  # "" where the author gives none


TONGUES = {
    "a": Tongue("en-us", "af_heart", None),
    "b": Tongue("en-gb", "bf_emma", "en"),
    "e": Tongue("es", "ef_dora", "es"),
    "f": Tongue("fr", "ff_siwis", "fr"),
    "h": Tongue("hi", "hf_alpha", "hi"),
    "i": Tongue("it", "if_sara", "it"),
    "p": Tongue("pt-br", "pf_dora", "pt-br"),
}
SHORT = {"en": "en-us", "pt": "pt-br"}  # tags without a region
# Languages of the model that nothing here reads: eSpeak reads both badly, and their libraries are not part of the farm.
WITHOUT_READER = {"ja": "Japanese", "zh": "Chinese"}
_SEXES = {"f": "female", "m": "male"}
_GRADES = {
    "af_heart": "A", "af_alloy": "C", "af_aoede": "C+", "af_bella": "A-", "af_jessica": "D", "af_kore": "C+",
    "af_nicole": "B-", "af_nova": "C", "af_river": "D", "af_sarah": "C+", "af_sky": "C-", "am_adam": "F+",
    "am_echo": "D", "am_eric": "D", "am_fenrir": "C+", "am_liam": "D", "am_michael": "C+", "am_onyx": "D",
    "am_puck": "C+", "am_santa": "D-", "bf_alice": "D", "bf_emma": "B-", "bf_isabella": "C", "bf_lily": "D",
    "bm_daniel": "D", "bm_fable": "C", "bm_george": "C", "bm_lewis": "D+", "ef_dora": "", "em_alex": "",
    "em_santa": "", "ff_siwis": "", "hf_alpha": "", "hf_beta": "", "hm_omega": "", "hm_psi": "", "if_sara": "",
    "im_nicola": "", "pf_dora": "", "pm_alex": "", "pm_santa": "",
}  # fmt: skip

VOICES = {name: Voice(TONGUES[name[0]], _SEXES[name[1]], grade) for name, grade in _GRADES.items()}

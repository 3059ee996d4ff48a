"""The files that IndexTTS-2 is made of: which repositories they come from, at which revisions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the Hugging Face hub at the revision that this engine was made with."""

    name: str
    revision: str


MAIN = Repository("IndexTeam/IndexTTS-2", "740dcaff396282ffb241903d150ac011cd4b1ede")
SEMANTIC = Repository("facebook/w2v-bert-2.0", "da985ba0987f70aaeb84a80f2851cfac8c697a7b")
CODEC = Repository("amphion/MaskGCT", "265c6cef07625665d0c28d2faafb1415562379dc")
SPEAKER = Repository("funasr/campplus", "e4b6ede7ce16997aff4ae69fbca1f0175e2afede")
VOCODER = Repository("nvidia/bigvgan_v2_22khz_80band_256x", "633ff708ed5b74903e86ff1298cf4a98e921c513")

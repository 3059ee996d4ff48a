"""The settings of IndexTTS, which a render worker reads. docs/indextts.md says when to change them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from worker.engine import EngineSettings

AskedPrecision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]


class IndexTTSSettings(EngineSettings):
    model_config = SettingsConfigDict(env_prefix="FARM_INDEXTTS_")

    gone: ClassVar[Mapping[str, str]] = {
        "FARM_INDEXTTS_COMPILE": "the decode replays CUDA graphs by itself, and FARM_INDEXTTS_GRAPH=off turns that off"
    }

    dir: Path | None = Field(
        None,
        description="folder with an IndexTTS checkpoint; the Hugging Face cache, filled at first start, when absent",
    )
    device: str = Field("auto", description="cpu, cuda or cuda:1; auto takes a GPU where there is one")
    slots: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="utterances decoded at once; when absent what a GPU's memory holds, 64 at most, and 16 on a CPU",
    )
    gpt: AskedPrecision = Field(
        "auto",
        description="precision of the GPT: fp32, tf32, bf16, fp16; auto is fp16 (2.5: bf16) on a GPU, fp32 on a CPU",
    )
    s2mel: AskedPrecision = Field("auto", description="precision of the flow; auto is fp16 on a GPU and fp32 on a CPU")
    vocoder: AskedPrecision = Field(
        "auto", description="precision of the vocoder; auto is fp16 on a GPU and fp32 on a CPU"
    )
    attention: Literal["auto", "flash", "torch", "sdpa"] = Field(
        "auto",
        description="of the decode: flash (flash-attn) and torch (2.13) need a GPU and half precision; auto takes the "
        "first of these that runs, or sdpa",
    )
    graph: Literal["auto", "on", "off"] = Field(
        "auto", description="whether the decode replays CUDA graphs; auto does where they can be recorded"
    )
    kernels: Literal["auto", "torch", "fused"] = Field(
        "auto",
        description="of flow and vocoder: fused needs a GPU and the image; auto takes it where it is right",
    )
    steps: int = Field(25, ge=1, le=200, description="Euler steps of the flow; the model was made for 25")
    code_limit: int = Field(1500, ge=50, le=1800, description="codes of one utterance, 50 to a second (2.5: 25)")
    voices_mb: int = Field(512, ge=16, description="MB for conditioned voices, kept from one utterance to the next")
    readers: int | None = Field(
        None,
        ge=0,
        le=64,
        description="processes that put numbers into words; when absent on a GPU half as many as processors, 2 to 6, "
        "on a CPU none",
    )
    beams: int = Field(1, ge=1, description="beams of the decode: 1; more are refused, docs/indextts.md says why")

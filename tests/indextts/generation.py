"""What the package's own `generate` makes of a prompt, one at a time and with one beam: the oracle of the decode."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch

from worker.engines.indextts.decode.sampling import pick, uniform
from worker.engines.indextts.shapes import Sampling


@dataclass(frozen=True)
class Utterance:
    condition: torch.Tensor  # (1, frames, 1024), of a reference
    emotion: torch.Tensor  # (1, D)
    text: torch.Tensor  # (1, tokens)


@dataclass(frozen=True)
class Generated:
    prompt: torch.Tensor  # (L, D), as the package put it together
    codes: list[int]
    logits: list[torch.Tensor]  # (V,) before each code
    latents: torch.Tensor  # (N, D): its second forward


def utterances(unified_voice: Any, count: int) -> list[Utterance]:
    """Of different voices, emotions, texts and lengths."""
    made = []
    for index in range(count):
        noise = torch.Generator().manual_seed(index)
        made.append(
            Utterance(
                condition=torch.randn(1, 40 + 25 * (index % 4), 1024, generator=noise),
                emotion=torch.randn(1, unified_voice.model_dim, generator=noise) * 0.3,
                text=torch.randint(3, 400, (1, 2 + 17 * (index % 5)), generator=noise),
            )
        )
    return made


def small_voice(seed: int = 0) -> Any:
    """A random UnifiedVoice of the package, 64 wide: a step takes a millisecond. It stops after 5 to 30 codes, because
    the places of codes drift towards the stop code's row in the last layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's modules may be imported here for the first time
        from indextts.gpt.model_v2 import UnifiedVoice

    conditioning = {
        "output_size": 16,
        "linear_units": 16,
        "attention_heads": 2,
        "num_blocks": 1,
        "input_layer": "conv2d2",
        "perceiver_mult": 1,
    }
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older transformers', about an option that the package gives
        torch.manual_seed(seed)
        model = UnifiedVoice(
            layers=2,
            model_dim=64,
            heads=2,
            max_text_tokens=400,
            max_mel_tokens=200,
            number_text_tokens=400,
            number_mel_codes=66,
            start_mel_token=64,
            stop_mel_token=65,
            condition_type="conformer_perceiver",
            condition_module=conditioning,
            emo_condition_module=conditioning,
        )
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                inputs = parameter.shape[0] if ".h." in name else parameter.shape[1]  # GPT-2: (in, out)
                parameter.normal_(std=0.3 if "emb" in name else inputs**-0.5)
        model.mel_head.weight *= 1.5
        places, stop = model.mel_pos_embedding.emb.weight, model.mel_head.weight[model.stop_mel_token]
        places += 0.25 * torch.arange(len(places))[:, None] * stop / stop.norm()
        model.mel_head.bias.zero_()
        model.mel_head.bias[model.start_mel_token] = -1e4
        model.mel_head.bias[model.stop_mel_token] = -4.0
    model.requires_grad_(False)
    model.post_init_gpt2_config(kv_cache=True)
    return model.eval()


def generate(unified_voice: Any, utterance: Utterance, sampling: Sampling) -> Generated:
    options: dict[str, Any] = {"do_sample": False}
    if not sampling.greedy:
        options = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
        }
    frames = torch.tensor([utterance.condition.shape[1]])
    with _drawing_from_our_stream(sampling.seed), torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers', about a cache that the package hands over
        output, latent = unified_voice.inference_speech(
            utterance.condition,
            utterance.text,
            cond_lengths=frames,
            emo_vec=utterance.emotion,
            num_beams=1,
            repetition_penalty=sampling.repetition_penalty,
            max_generate_length=sampling.limit,
            return_dict_in_generate=True,
            output_logits=True,
            **options,
        )
        codes = _until(output.sequences[0].tolist(), unified_voice.stop_mel_token)
        latents = unified_voice(
            latent,
            utterance.text,
            torch.tensor([utterance.text.shape[1]]),
            torch.tensor([codes]),
            torch.tensor([len(codes)]),
            utterance.condition,
            emo_vec=utterance.emotion,
            use_speed=torch.zeros(1, dtype=torch.long),
        )[0]
    prompt = unified_voice.inference_model.cached_mel_emb[0].clone()
    return Generated(prompt, codes, [logits[0] for logits in output.logits], latents)


def _drawing_from_our_stream(seed: int) -> Any:
    """In place of PyTorch's own draw, over the probabilities that Hugging Face computed."""
    drawn = 0
    signed = (seed + 2**63) % 2**64 - 2**63

    def multinomial(probabilities: torch.Tensor, num_samples: int) -> torch.Tensor:
        nonlocal drawn
        assert num_samples == 1
        codes = pick(probabilities, uniform(torch.tensor([signed]), torch.tensor([drawn])))
        drawn += 1
        return codes[:, None]

    return patch.object(torch, "multinomial", multinomial)


def _until(codes: Sequence[int], stop: int) -> list[int]:
    return list(codes[: codes.index(stop)] if stop in codes else codes)

"""A checkpoint's config.yaml: read, and every key that shapes the network checked by name and type.

For a misspelt key the package would use a default of its constructor, and build a network that does not fit the
weights. Here it is an error that names the key.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from farm.errors import Misconfigured

_ENCODER = dict.fromkeys(("output_size", "linear_units", "attention_heads", "num_blocks", "perceiver_mult"), int)
_GPT: dict[str, Any] = {
    **dict.fromkeys(("model_dim", "layers", "heads", "max_text_tokens", "max_mel_tokens"), int),
    **dict.fromkeys(("number_text_tokens", "start_text_token", "stop_text_token"), int),
    **dict.fromkeys(("number_mel_codes", "start_mel_token", "stop_mel_token"), int),
    "emo_condition_module": {**_ENCODER, "input_layer": str},
}
_BOTH: dict[str, Any] = {
    "gpt": _GPT,
    "semantic_codec": {
        **dict.fromkeys(("codebook_size", "codebook_dim", "hidden_size"), int),
        **dict.fromkeys(("vocos_dim", "vocos_intermediate_dim", "vocos_num_layers"), int),
    },
    "s2mel": {
        "preprocess_params": {
            "sr": int,
            "spect_params": dict.fromkeys(("n_fft", "win_length", "hop_length", "n_mels"), int),
        },
        "dit_type": str,
        "reg_loss_type": str,
        "style_encoder": {"dim": int},
        "length_regulator": {
            **dict.fromkeys(("channels", "in_channels", "content_codebook_size"), int),
            "is_discrete": bool,
            "sampling_ratios": list,
        },
        "DiT": {
            **dict.fromkeys(("hidden_dim", "num_heads", "depth", "in_channels"), int),
            **dict.fromkeys(("content_dim", "content_codebook_size"), int),
            **dict.fromkeys(("content_type", "final_layer_type"), str),
            **dict.fromkeys(("style_condition", "is_causal", "long_skip_connection", "uvit_skip_connection"), bool),
            "class_dropout_prob": float,
        },
        "wavenet": {
            **dict.fromkeys(("hidden_dim", "num_layers", "kernel_size", "dilation_rate"), int),
            "p_dropout": float,
            "style_condition": bool,
        },
    },
    **dict.fromkeys(("gpt_checkpoint", "s2mel_checkpoint", "w2v_stat", "emo_matrix", "spk_matrix"), str),
    "emo_num": list,
}
_NEEDED: dict[str, dict[str, Any]] = {
    "2": {
        **_BOTH,
        "dataset": {"bpe_model": str},
        "gpt": {**_GPT, "condition_type": str, "condition_module": {**_ENCODER, "input_layer": str}},
        "qwen_emo_path": str,
        "vocoder": {"name": str},
    },
    "2.5": _BOTH,
}
# UnifiedVoice takes these keys as well, and refuses any other.
_ALLOWED_IN_GPT = {
    *("max_conditioning_inputs", "mel_length_compression", "train_solo_embeddings", "use_mel_codes_as_input"),
    *("checkpointing", "types", "condition_num_latent", "condition_type", "condition_module"),
}
_EMOTIONS = 8
_KINDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", list: "a list"}
_MEND = "use the config.yaml that came with the weights"


def read(path: Path) -> Mapping[str, Any]:
    """The mapping in the file. Raises Misconfigured, which names the wrong key."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} is not YAML ({' '.join(str(error).split())}); {_MEND}") from error
    if not isinstance(found, dict):
        raise Misconfigured(f"{path} is no mapping of keys to values; {_MEND}")
    version = version_of(found)
    if version not in _NEEDED:
        raise Misconfigured(
            f"{path} is of IndexTTS {version}, and this engine renders {' and '.join(_NEEDED)}; name the folder of one"
        )
    _check(found, _NEEDED[version], "", path)
    _check_values(found, version, path)
    return found


def version_of(found: Mapping[str, Any]) -> str:
    """ "2" for 2.0, 2 and no version at all."""
    said = found.get("version", 2)
    return f"{said:g}" if isinstance(said, int | float) else str(said)


def _check(found: Mapping[str, Any], needed: Mapping[str, Any], within: str, path: Path) -> None:
    for key, kind in needed.items():
        name = within + key
        if key not in found:
            similar = difflib.get_close_matches(key, [str(other) for other in found if other not in needed], 1)
            instead = f", and has {within}{similar[0]}" if similar else ""
            raise Misconfigured(f"{path} lacks {name}{instead}; {_MEND}")
        value = found[key]
        if isinstance(kind, Mapping):
            if not isinstance(value, dict):
                raise Misconfigured(f"{path}: {name} is {value!r} where keys below it belong; {_MEND}")
            _check(value, kind, name + ".", path)
        elif not _is(value, kind):
            raise Misconfigured(f"{path}: {name} is {value!r} and must be {_KINDS[kind]}; {_MEND}")


def _check_values(found: Mapping[str, Any], version: str, path: Path) -> None:
    gpt = found["gpt"]
    for key in gpt:
        if key not in _GPT and key not in _ALLOWED_IN_GPT:
            raise Misconfigured(f"{path} has gpt.{key}, which IndexTTS-{version} doesn't know; {_MEND}")
    for key in ("start_mel_token", "stop_mel_token"):
        if gpt[key] >= gpt["number_mel_codes"]:
            raise Misconfigured(f"{path}: gpt.{key} is {gpt[key]}, beyond gpt.number_mel_codes; {_MEND}")
    counts = found["emo_num"]
    if len(counts) != _EMOTIONS or not all(_is(count, int) and count for count in counts):
        raise Misconfigured(f"{path}: emo_num is {counts!r} and must be {_EMOTIONS} whole numbers above 0; {_MEND}")


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, kind)

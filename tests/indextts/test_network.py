"""Loading: every weight is the package's, and one that is not as it must be is named."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from farm.errors import Misconfigured
from worker.engines.indextts.load.checkpoint import SEMANTIC, VOCODER, find_checkpoint
from worker.engines.indextts.load.network import load_network
from worker.engines.indextts.shapes import Network, Precisions

CPU = torch.device("cpu")
MODULES: dict[str, Callable[[Any], nn.Module]] = {
    "gpt": lambda package: package.gpt,
    "regulator": lambda package: package.s2mel.models["length_regulator"],
    "estimator": lambda package: package.s2mel.models["cfm"].estimator,
    "gpt_layer": lambda package: package.s2mel.models["gpt_layer"],
    "codec": lambda package: package.semantic_codec,
    "vocoder": lambda package: package.bigvgan,
    "semantic": lambda package: package.semantic_model,
    "speaker": lambda package: package.campplus_model,
}


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(checkpoint, tmp_path / "model")


def _load(folder: Path, precisions: Precisions | None = None) -> Network:
    return load_network(find_checkpoint(folder, Path("/nonexistent/cache")), CPU, precisions or Precisions())


# --- as the package loads it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_every_weight_is_the_packages(network: Network, package: Any, name: str) -> None:
    ours, theirs = getattr(network, name), MODULES[name](package).state_dict()
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs[key]), key
    assert not ours.training
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_without_its_unread_layers_w2v_bert_says_the_same(network: Network, package: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    heard = {
        "input_features": torch.randn(2, 50, 160, generator=generator),
        "attention_mask": torch.tensor([[1] * 50, [1] * 31 + [0] * 19]),
    }
    with torch.inference_mode():
        theirs = package.semantic_model(**heard, output_hidden_states=True).hidden_states[17]
        ours = network.semantic(**heard).last_hidden_state
    assert len(network.semantic.encoder.layers) == 17 < len(package.semantic_model.encoder.layers)
    assert torch.equal(ours, theirs)


def test_statistics_rows_and_spectra_are_the_packages(network: Network, package: Any) -> None:
    assert torch.equal(network.semantic_mean, package.semantic_mean)
    assert torch.equal(network.semantic_std, package.semantic_std)
    for ours, theirs in ((network.emotion_rows, package.emo_matrix), (network.speaker_rows, package.spk_matrix)):
        assert len(ours) == 8
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    samples = torch.randn(1, 22050, generator=torch.Generator().manual_seed(1))
    assert torch.equal(network.mel(samples), package.mel_fn(samples))


def test_the_tokenizer_reads_as_the_packages(network: Network, package: Any) -> None:
    text = "The quick brown fox says 你好 at 9."
    assert network.tokenizer.tokenize(text) == package.tokenizer.tokenize(text)


def test_half_precision_spares_the_modules_that_run_once_for_each_voice_or_text(checkpoint: Path) -> None:
    network = _load(checkpoint, Precisions(gpt="bf16", s2mel="fp16", vocoder="bf16"))

    types = {name: {parameter.dtype for parameter in getattr(network, name).parameters()} for name in MODULES}
    gpt = {name: tensor.dtype for name, tensor in network.gpt.named_parameters()}

    assert types["regulator"] == types["gpt_layer"] == {torch.float32}
    assert types["estimator"] == types["vocoder"] == {torch.float32}, "these stages round copies of their own"
    assert types["semantic"] == types["speaker"] == types["codec"] == {torch.float32}
    assert gpt["gpt.h.0.attn.c_attn.weight"] == gpt["mel_head.weight"] == gpt["text_embedding.weight"] == torch.bfloat16
    assert gpt["conditioning_encoder.after_norm.weight"] == gpt["emo_layer.weight"] == torch.float32
    assert network.semantic_std.dtype == network.emotion_rows[0].dtype == torch.float32


def test_a_vocoder_that_was_saved_without_weight_norm_is_the_same(network: Network, folder: Path) -> None:
    path = VOCODER.snapshot(folder / "hf_cache") / "bigvgan_generator.pt"
    torch.save({"generator": network.vocoder.state_dict()}, path)
    for name, tensor in _load(folder).vocoder.state_dict().items():
        assert torch.equal(tensor, network.vocoder.state_dict()[name]), name


def test_loading_leaves_the_process_as_it_was(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    filters, state = list(warnings.filters), torch.get_rng_state()

    _load(checkpoint)

    assert list(warnings.filters) == filters
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr().out == ""


# --- weights that are not as they must be -----------------------------------------------------------------------------


def _edit(path: Path, change: Callable[[Any], None]) -> Path:
    loaded = torch.load(path, weights_only=True)
    change(loaded)
    torch.save(loaded, path)
    return path


def test_a_weight_that_is_missing_is_named(folder: Path) -> None:
    path = _edit(folder / "gpt.pth", lambda state: state.pop("gpt.h.1.mlp.c_fc.weight"))
    with pytest.raises(Misconfigured, match=rf"{path} lacks gpt\.h\.1\.mlp\.c_fc\.weight; .* fetch both again"):
        _load(folder)


def test_a_weight_of_another_shape_is_named_with_both(folder: Path) -> None:
    path = _edit(folder / "s2mel.pth", lambda state: state["net"]["gpt_layer"].update({"1.bias": torch.zeros(64)}))
    with pytest.raises(Misconfigured, match=rf"{path}: net\.gpt_layer\.1\.bias is \(64,\) where \(128,\) belongs"):
        _load(folder)


def test_a_weight_of_nan_is_named(folder: Path) -> None:
    def spoil(state: dict[str, torch.Tensor]) -> None:
        state["mel_head.bias"][3] = torch.nan

    path = _edit(folder / "gpt.pth", spoil)
    with pytest.raises(Misconfigured, match=rf"{path}: mel_head\.bias has values that are no numbers"):
        _load(folder)


def test_layers_that_the_config_does_not_ask_for_are_not_left_out(folder: Path) -> None:
    _configure(folder, lambda config: config["gpt"].update(layers=1))
    with pytest.raises(Misconfigured, match=r"gpt\.pth has gpt\.h\.1\..*, a layer more than its config asks for"):
        _load(folder)


def test_a_file_without_its_networks_is_named(folder: Path) -> None:
    path = _edit(folder / "s2mel.pth", lambda state: state.pop("net"))
    with pytest.raises(Misconfigured, match=f"{path} has no 'net'"):
        _load(folder)


def test_a_wrong_count_of_emotion_rows_is_reported(folder: Path) -> None:
    _configure(folder, lambda config: config.update(emo_num=[3, 17, 2, 8, 4, 5, 10, 25]))
    with pytest.raises(Misconfigured, match=r"feat2\.pt is \(73, 1280\) where emo_num .* asks for \(74, 1280\)"):
        _load(folder)


def test_a_file_damaged_inside_is_named(folder: Path) -> None:
    path = folder / "s2mel.pth"
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)  # within the pickle that says what follows
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match=rf"{path} can't be loaded \(.*\); delete it and fetch it again"):
        _load(folder)


def test_a_pickle_that_would_run_code_is_refused(folder: Path) -> None:
    torch.save({"net": print}, folder / "s2mel.pth")
    with pytest.raises(Misconfigured, match=r"s2mel\.pth can't be loaded"):
        _load(folder)


def test_a_weight_that_w2v_bert_lacks_is_named(folder: Path) -> None:
    path = SEMANTIC.snapshot(folder / "hf_cache") / "pytorch_model.bin"
    _edit(path, lambda state: state.pop("encoder.layers.16.ffn1.output_dense.weight"))
    with pytest.raises(Misconfigured, match=rf"{path} lacks encoder\.layers\.16\.ffn1\.output_dense\.weight"):
        _load(folder)


def test_a_w2v_bert_of_too_few_layers_is_reported(folder: Path) -> None:
    path = SEMANTIC.snapshot(folder / "hf_cache") / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 12}))
    with pytest.raises(Misconfigured, match=f"{path}: num_hidden_layers is 12, .* behind layer 17"):
        _load(folder)


def test_a_tokenizer_that_can_not_be_read_is_named(folder: Path) -> None:
    (folder / "bpe.model").write_bytes(b"no model")
    with pytest.raises(Misconfigured, match=r"bpe\.model can't be loaded"):
        _load(folder)


# --- configs from which no network can be made ------------------------------------------------------------------------


def _configure(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["gpt"].update(heads=7), "no network can be made of gpt"),
        (lambda config: config["s2mel"].update(dit_type="UNet"), "no network can be made of s2mel"),
        (lambda config: config["s2mel"]["preprocess_params"].update(sr=24000), "sr is 24000, and IndexTTS-2 has 22050"),
    ],
)
def test_a_config_without_a_possible_network_is_reported(
    folder: Path, change: Callable[[Any], None], message: str
) -> None:
    _configure(folder, change)
    with pytest.raises(Misconfigured, match=rf"config\.yaml: .*{message}"):
        _load(folder)

"""Weights out of files and into modules, with every weight accounted for.

A weight that is missing, has another shape or holds NaN is an error, which names file and weight. A network with a
random layer would speak too.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from farm.errors import Misconfigured
from worker.engines.indextts.shapes import DTYPES, Precision

_MIXED = "it and the config of the model are not of one checkpoint; fetch both again"

Module = TypeVar("Module", bound=nn.Module)


def load(path: Path) -> Any:
    """The content of a file of torch.save or safetensors, on the CPU. A pickle can't run code here: only tensors,
    numbers, strings and their containers are read. Raises Misconfigured."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise damaged(path, error) from error
    except Exception as error:  # SafetensorError has no other base
        if type(error).__name__ != "SafetensorError":
            raise
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> Misconfigured:
    return Misconfigured(f"{path} can't be loaded ({_first_line(error)}); delete it and fetch it again")


def entry(loaded: Any, key: str, path: Path) -> Any:
    """One entry of a loaded file, which must hold a mapping. Raises Misconfigured."""
    if not isinstance(loaded, Mapping) or key not in loaded:
        raise Misconfigured(f"{path} has no {key!r}, which a file of IndexTTS has; delete it and fetch it again")
    return loaded[key]


def restore(module: nn.Module, state: Any, path: Path, within: str = "") -> None:
    """Sets all weights of `module` from a state dict of the file `path`, in which they stand under `within`. Buffers
    that the module has computed may be absent. Entries of other kinds of modules are ignored. Raises Misconfigured."""
    if not isinstance(state, Mapping):
        raise Misconfigured(f"{path} holds no weights; delete it and fetch it again")
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}  # so named by distributed training
    own = module.state_dict()
    computed = {name for name, _ in module.named_buffers() if not name.rpartition(".")[2].startswith("running_")}
    for name, expected in own.items():
        if name in state:
            _check(state[name], expected, f"{path}: {within}{name}")
        elif name not in computed:
            raise Misconfigured(f"{path} lacks {within}{name}; {_MIXED}")
    for name in state.keys() - own.keys():
        if re.sub(r"\.\d+\.", ".0.", name) in own:
            raise Misconfigured(f"{path} has {within}{name}, a layer more than its config asks for; {_MIXED}")
    module.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def check_finite(module: nn.Module, path: Path) -> None:
    for name, tensor in module.state_dict().items():
        _check(tensor, tensor, f"{path}: {name}")


def place(module: Module, device: torch.device, precision: Precision = "fp32", in_full: Collection[str] = ()) -> Module:
    """The module on its device, for inference, in `precision`; its children named `in_full` stay in fp32."""
    rounded = [child for name, child in module.named_children() if name not in in_full] if in_full else [module]
    for child in rounded:
        child.to(DTYPES[precision])
    return module.to(device).eval().requires_grad_(False)


def _check(tensor: Any, expected: Tensor, name: str) -> None:
    if not isinstance(tensor, Tensor) or tensor.shape != expected.shape:
        found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise Misconfigured(f"{name} is {found} where {tuple(expected.shape)} belongs; {_MIXED}")
    # A sum is finite only if all its terms are: half the time of looking at each.
    if tensor.is_floating_point() and not tensor.sum(dtype=torch.float32).isfinite():
        raise Misconfigured(f"{name} has values that are no numbers; delete the file and fetch it again")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

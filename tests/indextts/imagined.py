"""A GPU that nobody has: tensors that lie on cuda:0, have shapes and types there, and hold no numbers.

    with imagined_gpu():
        engine = assemble(on_gpu(network, precisions), …)      the package's modules, on cuda:0
        engine.parts.acoustic.usual.flow.mels(…)               raises where a tensor of the CPU meets one of the GPU

PyTorch's fake tensors know by each operator's own rules where its result lies, and refuse an operator whose tensors
lie on two devices, as a GPU does. What is on the CPU is real. Nothing here has a value, so whoever looks at one (item,
tolist) fails too; on a GPU they would wait.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import fields, replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from worker.engines.indextts.shapes import HALF, Network, Precisions

GPU = torch.device("cuda", 0)
_MEMORY = 80 << 30


@contextmanager
def imagined_gpu() -> Iterator[None]:
    """For this thread. The GPU is a Hopper with 80 GB, all of it free."""
    lifting = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # a tensor of numbers is made on the CPU first, as FakeTensorMode has it
    try:
        with ExitStack() as all_of_it:
            for name, double in _CUDA.items():
                all_of_it.enter_context(patch.object(torch.cuda, name, double))
            all_of_it.enter_context(patch.object(nn.Module, "_apply", _apply))
            all_of_it.enter_context(_There(FakeTensorMode(allow_non_fake_inputs=True)))
            for name, operator in _METHODS.items():
                all_of_it.enter_context(_undriven(name, operator))
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifting)


def on_gpu(network: Network, precisions: Precisions) -> Network:
    """The same network as the loader would place it on the GPU, for `precisions`. Within `imagined_gpu`."""
    stay = {"estimator"} | ({"vocoder"} if precisions.vocoder in HALF else set())
    moved = {field.name: _moved(getattr(network, field.name)) for field in fields(network) if field.name not in stay}
    return replace(network, **{**moved, "device": GPU, "precisions": precisions})


def _moved(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return _twin(value, {}).to(GPU)
    return tree_map(lambda one: one.to(GPU) if isinstance(one, Tensor) else one, value)


def _twin(module: nn.Module, known: dict[nn.Module, nn.Module]) -> nn.Module:
    """A module of the same parameters, which can go elsewhere by itself. A deep copy would fail at weight norm."""
    if module not in known:
        known[module] = twin = copy.copy(module)
        for kind in ("_parameters", "_buffers"):
            twin.__dict__[kind] = dict(getattr(module, kind))
        twin.__dict__["_modules"] = {name: child and _twin(child, known) for name, child in module._modules.items()}
    return known[module]


class _There(TorchDispatchMode):
    """Operators that touch the GPU are imagined; all others are computed."""

    def __init__(self, fake: FakeTensorMode) -> None:
        super().__init__()
        self._fake = fake

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if any(_there(one) for one in tree_leaves([list(arguments), options])):
            arguments, options = tree_map(self._imagined, (arguments, options))
            with self._fake:
                return function(*arguments, **options)
        return function(*arguments, **options)

    def _imagined(self, one: Any) -> Any:
        return self._fake.from_tensor(one) if isinstance(one, Tensor) and not isinstance(one, FakeTensor) else one


def _there(one: Any) -> bool:
    return isinstance(one, FakeTensor) or (isinstance(one, torch.device) and one.type == "cuda")


def _undriven(name: str, operator: Callable[..., Any]) -> Any:
    """A method of a tensor by an operator. PyTorch's own asks the driver for the device first, and here is none."""
    usual = getattr(Tensor, name)

    def method(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
        return (operator if isinstance(tensor, FakeTensor) else usual)(tensor, *arguments, **options)

    return patch.object(Tensor, name, method)


def _selected(x: Tensor, index: Any) -> Tensor:
    view, places = _view(x, index)
    selected: Tensor = torch.ops.aten.index.Tensor(view, places) if places else view
    return selected


def _set(x: Tensor, index: Any, given: Any) -> None:
    view, places = _view(x, index)
    value = given if isinstance(given, Tensor) else torch.tensor(given).to(view.device)
    if places:
        torch.ops.aten.index_put_(view, places, value.to(view.dtype))
    else:
        torch.ops.aten.copy_.default(view, value)


def _view(x: Tensor, index: Any) -> tuple[Tensor, list[Tensor | None]]:
    """What all but tensors select, and the tensors by the dimensions of that."""
    index = list(index) if isinstance(index, tuple) else [index]
    index = [torch.tensor(one) if isinstance(one, list) else one for one in index]
    if Ellipsis in [one for one in index if not isinstance(one, Tensor)]:
        at = next(place for place, one in enumerate(index) if one is Ellipsis)
        taken = sum(
            one.ndim if isinstance(one, Tensor) and one.dtype == torch.bool else one is not None for one in index
        )
        index[at : at + 1] = [slice(None)] * (x.ndim - (taken - 1))
    places: list[Tensor | None] = []
    for one in index:
        at = len(places)
        if one is None:
            x, places = x.unsqueeze(at), [*places, None]
        elif isinstance(one, slice):
            x = torch.ops.aten.slice.Tensor(x, at, one.start, one.stop, one.step or 1)
            places.append(None)
        elif isinstance(one, Tensor):
            places += [one] + [None] * (one.ndim - 1 if one.dtype == torch.bool else 0)
        else:
            x = x.select(at, int(one))
    return x, places if any(one is not None for one in places) else []


def _apply(module: nn.Module, function: Any, recurse: bool = True) -> nn.Module:
    """PyTorch's own exchanges the memory of a parameter in place, which a real and an imagined tensor can't."""
    for child in module.children():
        child._apply(function)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            module._parameters[name] = nn.Parameter(function(parameter.detach()), requires_grad=False)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = function(buffer)
    return module


_METHODS: Mapping[str, Callable[..., Any]] = {
    "__getitem__": _selected,
    "__setitem__": _set,
    "__invert__": torch.ops.aten.bitwise_not.default,
    "contiguous": torch.ops.aten.contiguous.default,
    "copy_": torch.ops.aten.copy_.default,
}


class _Stream:
    def __init__(self, *given: Any, **named: Any) -> None: ...

    def wait_stream(self, other: _Stream) -> None: ...

    def synchronize(self) -> None: ...


_CUDA = {
    "_lazy_init": lambda: None,
    "Stream": _Stream,
    "current_stream": _Stream,
    "stream": lambda stream: nullcontext(),
    "get_device_capability": lambda device: (9, 0),
    "mem_get_info": lambda device: (_MEMORY, _MEMORY),
    "get_device_name": lambda device: "an imagined GPU",
    "get_device_properties": lambda device: type("Properties", (), {"total_memory": _MEMORY}),
}

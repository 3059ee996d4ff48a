"""What a piece of model code asks of a device, counted without one: kernel launches, bytes, floating-point operations.

    with counted() as cost, torch.inference_mode():
        step()                       # on tensors of the meta device, at full size, in a second
    print(cost)                      # 283 launches, 3.62 GB, 0.141 TFLOP
    print(cost.table())              # the same by operator

    with no_host_sync():
        step()                       # raises HostSync where the host would wait for the device

PyTorch's operators are counted, after those are taken apart that are made of others. So a count is the same on any
machine, and a regression shows where there is no GPU. It is no time: a fused operator may be slower than two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# Operators of several kernels on a GPU, counted from above. A stable sort of many rows is two radix sorts.
_KERNELS = {"sort": 14, "topk": 4, "index_put": 2}

# Operators without a kernel: they make a view, or room that is filled later.
_FREE = {
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "_reshape_alias",
    "alias", "detach", "lift_fresh", "resolve_conj", "resolve_neg", "set_", "resize_",
}  # fmt: skip

# One kernel on a GPU, although PyTorch's own definition has more parts.
_WHOLE = {"scaled_dot_product_attention", "_varlen_attn", "rms_norm", "layer_norm"}

# The host waits for their answer, or they look at the values to know a shape.
_WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "nonzero_numpy", "argwhere", "masked_select", "unique",
    "_unique2", "unique_dim", "unique_consecutive", "bincount", "equal", "repeat_interleave", "histc",
}  # fmt: skip
_WAITING_METHODS = {
    "cpu", "numpy", "tolist", "item", "__bool__", "__int__", "__float__", "__index__", "__array__", "is_nonzero",
    "nonzero",
}  # fmt: skip


class Cost(TorchDispatchMode):
    """`launches` of kernels, `bytes` that the operators read and write at least once each, and `flops`, of products and
    attention alone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches = self.bytes = self.flops = 0
        self.by_operator: Counter[str] = Counter()  # launches
        self.bytes_by_operator: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        name = function.overloadpacket.__name__
        if name not in _WHOLE and function is not torch.ops.prim.device.default:
            with self:
                answer = function.decompose(*arguments, **options)
            if answer is not NotImplemented:
                return answer
        answer = function(*arguments, **options)
        if name in _FREE or _is_view(function):
            return answer
        launches = _KERNELS.get(name, 1)
        moved = _bytes(name, function, arguments, options, answer)
        self.launches += launches
        self.bytes += moved
        self.by_operator[name] += launches
        self.bytes_by_operator[name] += moved
        self.flops += _flops(name, function, arguments, options, answer)
        return answer

    def __str__(self) -> str:
        return f"{self.launches} launches, {self.bytes / 1e9:.2f} GB, {self.flops / 1e12:.3f} TFLOP"

    def table(self) -> str:
        """A line for each operator: its launches and its bytes."""
        lines = [f"{'operator':<32} {'launches':>8} {'MB':>10}"]
        for name, launches in self.by_operator.most_common():
            lines.append(f"{name:<32} {launches:>8} {self.bytes_by_operator[name] / 1e6:>10.2f}")
        return "\n".join(lines)


def _is_view(function: Any) -> bool:
    """Whether the answer lies in the memory of an argument and nothing is written."""
    aliases = [one.alias_info for one in function._schema.arguments if one.alias_info is not None]
    return bool(aliases) and not any(alias.is_write for alias in aliases)


@contextmanager
def counted() -> Iterator[Cost]:
    with Cost() as cost:
        yield cost


class HostSync(AssertionError):
    """The host waited for the device, within a piece of code that must not."""


@contextmanager
def no_host_sync() -> Iterator[None]:
    """Raises HostSync at the first call that waits. Works on any device: on the meta device also what this list leaves
    out fails, because nothing there has a value."""
    with ExitStack() as modes:
        modes.enter_context(_Methods())
        modes.enter_context(_Operators())  # type: ignore[no-untyped-call]
        yield


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        name = function.overloadpacket.__name__
        if name in _WAITING:
            raise HostSync(f"{function} waits for the device")
        if name in ("index", "index_put", "index_put_") and any(
            isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in tree_leaves(arguments[1])
        ):
            raise HostSync(f"{function} with a mask waits for the device, to count what the mask selects")
        answer = function(*arguments, **options)
        if name in ("_to_copy", "to", "copy_") and _leaves_the_device(arguments, answer):
            raise HostSync(f"{function} to the host waits for the device")
        return answer


class _Methods(TorchFunctionMode):
    """On a CPU these do not reach an operator that could be seen."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in _WAITING_METHODS and arguments and isinstance(arguments[0], Tensor):
            raise HostSync(f"Tensor.{name} waits for the device")
        return function(*arguments, **(options or {}))


def _leaves_the_device(arguments: Any, answer: Any) -> bool:
    sources = [one for one in tree_leaves(list(arguments)) if isinstance(one, Tensor)]
    return (
        isinstance(answer, Tensor) and answer.device.type == "cpu" and any(one.device.type != "cpu" for one in sources)
    )


def _bytes(name: str, function: Any, arguments: Any, options: Any, answer: Any) -> int:
    """Each tensor of arguments and answer once; of a table that is looked up, only the rows that are read."""
    written = {id(one): one for one in tree_leaves(answer) if isinstance(one, Tensor)}
    read = [one for one in tree_leaves([list(arguments), options]) if isinstance(one, Tensor)]
    total = sum(_size(one) for one in written.values())
    if name in ("index", "index_select", "gather", "embedding"):
        looked_up = arguments[1] if name == "embedding" else arguments[2] if name != "index" else None
        indices = [looked_up] if isinstance(looked_up, Tensor) else tree_leaves(arguments[1])
        return 2 * total + sum(_size(one) for one in indices if isinstance(one, Tensor))
    if name in ("index_copy_", "index_put_", "scatter_", "index_fill_"):  # only the rows that are written
        given = [one for one in read if id(one) not in written]
        return sum(_size(one) for one in given) + (_size(given[-1]) if given else 0)
    return total + sum(_size(one) for one in read if id(one) not in written)


def _size(tensor: Tensor) -> int:
    """Bytes that are there: a dimension that is only repeated counts once."""
    count = 1
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= length if stride or not length else 1
    return count * tensor.element_size()


def _flops(name: str, function: Any, arguments: Any, options: Any, answer: Any) -> int:
    if name == "scaled_dot_product_attention":
        query, key = arguments[0], arguments[1]
        return int(4 * query.numel() * key.shape[-2])
    packet = getattr(torch.ops.aten, name.removesuffix("_"), function.overloadpacket)  # addmm_ multiplies as addmm does
    if name == "_varlen_attn" or packet not in flop_registry:
        return 0
    return int(flop_registry[packet](*arguments, **options, out_val=answer))

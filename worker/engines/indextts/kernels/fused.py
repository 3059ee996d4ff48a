"""The functions by a compiled library, which gets addresses, sizes and the current stream. What the library can't read
is refused: a function that reads beyond a tensor would answer with other tensors' numbers."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

VERSION = 2  # of the library's functions, their parameters and their answers
_TOO_LARGE = -1  # the answer of a function that counts its threads in 32 bits
_TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_TAPS = 12

_Address, _Size, _Count = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_WHERE = [_Count, _Count, _Address]  # type, device, stream


class _Filters(ctypes.Structure):
    _fields_ = (("up", ctypes.c_float * _TAPS), ("down", ctypes.c_float * _TAPS))


_FUNCTIONS = {
    "farm_snake": [_Address, _Address, _Address, _Address, ctypes.POINTER(_Filters), _Address, *[_Count] * 4, *_WHERE],
    "farm_rms_scale": [_Address, _Address, _Address, _Count, _Count, ctypes.c_float, *_WHERE],
    "farm_silu_mul": [_Address, _Size, _Address, _Size, _Address, _Count, _Count, *_WHERE],
    "farm_tanh_gate": [_Address, _Address, _Count, _Count, *_WHERE],
    "farm_rotate": [_Address, _Size, _Address, _Address, *[_Count] * 4, *_WHERE],
}


class Fused:
    """The functions of plain.Kernels. `device` is the type of the devices whose memory the library reads.

    Raises:
        OSError: the library can't be loaded, or is of another version.
    """

    name = "fused"

    def __init__(self, library: Path, device: str = "cuda") -> None:
        # Not CDLL: a launch takes microseconds, and another thread would keep the interpreter for milliseconds.
        loaded = ctypes.PyDLL(str(library))
        if (found := loaded.farm_kernels_version()) != VERSION:
            raise OSError(f"{library} is of version {found}, and this engine needs {VERSION}; build the image again")
        self._device = device
        self._functions: dict[str, Any] = {}
        for name, parameters in _FUNCTIONS.items():
            self._functions[name] = getattr(loaded, name)
            self._functions[name].argtypes = parameters
        self._error = loaded.farm_kernels_error
        self._error.restype = ctypes.c_char_p
        self.snakes = Snakes(self)

    def rms_scale(self, x: Tensor, scale: Tensor, epsilon: float) -> Tensor:
        width = x.shape[-1]
        self._check("rms_scale", x, scale)
        _need(x.is_contiguous() and scale.is_contiguous() and scale.shape == (width,), "rms_scale", x, scale)
        out = torch.empty_like(x)
        rows = x.numel() // max(width, 1)
        self._call("farm_rms_scale", x, x.data_ptr(), scale.data_ptr(), out.data_ptr(), rows, width, epsilon)
        return out

    def silu_mul(self, gate: Tensor, value: Tensor) -> Tensor:
        self._check("silu_mul", gate, value)
        _need(gate.shape == value.shape, "silu_mul", gate, value)
        out = torch.empty(gate.shape, dtype=gate.dtype, device=gate.device)
        strides = [_stride("silu_mul", each, 1) for each in (gate, value)]
        width = gate.shape[-1]
        self._call(
            "farm_silu_mul", gate, gate.data_ptr(), strides[0], value.data_ptr(), strides[1], out.data_ptr(),
            gate.numel() // max(width, 1), width,
        )  # fmt: skip
        return out

    def tanh_gate(self, both: Tensor) -> Tensor:
        self._check("tanh_gate", both)
        _need(both.is_contiguous() and both.shape[-1] % 2 == 0, "tanh_gate", both)
        width = both.shape[-1] // 2
        out = torch.empty((*both.shape[:-1], width), dtype=both.dtype, device=both.device)
        rows = out.numel() // max(width, 1)
        self._call("farm_tanh_gate", both, both.data_ptr(), out.data_ptr(), rows, width)
        return out

    def rotate(self, heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """In place: the result is `heads`."""
        self._check("rotate", heads, cos, sin)
        halves, rows, count, width = heads.shape
        angles = (rows, 1, width // 2)
        _need(width % 2 == 0 and cos.shape == sin.shape == angles, "rotate", heads, cos, sin)
        _need(cos.is_contiguous() and sin.is_contiguous(), "rotate", heads, cos, sin)
        self._call(
            "farm_rotate", heads, heads.data_ptr(), _stride("rotate", heads, 2), cos.data_ptr(), sin.data_ptr(),
            halves * rows, rows, count, width // 2,
        )  # fmt: skip
        return heads

    def snake(self, snake: Snake, x: Tensor, frames: Tensor | None, rate: int) -> Tensor:
        """The activation of x (B, C, T). `frames` (B,) int32 times `rate` are the items' lengths; None: all have T.
        Zeros stand behind an item's end."""
        items, channels, length = x.shape
        self._check("snake", x)
        _need(x.is_contiguous() and snake.phases.shape == (channels,), "snake", x, snake.phases)
        _need(snake.phases.device == x.device, "snake", x, snake.phases)
        if frames is not None:
            right = frames.shape == (items,) and frames.dtype == torch.int32 and frames.device == x.device
            _need(right and frames.is_contiguous(), "snake", x, frames)
        out = torch.empty_like(x)
        self._call(
            "farm_snake", x, x.data_ptr(), out.data_ptr(), snake.phases.data_ptr(), snake.heights.data_ptr(),
            ctypes.byref(snake.filters), None if frames is None else frames.data_ptr(), rate, items, channels, length,
        )  # fmt: skip
        return out

    def _check(self, function: str, *tensors: Tensor) -> None:
        first = tensors[0]
        for each in tensors:
            if each.device.type != self._device or each.device != first.device:
                raise ValueError(f"{function}: a tensor on {each.device}, where all must be on one {self._device}")
            if each.dtype != first.dtype or each.dtype not in _TYPES:
                raise ValueError(f"{function}: {each.dtype} beside {first.dtype}; all must be one of fp32, fp16, bf16")

    def _call(self, function: str, first: Tensor, *arguments: Any) -> None:
        index, stream = first.device.index or 0, 0
        if first.is_cuda:
            stream = torch.cuda.current_stream(first.device).cuda_stream
        code = self._functions[function](*arguments, _TYPES[first.dtype], index, stream)
        if code == _TOO_LARGE:
            shape = tuple(first.shape)
            raise ValueError(
                f"{function}: a tensor of {shape} has more numbers than one launch counts; halve the batch"
            )
        if code:
            raise RuntimeError(f"CUDA error: {self._error(code).decode()} (in {function}, {code})")


@dataclass(frozen=True, slots=True)
class Snake:
    """The parameters of one activation, computed in fp64 and rounded once to fp32."""

    phases: Tensor  # (C,) alpha / pi
    heights: Tensor  # (C,) 1 / beta
    filters: _Filters


class Snakes:
    """Makes and applies the activations of BigVGAN."""

    def __init__(self, fused: Fused) -> None:
        self.apply = fused.snake

    def read(self, layer: Any, device: torch.device) -> Snake:
        """From the package's Activation1d, which should be in fp32; for `device`.

        Raises:
            ValueError: the layer is of another form than the kernel's.
        """
        up, down, act = layer.upsample, layer.downsample.lowpass, layer.act
        form = (layer.up_ratio, layer.down_ratio, up.kernel_size, down.kernel_size, up.stride, down.stride)
        if form != (2, 2, _TAPS, _TAPS, 2, 2) or not down.padding:
            raise ValueError(f"an activation with ratios, kernels and strides {form} has no fused kernel")
        alpha = act.alpha.detach().double()
        beta = act.beta.detach().double() if hasattr(act, "beta") else alpha
        if act.alpha_logscale:
            alpha, beta = alpha.exp(), beta.exp()
        return Snake(
            phases=(alpha / math.pi).to(device, torch.float32),
            heights=(1 / (beta + act.no_div_by_zero)).to(device, torch.float32),
            filters=filters(up.filter * 2, down.filter),
        )


def filters(up: Tensor, down: Tensor) -> _Filters:
    """Of 12 taps each; that of upsampling has its factor of 2 in it."""
    return _Filters(*((ctypes.c_float * _TAPS)(*each.detach().float().flatten().tolist()) for each in (up, down)))


def _stride(function: str, x: Tensor, inner: int) -> int:
    """From one row to the next, in numbers, where the last `inner` dimensions lie side by side in each row.

    Raises:
        ValueError: the rows are not evenly spaced, or not whole.
    """
    expected = 1
    for size, stride in zip(reversed(x.shape[-inner:]), reversed(x.stride()[-inner:]), strict=True):
        _need(size == 1 or stride == expected, function, x)
        expected *= size
    rows: Sequence[tuple[int, int]] = [
        (size, stride) for size, stride in zip(x.shape[:-inner], x.stride()[:-inner], strict=True) if size != 1
    ]
    for (_, outer), (size, stride) in pairwise(rows):
        _need(outer == size * stride or not x.numel(), function, x)
    return rows[-1][1] if rows and x.numel() else expected


def _need(right: bool, function: str, *tensors: Tensor) -> None:
    if not right:
        shapes = ", ".join(f"{tuple(each.shape)} with strides {each.stride()}" for each in tensors)
        raise ValueError(f"{function} can't read tensors of these shapes, types and strides: {shapes}")

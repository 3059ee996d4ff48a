"""BigVGAN over a batch of mels of different lengths, each with the samples that it has alone.

In a padded batch the network looks past the end of an item, into its own output for the padding. Alone it finds zeros
there (convolutions) or the last value held (the filters around an activation). So the few columns behind every end are
set to just that before each of these layers. The network itself is the package's: in fp32 unchanged, in half precision
a copy whose activations compute in fp32 (snake.py).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from farm.errors import Misconfigured
from worker.engines.indextts.kernels.choice import choose as choose_kernels
from worker.engines.indextts.kernels.plain import Kernels
from worker.engines.indextts.shapes import HOP
from worker.engines.indextts.sound.activations import Activations
from worker.engines.indextts.sound.snake import Snake

log = logging.getLogger(__name__)

# The fixed cost of a batch, in frames: on a GPU, 2,200 kernels against 40 us a frame (calculated).
_LAUNCH = {"cpu": 16, "cuda": 256}
# Widths are multiples of so many frames. For each new shape of a convolution cuDNN chooses an engine, which takes the
# host 1.3 ms (pytorch#187212), and a width has 60 of them: by itself nearly every batch would be of a new width.
_WIDTHS = {"cpu": 1, "cuda": 32}


class Vocoder:
    """`module` is the package's BigVGAN in fp32. Where it is to run on another `device` or in another `dtype`, a copy
    runs. A batch has at most `limit` padded frames, or one item. A frame takes about 0.3 MB in fp32 (calculated).
    `kernels` are chosen by the device when absent.

    Raises:
        Misconfigured: the module was loaded with its fused CUDA kernel, which leaves no place to set the ends; or its
            weights do not fit into `dtype`.
    """

    def __init__(
        self, module: Any, device: torch.device | None = None, dtype: torch.dtype = torch.float32, limit: int = 8192,
        kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        if module.h.get("use_cuda_kernel"):
            raise Misconfigured("BigVGAN's fused CUDA kernel can't be batched; load it with use_cuda_kernel=False")
        weight = module.conv_pre.weight
        device = device or weight.device
        same = (weight.device, weight.dtype) == (device, dtype)
        self._module, self._limit = module if same else _copy(module, device, dtype), limit
        self._activations = Activations(self._module, module, device, kernels or choose_kernels(device))
        # Fused activations leave zeros behind each end, as the mel has. Only upsamplers have other inputs than these.
        seeing = [each for each in self._module.modules() if not self._activations or _is_upsampler(each)]
        self._looking = [sight for layer in seeing if (sight := _look(layer)) is not None]

    def samples(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """(256 Y,) for each mel (80, Y): fp32 within [-1, 1], on the CPU."""
        launch = _LAUNCH.get(self._module.conv_pre.weight.device.type, 0)
        made: dict[int, Tensor] = {}
        for group in groups([self._width([mel.shape[1]]) for mel in mels], self._limit, launch):
            made |= zip(group, self._batch([mels[index] for index in group]), strict=True)
        return [made[index] for index in range(len(mels))]

    def _batch(self, mels: Sequence[Tensor]) -> list[Tensor]:
        waves = self.waves(mels).cpu()  # the one place where the host waits for the device
        return [wave[: HOP * mel.shape[1]] for wave, mel in zip(waves, mels, strict=True)]

    def waves(self, mels: Sequence[Tensor]) -> Tensor:
        """(B, 256 * longest) in fp32 on the device, of one batch. Behind an item's end there is nothing of use."""
        weight = self._module.conv_pre.weight
        frames = [mel.shape[1] for mel in mels]
        width = self._width(frames)
        padded = torch.stack([F.pad(mel, (0, width - mel.shape[1])) for mel in mels])
        with (
            self._ends_set(_Ends(frames, width, weight.device, weight.dtype)),
            self._activations.knowing(frames, width, weight.device),
        ):
            waves: Tensor = self._module(padded.to(weight.dtype))
        return waves[:, 0, : HOP * max(frames)].float().clamp_(-1, 1)

    def _width(self, frames: Sequence[int]) -> int:
        """Of the batch, in frames."""
        step = _WIDTHS.get(self._module.conv_pre.weight.device.type, 1)
        return -(-self._activations.width(frames) // step) * step

    @contextmanager
    def _ends_set(self, ends: _Ends) -> Iterator[None]:
        hooks = [
            layer.register_forward_pre_hook(lambda _, inputs, act=act, reach=reach: act(ends, inputs[0], reach))
            for layer, act, reach in (self._looking if ends else ())
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _copy(module: Any, device: torch.device, dtype: torch.dtype) -> Any:
    made = copy.deepcopy(module)
    if dtype != torch.float32:
        _round(made, dtype)
    return made.to(device)


def _round(module: Any, dtype: torch.dtype) -> None:
    """All but the activations, which compute in fp32."""
    activations = [layer for layer in module.modules() if type(layer).__name__ == "Activation1d"]
    snakes = [Snake.of(layer.act) for layer in activations]
    module.to(dtype)
    for layer, snake in zip(activations, snakes, strict=True):
        layer.act = snake
    for name, weight in module.named_parameters():
        if not weight.sum(dtype=torch.float32).isfinite():
            kind = str(dtype).removeprefix("torch.")
            raise Misconfigured(f"the vocoder's {name} does not fit into {kind}; set FARM_INDEXTTS_VOCODER=fp32")
    beyond = sum(int((snake.amplitude > torch.finfo(dtype).max).sum()) for snake in snakes)
    if beyond:
        log.warning(
            "%d channels of the vocoder swing further than half precision reaches; pieces that make them do so are "
            "made twice, and FARM_INDEXTTS_VOCODER=fp32 spares the first time",
            beyond,
        )


def _is_upsampler(layer: Any) -> bool:
    return type(layer).__name__ == "ConvTranspose1d"


def groups(lengths: Sequence[int], limit: int, launch: int) -> list[list[int]]:
    """The cheapest way to group items, as indices: each group costs its padded frames and `launch`. The items of a
    group are neighbours in length, and have at most `limit` padded frames together, or one is alone."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    costs, starts = [0], [0]  # of the best groups for the first 0, 1, 2, ... items, and the start of the last group
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        possible = [start for start in range(end) if (end - start) * longest <= limit] or [end - 1]
        cost, start = min((costs[start] + launch + (end - start) * longest, start) for start in possible)
        costs.append(cost)
        starts.append(start)
    found = []
    end = len(order)
    while end:
        found.append(order[starts[end] : end])
        end = starts[end]
    return found


class _Ends:
    """The ends of a batch's items, at any of the network's rates; false if all items are as long as the batch."""

    def __init__(self, frames: Sequence[int], width: int, device: torch.device, dtype: torch.dtype) -> None:
        self._width = width
        short = [item for item, count in enumerate(frames) if count < self._width]
        self._items = torch.tensor(short, dtype=torch.long, device=device)[:, None]
        self._frames = torch.tensor([frames[item] for item in short], dtype=torch.long, device=device)[:, None]
        self._columns: dict[tuple[int, int], Tensor] = {}
        self._zero = torch.zeros((), device=device, dtype=dtype)

    def __bool__(self) -> bool:
        return len(self._items) > 0

    def clear(self, x: Tensor, reach: int) -> None:
        """Zeros in the `reach` columns of `x` (B, C, rate * width) behind every end."""
        x[self._items, :, self._behind(x, reach)] = self._zero

    def hold(self, x: Tensor, reach: int) -> None:
        """The last value of an item in the `reach` columns behind its end."""
        x[self._items, :, self._behind(x, reach)] = x[self._items, :, self._behind(x, 0)]

    def _behind(self, x: Tensor, reach: int) -> Tensor:
        """(items, reach) columns behind the ends, or for 0 the last column before it."""
        rate = x.shape[-1] // self._width
        if (rate, reach) not in self._columns:
            offsets = torch.arange(reach, device=x.device) if reach else torch.tensor([-1], device=x.device)
            # Columns beyond the batch become its last one, which is padding in all of these items.
            self._columns[rate, reach] = (rate * self._frames + offsets).clamp_(max=x.shape[-1] - 1)
        return self._columns[rate, reach]


_Act = Callable[[_Ends, Tensor, int], None]


def _look(layer: Any) -> tuple[nn.Module, _Act, int] | None:
    """How to set the columns behind an end for this layer, and how many of them it sees; None if it sees none."""
    match type(layer).__name__:
        case "Conv1d" | "ConvTranspose1d":
            act, reach = _Ends.clear, -(-layer.padding[0] // layer.stride[0])
        case "UpSample1d":
            act, reach = _Ends.hold, layer.pad
        case "DownSample1d":
            act, reach = _Ends.hold, layer.lowpass.pad_right
        case _:
            return None
    return (layer, act, reach) if reach else None

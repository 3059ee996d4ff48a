"""A stand-in for CUDA graphs that runs on a CPU, and fails where a real graph would go on with something stale.

A graph repeats the same kernels on the same addresses with the same numbers, whatever Python would do by now. The tape
lets Python do it again, and holds every operator against the recording: its name, its numbers, the shapes, and for each
tensor from outside where it lies. Nothing may be resized or given other memory, and nothing may wait for the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.counting import no_host_sync
from worker.engines.indextts.decode.graph import Work

_REPLACED = {"set_", "resize_", "resize_as_", "_resize_output_"}  # operators that give a tensor other memory


class Tape:
    """Given to a Decoder as `record`. `outside` holds the addresses of all memory that the recordings use and did not
    make."""

    def __init__(self) -> None:
        self.outside: set[int] = set()
        self.replays = 0

    def __call__(self, work: Work) -> Work:
        recorded = _Watch()
        with no_host_sync(), recorded:
            work()
        self.outside |= recorded.outside

        def replay() -> None:
            self.replays += 1
            with _Watch() as seen:
                work()
            if seen.calls != recorded.calls:
                pairs = zip(seen.calls, recorded.calls, strict=False)
                differs = next((pair for pair in pairs if pair[0] != pair[1]), "in its length")
                raise AssertionError(f"a graph would go on as it was recorded: {differs}")

        return replay


class _Watch(TorchDispatchMode):
    """`calls` holds what would be frozen of each operator. Memory that was made within is told by its shape alone."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []
        self.outside: set[int] = set()
        self._made: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        assert function.overloadpacket.__name__ not in _REPLACED, f"{function} gives a tensor other memory"
        options = options or {}
        given: set[int] = set()
        self.calls.append((function, self._described((*arguments, *options.items()), given)))
        answer = function(*arguments, **options)
        for one in answer if isinstance(answer, tuple | list) else (answer,):
            if isinstance(one, Tensor) and (lies := address(one)) not in given:
                self._made.add(lies)
        return answer

    def _described(self, given: Any, places: set[int]) -> Any:
        if isinstance(given, tuple | list):
            return tuple(self._described(one, places) for one in given)
        if not isinstance(given, Tensor):
            return repr(given) if isinstance(given, float) else given  # NaN is not NaN
        lies = address(given)
        places.add(lies)
        if lies in self._made or not given.numel():
            return given.shape, given.stride()
        self.outside.add(lies)
        return lies, given.storage_offset(), given.shape, given.stride()


def address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def tensors_of(one: Any) -> Iterator[Tensor]:
    """All tensors that an object holds, in whatever it is made of."""
    if isinstance(one, Tensor):
        yield one
    elif isinstance(one, list | tuple):
        for part in one:
            yield from tensors_of(part)
    elif is_dataclass(one):
        for part in fields(one):
            yield from tensors_of(getattr(one, part.name))
    elif hasattr(one, "__dict__"):
        yield from tensors_of(list(vars(one).values()))

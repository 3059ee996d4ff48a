"""Work on static memory, recorded once as a CUDA graph: to replay it takes the host some microseconds for hundreds of
kernels, and no GIL meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal

import torch

WantedGraph = Literal["auto", "on", "off"]

Work = Callable[[], None]
Record = Callable[[Work], Work]  # work -> its replay, which may be called from any thread

_REHEARSALS = 2  # what a library allocates, loads or chooses at its first calls must not be in the recording


class CudaGraphs:
    """Records on a stream, into a pool of memory that all its graphs share: on one stream, no two run at once.

    Only what this thread calls can spoil a recording ("thread_local"). The decoder records when it is made, before the
    engine has other threads."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work) -> Work:
        for _ in range(_REHEARSALS):
            work()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except BaseException:
            self._leave()
            raise
        return graph.replay

    def _leave(self) -> None:
        """After a recording that a forbidden call has spoiled. PyTorch 2.11 then believes that the recording goes on,
        and refuses to give memory back. So nothing could run without graphs either (pytorch#180395)."""
        with contextlib.suppress(AttributeError, RuntimeError):  # a PyTorch that has ended it says that there is none
            torch._C._cuda_endAllocateToPool(self._stream.device_index, self._pool)

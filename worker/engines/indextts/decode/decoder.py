"""Decoding on slots: requests join a running batch between two steps and leave it the moment they end.

                 submit              admit: a slot and pages          a stop code, the limit or a fault
    request ────────────> waiting ────────────────────────> running ────────────────────────────────> Codes | Fault
                          (front) <──────────────────────── (youngest)
                                   evicted: pages or memory ran out

A row's codes depend on its prompt and its sampling alone, never on its neighbours, its slot or the time of its
admission. So an evicted row may simply start again, and nothing is lost when memory runs out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import pad

from farm.errors import Misconfigured
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.kv import Pages, Wanted, choose
from worker.engines.indextts.decode.sampling import NOT_FINITE, Parameters, defect, sample
from worker.engines.indextts.device_error import out_of_memory
from worker.engines.indextts.shapes import Codes, Fault, Request, Sampling

_FINISHED_PER_GROWTH = 16  # rows that must end before one more is tried, after memory ran out
_PENALISED = 1  # the package's stand-in for a prompt's ids: penalised from the start, as is the start code


class Decoder:
    """Up to `slots` rows at once, over K and V in `pages`, or in as many as `bytes` hold.

    attention: "flash", "sdpa", or "auto" for the faster that can run here. compile: one graph per step through
    torch.compile, over batches padded to powers of two; as CUDA graphs where there is CUDA.

    Raises:
        Misconfigured: the attention can't run, there is no memory for a page, or torch.compile does not work here.
    """

    def __init__(
        self,
        gpt: Gpt,
        *,
        slots: int,
        pages: int | None = None,
        bytes: int | None = None,
        attention: Wanted = "auto",
        compile: bool = False,
    ) -> None:
        self._gpt, self._slots, self._compile = gpt, slots, compile
        self.attention = choose(gpt.device, gpt.dtype, attention)
        self.pages = _pool(gpt, self.attention.page, pages, bytes)
        self._waiting: deque[Request] = deque()
        self._running: list[_Row] = []  # oldest first
        self._faults: list[Fault] = []
        self._free = list(range(slots - 1, -1, -1))
        self._ceiling = slots  # rows for which memory has room, as far as the decoder knows
        self._finished = 0
        # One slot more than there are, for the padding of a batch.
        self._seen = torch.zeros(slots + 1, gpt.vocabulary, dtype=torch.bool, device=gpt.device)
        self._batch: _Batch | None = None
        self._advance = _compiled(self._forward, gpt, self.pages) if compile else self._forward

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def room(self) -> int:
        """Requests that would find a slot at once."""
        return max(0, self._ceiling - len(self._running) - len(self._waiting))

    @property
    def busy(self) -> bool:
        return bool(self._running or self._waiting or self._faults)

    def submit(self, request: Request) -> None:
        """Never fails: a request that can't be decoded comes back from `step` as a Fault."""
        if problem := defect(request.sampling):
            self._faults.append(Fault(request.key, problem))
        else:
            self._waiting.append(request)

    def clear(self) -> None:
        """Forgets every request, waiting or running. May be called after `step` has raised."""
        for row in list(self._running):
            self._leave(row, soiled=True)
        self._waiting.clear()
        self._faults.clear()

    @torch.inference_mode()
    def step(self) -> list[Codes | Fault]:
        """Admits waiting requests, moves every row one code on, and returns the results of the rows that ended.

        Raises:
            RuntimeError: any error of the device that is not about memory; device_error.py tells what it means.
        """
        codes = None
        while codes is None:
            try:
                self._extend()
                self._admit()
                codes = self._draw()
            except RuntimeError as error:
                if not out_of_memory(error) or not self._running:
                    raise
            # Outside of the handler, whose traceback would keep the failed step's tensors alive.
            if codes is None:
                self._shrink()
        ended = [
            end for row, code in zip(list(self._running), codes, strict=True) if (end := self._accept_code(row, code))
        ]
        faults, self._faults = self._faults, []
        return [*faults, *ended]

    def _extend(self) -> None:
        """Gives every row room for one more code, at the expense of the youngest."""
        index = 0
        while index < len(self._running):
            row = self._running[index]
            if self.pages.extend(row.slot, row.length + 1):
                index += 1
            elif len(self._running) > 1:
                self._evict()
            else:
                self._leave(row)
                self._faults.append(_too_long(row.request, row.length + 1, self.pages))

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._ceiling:
            request = self._waiting[0]
            length = len(request.prompt) + 1
            if self.pages.needed(length) > self.pages.count:
                self._faults.append(_too_long(self._waiting.popleft(), length, self.pages))
                continue
            # A page stays free for each running row; else the newcomer would soon be evicted for them.
            if self._running and self.pages.needed(length) + len(self._running) > self.pages.free:
                return
            self.pages.extend(self._free[-1], length)
            row = _Row(self._waiting.popleft(), self._free.pop(), min(request.sampling.limit, self._gpt.max_codes))
            self._running.append(row)

    def _draw(self) -> list[int]:
        """The next code of every row. The device is waited for here alone, and once.

        The call may be repeated after a failure: its writes are overwritten with the same values.
        """
        begun = [row for row in self._running if row.codes]
        fresh = self._running[len(begun) :]
        drawn = []
        if begun:
            drawn.append(self._step(begun))
        if fresh:
            drawn.append(self._prefill(fresh))
        return torch.cat(drawn).tolist() if drawn else []

    def _step(self, rows: Sequence[_Row]) -> Tensor:
        if self._batch is None or self._batch.key != (self.pages.version, len(rows)):
            self._batch = self._assemble(rows)
        batch = self._batch
        padding = len(batch.slots) - len(rows)
        latest, count, lengths = self._send(
            [
                [row.codes[-1] for row in rows] + [0] * padding,
                [len(row.codes) for row in rows] + [0] * padding,
                [row.length for row in rows] + [0] * padding,
            ]
        )
        self._seen[batch.slots, latest] = True
        logits = self._advance(latest, count, lengths.int(), batch.tables)
        return sample(logits, self._seen[batch.slots], batch.parameters, count)[: len(rows)]

    def _prefill(self, rows: Sequence[_Row]) -> Tensor:
        slots = [row.slot for row in rows]
        logits = self._gpt.prefill([row.request.prompt for row in rows], self.pages, slots)
        seen = torch.zeros(len(rows), self._gpt.vocabulary, dtype=torch.bool, device=self._gpt.device)
        seen[:, _PENALISED] = seen[:, self._gpt.start] = True
        self._seen[self._send(slots)] = seen
        parameters = self._parameters([row.request.sampling for row in rows])
        return sample(logits, seen, parameters, self._send([0] * len(rows)))

    def _forward(self, codes: Tensor, count: Tensor, lengths: Tensor, tables: Tensor) -> Tensor:
        return self._gpt.step(codes, count, self.pages, self.attention.over(tables, lengths))

    def _assemble(self, rows: Sequence[_Row]) -> _Batch:
        slots = [row.slot for row in rows]
        samplings = [row.request.sampling for row in rows]
        tables = self.pages.tables(slots)
        if self._compile:  # few shapes, so few graphs
            padding = _power_of_two(len(rows)) - len(rows)
            slots += [self._slots] * padding
            samplings += [Sampling(greedy=True)] * padding
            tables = pad(tables, (0, _power_of_two(tables.shape[1]) - tables.shape[1], 0, padding))
        return _Batch(
            key=(self.pages.version, len(rows)),
            slots=self._send(slots),
            tables=tables.to(self._gpt.device, non_blocking=True),
            parameters=self._parameters(samplings),
        )

    def _accept_code(self, row: _Row, code: int) -> Codes | Fault | None:
        """Adds the code to its row. Returns the result of a row that ended with it."""
        end: Codes | Fault | None = None
        if code == NOT_FINITE:
            end = Fault(row.request.key, f"the decoder computed NaN or infinity after {len(row.codes)} codes")
        elif code == self._gpt.start:
            # The codec has no entry for it. On a GPU, looking it up would poison the context of the whole process.
            error = f"the decoder drew its start code after {len(row.codes)} codes; try another seed"
            end = Fault(row.request.key, error)
        elif code == self._gpt.stop:
            end = Codes(row.request, row.codes, cut=False)
        else:
            row.codes.append(code)
            if len(row.codes) == row.limit:
                end = Codes(row.request, row.codes, cut=True)
        if end is not None:
            self._leave(row, soiled=code == NOT_FINITE)
            self._finished += 1
            if self._ceiling < self._slots and self._finished % _FINISHED_PER_GROWTH == 0:
                self._ceiling += 1
        return end

    def _shrink(self) -> None:
        """Halves the rows that run at once, after they did not fit. The youngest wait again."""
        if len(self._running) == 1:
            row = self._running[0]
            self._leave(row, soiled=True)
            error = f"out of memory with this row alone, of {row.length} positions: give the decoder fewer pages"
            self._faults.append(Fault(row.request.key, error))
        self._ceiling = max(1, len(self._running) // 2)
        self._finished = 0
        while len(self._running) > self._ceiling:
            self._evict()
        if self._gpt.device.type == "cuda":
            torch.cuda.empty_cache()

    def _evict(self) -> None:
        row = self._running[-1]
        self._leave(row, soiled=True)  # the failed step may have written NaN that was never checked
        self._waiting.appendleft(row.request)

    def _leave(self, row: _Row, *, soiled: bool = False) -> None:
        self._running.remove(row)
        self._free.append(row.slot)
        self.pages.release(row.slot, soiled=soiled)

    def _parameters(self, samplings: Sequence[Sampling]) -> Parameters:
        return Parameters.of(samplings, self._gpt.vocabulary, self._gpt.device)

    def _send(self, values: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(values).to(self._gpt.device, non_blocking=True)


@dataclass(slots=True, eq=False)
class _Row:
    request: Request
    slot: int
    limit: int  # codes
    codes: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        """The next position: behind the prompt, the start code, and all codes but the latest."""
        return len(self.request.prompt) + len(self.codes)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The inputs that stay the same from step to step, as long as no row comes, goes or takes a page."""

    key: tuple[int, int]  # the version of the pages, and the rows
    slots: Tensor
    tables: Tensor
    parameters: Parameters


def _pool(gpt: Gpt, size: int, count: int | None, available: int | None) -> Pages:
    if (count is None) == (available is None):
        raise ValueError("give the decoder pages, or bytes for them: one of the two")
    shape = {"layers": gpt.layers, "heads": gpt.heads, "width": gpt.width // gpt.heads}
    if count is None:
        assert available is not None
        each = Pages.bytes(size, **shape, dtype=gpt.dtype)
        count = available // each
        if not count:
            raise Misconfigured(f"a page of K and V takes {each} bytes, and the decoder was given {available}")
    return Pages(count, size, **shape, dtype=gpt.dtype, device=gpt.device)


def _too_long(request: Request, length: int, pages: Pages) -> Fault:
    held = pages.count * pages.size
    return Fault(request.key, f"the decoder has room for {held} positions in all, and this row alone needs {length}")


_Step = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _compiled(step: _Step, gpt: Gpt, pages: Pages) -> _Step:
    mode = "reduce-overhead" if gpt.device.type == "cuda" else "default"
    try:
        torch.compile(lambda tensor: tensor + 1, mode=mode)(torch.zeros(2, device=gpt.device))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise Misconfigured(
            f"torch.compile does not work here ({reason}); install a C++ compiler (apt-get install g++), or turn it off"
        ) from error
    # A CUDA graph copies its inputs into place at every replay, except tensors marked to stay where they are.
    for tensor in (*gpt.weights(), *pages.keys, *pages.values):
        torch._dynamo.mark_static_address(tensor)
    # Sampling stays outside: its kernels are queued while the graph runs.
    compiled = torch.compile(step, mode=mode, fullgraph=True)

    def advance(codes: Tensor, count: Tensor, lengths: Tensor, tables: Tensor) -> Tensor:
        # Only rows and pages vary. With dynamic=True, heads and widths would count as variable too.
        for tensor in (codes, count, lengths, tables):
            torch._dynamo.mark_dynamic(tensor, 0)
        torch._dynamo.mark_dynamic(tables, 1)
        return compiled(codes, count, lengths, tables)

    return advance


def _power_of_two(count: int) -> int:
    """The smallest power of two, from 2 on, that is not below `count`. The compiler would make a graph of its own for a
    size of 1."""
    return max(2, 1 << (count - 1).bit_length())

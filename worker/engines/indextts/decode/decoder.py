"""Decoding on slots: requests join a running batch between two steps and leave it the moment they end.

                 submit              admit: a slot and pages          a stop code, the limit or a fault
    request ────────────> waiting ────────────────────────> running ────────────────────────────────> Codes | Fault
                          (front) <──────────────────────── (youngest)
                                   evicted: pages or memory ran out

A row's codes depend on its prompt and its sampling alone, never on its neighbours, its slot or the time of its
admission. So an evicted row may simply start again, and nothing is lost when memory runs out.

On a GPU that holds to the bit, because a step always has as many rows as there are slots, free ones among them, and a
prompt is read alone: matrix products of another shape have other last bits. So codes are the same as long as the GPU,
its libraries, the precision and `slots` are the same. With sdpa, it takes the same longest row too: that decides how
many pages all gather. Without graphs, it takes memory for all rows: where that ran out, a step has only those that
fit, until it has grown again. The step is a CUDA graph there, and the host reads the codes one step behind: while it
settles a step, the next one runs. A row that ended makes one code more, which is dropped.

On a CPU a step has the rows that run, because a free row would take as long as any other, and new rows are read
together.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial

import torch

from farm.errors import Misconfigured
from worker.engines.indextts.decode.batch import Batch, Entry
from worker.engines.indextts.decode.gpt import Gpt
from worker.engines.indextts.decode.graph import CudaGraphs, Record, WantedGraph, Work
from worker.engines.indextts.decode.kv import Pages, Wanted, choose
from worker.engines.indextts.decode.readback import Note, Readback
from worker.engines.indextts.decode.sampling import NOT_FINITE, defect, narrow
from worker.engines.indextts.decode.step import advance, begin
from worker.engines.indextts.device_error import lost_context, out_of_memory
from worker.engines.indextts.shapes import Codes, Fault, Request

log = logging.getLogger(__name__)

_FINISHED_PER_GROWTH = 16  # rows that must end before one more is tried, after memory ran out
_LONGEST_PROMPT = 1023  # rows; the model has places for 600 tokens, and a voice takes some 40
_BUCKET = 32  # rows: on a GPU prompts are padded to a multiple, so that few shapes occur
_RECORDED_PROMPTS = 256  # rows: longer prompts are seldom, and are read without a graph


class Decoder:
    """Up to `slots` rows at once, over K and V in `pages`, or in as many as `bytes` hold.

    attention: "flash", "torch", "sdpa", or "auto" for the fastest that can run here. graph: whether steps are replayed
    as CUDA graphs; "auto" where they can be recorded. record: what records them in place of CUDA.

    Raises:
        Misconfigured: the attention can't run, there is no memory for a page, or no graph can be recorded that must be.
    """

    def __init__(
        self,
        gpt: Gpt,
        *,
        slots: int,
        pages: int | None = None,
        bytes: int | None = None,
        attention: Wanted = "auto",
        graph: WantedGraph = "auto",
        record: Record | None = None,
    ) -> None:
        self._gpt, self._slots = gpt, slots
        width = gpt.width // gpt.heads
        self.attention = choose(gpt.device, gpt.dtype, attention, heads=gpt.heads, width=width)
        self.pages = _pool(gpt, self.attention.page, pages, bytes)
        self._waiting: deque[Request] = deque()
        self._running: list[_Row] = []  # oldest first
        self._faults: list[Fault] = []
        self._free = list(range(slots))  # a heap: the lowest goes first
        self._ceiling = slots  # rows for which memory has room, as far as the decoder knows
        self._finished = 0

        cuda = gpt.device.type == "cuda"
        self._fixed = cuda or record is not None
        self._stream = torch.cuda.Stream(gpt.device, priority=-1) if cuda else None
        most = self.pages.needed(_LONGEST_PROMPT + gpt.max_codes + 2)
        self._widest = min(most, self.pages.count)  # pages that a row can have
        self._batch = Batch.empty(slots, most, gpt.vocabulary, gpt.max_codes + 1, gpt.device)
        self._entry = Entry.empty(1, _LONGEST_PROMPT + 1, gpt.width, gpt.dtype, gpt.device)
        with torch.inference_mode():
            self._start = gpt.embed(torch.tensor([gpt.start]), torch.tensor([0]))[0]
        self._left: set[int] = set()  # slots that are free, and not yet so on the device
        self._behind = 1 if self._fixed else 0  # steps that may run while the host reads the one before
        self._readback = Readback(self._behind + 1, slots, gpt.device)
        self._flying: deque[_Flight] = deque()
        self._recorded: dict[tuple[str, int], Work] = {}
        if self._stream is not None:  # what was made so far was made on another
            self._stream.wait_stream(torch.cuda.current_stream(gpt.device))
        if record is None and graph != "off":
            record = self._cuda_graphs(graph)
        if record is not None:
            self._record(record, must=graph == "on")

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def busy(self) -> bool:
        return bool(self._running or self._waiting or self._faults)

    @property
    def graphs(self) -> bool:
        """Whether steps are replayed, and not launched kernel by kernel."""
        return bool(self._recorded)

    @contextmanager
    def eagerly(self) -> Iterator[None]:
        """Within, every kernel is launched by itself: the same kernels, over the same memory."""
        recorded, self._recorded = self._recorded, {}
        try:
            yield
        finally:
            self._recorded = recorded

    def submit(self, request: Request) -> None:
        """Never fails: a request that can't be decoded comes back from `step` as a Fault."""
        if problem := defect(request.sampling):
            self._faults.append(Fault(request.key, problem))
        else:
            self._waiting.append(request)

    def clear(self) -> None:
        """Forgets every request, waiting or running. May be called after `step` has raised."""
        for flight in self._flying:
            with suppress(RuntimeError):  # of a lost context; the next step tells
                flight.note.wait()  # the prompts of these rows may still be read
        self._flying.clear()
        for row in list(self._running):
            self._leave(row, soiled=True)
        self._waiting.clear()
        self._faults.clear()

    @torch.inference_mode()
    def step(self) -> list[Codes | Fault]:
        """Moves every row one code on, admits waiting requests, and returns the results of the rows that ended: on a
        GPU those that ended with the step before.

        Raises:
            RuntimeError: any error of the device that is not about memory; device_error.py tells what it means.
        """
        with self._on_stream():
            ended = self._extend()
            self._tidy()
            while self._running and not self._fits(self._advance):
                pass
            self._admit()
            self._tidy()
            while fresh := [row for row in self._running if not row.drawn]:
                self._fits(partial(self._begin, fresh[:1] if self._fixed else fresh))
            self._note()
            ended += self._settle(self._behind)
        faults, self._faults = self._faults, []
        return [*faults, *ended]

    # --- pages and slots ----------------------------------------------------------------------------------------------

    def _extend(self) -> list[Codes | Fault]:
        """Gives every row room for one more code, at the expense of the youngest. Returns the results of rows that
        turned out to have ended, when there was no room."""
        ended: list[Codes | Fault] = []
        index = 0
        while index < len(self._running):
            row = self._running[index]
            if row.length < row.room or self._extended(row):
                index += 1
            elif self._flying:
                ended += self._settle(0)
                index = 0
            elif len(self._running) > 1:
                self._evict()
            else:
                self._leave(row)
                self._faults.append(_too_long(row.request, row.length + 1, self.pages))
        return ended

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._ceiling:
            request = self._waiting[0]
            length = len(request.prompt) + 1
            if length > _LONGEST_PROMPT + 1 or self.pages.needed(length) > self.pages.count:
                self._waiting.popleft()
                self._faults.append(_too_long(request, length, self.pages))
                continue
            # A page stays free for each running row; else the newcomer would soon be evicted for them.
            if self._running and self.pages.needed(length) + len(self._running) > self.pages.free:
                return
            row = _Row(
                self._waiting.popleft(), heapq.heappop(self._free), narrow(request.sampling), self._limit(request)
            )
            self.pages.extend(row.slot, length)
            row.room = len(self.pages.held(row.slot)) * self.pages.size
            self._running.append(row)

    def _tidy(self) -> None:
        """Makes the device's rows those of the host: slots that were left are free, rows stand within those of a step,
        and tables show the pages that were taken."""
        for slot in self._left:
            self._batch.free(slot)
        self._left.clear()
        for row in self._running:
            if row.slot >= self._rows():
                self._move(row)
            held = self.pages.held(row.slot)
            if row.shown < len(held):
                self._batch.show(row.slot, held, row.shown)
                row.shown = len(held)

    def _limit(self, request: Request) -> int:
        return min(request.sampling.limit, self._gpt.max_codes)

    def _extended(self, row: _Row) -> bool:
        if not self.pages.extend(row.slot, row.length + 1):
            return False
        row.room = len(self.pages.held(row.slot)) * self.pages.size
        return True

    def _rows(self) -> int:
        """Of a step. Recorded ones have all, and others as many as there is memory for."""
        if not self._fixed:
            return len(self._running)
        return self._slots if self._recorded else self._ceiling

    def _move(self, row: _Row) -> None:
        source, row.slot = row.slot, heapq.heapreplace(self._free, row.slot)
        self.pages.move(source, row.slot)
        self._batch.move(source, row.slot)
        self._left.add(source)

    # --- the device ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        few = all(row.narrow for row in self._running)
        if few and (replay := self._recorded.get(("advance", self._width()))):
            replay()
        else:
            batch = self._batch.first(self._rows(), self._width())
            advance(self._gpt, self.pages, self.attention, batch, narrow=few)
        for row in self._running:
            row.drawn += 1

    def _begin(self, rows: list[_Row]) -> None:
        longest = max(len(row.request.prompt) for row in rows) + 1
        if self._fixed:
            padded = -(-longest // _BUCKET) * _BUCKET
            entry = self._entry.first(padded)
        else:
            padded = longest
            entry = Entry.empty(len(rows), padded, self._gpt.width, self._gpt.dtype, self._gpt.device)
        for place, row in enumerate(rows):
            self._batch.admit(row.slot, row.request.sampling)
            entry.put(place, row.request.prompt, self._start, row.slot)
        few = all(row.narrow for row in rows)
        if few and (replay := self._recorded.get(("begin", padded))):
            replay()
        else:
            begin(self._gpt, self.pages, self._batch, entry, narrow=few)
        for row in rows:
            self._batch.start(row.slot, len(row.request.prompt) + 1)
            row.drawn = 1

    def _fits(self, work: Work) -> bool:
        """Does the work; or, when memory ran out, makes room and returns False. What `work` did may be done again."""
        try:
            work()
            return True
        except RuntimeError as error:
            if not out_of_memory(error) or not self._running:
                raise
        # Outside of the handler, whose traceback would keep the failed step's tensors alive.
        self._shrink()
        return False

    def _width(self) -> int:
        """Pages in the tables of a step. Where whole tables are gathered, as few as the rows need."""
        if not self.attention.gathers:
            return self._widest
        needed = max(row.shown for row in self._running)
        return min(1 << (needed - 1).bit_length(), self._widest) if self._fixed else needed

    def _on_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    # --- graphs -------------------------------------------------------------------------------------------------------

    def _cuda_graphs(self, wanted: WantedGraph) -> Record | None:
        if self._stream is not None:
            return CudaGraphs(self._stream)
        if wanted == "on":
            raise Misconfigured(f"CUDA graphs need an NVIDIA GPU, and this is {self._gpt.device.type}; say auto or off")
        return None

    @torch.inference_mode()
    def _record(self, record: Record, *, must: bool) -> None:
        """All graphs, before any other thread uses the GPU."""
        widths = {self._widest}
        if self.attention.gathers:
            widths |= {1 << power for power in range((self._widest - 1).bit_length())}
        recorded: dict[tuple[str, int], Work] = {}
        try:
            with self._on_stream():
                for width in sorted(widths):
                    batch = self._batch.first(self._slots, width)
                    work = partial(advance, self._gpt, self.pages, self.attention, batch, narrow=True)
                    recorded["advance", width] = record(work)
                for length in range(_BUCKET, _RECORDED_PROMPTS + 1, _BUCKET):
                    entry = self._entry.first(length)
                    recorded["begin", length] = record(
                        partial(begin, self._gpt, self.pages, self._batch, entry, narrow=True)
                    )
        except Exception as error:
            first = _first(error)
            reason = str(first).strip().partition("\n")[0] or type(first).__name__
            if must or lost_context(first):
                others = "off" if lost_context(first) else "auto or off"
                raise Misconfigured(
                    f"the decode can't be recorded as CUDA graphs ({reason}); let FARM_INDEXTTS_GRAPH say {others}"
                ) from error
            log.warning("the decode goes on without CUDA graphs, and slower: they can't be recorded (%s)", reason)
            return
        self._recorded = recorded

    # --- codes --------------------------------------------------------------------------------------------------------

    def _note(self) -> None:
        if self._running:
            note = self._readback.note(self._batch.codes)
            self._flying.append(_Flight(note, [(row, row.slot) for row in self._running]))

    def _settle(self, flying: int) -> list[Codes | Fault]:
        """Reads the codes of all steps but the last few, which go on. The device is waited for here alone."""
        ended = []
        while len(self._flying) > flying:
            flight = self._flying.popleft()
            codes = flight.note.read()
            for row, slot in flight.rows:
                if not row.gone and (end := self._accept_code(row, codes[slot])):
                    ended.append(end)
        return ended

    def _accept_code(self, row: _Row, code: int) -> Codes | Fault | None:
        """Adds the code to its row. Returns the result of a row that ended with it."""
        end: Codes | Fault | None = None
        if code == NOT_FINITE:
            error = f"the decoder computed NaN or infinity after {len(row.codes)} codes"
            end = Fault(row.request.key, error, unexplained=True)
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
            # Its last step, which still runs, may write NaN that nobody looks for.
            self._leave(row, soiled=code == NOT_FINITE or (self.attention.gathers and bool(self._flying)))
            self._finished += 1
            if self._ceiling < self._slots and self._finished % _FINISHED_PER_GROWTH == 0:
                self._ceiling += 1
        return end

    # --- when something runs out --------------------------------------------------------------------------------------

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
        self._tidy()

    def _evict(self) -> None:
        row = self._running[-1]
        self._leave(row, soiled=True)  # the failed step may have written NaN that was never checked
        self._waiting.appendleft(row.request)

    def _leave(self, row: _Row, *, soiled: bool = False) -> None:
        row.gone = True
        self._running.remove(row)
        heapq.heappush(self._free, row.slot)
        self._left.add(row.slot)
        self.pages.release(row.slot, soiled=soiled)


@dataclass(slots=True, eq=False)
class _Row:
    request: Request
    slot: int
    narrow: bool  # as in `sample`
    limit: int  # codes
    room: int = 0  # positions in its pages
    codes: list[int] = field(default_factory=list)  # that were read
    drawn: int = 0  # codes, those included that the host has not read
    shown: int = 0  # pages that its table shows on the device
    gone: bool = False

    @property
    def length(self) -> int:
        """The next position: behind the prompt, the start code, and all codes but the latest."""
        return len(self.request.prompt) + self.drawn


@dataclass(frozen=True, slots=True)
class _Flight:
    """A step whose codes are under way, and the slots that its rows had."""

    note: Note
    rows: list[tuple[_Row, int]]


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


def _first(error: BaseException) -> BaseException:
    """What went wrong first: the end of a recording that was spoiled has an error of its own, which says only that."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _too_long(request: Request, length: int, pages: Pages) -> Fault:
    if len(request.prompt) > _LONGEST_PROMPT:
        error = f"the decoder reads prompts of up to {_LONGEST_PROMPT} rows, and this one has {len(request.prompt)}"
        return Fault(request.key, error)
    held = pages.count * pages.size
    return Fault(request.key, f"the decoder has room for {held} positions in all, and this row alone needs {length}")

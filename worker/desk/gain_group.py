"""Passages that share a gain: those of a chapter, or of the whole recording.

The gain is known once all of them are made and measured. Then each is due once more: any desk brings it under the gain,
encodes it, and writes it under the name that it has in the result. The assembly encodes those that are missing then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from farm.layout import passage_key, passages_prefix
from farm.passages import passages
from farm.plan_reader import PlanReader
from farm.storage import Storage
from farm.wire import Output
from worker.desk.loudness import joined
from worker.desk.mastering import gain_for
from worker.desk.passage import Passage, Pieces, gained, names_in_result, read_levels, read_passage


@dataclass(frozen=True, slots=True)
class GainGroup:
    job: str
    sample_rate: int  # of the clips, in Hz
    output: Output
    pieces: Mapping[int, Pieces]  # by the number of the passage in its job

    @classmethod
    def around(
        cls, job: str, number: int, pieces: Pieces, reader: PlanReader, failed: Collection[int], output: Output
    ) -> GainGroup:
        """That of the passage `number`, without segments that failed."""
        plan, one = reader.plan, pieces.rows[0]
        chapter = plan.chapters[one.chapter]
        rows = reader.rows(chapter.first, chapter.count) if output.gain_per_chapter else reader.rows()
        parts = passages(rows, output)
        zeroth = number - next(place for place, part in enumerate(parts) if one.index <= part[-1].index)
        shared = {}
        for place, part in enumerate(parts, zeroth):
            if heard := [row for row in part if row.index not in failed]:
                ends_job = part[-1].index + 1 == plan.total
                shared[place] = Pieces.in_plan(heard, part[0].index, len(part), plan, output, ends_job=ends_job)
        return cls(job, plan.sample_rate, output, shared)

    def unfinished(self, storage: Storage) -> list[int]:
        """The numbers of the passages that are to be brought under the gain; none while it is not known."""
        stored = {found.key for found in storage.list(passages_prefix(self.job))}
        if not stored.issuperset(map(self.measured_key, self.pieces)):
            return []
        return [number for number, key in self._keys().items() if key not in stored]

    def finished(self, number: int, storage: Storage, check: Callable[[], None]) -> tuple[str, Passage] | None:
        """A passage under its gain, and its key. None where one of the passages is damaged, which is left to the
        assembly. Raises ObjectMissing."""
        levels = [read_levels(storage, self.measured_key(each)) for each in self.pieces]
        measured = [each for each in levels if each is not None]
        passage = read_passage(storage.get(self.measured_key(number)), self.pieces[number].rows[0].chapter)
        if passage is None or len(measured) < len(levels):
            return None
        return self._keys()[number], gained(passage, gain_for(joined(measured), self.output), self.output, check)

    def measured_key(self, number: int) -> str:
        """Of the passage as it is made: measured, and its samples without a gain."""
        return passage_key(self.job, self.pieces[number].name(self.sample_rate, self.output))

    def _keys(self) -> dict[int, str]:
        """Of the passages under their gain."""
        names = names_in_result(list(self.pieces.values()), self.sample_rate, self.output)
        return {number: passage_key(self.job, name) for number, name in zip(self.pieces, names, strict=True)}

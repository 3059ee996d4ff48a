"""An interactive line that comes during a book waits for the batch that is running, and not for the book."""

from __future__ import annotations

from tests.chaos.ledger import Ledger
from tests.chaos.progress import Progress
from tests.chaos.record import Record
from tests.chaos.rig import Rig, Stopwatch

BOOK = "\n\n".join(f"Lamp {n}." for n in range(10_000))
LINE = "The tide went out."
BATCH = 8  # espeak's capacity


def test_an_interactive_line_waits_for_the_running_batch_and_not_for_the_book(
    rig: Rig, ledger: Ledger, record: Record
) -> None:
    ledger.learn(LINE)
    job = ledger.clients["ann"].submit(ledger.request(BOOK, "ann"))
    ledger.accepted(job, BOOK, wanted=("canceled",))
    book = Progress(rig, job.id)
    book.until_done(200, 90)
    between, seconds = [], []
    for _ in range(5):
        watch = Stopwatch()
        line = Progress(rig, ledger.submit(LINE, tenant="bob", priority="interactive").id)
        line.until_status("running")
        planned = book.done
        line.until_done(1)
        between.append(book.done - planned)
        line.until_status("succeeded")
        seconds.append(watch.seconds)
    assert book.status == "running"
    ledger.clients["ann"].cancel(job.id)
    ledger.check()
    record("a line in a book of 10,000", lines=5, segments_between_at_most=max(between), slowest_s=max(seconds))
    # The batch that runs, the line's own, and what had been rendered before it and was still on its way into storage.
    assert max(between) <= 4 * BATCH

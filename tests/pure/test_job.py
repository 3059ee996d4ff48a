from __future__ import annotations

from pathlib import Path

import pytest

from farm.job import ENDED, OPEN, TRANSITIONS, Status, is_batch, main, new_id


def test_every_status_is_either_open_or_ended_and_has_a_sentence() -> None:
    assert set(Status) == OPEN | ENDED
    assert not OPEN & ENDED
    assert all(status.sentence.endswith(".") for status in Status)


def test_every_status_can_be_reached_and_every_open_one_can_end() -> None:
    moves = {(start, end) for table in TRANSITIONS.values() for start, end in table.items()}
    reached = {Status.QUEUED}
    while further := {end for start, end in moves if start in reached} - reached:
        reached |= further
    assert reached == set(Status)
    assert all(any((start, end) in moves for end in ENDED) for start in OPEN)


def test_an_ended_job_moves_by_retry_revise_and_expire_alone_and_an_expired_one_never() -> None:
    assert {verb for verb, table in TRANSITIONS.items() if table.keys() & ENDED} == {"retry", "revise", "expire"}
    assert not [verb for verb, table in TRANSITIONS.items() if Status.EXPIRED in table]


def test_the_table_of_transitions_is_read_only() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS["plan"][Status.FAILED] = Status.RUNNING  # type: ignore[index]


def test_the_printed_states_are_those_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    printed = Path(__file__).parents[2] / "docs" / "states.md"
    assert printed.read_text() == capsys.readouterr().out, "python -m farm.job > docs/states.md"


def test_ids_name_their_kind_and_never_repeat() -> None:
    ids = {new_id("job") for _ in range(10_000)}
    assert len(ids) == 10_000
    assert {len(each) for each in ids} == {20}
    assert all(each.startswith("job_") and each[4:].isalnum() and each == each.lower() for each in ids)


def test_an_id_tells_a_batch_from_a_job() -> None:
    assert is_batch(new_id("batch"))
    assert not is_batch(new_id("job"))

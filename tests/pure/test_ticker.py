"""The thread under the keeper, the heartbeat, the standby and the leases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import pytest

from farm.errors import StoreUnavailable
from worker.process.ticker import Ticker

NEVER_S = 3600.0
PATIENCE_S = 10.0


@contextmanager
def started(ticker: Ticker) -> Iterator[Ticker]:
    ticker.start()
    try:
        yield ticker
    finally:
        ticker.stop()
        ticker.join()


def unexpected(error: StoreUnavailable) -> None:
    raise AssertionError from error


def test_a_ticker_acts_again_and_again() -> None:
    ticks: Queue[str] = Queue()
    with started(Ticker("test", 0.001, lambda: ticks.put("tick"), on_outage=unexpected)) as ticker:
        for _ in range(3):
            assert ticks.get(timeout=PATIENCE_S) == "tick"
        assert ticker.alive


def test_a_ticker_acts_on_a_thread_of_its_name() -> None:
    names: Queue[str] = Queue()
    with started(Ticker("keeper", 0.001, lambda: names.put(threading.current_thread().name), on_outage=unexpected)):
        assert names.get(timeout=PATIENCE_S) == "keeper"


def test_the_first_tick_comes_after_a_pause() -> None:
    ticks: Queue[str] = Queue()
    with started(Ticker("test", NEVER_S, lambda: ticks.put("tick"), on_outage=unexpected)):
        pass
    assert ticks.empty()


def test_the_first_tick_comes_at_once_where_that_is_wanted() -> None:
    ticks: Queue[str] = Queue()
    with started(Ticker("test", NEVER_S, lambda: ticks.put("tick"), on_outage=unexpected, at_once=True)):
        assert ticks.get(timeout=PATIENCE_S) == "tick"


def test_an_outage_of_the_store_is_reported_and_the_next_tick_tries_again() -> None:
    failures = iter((StoreUnavailable("Redis is away"), None))
    happened: Queue[str] = Queue()

    def act() -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        happened.put("tick")

    with started(Ticker("test", 0.001, act, on_outage=lambda error: happened.put(error.message))):
        assert happened.get(timeout=PATIENCE_S) == "Redis is away"
        assert happened.get(timeout=PATIENCE_S) == "tick"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_any_other_error_ends_the_ticker_and_it_says_so() -> None:
    outages: list[Exception] = []
    ticker = Ticker("test", 0.001, lambda: 1 / 0, on_outage=outages.append)
    ticker.start()
    ticker.join()
    assert not ticker.alive
    assert not outages


def test_a_ticker_that_survives_logs_the_error_and_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    ticks: Queue[str] = Queue()

    def act() -> None:
        ticks.put("tick")
        raise ZeroDivisionError

    with started(Ticker("keeper", 0.001, act, on_outage=unexpected, survives=True)) as ticker:
        for _ in range(2):
            assert ticks.get(timeout=PATIENCE_S) == "tick"
        assert ticker.alive
    assert "the keeper failed and tries again" in caplog.text


def test_the_act_may_stop_its_own_ticker() -> None:
    ticks: Queue[str] = Queue()

    def act() -> None:
        ticks.put("tick")
        ticker.stop()

    ticker = Ticker("test", 0.001, act, on_outage=unexpected)
    ticker.start()
    ticker.join()
    assert not ticker.alive
    assert ticks.qsize() == 1


def test_a_ticker_that_never_started_can_be_stopped() -> None:
    ticker = Ticker("test", 0.001, lambda: None, on_outage=unexpected)
    ticker.stop()
    ticker.join()
    assert not ticker.alive

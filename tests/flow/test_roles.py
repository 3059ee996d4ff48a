"""The role of a worker process: which one it gets, which threads it needs, and what its pool shares with it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from farm.errors import Misconfigured
from farm.settings import Settings
from farm.wake import DESK_QUEUE, DESK_TASK, RENDER_TASK, render_queue
from tests.patience import patient
from worker.health import Health
from worker.process.roles import DeskRole, RenderRole, Role, role_for

# A desk whose pool is one forked process. Its desks do not look for work: they wait until they hear "stop".
POOL = """
import os, time
from farm.settings import Settings
from worker.desk.desk import Desk
from worker.process.roles import DeskRole

desks = []

def drain(desk, stopping):
    desks.append(desk)
    while os.getpid() != parent and not stopping():
        time.sleep(0.01)  # the byte in shared memory has no event: the fork is to see it change

parent = os.getpid()
Desk.drain = drain
role = DeskRole(Settings.read())
role.drain()
child = os.fork()
role.drain()
if os.getpid() == parent:
    role.stop()
    os.waitpid(child, 0)
    print("the parent has one desk:", desks[0] is desks[1], flush=True)
else:
    print("the child has its parent's desk:", desks[0] is desks[1], flush=True)
    os._exit(0)
"""


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings(redis_url=redis_url, storage_url=tmp_path.as_uri(), model="espeak")


@pytest.fixture(params=[RenderRole, DeskRole])
def role(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Role]:
    make: Callable[[Settings], Role] = request.param
    role = make(settings)
    yield role
    role.close()


def health_of(role: Role) -> Health:
    health = Health("worker", role.lost_threads)
    health.ready()
    return health


def test_the_names_of_the_wake_ups_are_the_names_of_the_functions() -> None:
    for name in (RENDER_TASK, DESK_TASK):
        module, _, function = name.rpartition(".")
        assert getattr(import_module(module), function).name == name


@pytest.mark.parametrize("task", ["render", "desk"])
def test_a_wake_up_that_does_not_fit_the_role_is_refused_with_advice(task: str) -> None:
    with pytest.raises(RuntimeError, match=f"start one with -Q {task}"):
        getattr(import_module("worker.app"), task)()


def test_the_queues_decide_the_role(settings: Settings) -> None:
    for queue, kind in ((render_queue("espeak"), RenderRole), (DESK_QUEUE, DeskRole)):
        role = role_for({queue}, settings)
        assert type(role) is kind
        role.close()


def test_queues_of_both_roles_are_refused_with_advice(settings: Settings) -> None:
    with pytest.raises(Misconfigured, match=r"start one with -Q desk and another with -Q render\.espeak"):
        role_for({DESK_QUEUE, render_queue("espeak")}, settings)


def test_a_role_that_has_begun_has_all_its_threads(role: Role) -> None:
    role.begin()
    assert role.lost_threads() == []
    assert health_of(role).report().startswith("well: ")


def test_every_thread_that_a_role_begins_is_one_that_it_watches(role: Role) -> None:
    before = set(threading.enumerate())
    role.begin()
    assert {thread.name for thread in set(threading.enumerate()) - before} == {ticker.name for ticker in role.tickers}


def test_a_thread_that_ended_makes_the_worker_ill_whatever_its_name(role: Role) -> None:
    role.begin()
    for number, ticker in enumerate(role.tickers):
        ticker.name = f"renamed {number}"
        ticker.stop()
        ticker.join()
        assert ticker.name in role.lost_threads()
    report = health_of(role).report()
    names = " and ".join(ticker.name for ticker in role.tickers)
    assert report.startswith(f"ill: worker lost its {names} thread;")


def test_a_role_that_never_began_can_be_closed(role: Role) -> None:
    """Celery closes it when its pool can't start."""
    assert len(role.lost_threads()) == len(role.tickers)


def test_a_process_of_the_pool_has_its_own_desk_and_hears_its_parent_stop(redis_url: str, tmp_path: Path) -> None:
    given = os.environ | {"FARM_REDIS_URL": redis_url, "FARM_STORAGE_URL": tmp_path.as_uri()}
    done = subprocess.run([sys.executable, "-c", POOL], env=given, capture_output=True, text=True, timeout=patient(30))
    assert done.stdout.splitlines() == ["the child has its parent's desk: False", "the parent has one desk: True"], (
        done.stderr
    )

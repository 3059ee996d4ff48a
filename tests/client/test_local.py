"""The embedded farm: start, deaths of its parts, deaths of itself, and the end of everything it started."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from farm.client import Farm
from farm.embedded.data_folder import prepare
from farm.embedded.redis_server import lock_data, place_socket, remove_socket
from farm.embedded.running import Running
from farm.embedded.supervisor import Local
from farm.errors import Misconfigured, Unavailable
from farm.wire import JobRequest
from tests.patience import patient


@pytest.mark.parametrize("name", ["api", "render", "desk", "redis"])
def test_a_job_ends_after_the_kill_of_any_part(farm: Local, client: Farm, name: str) -> None:
    job = client.submit(JobRequest(input=f"What happens to {name}? " * 200))
    old = farm.kill(name)
    assert farm.replaced(name, old, patient(30)) != old
    assert client.wait(job.id, timeout=patient(60)).status == "succeeded"


def test_a_restart_lets_the_worker_finish(farm: Local) -> None:
    before = farm.kill("render", signal.SIGTERM)
    assert farm.replaced("render", before) not in (None, before)
    assert int((farm.run_folder / "render.pid").read_text()) == farm.pid("render")


def test_a_second_farm_on_the_same_folder_is_refused(farm: Local) -> None:
    with pytest.raises(Misconfigured, match=r"a farm runs on .* already"):
        Local(farm.data).start()
    assert farm.pid("redis") is not None


def test_the_append_only_file_is_locked_for_as_long_as_a_process_may_write_to_it(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with lock_data(tmp_path) as lock:
        writer = subprocess.Popen(("sleep", "1000"), pass_fds=(lock.fileno(),))
    try:  # the supervisor is gone, and its Redis is not
        with pytest.raises(Misconfigured, match=rf"still works on .*redis \(pid {writer.pid}\); end it with `kill"):
            lock_data(tmp_path)
    finally:
        writer.kill()
        writer.wait()
    lock_data(tmp_path).close()


def test_redis_holds_the_lock_on_its_file(farm: Local) -> None:
    process = psutil.Process(farm.pid("redis"))
    assert str(farm.data / "redis" / "lock") in [file.path for file in process.open_files()]


def test_redis_listens_for_nobody_but_its_owner(farm: Local, client: Farm) -> None:
    process = psutil.Process(farm.pid("redis"))
    assert process.net_connections(kind="inet") == []
    address = Path(urlsplit(farm.redis_url).path)
    assert _connects(address)
    assert stat.S_IMODE(address.stat().st_mode) == stat.S_IMODE(address.parent.stat().st_mode) == 0o700
    if os.geteuid() == 0:  # only root can become another user
        assert not _connects_as_nobody(address)
        address.parent.chmod(0o755)
        try:
            assert not _connects_as_nobody(address)
            address.chmod(0o777)
            assert _connects_as_nobody(address), "this test can't tell"
        finally:
            address.chmod(0o700)
            address.parent.chmod(0o700)


def test_redis_loads_no_modules_and_has_no_debug_command(farm: Local) -> None:
    with redis.Redis.from_url(farm.redis_url) as connection:
        for command in ("MODULE LIST", "DEBUG SLEEP 0"):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                connection.execute_command(*command.split())


def test_a_farm_whose_folder_takes_no_socket_and_has_an_odd_name_serves_from_a_private_folder(tmp_path: Path) -> None:
    data = tmp_path / f'"a" \\n \n b\'c # ü {"long " * 20}'
    with Local(data) as local:
        address = Path(urlsplit(local.redis_url).path)
        assert address.parent == (data / "run" / "socket").readlink()
        assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
        assert (data / "redis" / "appendonly.aof").exists() or (data / "redis" / "appendonlydir").exists()
        with Farm(local.url) as client:
            job = client.wait(client.submit(JobRequest(input="Hello.")).id, timeout=patient(60))
        assert job.status == "succeeded", job.error
        running = Running.read(data)
        assert running is not None
        assert running.redis_url == local.redis_url
    assert not address.parent.exists()


def test_the_socket_of_a_killed_farm_is_removed_with_its_folder(tmp_path: Path) -> None:
    run = tmp_path / ("long " * 20)
    run.mkdir(mode=0o700)
    first = place_socket(run)
    first.touch()
    second = place_socket(run)
    assert (second.parent.is_dir(), first.parent.exists()) == (True, False)
    remove_socket(run)
    assert (second.parent.exists(), list(run.iterdir())) == (False, [])


def test_other_users_can_read_nothing_of_the_data_folder(farm: Local, client: Farm) -> None:
    client.wait(client.submit(JobRequest(input="Nobody else may hear this.")).id, timeout=patient(60))
    others = stat.S_IRWXG | stat.S_IRWXO
    found = [farm.data, *farm.data.rglob("*")]
    assert [path for path in found if not path.is_symlink() and path.stat().st_mode & others] == []


def test_a_folder_that_an_older_farm_left_open_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in (data, data / "redis", data / "run"):
        folder.mkdir()
        folder.chmod(0o755)
    prepare(data)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (data, *data.iterdir())] == [0o700] * 5


def test_a_folder_that_holds_other_things_too_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "book.txt").touch()
    tmp_path.chmod(0o755)
    prepare(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "storage").stat().st_mode) == 0o700


@pytest.mark.parametrize("place", ["a-file", "a-file/sub", "/proc/farm"])
def test_a_data_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(Misconfigured, match=r"can't be used \([\w ]+\); choose another folder with --data"):
        Local(tmp_path / place).start()


def test_the_secret_is_readable_by_its_owner_alone(farm: Local) -> None:
    secret = farm.data / "webhook.secret"
    assert secret.read_text().startswith("whsec_")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_port_in_use_is_said_and_nothing_stays(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port} .* choose another port"):
            Local(tmp_path, port=port).start()
    assert list((tmp_path / "run").glob("*.pid")) == []


def test_a_part_that_cannot_start_is_reported_with_its_log_and_nothing_stays(tmp_path: Path) -> None:
    local = Local(tmp_path, environment={"FARM_LEASE_SECONDS": "soon"})
    with pytest.raises(Misconfigured, match=r"FARM_LEASE_SECONDS"):
        local.start()
    assert list((tmp_path / "run").glob("*.pid")) == []


def test_other_machines_are_let_in_once_there_is_a_key(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"no API key yet; first run `farm up` without --host, make a key"):
        Local(tmp_path, host="0.0.0.0").start()
    assert not (tmp_path / "logs" / "api.log").exists()


def test_an_append_only_file_of_a_newer_redis_is_not_silently_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    monkeypatch.setattr("farm.embedded.redis_server._version", lambda path: (6, 2, 14))
    with pytest.raises(Misconfigured, match="written by Redis 7"):
        Local(tmp_path).start()


def _connects(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(address)) == 0


def _connects_as_nobody(address: Path) -> bool:
    """Whether another user's process does that has come past the folders above the socket's own."""
    pid = os.fork()
    if pid == 0:
        os.chdir(address.parent)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os._exit(0 if _connects(Path(address.name)) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_worker_that_takes_long_to_start_is_waited_for_as_long_as_its_engine_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.embedded.supervisor.READY_S", 0.2)
    local, started = Local(tmp_path), time.monotonic()

    def is_ready() -> None:
        if time.monotonic() - started < 0.6:
            raise Unavailable("it fetches its files")

    local._until("it is ready", is_ready, longer=lambda: 30.0)
    with pytest.raises(Misconfigured, match=r"waited \d+ s until it is ready: it is busy"):
        local._until("it is ready", lambda: _raise(Unavailable("it is busy")))


def test_the_table_of_engines_says_how_long_a_start_may_take_and_how_many_workers_it_can_use(tmp_path: Path) -> None:
    assert Local(tmp_path, model="indextts-2")._engine() == {"start_s": 7200, "workers": 1}
    assert Local(tmp_path, model="espeak")._engine() == {"start_s": 120, "workers": 1}
    assert Local(tmp_path, model="espresso")._engine() == {"start_s": 0, "workers": 1}
    kokoro = Local(tmp_path, model="kokoro")._engine()
    assert kokoro["start_s"] == 1800
    assert kokoro["workers"] >= 1


def _raise(error: Exception) -> None:
    raise error

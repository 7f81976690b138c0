"""Secrets of real tasks: what leaves the machine does not hold them, whichever way they were written."""

from __future__ import annotations

import os
import signal
import zlib
from pathlib import Path

import pytest

from tests.real.redis_servers import RealRedis
from tests.system.rig import wait_for
from tests.worker.conftest import Starter

PARTS = ("ghp", "_16C7e42F292c", "6912E7710c838347", "Ae178B4a")
WHOLE = "".join(PARTS)
HIDDEN = "ghp_" + "*" * 36


def everything(starter: Starter) -> bytes:
    """All that Redis holds under the prefix of the worker, and the names of it."""
    client, found = starter.stored.client, b""
    for key in client.scan_iter(f"*{starter.prefix}*"):
        found += bytes(key) + b"\n" + (client.dump(key) or b"") + b"\n"
        kind = client.type(key)
        if kind == b"hash":
            found += b"\n".join(client.hvals(key))
        if kind == b"stream":
            found += repr(client.xrange(key)).encode()
    return found


def spool_files(directory: Path) -> bytes:
    """All that lies in the spools of the workers below a directory."""
    found = [path for path in directory.glob("livetask-*/*/*/*") if path.is_file()]
    return b"\n".join(path.read_bytes() for path in found)


@pytest.fixture
def starter(valkey: RealRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starter:
    monkeypatch.setenv("LEAK_PASSWORD", "correct horse battery")
    return Starter(valkey.url, tmp_path)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_no_secret_reaches_redis_by_whichever_way_it_was_written(starter: Starter, pool: str) -> None:
    worker = starter.start(pool)
    try:
        _, task, output = worker.outcome("leak", *PARTS)
        _, failed, _ = worker.outcome(
            "leak", *PARTS, kwargs={"fail": True, "url": "https://anna:hunter2two@x.example/"}
        )
        _, named, _ = worker.outcome("leak", "x", kwargs={"login": {"user": "anna", "api_token": "swordfish2"}})
        _, plain, text = worker.outcome("say", "nothing to hide")
        _, emitted, _ = worker.outcome("leak_progress", *PARTS)
        spooled = spool_files(starter.directory)
    finally:
        worker.stop()
    lines = output.decode().splitlines()
    assert lines[0] == f"print {HIDDEN}"
    assert lines[1] == HIDDEN
    assert lines[2].endswith(f"record {HIDDEN}")
    if pool == "prefork":
        assert lines[3:] == [HIDDEN, f"child {HIDDEN}", "value " + "*" * 21]
    assert task["1.crc"] == f"{zlib.crc32(output):08x}", "the sum is that of what is stored"
    assert "call" not in failed
    assert failed["call_not"] == "secret"
    assert "https://anna:**********@x.example" in failed["kwargs"]
    assert HIDDEN in failed["1.detail"]
    assert "cannot use" in failed["1.detail"]
    assert HIDDEN in task["result"]
    assert "'password': ***, 'kept': 'shown'" in task["result"]
    assert named["kwargs"] == "{'login': {'user': 'anna', 'api_token': ***}}"
    assert named["call_not"] == "secret"
    stored = everything(starter)
    assert HIDDEN in emitted["progress"]
    assert HIDDEN.encode() in spooled
    for secret in (WHOLE, WHOLE[4:20], "correct horse", "hunter2two", "swordfish"):
        assert secret.encode() not in stored, secret
        assert secret.encode() not in spooled, secret
    assert text == b"nothing to hide\n"
    assert "nothing to hide" in plain["call"]


def test_what_python_writes_whole_never_lies_in_the_spool_and_the_rest_only_until_it_is_read(starter: Starter) -> None:
    worker = starter.start("prefork")
    try:
        worker.outcome("say", "warm")
        os.kill(worker.shipper_pid(), signal.SIGSTOP)
        worker.send("say", f"whole {WHOLE}")
        lies = wait_for("the print is in the spool", lambda: _with(spool_files(starter.directory), b"whole "))
        assert WHOLE.encode() not in lies
        assert f"whole {HIDDEN}".encode() in lies
        task_id = worker.send("leak", *PARTS)
        wait_for("a child's is there", lambda: _with(spool_files(starter.directory), f"child {WHOLE}".encode()))
        os.kill(worker.shipper_pid(), signal.SIGCONT)
        starter.stored.ended(task_id)
        assert WHOLE.encode() not in spool_files(starter.directory)
        wait_for("the console has it", lambda: f"child {HIDDEN}" in worker.log)
    finally:
        worker.stop()
    assert WHOLE not in worker.log


def _with(data: bytes, part: bytes) -> bytes | None:
    return data if part in data else None


def test_what_is_not_wanted_hidden_is_shown(starter: Starter) -> None:
    worker = starter.start("prefork", mask="0", mask_env=",")
    try:
        _, task, output = worker.outcome("leak", *PARTS)
    finally:
        worker.stop()
    assert output.count(WHOLE.encode()) == 5
    assert b"correct horse battery" in output
    assert "".join(PARTS[:1]) in task["call"]


def test_a_callable_that_fails_means_no_capture_and_says_why(starter: Starter) -> None:
    worker = starter.start("prefork", mask_with="tests.worker.test_masking:failing")
    try:
        task_id = worker.send("say", "unseen")
        assert worker.app.control.ping(timeout=2)
    finally:
        worker.stop()
    assert "mask_with" in worker.log
    assert starter.stored.task(task_id) == {}

"""A run's files say what its process knew, hold when it dies, and are seen whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.worker.ending import End, written_end
from livetask.worker.listing import Listing
from livetask.worker.run_log import RunLog
from livetask.worker.spool import (
    OWNER_LOCK,
    RunFacts,
    RunPaths,
    RunSpool,
    home_of,
    is_locked,
    left_behind,
    make_directory,
    new_nonce,
)


def facts_of(nonce: str = "", *, locked: bool = False, args: str = "()") -> RunFacts:
    return RunFacts("t", "n", nonce or new_nonce(), "first", "q", "", "", args, "{}", os.getpid(), "h", "w", 1, locked)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), detail=st.text(), ends_well=st.booleans())
def test_any_text_in_facts_and_end_comes_back(tmp_path: Path, text: str, detail: str, ends_well: bool) -> None:
    facts = facts_of(args=text)._replace(owner=text, call={text: detail})
    spool = RunSpool(tmp_path, facts)
    paths = RunPaths(tmp_path, facts.nonce)
    log = RunLog(tmp_path, facts.nonce)
    assert log.look() == [facts]
    assert log.end_of(facts.nonce) is None
    known = {"at_ms": 5, "result": text, "size": 6}
    spool.end(
        {"how": "SUCCESS" if ends_well else "FAILURE", "detail": {} if ends_well else {"exception": detail}, **known}
    )
    assert log.look() == []
    end = End("SUCCESS", {}, text) if ends_well else End("FAILURE", {"exception": detail}, text)
    found = log.end_of(facts.nonce) or {}
    assert written_end(found) == (end, end.detail)
    assert (found["nonce"], found["at_ms"], found["size"]) == (facts.nonce, 5, 6)
    log.close()
    spool.close()
    paths.remove()
    assert not list(tmp_path.glob(f"{facts.nonce}*"))


def _in_another_process(claim: Callable[[], bool]) -> bool:
    """Whether the claim holds there: a process sees its own locks as free."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if claim() else 1)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0


def test_the_lock_is_free_when_its_process_is_gone_though_a_child_lives(tmp_path: Path) -> None:
    nonce = new_nonce()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _ = RunSpool(tmp_path, facts_of(nonce, locked=True))
        if os.fork() == 0:
            # A child of the task that outlives it, with all that it inherits; it ends when the test does.
            os.close(write)
            os.read(read, 1)
        os._exit(0)
    os.waitpid(pid, 0)
    assert sorted(Listing(tmp_path).new(0.0)) == [(nonce, "out"), (nonce, "run")]
    fd = os.open(tmp_path / f"{nonce}.run", os.O_RDWR)
    assert not is_locked(fd)
    for each in (fd, read, write):
        os.close(each)


def test_the_lock_is_held_while_the_process_lives(tmp_path: Path) -> None:
    spool = RunSpool(tmp_path, facts_of(locked=True))
    assert _in_another_process(lambda: is_locked(os.open(spool.paths.of("run"), os.O_RDWR)))
    spool.close()


def test_only_directories_without_an_owner_are_left_behind(tmp_path: Path) -> None:
    home = home_of(str(tmp_path), "redis://x", "livetask")
    directory, lock_fd = make_directory(home)
    assert _in_another_process(lambda: not list(left_behind(home)))
    os.close(lock_fd)
    [(found, fd)] = list(left_behind(home))
    assert found == directory
    assert (directory / OWNER_LOCK).exists()
    os.close(fd)


def test_nobody_else_can_enter_a_workers_directory(tmp_path: Path) -> None:
    directory, lock_fd = make_directory(home_of(str(tmp_path), "redis://x", "livetask"))
    for path in (directory, directory.parent, directory.parent.parent):
        assert path.stat().st_mode & 0o777 == 0o700
    os.close(lock_fd)


def test_workers_that_ship_to_different_places_never_share_a_home() -> None:
    homes = {home_of("/x", url, prefix) for url in ("redis://a", "redis://b") for prefix in ("p", "q")}
    assert len(homes) == 4


def test_a_home_stays_where_it_is_when_a_task_goes_to_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = home_of("spool", "redis://x", "livetask")
    assert home.is_absolute()
    assert home.is_relative_to(tmp_path / "spool")


def test_what_is_no_run_is_refused() -> None:
    with pytest.raises(ValueError):
        RunFacts.parse(b"{}")
    with pytest.raises(ValueError):
        RunFacts.parse(b"half a li")

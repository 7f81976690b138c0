"""Runs that print nothing have files in turn, and never another one's bytes."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.keys import Keys
from livetask.worker.capture import OpenRun
from livetask.worker.household import Household
from livetask.worker.shipping import Shipping
from livetask.worker.spool import RunFacts, SpoolFiles, new_nonce
from livetask.worker.terms import Terms
from tests.worker.conftest import Worker

TERMS = Terms(Keys("handed"), 1000, 1 << 20, 60_000, 10_000, 100, 50, 1000)


class Writer:
    """A pool child, as far as files go: runs that follow each other. It is told what to do letter by letter.

    b: begin, p: print, e: end, c: leave a copy of the run's descriptor behind, w: write to all of these.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._run: OpenRun | None = None
        self._files: SpoolFiles | None = None
        self._left: list[int] = []

    def does(self, letter: str, nonce: str) -> None:
        if letter == "b":
            facts = facts_of(nonce)
            files, self._files = self._files, None
            self._run = OpenRun(self._directory, facts, None, None, files if files and files.again() else None)
        elif letter == "w":
            for fd in self._left:
                os.write(fd, b"late ")
        elif self._run is not None:
            if letter == "p":
                os.write(self._run.spool.out_fd, b"%b " % nonce.encode())
            elif letter == "c":
                self._left.append(os.dup(self._run.spool.out_fd))
            elif letter == "e":
                self._run.end({"how": "SUCCESS"}, hand_on=True)
                self._run.close()
                self._run, self._files = None, self._run.spool.handed_on


def facts_of(nonce: str) -> RunFacts:
    return RunFacts(f"t-{nonce}", "n", nonce, "first", "q", "", "", "()", "{}", os.getpid(), "h", "w", 1, locked=True)


@contextmanager
def written(directory: Path) -> Iterator[tuple[int, int]]:
    """A writer in a process of its own, whose locks are seen here: where it is told, and where it says that it did."""
    told, tell = os.pipe()
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(tell)
            writer = Writer(directory)
            while words := os.read(told, 13):
                writer.does(words[:1].decode(), words[1:].decode())
                os.write(say, b".")
        finally:
            os._exit(0)
    os.close(told)
    os.close(say)
    try:
        yield tell, said
    finally:
        os.close(tell)
        os.close(said)
        os.waitpid(pid, 0)


class Reader:
    """The shipper, as far as files go; ``read``: what it took for each run's output."""

    def __init__(self, directory: Path) -> None:
        self.house = Household(directory, TERMS, None, main_is_alive=True)
        self.read: dict[str, bytes] = defaultdict(bytes)

    def look(self, now_s: float) -> None:
        """As in a round of the shipper: what goes on is measured, ends are looked for, and all there is is sent."""
        self.house.look(now_s)
        self.house.measure()
        for nonce, run in list(self.house.runs.items()):
            if not run.is_finished:
                pieces = run.following.pieces(run.until, 1000, 1000)
                self.read[nonce] += b"".join(piece.data for piece in pieces)
                run.is_finished = run.end is not None


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(["be", "bce", "b", "e", "p", "w", "l"]), max_size=25))
def test_whoever_looks_when_and_whoever_writes_late_each_run_has_its_own_bytes(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("runs")
    reader, printed, left, going, nonce = Reader(directory), dict[str, bytes](), list[str](), False, ""
    with written(directory) as (tell, said):
        for turn, letter in enumerate([*"".join(words), "e", "l", "l"]):
            if letter == "l":
                reader.look(float(turn))
                continue
            if going if letter == "b" else (letter != "w" and not going):
                continue
            if letter == "b":
                nonce, going = new_nonce(), True
                printed[nonce] = b""
            elif letter == "e":
                going = False
            elif letter == "p":
                printed[nonce] += b"%b " % nonce.encode()
            elif letter == "c":
                left.append(nonce)
            elif going:
                printed[nonce] += b"late " * left.count(nonce)
            os.write(tell, letter.encode() + nonce.encode().ljust(12, b"-"))
            assert os.read(said, 1) == b"."
        assert {one: reader.read[one] for one in printed} == printed
        assert all(reader.house.runs[one].end is not None for one in printed)


def test_runs_that_print_nothing_have_the_same_files_and_leave_none_behind(tmp_path: Path) -> None:
    with written(tmp_path) as (tell, said):
        nonces = [new_nonce() for _ in range(20)]
        for letter, nonce in [(letter, nonce) for nonce in nonces for letter in "be"]:
            os.write(tell, letter.encode() + nonce.encode())
            os.read(said, 1)
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"{nonces[0]}.out", f"{nonces[0]}.run"]
        reader = Reader(tmp_path)
        reader.look(1.0)
        reader.look(2.0)
        assert list(reader.house.runs) == nonces
        reader.house.forget(1000.0)
        assert reader.house.is_empty
        assert list(tmp_path.iterdir()), "its process may begin another run in them"
    reader.look(1001.0)
    assert not list(tmp_path.iterdir())


def test_a_spool_of_the_version_before_is_read_as_its_worker_wrote_it(tmp_path: Path) -> None:
    """One file for each run, whose end does not name it."""
    nonce = new_nonce()
    end = {"how": "SUCCESS", "at_ms": 5, "detail": {}, "result": "1", "size": 6}
    lines = (facts_of(nonce)._asdict(), end)
    (tmp_path / f"{nonce}.out").write_bytes(b"hello\n")
    (tmp_path / f"{nonce}.run").write_text("".join(json.dumps(line) + "\n" for line in lines))
    reader = Reader(tmp_path)
    reader.look(1.0)
    run = reader.house.runs[nonce]
    assert reader.read[nonce] == b"hello\n"
    assert run.end is not None
    assert (run.end.how, run.end.result, run.ended_ms, run.final) == ("SUCCESS", "1", 5, 6)


def test_what_a_silent_task_has_left_behind_prints_into_no_other_run(prefork: Worker) -> None:
    first = prefork.send("leave_a_child_that_prints", 0.3)
    ids = [prefork.send("nothing") for _ in range(30)]
    for task_id in (first, *ids):
        prefork.stored.ended(task_id)
    assert [prefork.stored.output(task_id) for task_id in ids] == [b""] * 30
    assert prefork.outcome("say", "mine")[2] == b"mine\n"


def test_silent_runs_are_told_as_all_others(prefork: Worker) -> None:
    ids = [prefork.send("nothing") for _ in range(50)]
    tasks = [prefork.stored.ended(task_id) for task_id in ids]
    assert {(task["state"], task["1.how"], task["1.end"], task["result"]) for task in tasks} == {
        ("SUCCESS", "SUCCESS", "1-0", "None")
    }
    assert all(int(task["1.begun_at"]) <= int(task["1.ended_at"]) for task in tasks)


def test_a_run_that_ends_while_its_output_is_being_opened_is_not_given_the_next_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, first, second = new_nonce(), new_nonce(), new_nonce()
    reader = Reader(tmp_path)
    with written(tmp_path) as (tell, said):

        def does(letter: str, nonce: str) -> None:
            os.write(tell, letter.encode() + nonce.encode())
            assert os.read(said, 1) == b"."

        def opened_late(*arguments: Any) -> Shipping:
            if arguments[1].nonce == first:
                for letter, nonce in (("e", first), ("b", second), ("p", second)):
                    does(letter, nonce)
            return Shipping(*arguments)

        monkeypatch.setattr("livetask.worker.household.Shipping", opened_late)
        does("b", before)
        does("e", before)
        reader.look(1.0)
        does("b", first)
        reader.look(1.1)  # finds it in a file that it knows
        does("e", second)
        reader.look(1.2)
        assert reader.read == {before: b"", first: b"", second: b"%b " % second.encode()}
        assert len(list(tmp_path.iterdir())) == 2, "they had the same files"

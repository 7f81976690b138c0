"""The supervisor: one end for all, whatever ends it, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from livetask.service.supervisor import fate
from livetask.service.trees import descendants
from tests.system.rig import Running, wait_for

# Each part says its process id, and has a child of its own, in another session, that says its own.
PART = """
import os, signal, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked to end\\n"))
child = subprocess.Popen(["sleep", "300"], start_new_session="stubborn" in sys.argv)
print("pids", os.getpid(), child.pid, flush=True)
sys.stdin.read()
if "failing" in sys.argv:
    sys.exit(7)
while True:
    time.sleep(60)
"""
SUPERVISED = """
import asyncio, json, signal, sys
from livetask.service.guard import Guard
from livetask.service.supervisor import Part, Step, Supervisor
part, *rest = json.loads(sys.argv[1])
ending = (Step(signal.SIGTERM, 1.0),)
parts = [Part(name, [sys.executable, "-c", part, *words], ending=ending, outlives=tuple(after))
         for name, words, after in rest]
guard = Guard()
status = asyncio.run(Supervisor(parts, guard, lambda line: print(line, flush=True)).run())
guard.close()
sys.exit(status)
"""


class Supervised:
    """A supervisor in a process of its own, with the parts named."""

    def __init__(self, place: Path, *parts: tuple[str, list[str], list[str]]) -> None:
        self.count = len(parts)
        words = json.dumps([PART, *parts])
        self.running = Running.start([sys.executable, "-c", SUPERVISED, words], place / "supervisor.log")

    def pids(self) -> set[int]:
        """The parts and their children, as they said themselves."""
        said = [line.split()[-2:] for line in self.running.log.splitlines() if " | pids " in line]
        return {int(pid) for pair in said for pid in pair}

    def all_running(self) -> set[int]:
        wait_for("all parts run", lambda: len(self.pids()) == 2 * self.count)
        return self.pids()

    def status(self, within_s: float = 90) -> int:
        return self.running.process.wait(within_s)


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in descendants(pids) if pid in pids}


@pytest.fixture
def ended() -> Iterator[list[Supervised]]:
    """What a test has started; nothing of it outlives the test, even if the test finds a fault."""
    started: list[Supervised] = []
    yield started
    for one in started:
        for pid in alive(one.pids()):
            os.kill(pid, signal.SIGKILL)
        one.running.stop()


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_parts_and_their_children_within_3_s(
    tmp_path: Path, ended: list[Supervised], number: signal.Signals
) -> None:
    one = Supervised(tmp_path, ("calm", [], []), ("stubborn", ["stubborn"], []))
    ended.append(one)
    pids = one.all_running()
    begun = time.monotonic()
    one.running.process.send_signal(number)
    assert one.status() == 0
    assert time.monotonic() - begun < 3
    wait_for("nothing is left", lambda: not alive(pids))


def test_after_kill_9_of_the_supervisor_nothing_is_left(tmp_path: Path, ended: list[Supervised]) -> None:
    one = Supervised(tmp_path, ("calm", [], []), ("stubborn", ["stubborn"], []))
    ended.append(one)
    pids = one.all_running()
    one.running.kill()
    wait_for("all have ended", lambda: not alive(pids))


def test_a_part_that_ends_by_itself_is_named_and_ends_the_rest_with_1(tmp_path: Path, ended: list[Supervised]) -> None:
    one = Supervised(tmp_path, ("calm", [], []), ("broken", ["failing"], []))
    ended.append(one)
    assert one.status() == 1
    assert "broken ended by itself, exit status 7; stopping the rest" in one.running.log
    wait_for("nothing is left", lambda: not alive(one.pids()))


def test_a_part_that_is_killed_is_named_with_the_signal(tmp_path: Path, ended: list[Supervised]) -> None:
    one = Supervised(tmp_path, ("only", [], []))
    ended.append(one)
    one.all_running()
    said = next(line for line in one.running.log.splitlines() if " | pids " in line)
    os.kill(int(said.split()[-2]), signal.SIGKILL)
    assert one.status() == 1
    assert "only ended by itself, killed by SIGKILL" in one.running.log
    wait_for("nothing is left", lambda: not alive(one.pids()))


def test_a_part_that_outlives_another_is_asked_to_end_after_it(tmp_path: Path, ended: list[Supervised]) -> None:
    """Both are stubborn for a second; the writer may write to the store during its own."""
    one = Supervised(tmp_path, ("store", ["stubborn"], ["writer"]), ("writer", ["stubborn"], []))
    ended.append(one)
    one.all_running()
    pids = {line.split()[0]: int(line.split()[-2]) for line in one.running.log.splitlines()}
    one.running.process.send_signal(signal.SIGINT)
    asked = "store  | asked to end"  # on a machine that is slow it may be killed before it says so
    wait_for("the store is asked", lambda: asked in one.running.log or not one.running.alive, every_s=0.005)
    assert not alive({pids["writer"]})
    assert one.status() == 0
    wait_for("nothing is left", lambda: not alive(one.pids()))


@pytest.mark.alone
def test_a_second_signal_kills_at_once(tmp_path: Path, ended: list[Supervised]) -> None:
    one = Supervised(tmp_path, ("stubborn", ["stubborn"], []))
    ended.append(one)
    pids = one.all_running()
    begun = time.monotonic()
    one.running.process.send_signal(signal.SIGINT)
    wait_for("it says that it stops", lambda: "stopping" in one.running.log, every_s=0.01)
    one.running.process.send_signal(signal.SIGINT)
    assert one.status() == 0
    assert time.monotonic() - begun < 0.9, "a stubborn part has a second, unless there is a hurry"
    wait_for("nothing is left", lambda: not alive(pids))


def test_a_line_without_an_end_and_a_long_one_are_passed_on(tmp_path: Path, ended: list[Supervised]) -> None:
    script = "print('x' * 100_000, end='\\n'); print('last words', end='')"
    words = json.dumps([script, ["talker", [], []]])
    running = Running.start([sys.executable, "-c", SUPERVISED, words], tmp_path / "talker.log")
    assert running.process.wait(90) == 1
    assert "talker | last words\n" in running.log
    assert max(map(len, running.log.splitlines())) < 10_000


def test_the_fate_of_a_process_is_told_in_words() -> None:
    assert fate(3) == "exit status 3"
    assert fate(-11) == "killed by SIGSEGV"
    assert fate(-200) == "killed by signal 200"

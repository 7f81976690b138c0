"""What the shipper does over and over costs the same however many runs it keeps that have ended.

Steps are counted, not timed: the calls of livetask's own functions.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from livetask.keys import Keys
from livetask.worker.household import Household
from livetask.worker.listing import Listing
from livetask.worker.shipping import Shipping
from livetask.worker.spool import RunFacts, RunSpool, new_nonce
from livetask.worker.terms import Terms
from tests.real.counting import Counted

TERMS = Terms(Keys("growth"), 1000, 1 << 20, 60_000, 10_000, 100, 50, 1000)


def _begun(directory: Path) -> RunSpool:
    return RunSpool(
        directory,
        RunFacts("t", "n", new_nonce(), "first", "q", "", "", "()", "{}", os.getpid(), "h", "w", 1, locked=False),
    )


def _turn(house: Household, now_s: float) -> list[Shipping]:
    """What the shipper does with its own house in each round, without Redis."""
    house.look(now_s)
    list(house.progress())
    house.forget(now_s)
    house.measure()
    assert house.is_busy
    assert house.held_bytes > 0
    return list(house.in_turn())


def _steps(directory: Path, kept: int) -> Counter[str]:
    """The calls in a second of rounds, where one run goes on and prints, and so many have ended; the directory last
    changed five seconds before."""
    directory.mkdir()
    house = Household(directory, TERMS, None, main_is_alive=True)
    for _ in range(kept):
        spool = _begun(directory)
        os.write(spool.out_fd, b"a line\n")
        spool.end({"how": "SUCCESS", "size": 7})
        spool.close()
    going = _begun(directory)
    try:
        os.write(going.out_fd, b"a line\n")
        house.look(0.0)
        assert len(house.runs) == kept + 1
        for run in house.runs.values():
            run.ordinal, run.is_finished = 1, run.end is not None
        house.look(0.5)
        assert [run.facts.nonce for run in _turn(house, 5.0)] == [going.facts.nonce]
        with Counted() as calls:
            for number in range(1, 11):
                os.write(going.out_fd, b"a line\n")
                (run,) = _turn(house, 5.0 + number / 10)
                assert run.following.size == 7 * (number + 1)
        return calls
    finally:
        for run in house.runs.values():
            run.following.close()
        going.close()


def test_runs_that_have_ended_and_are_kept_add_no_step(tmp_path: Path) -> None:
    few, many = _steps(tmp_path / "few", 3), _steps(tmp_path / "many", 300)
    assert sum(few.values()) > 100
    assert few == many


def test_a_file_is_new_once_also_where_the_directorys_time_of_change_is_coarse(tmp_path: Path) -> None:
    listing = Listing(tmp_path)
    (tmp_path / "a.run").touch()
    assert listing.new(0.0) == [("a", "run")]
    changed_ns = tmp_path.stat().st_mtime_ns
    for now_s, name in ((0.5, "b"), (2.0, "c")):
        (tmp_path / f"{name}.out").touch()
        (tmp_path / f"{name}.out.new").touch()
        os.utime(tmp_path, ns=(changed_ns, changed_ns))
        assert listing.new(now_s) == [(name, "out")]
        assert listing.new(now_s) == []
    (tmp_path / "d.run").touch()
    assert listing.new(100.0) == [("d", "run")]


def test_a_file_that_could_not_be_read_is_new_again(tmp_path: Path) -> None:
    listing = Listing(tmp_path)
    (tmp_path / "a.run").touch()
    assert listing.new(0.0) == [("a", "run")]
    listing.tell_again("a", "run")
    assert listing.new(100.0) == [("a", "run")]
    assert listing.new(200.0) == []

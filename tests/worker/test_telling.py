"""What the shipper is told through the FIFO."""

from __future__ import annotations

from pathlib import Path

from livetask.worker.spool import make_directory
from livetask.worker.telling import TOLD_FOR_S, Hearing, Teller


def test_news_of_one_file_of_runs_is_told_once_in_a_moment_and_of_every_other_at_once(tmp_path: Path) -> None:
    directory, _ = make_directory(tmp_path / "home" / "place")
    now_s = 5.0
    teller, hearing = Teller(directory, lambda: now_s), Hearing(directory)
    teller.tell_run("a")
    teller.tell_run("a")
    teller.tell_run("b")
    teller.tell_run("a")
    now_s += 2 * TOLD_FOR_S
    teller.tell_run("a")
    assert [words["name"] for words in hearing.told()] == ["a", "b", "a", "a"]


def test_what_could_not_be_told_is_told_the_next_time(tmp_path: Path) -> None:
    directory, _ = make_directory(tmp_path / "home" / "place")
    bell = directory / "bell"
    bell.unlink()
    bell.mkdir()
    teller = Teller(directory, lambda: 5.0)
    teller.tell_run("a")
    assert teller.dropped == 1
    bell.rmdir()
    (directory / "bell").touch()
    teller.tell_run("a")
    assert (directory / "bell").read_bytes().count(b"\n") == 1

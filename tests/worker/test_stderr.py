"""What Python writes to stderr is told apart, and nothing else is changed by that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.turns import unturned
from livetask.worker.following import Following
from livetask.worker.spool import RunPaths
from livetask.worker.stderr import NOTES_MOST, ErrNotes, ErrPlaces, ErrRaw, ErrText
from livetask.worker.streams import SpoolRaw, SpoolText


class Streams:
    """A run's two streams."""

    def __init__(self, directory: Path, nonce: str = "nonce") -> None:
        self.paths = RunPaths(directory, nonce)
        self.fd = os.open(self.paths.of("out"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC)
        self.notes = ErrNotes(self.paths)
        self.out, self.err = SpoolText(SpoolRaw(self.fd)), ErrText(ErrRaw(self.fd, notes=self.notes))

    def close(self) -> None:
        self.notes.close()
        os.close(self.fd)

    def told(self, chunk_bytes: int = 16 * 1024) -> list[int]:
        """The lines that are told to be stderr's, when the run is followed in entries of that size."""
        following = Following(self.paths)
        lines: set[int] = set()
        for piece in following.pieces(following.look(), chunk_bytes, 10_000):
            lines |= {line for first, last in unturned(piece.err, piece.start.line) for line in range(first, last + 1)}
        following.close()
        return sorted(lines)


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[Streams]:
    found = Streams(tmp_path)
    yield found
    found.close()


def test_lines_with_something_of_stderr_are_told(streams: Streams) -> None:
    print("out 1", file=streams.out)
    print("err 2", file=streams.err)
    print("out 3", file=streams.out)
    streams.err.write("err 4\nü 5\nbad \ud800 6\n")
    streams.err.buffer.write(b"\xff 7\n")
    streams.out.write("out and ")
    streams.err.write("err 8\n")
    streams.out.write("out 9\n")
    assert streams.told() == [2, 4, 5, 6, 7, 8]


def test_nothing_is_told_of_a_run_that_writes_to_stdout_only(streams: Streams) -> None:
    print("out", file=streams.out)
    assert streams.told() == []
    assert not Path(streams.paths.of("err")).exists()


@given(st.lists(st.tuples(st.booleans(), st.text("ab\nü", max_size=6)), max_size=60), st.integers(5, 60))
def test_any_pieces_in_any_entries_are_told_apart(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bool, str]], chunk_bytes: int
) -> None:
    streams = Streams(tmp_path_factory.mktemp("streams"))
    line, wanted = 1, set()
    for is_err, text in pieces:
        (streams.err if is_err else streams.out).write(text)
        if is_err and text not in ("", "\n"):
            wanted |= {line + number for number, part in enumerate(text.split("\n")[:-1])}
            wanted |= {line + text.count("\n")} if not text.endswith("\n") else set()
        line += text.count("\n")
    assert streams.told(chunk_bytes) == sorted(wanted)
    assert Path(streams.paths.of("out")).read_text() == "".join(text for _, text in pieces)
    streams.close()


def test_what_a_child_writes_is_not_told_and_moves_nothing(streams: Streams) -> None:
    streams.err.write("err 1\n")
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'child 2\\n')"], stderr=streams.fd, check=True)
    streams.err.write("err 3\n")
    assert streams.told() == [1, 3]


def test_notes_take_a_bounded_room_and_no_error_reaches_the_task(streams: Streams, tmp_path: Path) -> None:
    streams.notes._left = 2
    for _ in range(5):
        streams.err.write("line\n")
    assert streams.told() == [1, 2]
    assert NOTES_MOST * 16 == 4 * 1024 * 1024
    nowhere = ErrNotes(RunPaths(tmp_path / "nowhere", "nonce"))
    nowhere.note(streams.fd, 1)
    nowhere.close()


def test_a_note_that_is_half_written_is_not_read(streams: Streams) -> None:
    streams.err.write("line\n")
    with Path(streams.paths.of("err")).open("ab") as notes:
        notes.write(b"\0\0\0")
    places = ErrPlaces(streams.paths)
    places.look()
    assert places.turns(0, b"line\n") == b"\0\1"
    places.close()

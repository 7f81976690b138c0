"""The benchmark counts right: each measurement runs end to end, as small as it can be, over every way.

No figure is judged here but those that are not a matter of speed: how many lines came, and that each way has its row.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench import append, document, fanout, native_programs, node_place, plan, replay
from tests.bench.__main__ import main, parsed
from tests.bench.document import BEGIN, END
from tests.bench.fanout import Cell
from tests.bench.goals import goals
from tests.bench.kept import Kept, Note
from tests.bench.lines import MARK, SIZE_BYTES, STAMPS, line
from tests.bench.load import Crowd, SocketIoViewer
from tests.bench.plan import Stage
from tests.bench.processes import ROOT, Valkey, python, started, valkey
from tests.bench.running import Runner
from tests.bench.ways import WAYS, Way
from tests.bench.ways import way as way_named

APPENDING = [way for way in WAYS if way.append_title]
KEEPING = [way for way in WAYS if way.keeps]


@pytest.fixture(scope="module")
def store() -> Iterator[Valkey]:
    with valkey(limit_s=300) as store:
        yield store


def _name(way: Way) -> str:
    return way.name


def test_a_line_has_its_size_one_mark_and_its_stamps() -> None:
    text = line(7, 123, 456)
    assert len(text) == SIZE_BYTES
    assert text.count(MARK) == text.count(b"\n") == 1
    assert [(int(printed), int(appended)) for printed, appended in STAMPS.findall(text)] == [(123, 456)]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_frames_are_walked_however_reads_cut_them(cuts: list[int]) -> None:
    """A ping and three outputs, one of them an attachment, and one whose length has the mark's byte in it."""
    three = line(1, 1, 1) + line(2, 2, 2) + line(3, 3, 3)
    long = b'42["output",{"cursor":"1.n.1-0","text":"%b' % three
    long += b"." * (0x4000 - len(long))
    attached = b'451-["output",{"cursor":"1.n.9-900","data":{"_placeholder":true,"num":0}}]'
    short = b'42["output",{"cursor":"1.n.4-300","text":"%b"}]' % line(3, 3, 3)[:60]
    texts = [b'0{"sid":"x"}', b'40{"sid":"y"}', b'430[{"ok":true}]', long, b"2", short, attached]
    sent = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(_frame(0x81, text) for text in texts)
    sent += _frame(0x82, three)
    assert MARK in sent.split(b"42[")[0].split(b"430[")[1], "the long frame's length holds the mark's byte"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        order = {"port": listening.getsockname()[1], "viewers": 1, "expected": 7, "acks": "t", "subscribe": {}}
        viewer = SocketIoViewer(Crowd(order), 0)
        viewer.ack_bytes = 0
        with listening.accept()[0] as far, viewer.socket:
            while sent:
                cuts = [*cuts[1:], cuts[0]]
                viewer.received(sent[: cuts[-1]])
                sent = sent[cuts[-1] :]
            viewer.socket.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: far.recv(65536), b""))
    assert (viewer.lines, viewer.ready, viewer.left, viewer.head) == (7, True, 0, b"")
    assert said.count(b"\0\0\0\0" + b"3") == 1
    acked = re.findall(rb'"cursor":"([^"]+)"', said)
    assert acked == sorted(acked), "a cursor was acknowledged late"
    assert acked[-1] == b"1.n.9-900"


def _frame(kind: int, text: bytes) -> bytes:
    return bytes([kind]) + (bytes([len(text)]) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2, "big")) + text


@pytest.mark.parametrize("way", APPENDING, ids=_name)
def test_append_is_measured(way: Way, store: Valkey) -> None:
    found = append.measure(way, store, lines=600, limit_s=20)
    assert 0 < found.lines < 600, "the first piece warms up and is not counted"
    assert min(found.lines_per_s, found.writer_us, found.redis_us) > 0


@pytest.mark.parametrize("way", WAYS, ids=_name)
def test_each_viewer_gets_each_line_once_in_fanout(way: Way, store: Valkey) -> None:
    if way.server == "floor-c" and way.lacks():
        pytest.skip("the floor is written in C, and no C compiler works here")
    found = fanout.measure(way, Cell(viewers=3, rate=200, seconds=0.5), store, grace_s=30)
    assert found.delivered == 1
    assert found.p50_ms is not None
    assert found.p99_ms is not None
    assert 0 < found.p50_ms <= found.p99_ms
    assert found.peak_bytes > 0


@pytest.mark.parametrize("way", KEEPING, ids=_name)
def test_a_late_viewer_gets_the_whole_backlog_in_replay(way: Way, store: Valkey) -> None:
    found = replay.measure(way, store, backlog_bytes=50_000, enough_s=0.2)
    assert found.delivered == 1
    assert found.mb_per_s > 0


@pytest.mark.parametrize("name", ["livetask", "livetask-binary", "floor"])
def test_viewers_in_python_see_what_those_in_c_see(name: str, store: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """And some may stall once they are subscribed, without the others missing anything."""
    seen = []
    for compiler in (os.environ.get("CC", "cc"), "no-such-compiler"):
        monkeypatch.setenv("CC", compiler)
        native_programs.built.cache_clear()
        cell = Cell(viewers=4, rate=200, seconds=0.3, stalled=1)
        seen.append(fanout.measure(way_named(name), cell, store, grace_s=30))
    native_programs.built.cache_clear()
    assert [one.delivered for one in seen] == [1, 1]
    assert all(one.frame_us is not None for one in seen)


@pytest.mark.parametrize("in_c", [True, False])
def test_viewers_acknowledge_what_they_have_though_no_more_comes(in_c: bool) -> None:
    """Else a server that has filled the window would wait for its own next heartbeat."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        order = {"kind": "sio", "port": listening.getsockname()[1], "viewers": 1, "expected": 99, "limit_s": 100}
        order |= {"subscribe": {}, "acks": "t"}
        command = native_programs.load_command(order) if in_c else python("tests.bench.load", json.dumps(order))
        with started("viewers", command), listening.accept()[0] as far:
            far.settimeout(60)
            opening = [b'0{"sid":"x"}', b'40{"sid":"y"}', b'430[{"ok":true}]']
            far.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(_frame(0x81, one) for one in opening))
            for cursor in (b"1.n.2-100", b"1.n.3-200"):  # the first is acknowledged at once, the second in its time
                far.sendall(_frame(0x81, b'42["output",{"cursor":"%b","text":"%b"}]' % (cursor, b"." * 80)))
                said = b""
                while cursor not in said:
                    said += (part := far.recv(65536))
                    assert part, "it has gone"


def test_a_share_of_viewers_that_stall_comes_on_top_of_those_who_read() -> None:
    (stage,) = parsed(["fanout", "--viewers", "100,5", "--rates", "10", "--stalled", "0.1", "--ways", "ws"]).stages
    assert [(arm.cell.viewers, arm.cell.stalled) for arm in stage.arms if arm.cell] == [(100, 0), (110, 10), (5, 0)]


def test_what_was_not_delivered_in_time_is_not_counted(store: Valkey) -> None:
    """A load no line-a-time writer can meet: the share must fall below one, and the measurement must still end."""
    assert 0 < fanout.measure(way_named("stirfried"), Cell(viewers=2, rate=200_000, seconds=0.2), store).delivered < 1


def test_the_command_writes_a_table_with_a_row_for_every_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nwhat was here before\n{END}\nafter\n", "utf-8")
    kept = tmp_path / "kept.json"
    flags = [
        "--rounds",
        "1",
        "--lines",
        "600",
        "--keep",
        str(kept),
        "--write",
        str(page),
        "--ways",
        "tutorial,livetask",
    ]
    assert main(["append", *flags]) == 0
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "what was here before" not in text
    rows = [row for row in text.splitlines() if row.startswith("| ")][2:]
    titles = [way_named(name).append_title for name in ("tutorial", "livetask")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == titles
    assert capsys.readouterr().out.strip() in text
    written = page.read_text("utf-8")
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n", "utf-8")
    assert main(["--kept", "--keep", str(kept), "--write", str(page)]) == 0, "tables are written again of what was kept"
    assert page.read_text("utf-8") == written


def test_a_page_without_markers_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n", "utf-8")
    with pytest.raises(ValueError, match="has no"):
        document.write(page, Kept(about={"machine": "", "viewers": "", "took": ""}))
    assert page.read_text("utf-8") == "nothing here\n"


def test_what_fails_is_noted_and_the_next_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends at once, and a store that is killed between two measurements."""
    monkeypatch.setattr(node_place, "server_command", lambda *_: ["false"])
    runner: Runner

    class Killing(Kept):
        def add(self, note: Note) -> None:
            super().add(note)
            store = runner.store
            assert store is not None
            os.kill(store.pid, signal.SIGKILL)

    kept = Killing(lacking={"stirfried": "no such wheel"}, about={"machine": "", "viewers": "", "took": ""})
    runner = Runner(kept, time.monotonic(), time.monotonic() + 600)
    arms = (
        *plan.append(600, [way_named("livetask"), way_named("stirfried")]),
        *plan.fanout([Cell(1, 10, 0.1)], [way_named("ws")]),
        *plan.append(700, [way_named("livetask")]),
    )
    runner.run([Stage(arms, 1)])
    assert [(note.way, bool(note.failed)) for note in kept.notes] == [("livetask", 0), ("ws", 1), ("livetask", 0)]
    text = document.tables(kept)
    assert "| not here: no such wheel |" in text
    assert "| 1 of 1 rounds failed: server of ws: it ended |" in text


def test_what_would_not_be_over_in_time_is_not_begun() -> None:
    kept = Kept(about={"machine": "", "viewers": "", "took": ""})
    load = plan.fanout([Cell(10, 1_000, 1)])
    Runner(kept, time.monotonic(), time.monotonic() + 1).run([Stage((*load, *plan.storm(10, ["livetask"])), 3)])
    assert kept.notes == []
    assert "Not measured, since the time was up: 10 × 1,000/s." in document.tables(kept)
    assert document.tables(kept).count("| not measured: the time was up |") == 3
    assert goals(kept).count("| not measured | ? |") == 3


def test_the_page_has_the_places_for_what_a_run_finds() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for begin, end in ((document.BEGIN, document.END), (document.GOALS_BEGIN, document.GOALS_END)):
        assert "\ntext\n" in document.between(page, begin, end, "text")

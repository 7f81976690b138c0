"""Results as Markdown tables: medians of the rounds, with the least and the most of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.bench.append import Appended
from tests.bench.fanout import Cell, Shown
from tests.bench.replay import Replayed
from tests.bench.ways import Way

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
BUSY_SHARE = 0.7
BUSY = " †"
"""Stands behind the share of a load process that was so busy that it may itself be what was measured."""

NOTE = (
    f"Median of the rounds (least to most). {BUSY.strip()}: the viewers' own process used more than "
    f"{BUSY_SHARE:.0%} of a core, so the way may do better than shown. Lines are 100 bytes. "
    "Valkey keeps nothing on disk. "
    "Latency is from the append to the viewer; `printed` is from the print, so that it holds the time in which a chunk "
    "is gathered. CPU is user and system time from the kernel. "
    "livetask's viewers acknowledge what they have read, as its own clients do, which its server's CPU includes."
)


def append_table(results: Sequence[tuple[Way, Sequence[Appended]]]) -> str:
    """One row a way."""
    rows = [
        [
            way.append_title,
            _spread([r.lines_per_s for r in rounds], _count),
            _spread([r.writer_us for r in rounds], _fine),
            _spread([r.redis_us for r in rounds], _fine),
            _spread([r.memory_bytes for r in rounds], _count) if way.keeps else "keeps nothing",
        ]
        for way, rounds in results
    ]
    head = ["append", "lines/s", "worker CPU, µs/line", "Valkey CPU, µs/line", "Valkey memory, bytes/line"]
    return _table(head, rows)


def fanout_table(results: Sequence[tuple[Cell, Way, Sequence[Shown]]]) -> str:
    """One row a cell and way. The floor is that in C, where it was measured."""
    floors = {cell: rounds for cell, way, rounds in results if way.server == "floor-c"}
    rows = [
        [
            f"{_viewers(cell)} × {cell.rate:,.0f}/s",
            way.title,
            _spread([r.delivered * 100 for r in rounds], _share),
            _spread([r.line_us for r in rounds], _fine),
            _times(rounds, floors.get(cell, ())),
            _middle([r.frame_us for r in rounds]),
            f"{median(r.server_share for r in rounds):.0%}",
            f"{_middle([r.p50_ms for r in rounds])} / {_middle([r.p99_ms for r in rounds])}",
            _middle([r.print_p99_ms for r in rounds]),
            f"{max(r.peak_bytes for r in rounds) / 1e6:.0f}",
            _client([r.client_share for r in rounds]),
        ]
        for cell, way, rounds in results
    ]
    head = [
        "viewers × lines", "fan-out", "delivered", "server CPU, µs/delivered line", "× C floor", "µs/frame",
        "of a core", "p50 / p99, ms", "printed p99, ms", "server peak, MB", "viewers' CPU",
    ]  # fmt: skip
    return _table(head, rows)


def replay_table(
    results: Sequence[tuple[Way, Sequence[Replayed]]], raw_mb_per_s: Sequence[float], megabytes: float
) -> str:
    """One row a way. ``raw_mb_per_s``: what a bare socket reads of the same by XRANGE, in the same rounds."""
    rows = []
    for way, rounds in results:
        rows.append(
            [
                way.title,
                _spread([r.delivered * 100 for r in rounds], _share),
                _spread([r.mb_per_s for r in rounds], _fine),
                f"{median(r.mb_per_s for r in rounds) / median(raw_mb_per_s):.0%}",
                _spread([r.mb_cpu_ms for r in rounds], _fine),
                _spread([r.first_ms for r in rounds], _fine),
                f"{max(r.peak_bytes for r in rounds) / 1e6:.0f}",
                _client([r.client_share for r in rounds]),
            ]
        )
    rows.append(["a bare socket reads XRANGE, for nobody", "-", _spread(raw_mb_per_s, _fine), "100%", *["-"] * 4])
    head = [
        f"replay of {megabytes:g} MB", "delivered", "MB/s", "of a bare socket", "server CPU, ms/MB", "first line, ms",
        "server peak, MB", "viewer's CPU",
    ]  # fmt: skip
    return _table(head, rows)


def write_between_markers(path: Path, text: str) -> None:
    """Put the text between the markers of a file; raises ValueError if it has none."""
    old = path.read_text("utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no {BEGIN} and {END}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    middle, least, most = shown(median(values)), shown(min(values)), shown(max(values))
    return middle if least == most else f"{middle} ({least} to {most})"


def _middle(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _fine(median(known)) if known else "-"


def _times(rounds: Sequence[Shown], floor: Sequence[Shown]) -> str:
    """How many times the floor's CPU a line costs."""
    if not floor:
        return "-"
    return _fine(median(r.line_us for r in rounds) / median(r.line_us for r in floor))


def _client(shares: Sequence[float]) -> str:
    share = median(shares)
    return f"{share:.0%}{BUSY if share > BUSY_SHARE else ''}"


def _viewers(cell: Cell) -> str:
    return f"{cell.viewers - cell.stalled}" + (f" + {cell.stalled} stalled" if cell.stalled else "")


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float) -> str:
    """Per cent; 100 only if it is all."""
    return f"{value:.0f} %" if value in (0, 100) or 1 <= value < 99 else f"{value:.2f} %"


def _fine(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"

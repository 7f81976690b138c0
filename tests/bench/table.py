"""Results as Markdown tables: medians of the rounds, with the least and the most of them.

Each table takes rows of what it is about, the results of its rounds, and a remark: of rounds that failed, or why there
are none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from tests.bench.append import Appended
from tests.bench.crowds import Idle, Storm
from tests.bench.fanout import Cell, Shown
from tests.bench.raw_read import RawRead
from tests.bench.replay import Replayed
from tests.bench.ways import Way

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


def append_table(results: Sequence[tuple[Way, Sequence[Appended], str]]) -> str:
    """One row a way."""
    head = ["append", "lines/s", "worker CPU, µs/line", "Valkey CPU, µs/line", "Valkey memory, bytes/line"]
    rows = [
        _row([way.append_title], remark, head, rounds)
        or [
            _remarked(way.append_title, remark),
            _spread([r.lines_per_s for r in rounds], _count),
            _spread([r.writer_us for r in rounds], fine),
            _spread([r.redis_us for r in rounds], fine),
            _spread([r.memory_bytes for r in rounds], _count) if way.keeps else "keeps nothing",
        ]
        for way, rounds, remark in results
    ]
    return table(head, rows)


def fanout_table(results: Sequence[tuple[Cell, Way, Sequence[Shown], str]]) -> str:
    """One row a cell and way. Compared are the floor in C and livetask as text, where they were measured."""
    head = [
        "viewers × lines", "fan-out", "delivered", "server CPU, µs/delivered line", "× C floor", "× livetask",
        "µs/frame", "of a core", "p50 / p99, ms", "printed p99, ms", "server peak, MB", "viewers' CPU",
    ]  # fmt: skip
    floors = {cell: rounds for cell, way, rounds, _ in results if way.server == "floor-c"}
    own = {cell: rounds for cell, way, rounds, _ in results if way.name == "livetask"}
    rows = [
        _row([named(cell), way.title], remark, head, rounds)
        or [
            named(cell),
            _remarked(way.title, remark),
            _spread([r.delivered * 100 for r in rounds], _share),
            _spread([r.line_us for r in rounds], fine),
            _times(rounds, floors.get(cell, ())),
            _times(rounds, own.get(cell, ())),
            _middle([r.frame_us for r in rounds]),
            f"{median(r.server_share for r in rounds):.0%}",
            f"{_middle([r.p50_ms for r in rounds])} / {_spread([r.p99_ms for r in rounds if r.p99_ms], fine)}",
            _middle([r.print_p99_ms for r in rounds]),
            f"{max(r.peak_bytes for r in rounds) / 1e6:.0f}",
            _client([r.client_share for r in rounds]),
        ]
        for cell, way, rounds, remark in results
    ]
    return table(head, rows)


def replay_table(
    results: Sequence[tuple[str, Sequence[Replayed], str]], raw: Sequence[RawRead], megabytes: float
) -> str:
    """One row a way. ``raw``: how a bare socket reads the same by XRANGE, in the same rounds."""
    head = [
        f"replay of {megabytes:g} MB", "delivered", "MB/s", "of a bare socket", "server CPU, ms/MB", "first line, ms",
        "server peak, MB", "viewer's CPU",
    ]  # fmt: skip
    rows = [
        _row([title], remark, head, rounds)
        or [
            _remarked(title, remark),
            _spread([r.delivered * 100 for r in rounds], _share),
            _spread([r.mb_per_s for r in rounds], fine),
            f"{median(r.mb_per_s for r in rounds) / median(r.mb_per_s for r in raw):.0%}" if raw else "-",
            _spread([r.mb_cpu_ms for r in rounds], fine),
            _spread([r.first_ms for r in rounds], fine),
            f"{max(r.peak_bytes for r in rounds) / 1e6:.0f}",
            _client([r.client_share for r in rounds]),
        ]
        for title, rounds, remark in results
    ]
    if raw:
        speed = _spread([r.mb_per_s for r in raw], fine)
        rows.append(["a bare socket reads XRANGE, for nobody", "-", speed, "100%", *["-"] * 4])
    return table(head, rows)


def storm_table(results: Sequence[tuple[str, Sequence[Storm], str]], trial: Sequence[Storm], viewers: int) -> str:
    """One row a way. ``trial``: of frames that were kept ready."""
    head = [
        f"{viewers:,} viewers back at once, 1 MB behind", "delivered", "s", "× the trial", "server CPU, s",
        "more memory at most, MB",
    ]  # fmt: skip
    base = median(r.seconds for r in trial) if trial else 0.0
    rows = [
        _row([title], remark, head, rounds)
        or [
            _remarked(title, remark),
            _spread([r.delivered * 100 for r in rounds], _share),
            _spread([r.seconds for r in rounds], fine),
            fine(median(r.seconds for r in rounds) / base) if base else "-",
            _spread([r.server_cpu_s for r in rounds], fine),
            f"{max(r.more_mb for r in rounds):.0f}",
        ]
        for title, rounds, remark in results
    ]
    return table(head, rows)


def idle_table(results: Sequence[tuple[int, str, Sequence[Idle], str]]) -> str:
    """One row a size of the crowd and way."""
    head = ["idle viewers", "of", "KiB each", "µs of CPU a second each", "accepted in a second of CPU"]
    rows = [
        _row([f"{viewers:,}", title], remark, head, rounds)
        or [
            f"{viewers:,}",
            _remarked(title, remark),
            _spread([r.kib for r in rounds], fine),
            _spread([r.cpu_us for r in rounds], fine),
            _spread([r.accepted for r in rounds], _count),
        ]
        for viewers, title, rounds, remark in results
    ]
    return table(head, rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def named(cell: Cell) -> str:
    """A load, as tables have it."""
    stalled = f" + {cell.stalled} stalled" if cell.stalled else ""
    return f"{cell.viewers - cell.stalled}{stalled} × {cell.rate:,.0f}/s"


def fine(value: float) -> str:
    """Two or three figures of it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _row(titles: list[str], remark: str, head: Sequence[str], rounds: Sequence[object]) -> list[str]:
    """The row of what was not measured at all; empty if it was."""
    return [] if rounds else [*titles, remark or "not measured", *["-"] * (len(head) - len(titles) - 1)]


def _remarked(title: str, remark: str) -> str:
    return f"{title} ({remark})" if remark else title


def _spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    if not values:
        return "-"
    middle, least, most = shown(median(values)), shown(min(values)), shown(max(values))
    return middle if least == most else f"{middle} ({least} to {most})"


def _middle(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return fine(median(known)) if known else "-"


def _times(rounds: Sequence[Shown], other: Sequence[Shown]) -> str:
    """How many times the other's CPU a line costs."""
    if not other:
        return "-"
    return fine(median(r.line_us for r in rounds) / median(r.line_us for r in other))


def _client(shares: Sequence[float]) -> str:
    share = median(shares)
    return f"{share:.0%}{BUSY if share > BUSY_SHARE else ''}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float) -> str:
    """Per cent; 100 only if it is all."""
    return f"{value:.0f} %" if value in (0, 100) or 1 <= value < 99 else f"{value:.2f} %"

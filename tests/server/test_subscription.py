"""Any order of entries, acks, trims, reconnects and restarts gives the stream's text minus the gaps that were told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.errors import PositionUnknown
from livetask.position import START, Cursor, Entry, Gap, Position
from livetask.server.events import CaughtUp, Ended, Event, Grown, Missing, Output, Reset
from livetask.server.pieces import cut, incomplete, newest, since
from livetask.server.slices import BeforeNeeded, Head, RawEntry, Slice, sliced, sliced_within, unbroken
from livetask.server.subscription import PIECE_SIZES, Subscription, Wish
from livetask.server.tasks import Run, Task, task_parsed

WINDOW = 64 * 1024
NONCE = "abcdefghijkl"
GAP = b"(a gap)"


def _run(ordinal: int = 1, nonce: str = NONCE, end: Position = START, how: str | None = None) -> Run:
    return Run(ordinal, nonce, "first", "h", 1, "w", 1, None, how, None, START, "", end, None)


def _task(*runs: Run, state: str = "RUNNING") -> Task:
    still = sum(run.how is None for run in runs)
    known = task_parsed("t", {b"format": b"1", b"state": state.encode()})
    assert known is not None
    return replace(known, open=still, runs=runs)


@dataclass
class Stored:
    """A run as Redis would hold it, in small: entries, a head, and a worker that can send again."""

    raw: list[tuple[Position, dict[bytes, bytes]]] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)
    end: Position = START
    first: Position = START
    how: str | None = None
    unsent: list[tuple[Position, dict[bytes, bytes]]] = field(default_factory=list)

    def add(self, data: bytes) -> None:
        self.raw.append((self.end, {b"d": data}))
        self.text += data
        self.end = self.end.after(data)

    def add_gap(self, lines: int, size_bytes: int) -> None:
        end = Position(self.end.line + lines, self.end.byte + size_bytes)
        self.raw.append((self.end, {b"g": b"dropped", b"e": str(end).encode()}))
        self.text += bytes(size_bytes)
        self.end = end

    def trim(self, count: int) -> None:
        gone = min(count, len(self.raw) - 1)
        if gone > 0:
            del self.raw[:gone]
            self.first = self.raw[0][0]

    def forget(self, count: int) -> None:
        """Redis restarts without its last writes."""
        count = min(count, len(self.raw) - 1)
        if count > 0:
            self.unsent = self.raw[-count:] + self.unsent
            del self.raw[-count:]
            self.end = self.unsent[0][0]

    def heal(self) -> None:
        self.raw += self.unsent
        self.unsent = []
        if self.raw:
            self.end = _end_of(self.raw[-1])

    def read(self, position: Position, count: int, max_bytes: int) -> Slice:
        head = Head(self.end, self.first, "trimmed" if self.first != START else "", self.how)
        after = [_raw(one) for one in self.raw if one[0] >= position]
        flat = [(entry_id, [part for pair in fields.items() for part in pair]) for entry_id, fields in after[:count]]
        try:
            return unbroken(position, flat, head, max_bytes) or sliced(position, after[:count], head, max_bytes)
        except BeforeNeeded:
            before = [_raw(one) for one in self.raw if one[0] <= position][-1:]
            must_reach = self.end if len(after) < count else None
            return sliced_within(position, before, after[:count], head, max_bytes, must_reach)

    def run(self) -> Run:
        return replace(_run(end=self.end, how=self.how), first=self.first)


def _raw(one: tuple[Position, dict[bytes, bytes]]) -> RawEntry:
    return str(one[0]).encode(), one[1]


def _end_of(one: tuple[Position, dict[bytes, bytes]]) -> Position:
    fields = one[1]
    return Position.parse(fields[b"e"]) if b"e" in fields else one[0].after(fields[b"d"])


class Client:
    """What a viewer would keep: its text, its gaps, and the cursor with which it comes back."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.sub = Subscription(wish, Cursor(1, NONCE, START), WINDOW)
        self.text = bytearray()
        self.shown = bytearray()
        self.gaps: list[Gap] = []
        self.cursor = Cursor(1, NONCE, START)
        self.ends: list[Ended] = []
        self.under_way: list[tuple[Cursor, int]] = []

    def told(self, event: Event) -> None:
        match event:
            case Output(start, cursor, _, skipped):
                data = event.data
                assert len(data) == event.size_bytes
                assert not self.ends
                assert start.byte == self.cursor.position.byte + skipped
                self.text += bytes(skipped) + data
                self.shown += data if self.wish.binary else data.decode("utf-8", "replace").encode()
                self.cursor = cursor
                self.under_way.append((cursor, len(data)))
            case Missing(gap, cursor):
                assert not self.ends
                skipped = gap.start.byte - self.cursor.position.byte
                assert skipped == 0 or (skipped > 0 and self.wish.mode == "screen")
                self.text += bytes(skipped + gap.size_bytes)
                self.shown += GAP
                self.gaps.append(gap)
                self.cursor = cursor
            case Ended():
                assert self.cursor.position == event.run.end
                self.ends.append(event)
            case CaughtUp(cursor):
                assert cursor == self.cursor
            case _:
                raise AssertionError(event)

    def come_back(self) -> None:
        self.sub = Subscription(self.wish, self.cursor, WINDOW)
        self.ends.clear()
        self.under_way.clear()

    def pull(self, stored: Stored, count: int) -> bool:
        """One round of the pump for this viewer; True if something came."""
        for event in self.sub.see(_task(stored.run()), 0.0):
            self.told(event)
        room = self.sub.room(True)
        if not self.sub.reads or not room:
            return False
        assert self.sub.cursor is not None
        found = stored.read(self.sub.cursor.position, count, room)
        if self.wish.mode == "screen" and found.next == found.end:
            found = newest(found, self.wish.lines, room)
        skipped = found.start.byte - self.sub.cursor.position.byte
        pieces = cut(found, self.sub.cursor, text=not self.wish.binary, max_bytes=room)
        for number, piece in enumerate(pieces.pieces):
            fits = number == 0 and skipped and isinstance(piece, Output)
            self.told(replace(piece, skipped_bytes=skipped) if fits else piece)  # type: ignore[call-arg]
        caught_up = self.sub.took(pieces.pieces, pieces.reached)
        if caught_up is not None:
            self.told(caught_up)
        return bool(pieces.pieces)


_STEPS = st.one_of(
    st.tuples(st.just("add"), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("add"), st.text(alphabet="aé€🐍\n", min_size=1, max_size=12).map(lambda text: text.encode())),
    st.tuples(st.just("big"), st.integers(1, 60_000)),
    st.tuples(st.just("gap"), st.tuples(st.integers(0, 5), st.integers(5, 200_000))),
    st.tuples(st.just("trim"), st.integers(1, 4)),
    st.tuples(st.just("forget"), st.integers(1, 3)),
    st.tuples(st.just("heal"), st.none()),
    st.tuples(st.just("pull"), st.integers(1, 4)),
    st.tuples(st.just("ack"), st.integers(0, 20)),
    st.tuples(st.just("come back"), st.none()),
)


def _step(stored: Stored, client: Client, what: str, value: Any) -> None:
    if what in ("add", "big", "gap", "trim") and stored.unsent:
        stored.heal()  # a worker sends what is missing before it sends more
    match what:
        case "add":
            stored.add(value)
        case "big":
            stored.add(b"x" * value)
        case "gap":
            stored.add_gap(*value)
        case "trim":
            stored.trim(value)
        case "forget":
            stored.forget(value)
        case "heal":
            stored.heal()
        case "pull":
            client.pull(stored, value)
        case "ack" if client.under_way:
            number = min(value, len(client.under_way) - 1)
            client.sub.ack(client.under_way[number][0])
            del client.under_way[: number + 1]
        case "come back":
            client.come_back()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(_STEPS, max_size=60),
    binary=st.booleans(),
    mode=st.sampled_from(["all", "screen"]),
)
def test_any_order_of_events_gives_the_text_minus_told_gaps_and_one_end(
    steps: list[tuple[str, Any]], binary: bool, mode: str
) -> None:
    stored, client = Stored(), Client(Wish(mode=mode, binary=binary, lines=5))
    for what, value in steps:
        _step(stored, client, what, value)
        if client.sub.acks:
            # acknowledging in steps of pieces, a viewer never has more under way than its window
            assert sum(size for _, size in client.under_way) <= WINDOW + PIECE_SIZES[0]
    stored.heal()
    stored.how = "SUCCESS"
    for _ in range(2000):
        came = client.pull(stored, 3)
        if client.under_way:
            client.sub.ack(client.under_way[-1][0])
            client.under_way.clear()
        if not came and client.ends:
            break
    assert len(client.ends) == 1
    assert len(client.text) == len(stored.text)
    if mode == "all":
        whole, at, shown = bytes(stored.text), 0, bytearray()
        for gap in [*client.gaps, Gap(stored.end, stored.end, "lost")]:
            part = whole[at : gap.start.byte]
            shown += part if binary else part.decode("utf-8", "replace").encode()
            shown += GAP if gap.size_bytes else b""
            at = gap.end.byte
        assert client.shown == shown
    assert not client.pull(stored, 3)


def test_half_a_character_before_an_entry_that_does_not_fit_does_not_wait_for_ever() -> None:
    first, second = Entry(START, b"\xc3"), Entry(Position(1, 1), b"\xa9" + b"x" * 4095)
    found = Slice(START, (first, second), second.end, None)
    pieces = cut(found, Cursor(1, NONCE, START), text=True, max_bytes=4096).pieces
    assert [piece.data for piece in pieces if isinstance(piece, Output)] == ["é".encode() + b"x" * 4094]


@given(data=st.binary(max_size=12), cuts=st.lists(st.integers(0, 12), max_size=4))
def test_text_cut_anywhere_decodes_to_the_same(data: bytes, cuts: list[int]) -> None:
    bounds = sorted({0, len(data), *(min(one, len(data)) for one in cuts)})
    held, text = b"", ""
    for start, end in pairwise(bounds):
        part = held + data[start:end]
        back = incomplete(part)
        text += part[: len(part) - back].decode("utf-8", "replace")
        held = part[len(part) - back :]
    assert text + held.decode("utf-8", "replace") == data.decode("utf-8", "replace")


@given(parts=st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=20), lines=st.integers(1, 8))
def test_what_a_screen_shows_begins_at_a_line_and_is_the_end_of_the_text(parts: list[bytes], lines: int) -> None:
    parts = [part.replace(b"a", b"\n").replace(b"b", b"\n") for part in parts]
    items, at = [], START
    for part in parts:
        items.append(Entry(at, part))
        at = items[-1].end
    text = b"".join(parts)
    whole = Slice(START, tuple(items), at, None)
    shown = newest(whole, lines, 10_000)
    rest = text[shown.start.byte :]
    assert b"".join(item.data for item in shown.items if isinstance(item, Entry)) == rest
    assert shown.start == START or text[shown.start.byte - 1 : shown.start.byte] == b"\n"
    assert rest.count(b"\n") + (not rest.endswith(b"\n")) <= max(lines, 1)
    for byte in range(len(text) + 1):
        part = since(whole, START.after(text[:byte]))
        assert b"".join(item.data for item in part.items if isinstance(item, Entry)) == text[byte:]


def test_a_forged_position_is_refused_and_never_served_as_another() -> None:
    stored = Stored()
    for _ in range(5):
        stored.add(b"a\nb")
    for byte in range(len(stored.text) + 1):
        true = START.after(bytes(stored.text[:byte]))
        assert stored.read(true, 9, 999).start == true
        forged = Position(true.line + 1, byte)
        if byte < len(stored.text):
            with pytest.raises(PositionUnknown):
                stored.read(forged, 9, 999)


def test_an_end_is_told_when_the_cursor_is_there_and_once() -> None:
    sub = Subscription(Wish(), Cursor(1, NONCE, START), WINDOW)
    end = Position(2, 5)
    ended = _task(_run(end=end, how="SUCCESS"), state="SUCCESS")
    assert sub.see(ended, 0.0) == []
    sub.took([Output(START, Cursor(1, NONCE, end), (b"text\n",))], True)
    assert sub.see(ended, 0.0) == [Ended(ended.runs[0], True)]
    assert sub.see(ended, 0.0) == []
    assert not sub.reads


def test_lost_is_taken_back_and_the_new_end_is_told() -> None:
    sub = Subscription(Wish(), Cursor(1, NONCE, START), WINDOW)
    lost = _task(_run(how="LOST"), state="LOST")
    assert sub.see(lost, 0.0) == [Ended(lost.runs[0], True)]
    assert sub.see(_task(_run()), 1.0) == []
    assert sub.reads
    ended = _task(_run(how="FAILURE"), state="FAILURE")
    assert sub.see(ended, 2.0) == [Ended(ended.runs[0], True)]


def test_an_end_that_a_store_has_lost_stays_told_and_the_next_run_is_followed() -> None:
    sub = Subscription(Wish(), Cursor(1, NONCE, START), WINDOW)
    ended = _task(_run(how="RETRY"), state="RETRY")
    assert sub.see(ended, 0.0) == [Ended(ended.runs[0], False)]
    assert sub.see(_task(_run()), 1.0) == []
    assert not sub.reads
    assert sub.see(_task(_run(how="LOST"), state="LOST"), 2.0) == []
    assert sub.see(ended, 3.0) == []
    assert sub.see(_task(_run(how="RETRY"), _run(2, "bbbbbbbbbbbb")), 4.0) == []
    assert sub.reads
    assert sub.cursor == Cursor(2, "bbbbbbbbbbbb", START)


def test_runs_are_followed_one_after_the_other_also_when_several_end_at_once() -> None:
    sub = Subscription(Wish(), Cursor(1, NONCE, START), WINDOW)
    second = _run(2, "bbbbbbbbbbbb", how="RETRY")
    third = _run(3, "cccccccccccc")
    task = _task(_run(how="RETRY"), second, third)
    assert sub.see(task, 0.0) == [Ended(task.runs[0], False), Ended(second, False)]
    assert sub.cursor == Cursor(3, "cccccccccccc", START)
    only = Subscription(Wish(run=2), Cursor(2, "bbbbbbbbbbbb", START), WINDOW)
    assert only.see(task, 0.0) == [Ended(second, False)]
    assert only.cursor == Cursor(2, "bbbbbbbbbbbb", START)


def test_output_that_went_back_is_waited_for_and_then_given_up() -> None:
    cursor = Cursor(1, NONCE, Position(9, 900))
    sub = Subscription(Wish(), cursor, WINDOW, hold_s=60)
    back = _task(_run(end=Position(2, 5)))
    assert sub.see(back, 0.0) == []
    assert sub.see(None, 30.0) == []
    healed = _task(_run(end=Position(9, 900)))
    assert sub.see(healed, 50.0) == []
    assert sub.see(None, 70.0) == []
    assert sub.see(None, 129.0) == []
    assert sub.see(None, 131.0) == [Reset(1, None, "gone")]
    assert sub.see(None, 999.0) == []
    assert sub.see(healed, 1000.0) == []
    assert sub.cursor == Cursor(1, NONCE, START)


def test_a_true_end_before_the_cursor_and_another_nonce_reset_at_once() -> None:
    sub = Subscription(Wish(), Cursor(1, NONCE, Position(9, 900)), WINDOW)
    ended = _task(_run(end=Position(2, 5), how="SUCCESS"))
    assert sub.see(ended, 0.0) == [Reset(1, Cursor(1, NONCE, START), "position_unknown")]
    sub = Subscription(Wish(), Cursor(1, NONCE, START), WINDOW)
    other = _task(_run(nonce="bbbbbbbbbbbb"))
    assert sub.see(other, 0.0) == [Reset(1, Cursor(1, "bbbbbbbbbbbb", START), "replaced")]


def test_in_mode_ends_only_positions_are_told() -> None:
    sub = Subscription(Wish(mode="ends"), Cursor(1, NONCE, START), WINDOW)
    end = Cursor(1, NONCE, Position(3, 30))
    assert sub.see(_task(_run(end=end.position)), 0.0) == [Grown(end)]
    assert sub.see(_task(_run(end=end.position)), 0.0) == []
    assert not sub.reads
    ended = _task(_run(end=Position(4, 40), how="SUCCESS"))
    assert sub.see(ended, 0.0) == [Grown(Cursor(1, NONCE, Position(4, 40))), Ended(ended.runs[0], False)]


def test_a_window_is_closed_until_the_viewer_acknowledges() -> None:
    sub = Subscription(Wish(binary=True), Cursor(1, NONCE, START), WINDOW)
    at = START
    cursors = []
    sub.ack(Cursor(1, NONCE, START))
    while sub.room(True):
        data = b"x" * 1000
        start, at = at, at.after(data)
        cursors.append(Cursor(1, NONCE, at))
        sub.took([Output(start, cursors[-1], (data,))], True)
        assert sub.room(False) == 0
    assert WINDOW - PIECE_SIZES[-1] < sub.under_way_bytes <= WINDOW
    sub.ack(cursors[-1])
    largest = next(size for size in PIECE_SIZES if size <= WINDOW)
    assert (sub.under_way_bytes, sub.room(True)) == (0, largest)
    sub.ack(Cursor(7, NONCE, Position(9, 10**9)))
    assert sub.room(True) == largest


def test_a_window_counts_what_was_sent_and_neither_gaps_nor_what_a_screen_was_not_shown() -> None:
    sub = Subscription(Wish(mode="screen", binary=True), Cursor(1, NONCE, Position(3, 500)), WINDOW)
    sub.took([_output(Position(3, 500), 1000)], False)
    gap = Gap(Position(3, 1500), Position(3, 10**9), "trimmed")
    sub.took([Missing(gap, Cursor(1, NONCE, gap.end)), _output(gap.end, 100)], False)
    sub.took([_output(Position(4, 2 * 10**9), 10)], True)
    assert sub.under_way_bytes == 1110
    sub.ack(Cursor(1, NONCE, Position(3, 700)))
    assert sub.under_way_bytes == 910
    sub.ack(Cursor(1, NONCE, Position(3, 800_000)))  # within the gap: all that was sent before it
    assert sub.under_way_bytes == 110
    sub.ack(Cursor(1, NONCE, Position(3, 600)))  # an old one takes nothing back
    sub.ack(Cursor(1, NONCE, Position(4, 2 * 10**9 + 4)))
    assert sub.under_way_bytes == 6
    ended = _run(end=Position(4, 2 * 10**9 + 10), how="RETRY")
    sub.see(_task(ended, _run(2, "bcdefghijklm")), 0.0)
    assert (sub.cursor, sub.under_way_bytes) == (Cursor(2, "bcdefghijklm", START), 6)
    sub.took([replace(_output(START, 50), cursor=Cursor(2, "bcdefghijklm", Position(1, 50)))], True)
    sub.ack(Cursor(1, NONCE, Position(4, 2 * 10**9 + 10)))
    assert sub.under_way_bytes == 50
    sub.ack(Cursor(2, "bcdefghijklm", Position(9, 10**9)))
    assert sub.under_way_bytes == 0


def _output(start: Position, size_bytes: int) -> Output:
    data = b"x" * size_bytes
    return Output(start, Cursor(1, NONCE, start.after(data)), (data,))

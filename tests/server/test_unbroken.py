"""What is read in one piece is the same whether its entries are looked at one by one or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livetask.position import Cursor, Entry, Gap, Position
from livetask.server.pieces import cut, since
from livetask.server.slices import FlatEntry, Head, Slice, Unbroken, sliced, unbroken

CURSOR = Cursor(1, "abcdefghijkl", Position(3, 7))
_SOME = st.binary(max_size=9).map(lambda data: data.replace(b"a", b"\n").replace(b"b", "é€😀".encode()))
_ENTRY = st.tuples(
    _SOME,
    st.integers(-1, 1),  # how far from the end of the one before it begins
    st.sampled_from([(), (b"t", b"5"), (b"t", b"6"), (b"t", b"0"), (b"s", b"31", b"t", b"6"), (b"x", b"\0\1")]),
    st.booleans(),
)


def _flat(parts: list[tuple[bytes, int, tuple[bytes, ...], bool]], broken: bool) -> tuple[list[FlatEntry], Position]:
    at, flat = CURSOR.position, list[FlatEntry]()
    for number, (data, apart, more, is_gap) in enumerate(parts):
        if broken and number:
            at = Position(at.line, at.byte + apart)
        end = at.after(data)
        fields = [b"g", b"dropped", b"e", str(end).encode()] if broken and is_gap else [b"d", data]
        flat.append((str(at).encode(), [*fields, *more]))
        at = end
    return flat, at


def _slow(flat: list[FlatEntry], head: Head, max_bytes: int) -> Slice:
    raw = [(entry_id, dict(zip(fields[::2], fields[1::2], strict=True))) for entry_id, fields in flat]
    return sliced(CURSOR.position, raw, head, max_bytes)


@given(
    parts=st.lists(_ENTRY, min_size=1, max_size=8),
    broken=st.booleans(),
    max_bytes=st.integers(4, 60),
    most=st.integers(4, 60),
    how=st.sampled_from([None, "SUCCESS"]),
)
@example(parts=[(b"x", 0, (), False), (b"\xc3", 0, (), False)], broken=False, max_bytes=9, most=9, how=None)
@example(parts=[(b"\xc3", 0, (), False), (b"x" * 8, 0, (), False)], broken=False, max_bytes=9, most=4, how=None)
def test_entries_that_are_not_looked_at_are_cut_as_those_that_are(
    parts: list[tuple[bytes, int, tuple[bytes, ...], bool]], broken: bool, max_bytes: int, most: int, how: str | None
) -> None:
    flat, end = _flat(parts, broken)
    head = Head(end, Position(1, 0), "", how)
    found = unbroken(CURSOR.position, flat, head, max_bytes)
    if found is None:
        assert broken or any(not data for data, *_ in parts)
        return
    known = _slow(flat, head, max_bytes)
    assert isinstance(found.items, Unbroken)
    for text in (True, False):
        assert cut(found, CURSOR, text=text, max_bytes=most) == cut(known, CURSOR, text=text, max_bytes=most)
    for byte in range(found.start.byte, found.next.byte + 1):
        position = Position(3, byte)
        assert _seen(since(found, position)) == _seen(since(known, position))
    assert [found.items[at] for at in range(-1, len(found.items))] == [known.items[-1], *known.items]
    assert _seen(found) == _seen(known)
    assert found.is_whole
    assert found == known


@pytest.mark.parametrize("apart", [-1, 1])
@pytest.mark.parametrize("at", [1, 7])
def test_what_is_missing_or_stands_there_twice_is_never_passed_over(apart: int, at: int) -> None:
    flat, end = _flat([(b"abc\n", 0, (), False)] * 8, False)
    head = Head(end, Position(1, 0), "", None)
    whole = unbroken(CURSOR.position, flat, head, 99)
    assert whole is not None
    assert whole.next == end
    position = Position.parse(flat[at][0])
    flat[at] = (str(replace(position, byte=position.byte + apart)).encode(), flat[at][1])
    assert unbroken(CURSOR.position, flat, head, 99) is None
    assert unbroken(CURSOR.position, flat[:at] + flat[at + 1 :], head, 99) is None or at == 7


def test_a_gap_that_redis_declares_is_not_output() -> None:
    flat, end = _flat([(b"abc\n", 0, (), False)] * 3, False)
    head = Head(end, Position(1, 0), "", None)
    ends = flat[2][0]
    for fields in ([b"g", b"dropped", b"e", ends], [b"d", b"abc\n", b"g", b"dropped", b"e", ends]):
        flat[1] = (flat[1][0], fields)
        assert unbroken(CURSOR.position, flat, head, 99) is None
        found = _slow(flat, head, 99)
        assert not found.is_whole
        assert [type(item) for item in found.items] == [Entry, Gap, Entry]


def _seen(found: Slice) -> Slice:
    return replace(found, items=tuple(found.items))

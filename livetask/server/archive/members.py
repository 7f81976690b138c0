"""A gzip member that keeps entries: their text compressed, and where each begins, when it came and in which colours.

The text is what any ``zcat`` gives. The rest stands in the member's extra field (RFC 1952, 2.3.1.1), which others
pass over: the position of the first byte and one row for each entry, compressed::

    d <bytes> <at_ms> <sgr> <stderr>     an entry with so many bytes of the text; the last only where it is known
    g <lines> <bytes> <at_ms> <reason>   a gap: bytes that are not in the text

What is read back is exactly what Redis held. Reading is bounded by what the index promises: a member that would give
more text, or other text, is damaged.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from livetask.archive_errors import ArchiveDamaged
from livetask.errors import CursorInvalid
from livetask.position import REASONS, Position
from livetask.server.slices import RawEntry
from livetask.turns import MOST_BYTES

TEXT_BYTES = 128 * 1024
"""How much text a member holds before it is closed: a line costs one of them to read, 0.4 ms. Twice as much would save
one byte in a hundred."""

ROWS_BYTES = 48 * 1024
"""How large the rows may become: an extra field has room for 64 KiB."""

_LEVEL = 1
"""A quarter faster than level 3, and no more than a twentieth larger."""
_HEAD = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"  # gzip, deflate, with an extra field, no time, unknown system
_START = struct.Struct("<BQQ")
_END = struct.Struct("<II")
_FORMAT = 1
_EXTRA_LIMIT = 65_535


def wrapped(mark: bytes, extra: bytes, text: bytes) -> bytes:
    """A gzip member with ``text`` and one field, named by the two letters of ``mark``, in its extra field."""
    field = mark + struct.pack("<H", len(extra)) + extra
    if len(field) > _EXTRA_LIMIT:
        raise ValueError(f"{len(extra)} bytes do not fit into the extra field of a gzip member")
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    body = packer.compress(text) + packer.flush()
    return _HEAD + struct.pack("<H", len(field)) + field + body + _END.pack(zlib.crc32(text), len(text) & 0xFFFFFFFF)


def unwrapped(mark: bytes, data: bytes, name: str) -> tuple[bytes, bytes]:
    """(the field named ``mark``, the rest: compressed text and its end) of a member. Raises ArchiveDamaged."""
    if len(data) < len(_HEAD) + 6 + _END.size or not data.startswith(_HEAD) or data[12:14] != mark:
        raise ArchiveDamaged(name, "no member begins here")
    (size,) = struct.unpack_from("<H", data, 14)
    (whole,) = struct.unpack_from("<H", data, 10)
    if whole != size + 4 or len(data) < 16 + size + _END.size:
        raise ArchiveDamaged(name, "a member is cut short")
    return data[16 : 16 + size], data[16 + size :]


def packed(entries: Sequence[RawEntry]) -> bytes:
    """The member that keeps these entries, at least one, each beginning where the last one ended."""
    start = Position.parse(entries[0][0])
    rows = zlib.compress(b"\n".join(map(row_of, entries)), _LEVEL)
    text = b"".join(fields.get(b"d", b"") for _, fields in entries)
    return wrapped(b"LT", _START.pack(_FORMAT, start.line, start.byte) + rows, text)


def row_of(entry: RawEntry) -> bytes:
    """What is kept of an entry besides its text."""
    at, fields = entry
    at_ms = fields.get(b"t", b"")
    at_ms = at_ms if at_ms.isdigit() else b"0"
    if b"g" in fields:
        start, end = Position.parse(at), Position.parse(fields.get(b"e", at))
        reason = fields[b"g"].decode("ascii", "replace")
        reason = reason if reason in REASONS else "lost"
        return b"g %d %d %s %s" % (end.line - start.line, end.byte - start.byte, at_ms, reason.encode())
    sgr = fields.get(b"s", b"")
    row = b"d %d %s %s" % (len(fields.get(b"d", b"")), at_ms, sgr if _is_plain(sgr) else b"")
    turns = fields.get(b"x")
    return row + b" " + turns[:MOST_BYTES].hex().encode() if turns else row


def unpacked(data: bytes, text_bytes: int, name: str) -> list[RawEntry]:
    """The entries of a member. ``text_bytes``: how much text the index says it has; ``name``: for the error.

    Raises ArchiveDamaged.
    """
    extra, rest = unwrapped(b"LT", data, name)
    text = _inflated(rest[: -_END.size], text_bytes, -15, name)
    if len(text) != text_bytes or _END.unpack(rest[-_END.size :]) != (zlib.crc32(text), text_bytes & 0xFFFFFFFF):
        raise ArchiveDamaged(name, "a member's text is not what was stored")
    if len(extra) < _START.size:
        raise ArchiveDamaged(name, "a member is cut short")
    form, line, byte = _START.unpack_from(extra)
    if form != _FORMAT:
        raise ArchiveDamaged(name, f"it is in format {form}, which this version cannot read")
    rows = _inflated(extra[_START.size :], 2 * ROWS_BYTES, 15, name)
    try:
        return _entries(Position(line, byte), text, rows)
    except (ValueError, IndexError, CursorInvalid) as error:
        raise ArchiveDamaged(name, "a member's rows cannot be read") from error


def _entries(at: Position, text: bytes, rows: bytes) -> list[RawEntry]:
    found: list[RawEntry] = []
    offset = 0
    for row in rows.split(b"\n"):
        kind, first, second, third, *more = row.split(b" ")
        here = str(at).encode()
        if kind == b"g":
            at = Position(at.line + int(first), at.byte + int(second))
            found.append((here, {b"g": more[0], b"e": str(at).encode(), b"t": third}))
            continue
        data = text[offset : offset + int(first)]
        if len(data) != int(first):
            raise ValueError("the rows tell of more text than there is")
        told = {b"s": third} if third else {}
        told |= {b"x": bytes.fromhex(more[0].decode())} if more else {}
        found.append((here, {b"d": data, b"t": second, **told}))
        offset += len(data)
        at = at.after(data)
    return found


def _inflated(data: bytes, limit: int, form: int, name: str) -> bytes:
    """Decompressed, at most ``limit`` bytes and one more, whatever the data would give."""
    try:
        return zlib.decompressobj(form).decompress(data, limit + 1)
    except zlib.error as error:
        raise ArchiveDamaged(name, "a member cannot be decompressed") from error


def _is_plain(sgr: bytes) -> bool:
    """Whether it is the parameters of a colour and nothing else; what is not would break a row."""
    return len(sgr) <= 4096 and not sgr.strip(b"0123456789;:")

"""Output as a text in JSON: the bytes between its quotes, and the quotes.

Python's encoder goes through a text character by character and builds one anew on the way; what a task prints has few
kinds of characters that JSON writes otherwise, and each of them is replaced in one go. The result is the same.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = {0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0C: b"\\f", 0x0D: b"\\r"}
_ESCAPED = {byte: _NAMED.get(byte, b"\\u%04x" % byte) for byte in range(0x20)}
_OTHERS = bytes(byte for byte in range(256) if byte >= 0x20 or byte == 0x0A)
_LINE_END = 0x0A


def json_text(parts: Sequence[bytes]) -> list[bytes]:
    """Bytes that lie in parts as a JSON text in UTF-8, in parts too; what is no UTF-8 becomes U+FFFD.

    In ASCII no character goes on in the next part, so each is looked at while it is in the processor's cache, and
    nothing large is made.
    """
    if not all(part.isascii() for part in parts):
        parts = (b"".join(parts).decode("utf-8", "replace").encode("utf-8"),)
    return [b'"', *map(_escaped, parts), b'"']


def _escaped(data: bytes) -> bytes:
    data = data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for byte in {_LINE_END, *data.translate(None, _OTHERS)}:
        data = data.replace(bytes((byte,)), _ESCAPED[byte])
    return data

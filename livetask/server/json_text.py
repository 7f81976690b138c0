"""Output as a text in JSON: the bytes between its quotes, and the quotes.

Python's encoder goes through a text character by character and builds one anew on the way; what a task prints has few
kinds of characters that JSON writes otherwise, and each of them is replaced in one go. The result is the same.

Pure: no I/O, no clock.
"""

from __future__ import annotations

_NAMED = {0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0C: b"\\f", 0x0D: b"\\r"}
_ESCAPED = {byte: _NAMED.get(byte, b"\\u%04x" % byte) for byte in range(0x20)}
_OTHERS = bytes(byte for byte in range(256) if byte >= 0x20 or byte == 0x0A)
_LINE_END = 0x0A


def json_text(data: bytes) -> bytes:
    """The bytes as a JSON text in UTF-8; what is no UTF-8 becomes U+FFFD."""
    if not data.isascii():
        data = data.decode("utf-8", "replace").encode("utf-8")
    data = data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for byte in {_LINE_END, *data.translate(None, _OTHERS)}:
        data = data.replace(bytes((byte,)), _ESCAPED[byte])
    return b'"%b"' % data

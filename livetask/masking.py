"""Secrets in what a task writes: each of their bytes becomes ``*``, so that every position stays what it was.

Whether a byte is hidden depends on nothing but what stands within ``REACH_BYTES`` of it, on either side. So however
the text comes, in which pieces it is read, and whoever reads it again after a crash, the same bytes are hidden. Nothing
that is hidden goes on over a line's end, but for a private key, of which each line is decided by itself.

A text in which secrets are hidden already is left as it is: stars, four in a row, are no part of a secret and nothing
that one begins behind. So output may be hidden where it lies, as far as it is ``clean``, and be read again.

Pure: no I/O, no clock. Must never know: where bytes come from and go to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from livetask.secret_formats import BUILT_IN, KEY_BYTES, PRIVATE_KEY, STARS, may_hold, spans_of_formats

REACH_BYTES = 11 * 1024
"""More than the longest that is known, a private key with its head."""

LEAST_CHARACTERS = 6
"""A shorter text is in too much else to be hidden everywhere."""

LOOK_BACK_BYTES = 256
"""What is known to be clean is looked at so far back: no beginning by which a secret is known is longer than half of
it."""

_MOST_TEXTS = 500
_MOST_UNCLEAN_BYTES = 8 * REACH_BYTES
_HIDDEN = bytes(byte if byte in b"\r\n" else ord("*") for byte in range(256))


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text as it is shown. ``decided``: how many of its bytes stay so, whatever follows. ``clean``: how many may be
    put in the place of what was there: what follows is then read the same."""

    text: bytes
    decided: int
    clean: int


class Mask:
    """Hides secrets. ``formats``: look for those of known formats. ``texts``: what else is to be hidden."""

    def __init__(self, *, formats: bool = True, texts: Iterable[str] = ()) -> None:
        self._rules = BUILT_IN if formats else ()
        self._texts = tuple(sorted({part for text in texts for part in _parts(text)}, key=len, reverse=True))[
            :_MOST_TEXTS
        ]
        self.may_hold: Callable[[bytes], bool] = may_hold if formats and not self._texts else self._may_hold
        """Whether a text has to be looked at: says no of nearly all lines, and quickly. With formats alone it is the
        function itself: behind a system call two calls more take 0.1 µs."""

    def _may_hold(self, data: bytes) -> bool:
        for text in self._texts:
            if data.find(text) >= 0:  # in half the time that ``in`` takes, which asks first whether it is a number
                return True
        return bool(self._rules) and may_hold(data)

    @property
    def is_empty(self) -> bool:
        """There is nothing to look for."""
        return not self._rules and not self._texts

    def hidden(self, data: bytes) -> bytes:
        """``data`` with its secrets hidden; of the same length, with line ends where they were."""
        return _with_stars(data, self._spans(data))

    def hidden_at_once(self, data: bytes) -> bytes:
        """The same, made for a line: most hold nothing to look at."""
        return self.hidden(data) if self.may_hold(data) else data

    def cleaned(self, data: bytes, since: int, *, is_all: bool) -> Cleaned:
        """``data`` as it is shown, where its first ``since`` bytes are clean already.

        ``data``: from at least ``LOOK_BACK_BYTES`` before ``since`` on, if there are so many. ``is_all``: nothing
        follows.
        """
        spans = [span for span in self._spans(data) if span[0] >= since]
        text = _with_stars(data, spans)
        if is_all:
            return Cleaned(text, len(data), len(data))
        decided = max(since, self.decided(data))
        return Cleaned(text, decided, self._clean(data, since, decided, spans))

    def _clean(self, data: bytes, since: int, decided: int, spans: list[tuple[int, int]]) -> int:
        """Up to where stars may stand in place of secrets, and what follows is found as if they did not.

        A line's end is such a place, where no private key goes on. Within a line it is one that no secret goes across,
        as far behind the last as the beginning of the next may go back. A line that is all secrets has no such place;
        it gets one where it grows too long to be looked at again and again.
        """
        line = newest = max(since, _line_at(data, decided))
        while self._rules and line > since and (key := _open_key(data, line)) is not None:
            line = max(since, _line_at(data, key))
        if line < newest:
            return line
        last = max((end for start, end in spans if start < decided), default=0)
        if last <= max(line, decided - LOOK_BACK_BYTES // 2):
            return decided
        if decided - line > _MOST_UNCLEAN_BYTES:
            return min((start for start, end in spans if start < decided < end), default=decided)
        return line

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        spans = spans_of_formats(data) if self._rules else []
        for text in self._texts:
            if text in data:
                spans += _places(data, text)
        return spans

    def text(self, text: str) -> str:
        """The same for a text that is whole."""
        if len(text) < LEAST_CHARACTERS:
            return text
        try:
            data = text.encode()
        except UnicodeEncodeError:
            return text  # half a surrogate pair: Redis takes it no more than we do
        found = self.hidden_at_once(data)
        return text if found is data else found.decode("utf-8", "replace")

    def decided(self, data: bytes) -> int:
        """How many bytes of ``data`` are decided, whatever follows.

        ``data``: the end of what there is, at least 2 * ``REACH_BYTES`` of it if there are so many.
        """
        size = len(data)
        line = _line_at(data, size)
        if line == size:
            return size
        start = max(line, size - REACH_BYTES)
        found = min([rule.undecided(data, start) for rule in self._rules], default=size)
        if self._rules and PRIVATE_KEY.undecided(data, max(0, size - REACH_BYTES)) < size:
            found = min(found, start)
        return min([found, *(size - _overlap(data, text) for text in self._texts)])


def _parts(text: str) -> Iterator[bytes]:
    """The lines of a text to be hidden that are long enough."""
    for line in text.splitlines():
        part = line.strip()
        if len(part) >= LEAST_CHARACTERS and "*" * STARS not in part:
            # as it is, and as it stands in JSON and in a repr
            for written in (part, json.dumps(part)[1:-1], repr(part)[1:-1]):
                yield written.encode("utf-8", "replace")[:REACH_BYTES]


def _with_stars(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    if not spans:
        return data
    found = bytearray(data)
    for start, end in spans:
        found[start:end] = data[start:end].translate(_HIDDEN)
    return bytes(found)


def _line_at(data: bytes, byte: int) -> int:
    """Where the line begins that goes on, or begins, at a byte."""
    newline = data.rfind(b"\n", 0, byte)
    return max(newline, data.rfind(b"\r", newline + 1, byte)) + 1


def _open_key(data: bytes, line: int) -> int | None:
    """Where a private key begins that may go on behind the end of a line at ``line``, None if there is none."""
    first = max(0, line - KEY_BYTES - LOOK_BACK_BYTES)
    if data.find(b"PRIVATE KEY", first, line) < 0:
        return None
    for head in PRIVATE_KEY.head.finditer(data, first, line):
        if line - head.end() < KEY_BYTES and PRIVATE_KEY.begun.fullmatch(data, head.end(), line):
            return head.start()
    return None


def _places(data: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(text)
    while at >= 0:
        yield at, at + len(text)
        at = data.find(text, at + 1)


def _overlap(data: bytes, text: bytes) -> int:
    """How many bytes at the end of ``data`` may be the begin of ``text``."""
    if data[-1:] not in text:
        return 0
    for size in range(min(len(text) - 1, len(data)), 0, -1):
        if data.endswith(text[:size]):
            return size
    return 0

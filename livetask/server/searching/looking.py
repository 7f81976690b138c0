"""What is looked for in lines, and the looking itself: bytes go in in order, what was found comes out.

A scan is fed consecutive bytes of a run from the beginning of a line on. It looks at whole lines only, as they are
seen: without escape codes, in Unicode. The last, unfinished line waits for its rest; ``rest`` looks at it as it is.

Pure: no I/O, no clock. It runs in the finder's process and imports nothing large.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

LINE_MOST_BYTES = 16 * 1024 * 1024
"""A longer line is looked at in parts of this size: what stands across the border is not found."""
LINES_MOST = 5000
MARKS_MOST = 10_000
_TITLE_CHARS = 300
_LEVEL_WITHIN = 160
"""A level is a level near the beginning of a line only."""

# CSI; OSC, DCS and their kind up to their end; two-character escapes
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])")


_LOOKS_BEYOND = re.compile(r"\(\?(?:<?[=!]|>|\()|\\[AZ]|[*+?}]\+")
"""What can tell a line's end from the end of all, or does not try again: looking around, \\A and \\Z, atomic groups."""


class Scan:
    """Cuts what it is fed into whole lines. ``line``: the number of the next line it looks at.

    ``looked_bytes``: how many bytes of what it was fed have been looked at. Parts of it, such as the hits, are taken by
    ``taken``.
    """

    def __init__(self, line: int) -> None:
        self.line = line
        self.looked_bytes = 0
        self._held = bytearray()

    def feed(self, data: bytes) -> None:
        """Look at all lines that are whole now."""
        cut = data.rfind(b"\n") + 1
        if cut:
            self._take(bytes(self._held) + data[:cut] if self._held else data[:cut])
            self._held = bytearray(data[cut:])
        else:
            self._held += data
            if len(self._held) >= LINE_MOST_BYTES:
                self.rest()

    def rest(self) -> None:
        """Look at the unfinished line: there is no more of it, or it is too long to wait for."""
        if self._held:
            self._take(bytes(self._held))
            self._held.clear()

    def _take(self, block: bytes) -> None:
        text = seen(block)
        lines = block.count(b"\n")
        self.look(text)
        self.line += lines
        self.looked_bytes += len(block)

    def look(self, text: str) -> None:
        """Look at lines, the first of which has the number ``line``."""
        raise NotImplementedError

    def taken(self) -> dict[str, Any]:
        """What was found since the last time, as JSON has it."""
        raise NotImplementedError


def seen(block: bytes) -> str:
    """The text as a page shows it: no escape codes, U+FFFD for what is no UTF-8, lines ended by ``\\n`` alone."""
    text = block.decode("utf-8", "replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return _ESCAPE.sub("", text) if "\x1b" in text else text


class Search(Scan):
    """Every match of a text or a regular expression. ``limit``: how many are told with their columns.

    Columns are counted in UTF-16 units, as JavaScript counts. A match never spans lines, and is never empty. Raises
    re.error when the expression is none.
    """

    def __init__(self, line: int, wanted: str, *, case: bool, regex: bool, limit: int) -> None:
        super().__init__(line)
        self._wanted = wanted
        self._case = case
        self._left = limit
        flags = 0 if case else re.IGNORECASE
        self._expression = re.compile(wanted, flags) if regex else None
        self._at_once = re.compile(wanted, flags | re.MULTILINE) if regex and not _LOOKS_BEYOND.search(wanted) else None
        self._literal = re.compile(re.escape(wanted), flags)
        self._folded = re.compile(re.escape(wanted.lower()))
        self._total = 0
        self._hits: list[tuple[int, int, int]] = []
        self._lines: list[int] = []
        self._lines_left = LINES_MOST
        self._last_line = 0

    def look(self, text: str) -> None:
        number, begin = self.line, 0
        for at, end in self._matches(text):
            if self._left <= 0 and self._lines_left <= 0:
                self._total += 1
                continue
            number += text.count("\n", begin, at)
            newline = text.rfind("\n", begin, at)
            begin = newline + 1 if newline >= 0 else begin
            self._note(text, number, begin, at, end)

    def _note(self, text: str, number: int, begin: int, at: int, end: int) -> None:
        self._total += 1
        if self._left > 0:
            self._left -= 1
            start = _units(text, begin, at)
            self._hits.append((number, start, start + _units(text, at, end)))
        elif number != self._last_line:
            self._lines_left -= 1
            self._lines.append(number)
        self._last_line = number

    def _matches(self, text: str) -> Iterator[tuple[int, int]]:
        if self._expression is not None:
            yield from self._of_expression(text, self._expression)
            return
        pattern = self._literal
        if not self._case and text.isascii() and "\u212a" not in self._wanted and "\u017f" not in self._wanted:
            # an ASCII text is folded by lower(), which is many times as fast as a pattern that ignores the case; only
            # the Kelvin sign and the long s are not ASCII and fold to ASCII
            text, pattern = text.lower(), self._folded
        for match in pattern.finditer(text):
            yield match.span()

    def _of_expression(self, text: str, expression: re.Pattern[str]) -> Iterator[tuple[int, int]]:
        """No expression of a user's sees a line's end, whatever it says, as if each line were all there is.

        Most give the same on all lines at once, which is several times as fast: a match without a line's end is the
        first in the order in which the expression tries, with or without those that have one.
        """
        if self._at_once is not None:
            spans = [match.span() for match in self._at_once.finditer(text)]
            if not any(text.find("\n", at, end) >= 0 for at, end in spans):
                yield from (span for span in spans if span[1] > span[0])
                return
        begin = 0
        for line in text.split("\n"):
            for match in expression.finditer(line):
                if match.end() > match.start():
                    yield begin + match.start(), begin + match.end()
            begin += len(line) + 1

    def taken(self) -> dict[str, Any]:
        found = {"total": self._total, "hits": self._hits, "lines_hit": self._lines}
        self._total, self._hits, self._lines = 0, [], []
        return found


def _units(text: str, begin: int, end: int) -> int:
    """How many UTF-16 units a part of a text has."""
    part = text[begin:end]
    return len(part) if part.isascii() else len(part.encode("utf-16-le", "surrogatepass")) // 2


class _Word(NamedTuple):
    """A word that may mark a line. ``context``: what the text around its place must look like; group 1 is the word."""

    word: str
    kind: str
    context: re.Pattern[str]


def _level(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|(?<=[\s\[(<|:=\"'])){word}(?=[\s\])>|:/\"',.;]|$)")


_WORDS = (
    *(_Word(word, "errors", _level(word)) for word in ("ERROR", "CRITICAL", "FATAL")),
    *(_Word(word, "warnings", _level(word)) for word in ("WARNING", "WARN")),
    _Word("Traceback (most recent call last)", "errors", re.compile(r"Traceback \(most recent call last\)")),
)

_GROUPS = (
    ("::group::", re.compile(r"::group::([^\n]*)")),
    ("::endgroup::", re.compile(r"::endgroup::")),
    ("section_start:", re.compile(r"section_start:(\d{1,12}):([\w.-]{1,100})(?:\[[^\]\n]*\])?\r?([^\n]*)")),
    ("section_end:", re.compile(r"section_end:(\d{1,12}):([\w.-]{1,100})")),
    ("travis_fold:start:", re.compile(r"travis_fold:start:([\w.-]{1,100})\r?([^\n]*)")),
    ("travis_fold:end:", re.compile(r"travis_fold:end:([\w.-]{1,100})")),
)


class Marks(Scan):
    """Lines that look like errors and warnings, and where groups begin and end.

    A group: ``::group::`` and ``::endgroup::`` at the beginning of a line, GitLab's sections, travis_fold. Each kind
    is told at most ``MARKS_MOST`` times in one answer; ``more`` says that there were others.
    """

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self._found: dict[str, list[Any]] = {"errors": [], "warnings": [], "groups": []}
        self._more = False

    def look(self, text: str) -> None:
        places: list[tuple[int, str, Any]] = []
        for word in _WORDS:
            places += ((at, word.kind, None) for at in self._levels(text, word))
        for sign, pattern in _GROUPS:
            places += ((at, "groups", (sign, match)) for at, match in _at_line_begin(text, sign, pattern))
        places.sort(key=lambda place: place[0])
        number, before = self.line, 0
        for at, kind, group in places:
            number += text.count("\n", before, at)
            before = at
            self._add(kind, number, group)

    def _levels(self, text: str, word: _Word) -> Iterator[int]:
        at = text.find(word.word)
        while at >= 0:
            begin = text.rfind("\n", max(0, at - _LEVEL_WITHIN), at) + 1
            near = begin > 0 or at <= _LEVEL_WITHIN
            if near and word.context.match(text, at):
                yield at
                at = text.find("\n", at)  # one mark a line and kind is enough
                if at < 0:
                    return
            at = text.find(word.word, at + 1)

    def _add(self, kind: str, number: int, group: tuple[str, re.Match[str]] | None) -> None:
        found = self._found[kind]
        if group is None and found and found[-1] == number:
            return
        if len(found) >= MARKS_MOST:
            self._more = True
            return
        found.append(number if group is None else _group(number, *group))

    def taken(self) -> dict[str, Any]:
        found = {**self._found, "more": self._more}
        self._found, self._more = {"errors": [], "warnings": [], "groups": []}, False
        return found


def _at_line_begin(text: str, sign: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
    at = text.find(sign)
    while at >= 0:
        begin = text.rfind("\n", 0, at) + 1
        if text[begin:at].strip("\r \t") == "" or sign.startswith("section"):
            match = pattern.match(text, at)
            if match is not None:
                yield at, match
        at = text.find(sign, at + len(sign))


def _group(line: int, sign: str, match: re.Match[str]) -> tuple[int, str, str, str, int | None]:
    """(line, 'start' or 'end', key, title, wall clock in ms if it is told)."""
    words = [word.strip()[:_TITLE_CHARS] if word else "" for word in match.groups()]
    if sign == "::group::":
        return line, "start", "", words[0], None
    if sign == "::endgroup::":
        return line, "end", "", "", None
    if sign.startswith("section"):
        title = (words[2] or words[1]) if sign == "section_start:" else ""
        return line, "start" if title else "end", words[1], title, int(words[0]) * 1000
    if sign == "travis_fold:start:":
        return line, "start", words[0], words[1] or words[0], None
    return line, "end", words[0], "", None

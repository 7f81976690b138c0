"""Secrets in what a task writes: each of their bytes becomes ``*``, so that every position stays what it was.

Whether a byte is hidden depends on nothing but what stands within ``REACH_BYTES`` of it, on either side. So however
the text comes, in which pieces it is read, and whoever reads it again after a crash, the same bytes are hidden. Nothing
that is hidden goes on over a line's end, but for a private key, of which each line is decided by itself.

A text in which secrets are hidden already is left as it is: stars, four in a row, are no part of a secret and nothing
that one begins behind. So output may be hidden where it lies, as far as it is ``clean``, and be read again.

Of a key in a known format the beginning by which it is known (``ghp_``, ``AKIA``) is left, to see what it was.

Pure: no I/O, no clock. Must never know: where bytes come from and go to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

REACH_BYTES = 11 * 1024
"""A private key of 8,192 bits has 6,400 bytes as text; nothing longer is known."""

LEAST_CHARACTERS = 6
"""A shorter text is in too much else to be hidden everywhere."""

LOOK_BACK_BYTES = 256
"""What is known to be clean is looked at so far back: no beginning by which a secret is known is longer than half of
it."""

_MOST_TEXTS = 500
_STARS = 4
_SHORT_BYTES = 2048
_MOST_UNCLEAN_BYTES = 8 * REACH_BYTES
_KEY_BYTES = 10 * 1024
_HIDDEN = bytes(byte if byte in b"\r\n" else ord("*") for byte in range(256))


@dataclass(frozen=True, slots=True)
class Rule:
    """One format. ``signs``: where none of these is, there is no secret; ``in_words``: they stand in the text's long
    words. ``head``: what stands before the secret.

    ``body``: the secret, its first group, behind the head. ``begun``: what the end of a text may hold of a body
    that goes on. ``most``: how many bytes of a body are looked at. ``needs``: a byte without which there is none of the
    signs; it is looked for first, thirty times as quickly.

    Nearly all text has none of the signs, so they are what costs. Each begins with plain letters: looking for such a
    pattern takes 0.03 µs for a line, for the same letters with ``in`` 0.05, for one that begins with a choice 0.3.
    """

    signs: tuple[re.Pattern[bytes], ...]
    head: re.Pattern[bytes]
    body: re.Pattern[bytes]
    begun: re.Pattern[bytes]
    most: int
    in_words: bool = True
    needs: bytes = b""

    def is_in(self, looked_at: bytes) -> bool:
        """Whether a text, or what its long words are, has one of the signs."""
        return self.needs in looked_at and any(sign.search(looked_at) for sign in self.signs)

    def spans(self, data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        """What is to be hidden of what stands in ``data`` from ``start`` to ``end``, which are lines' ends."""
        for head in self.head.finditer(data, start, end):
            body = self.body.match(data, head.end(), min(end, head.end() + self.most))
            if body is not None:
                yield body.span(1)

    def undecided(self, data: bytes, start: int) -> int:
        """From where on ``data`` may be hidden, depending on what follows it; its length if nothing may."""
        for head in self.head.finditer(data, start):
            if len(data) - head.end() < self.most and self.begun.fullmatch(data, head.end()):
                return head.end()
        return len(data)


_WITHIN = "A-Za-lo-qsu-z0-9"
"""What stands before a key only if it is none; not m, n, r, t: a colour or an escaped line end may end with these."""


_NO_STARS_BEFORE = rf"(?<!\*{{{_STARS}}})"
_NO_STARS = rf"(?!\*{{{_STARS}}})"


def _signs(*patterns: str) -> tuple[re.Pattern[bytes], ...]:
    return tuple(re.compile(pattern.encode()) for pattern in patterns)


def _format(signs: str, head: str, sign: str, least: int, most: int) -> Rule:
    """A format whose secret is a run of at least ``least`` and at most ``most`` of one kind of ``sign``."""
    return Rule(
        _signs(*signs.split(" ")),
        re.compile(f"(?<![{_WITHIN}]){_NO_STARS_BEFORE}(?:{head})".encode()),
        re.compile(f"({sign}{{{least},{most}}})".encode()),
        re.compile(f"{sign}{{0,{most}}}".encode()),
        most,
    )


_GAP = rb"(?:[\r\n]{1,4}|(?:\\r|\\n){1,4})[ \t]{0,12}"
"""Nothing of a line before its end: whether that is hidden would depend on the next line."""

_LINE = rb"[A-Za-z0-9+/=]{%d,4000}(?![A-Za-z0-9+/=*])"
_PRIVATE_KEY = Rule(
    _signs("PRIVATE KEY"),
    re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
    re.compile(
        rb"(?:" + _GAP + rb"[A-Z][A-Za-z-]{2,20}: [^\r\n\\]{0,200}){0,4}"
        rb"((?:" + _GAP + _LINE % 16 + rb")+(?:" + _GAP + _LINE % 1 + rb")?)"
    ),
    re.compile(rb"(?:(?!-----END)[\s\S])*"),
    _KEY_BYTES,
    in_words=False,
    needs=b"V",
)
_JWT = Rule(
    _signs(r"eyJ[A-Za-z0-9_-]{8,3000}\.eyJ"),
    re.compile(f"(?<![{_WITHIN}_-]){_NO_STARS_BEFORE}eyJ".encode()),
    re.compile(rb"([A-Za-z0-9_-]{8,3000}\.eyJ[A-Za-z0-9_-]{8,3000}\.[A-Za-z0-9_-]{8,1000})"),
    re.compile(rb"[A-Za-z0-9_-]{0,3000}(?:\.(?:e|ey|eyJ[A-Za-z0-9_-]{0,3000}(?:\.[A-Za-z0-9_-]{0,1000})?)?)?"),
    7100,
)
_URL_PASSWORD = Rule(
    _signs(r"://[^\s/@:\"'<>]{0,100}:[^\s/\"'<>]{1,200}@"),
    re.compile(rf"://(?:{_NO_STARS}[^\s/@:\"'<>]){{0,100}}:".encode()),
    re.compile(rf"((?:{_NO_STARS}[^\s/\"'<>]){{1,200}})@".encode()),
    re.compile(rb"[^\s/\"'<>]{0,200}"),
    201,
    in_words=False,
    needs=b"@",
)
_WORD, _DASHED = "[A-Za-z0-9]", "[A-Za-z0-9_-]"
_IN_WORDS = (
    _format(r"A[KS]IA[A-Z0-9]{16}", "AKIA|ASIA", "[A-Z0-9]", 16, 16),
    _format(
        "ecret_?[aA]ccess_?[kK]ey ECRET_ACCESS_KEY",
        r"(?i:aws_)?(?i:secret_?access_?key)[\"']?[ \t]{0,3}[=:][ \t]{0,3}[\"']?",
        "[A-Za-z0-9/+]",
        40,
        40,
    ),
    _format("gh[pousr]_ github_pat_", "gh[pousr]_|github_pat_", "[A-Za-z0-9_]", 22, 255),
    _format("gl(?:pat|ptt|dt|rt|cbt)-", "gl(?:pat|ptt|dt|rt|cbt)-", _DASHED, 20, 100),
    _format("xox[a-z]- xapp- hooks.slack.com", "xox[a-z]-|xapp-|hooks.slack.com/services/", "[A-Za-z0-9/-]", 10, 250),
    _format("k_(?:live|test)_[A-Za-z0-9]{16} whsec_", "[sr]k_(?:live|test)_|whsec_", _WORD, 16, 250),
    _format(r"AIza ya29\. GOCSPX-", r"AIza|ya29\.|GOCSPX-", _DASHED, 20, 250),
    _format("earer[\\x20][A-Za-z0-9._~+/=-]{16} EARER[\\x20]", "(?i:bearer) ", "[A-Za-z0-9._~+/=-]", 16, 4000),
    _format(
        "sk-[A-Za-z0-9_-]{30} npm_[A-Za-z0-9] pypi-[A-Za-z0-9_-]{30} hf_[A-Za-z0-9]{30}",
        "sk-|npm_|pypi-|hf_",
        _DASHED,
        30,
        250,
    ),
    _JWT,
)
BUILT_IN = (*_IN_WORDS, _URL_PASSWORD, _PRIVATE_KEY)
"""Amazon (id, secret), GitHub, GitLab, Slack, Stripe, Google, bearers, other services, JWT, passwords in URLs, private
keys."""

_RUN_SIGNS = re.compile(rb"[A-Za-z0-9._~+/=-]")
_RUNS = bytes(ord("a" if _RUN_SIGNS.match(bytes([byte])) else " ") for byte in range(256))
_LEAST_RUN = b"a" * 15
"""Every format but passwords in URLs and private keys has that many of these signs in a row."""
_BEFORE_RUN = len("Bearer ")
"""What stands before them and is one of the signs of a format."""


_PART_BYTES = 28_000
"""A text is looked at in such parts, which end where a line does. In less than 30,000 bytes CPython looks for a run of
letters in the simplest way, which takes half the time; and nothing that is made of so little asks the system for room,
as what is made of 1 MiB does: that was a third of what it cost to look for secrets."""


def _parts_of(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the parts of ``data`` begin and end."""
    start, size = 0, len(data)
    while size - start > _PART_BYTES:
        most = start + _PART_BYTES
        end = data.rfind(b"\n", start, most) + 1 or data.rfind(b"\r", start, most) + 1 or data.find(b"\n", most) + 1
        if not end:
            break
        yield start, end
        start = end
    yield start, size


def _long_words(data: bytes) -> bytes:
    """What stands in ``data`` in runs that long, each with a little before it: a small part of nearly all text, so that
    looking for every format costs 0.08 µs for a line in place of 0.7; for one with a long path 0.7."""
    shape = data.translate(_RUNS)
    at = shape.find(_LEAST_RUN)
    if at < 0:
        return b""
    found = []
    while at >= 0:
        end = shape.find(b" ", at)
        end = len(data) if end < 0 else end
        found.append(data[max(0, at - _BEFORE_RUN) : end])
        at = shape.find(_LEAST_RUN, end)
    return b"\n".join(found)


def _spans_of_formats(data: bytes) -> list[tuple[int, int]]:
    """Where secrets of known formats stand in ``data``."""
    spans: list[tuple[int, int]] = []
    has_words = False
    for start, end in _parts_of(data):
        part = data[start:end]
        if _URL_PASSWORD.is_in(part):
            spans += _URL_PASSWORD.spans(data, start, end)
        words = _long_words(part)
        if words:
            has_words = True
            for rule in _IN_WORDS:
                if rule.is_in(words):
                    spans += rule.spans(data, start, end)
    if has_words and _PRIVATE_KEY.is_in(data):  # a line of a key is such a word
        spans += _PRIVATE_KEY.spans(data, 0, len(data))
    return spans


_DASHED_HEADS = re.compile(
    rb"[_-](?:(?<=gh[pousr]_)|(?<=github_pat_)|(?<=k_live_)|(?<=k_test_)|(?<=whsec_)|(?<=npm_)|(?<=hf_)|(?<=gl..-)"
    rb"|(?<=gl...-)|(?<=xox[a-z]-)|(?<=xapp-)|(?<=GOCSPX-)|(?<=sk-)|(?<=pypi-))"
)


def _may_hold(data: bytes) -> bool:
    """Whether a short text may hold a secret of a known format: False for nearly all lines, in a quarter of a
    microsecond, where asking for every format takes ten times as long."""
    if b"@" in data and b"://" in data:
        return True
    if b"V" in data and b"PRIVATE KEY" in data:
        return True
    if _LEAST_RUN not in data.translate(_RUNS):
        return False
    return (
        (b"A" in data and (b"AKIA" in data or b"ASIA" in data or b"AIza" in data))
        or (b"J" in data and b"eyJ" in data)
        or (b"ce" in data and (b"ccess" in data or b"services/" in data))
        or (b"C" in data and b"CCESS" in data)
        or (b"29." in data)
        or (b"arer " in data or (b"R" in data and b"ARER " in data))
        or _DASHED_HEADS.search(data) is not None
    )


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

    @property
    def is_empty(self) -> bool:
        """There is nothing to look for."""
        return not self._rules and not self._texts

    def hidden(self, data: bytes) -> bytes:
        """``data`` with its secrets hidden; of the same length, with line ends where they were."""
        return _with_stars(data, self._spans(data))

    def hidden_at_once(self, data: bytes) -> bytes:
        """The same, made for a line: most hold nothing to look at."""
        if len(data) > _SHORT_BYTES or (self._rules and _may_hold(data)):
            return self.hidden(data)
        for text in self._texts:
            if text in data:
                return self.hidden(data)
        return data

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
        spans = _spans_of_formats(data) if self._rules else []
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
        if self._rules and _PRIVATE_KEY.undecided(data, max(0, size - REACH_BYTES)) < size:
            found = min(found, start)
        return min([found, *(size - _overlap(data, text) for text in self._texts)])


def _parts(text: str) -> Iterator[bytes]:
    """The lines of a text to be hidden that are long enough."""
    for line in text.splitlines():
        part = line.strip()
        if len(part) >= LEAST_CHARACTERS and "*" * _STARS not in part:
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
    return max(data.rfind(b"\n", 0, byte), data.rfind(b"\r", 0, byte)) + 1


def _open_key(data: bytes, line: int) -> int | None:
    """Where a private key begins that may go on behind the end of a line at ``line``, None if there is none."""
    first = max(0, line - _KEY_BYTES - LOOK_BACK_BYTES)
    if data.find(b"PRIVATE KEY", first, line) < 0:
        return None
    for head in _PRIVATE_KEY.head.finditer(data, first, line):
        if line - head.end() < _KEY_BYTES and _PRIVATE_KEY.begun.fullmatch(data, head.end(), line):
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

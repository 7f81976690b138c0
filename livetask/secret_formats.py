"""The formats by which secrets are known, and where in a text something stands that has one of them.

Of a key in a known format the beginning by which it is known (``ghp_``, ``AKIA``) is left, to see what it was. Nothing
of a format goes on over a line's end, but a private key. Four stars in a row are no part of a secret, and nothing that
one begins behind.

Nearly all text has none, so it is built for saying that quickly. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

STARS = 4
KEY_BYTES = 10 * 1024
"""A private key of 8,192 bits has 6,400 bytes as text; nothing longer is known."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Letters that a format's secrets have. ``needs``: one of these stands in every text that has the sign; if there
    are none, any text may. ``pattern``: the sign itself, None where it is one of ``needs``.

    Nearly all text has no sign, so not finding one is what costs. For a line of 100 bytes that takes CPython 0.01 µs
    for four given letters that are looked for from the end (it jumps by as many), 0.05 from the begin, 0.03 for a
    pattern that begins with plain letters, 0.3 for one that begins with a choice.
    """

    needs: tuple[bytes, ...]
    pattern: re.Pattern[bytes] | None

    def is_in(self, text: bytes) -> bool:
        for need in self.needs:
            if text.rfind(need) >= 0:
                return self.pattern is None or self.pattern.search(text) is not None
        return not self.needs and self.pattern is not None and self.pattern.search(text) is not None


def _letters(*texts: str) -> tuple[Sign, ...]:
    return tuple(Sign((text.encode(),), None) for text in texts)


def _pattern(pattern: str, *needs: str) -> tuple[Sign]:
    return (Sign(tuple(need.encode() for need in needs), re.compile(pattern.encode())),)


@dataclass(frozen=True, slots=True)
class Rule:
    """One format. ``signs``: where none of these is, there is no secret; but for the last two formats, they stand in
    the text's long words. ``head``: what stands before the secret.

    ``body``: the secret, its first group, behind the head. ``begun``: what the end of a text may hold of a body
    that goes on. ``most``: how many bytes of a body are looked at.
    """

    signs: tuple[Sign, ...]
    head: re.Pattern[bytes]
    body: re.Pattern[bytes]
    begun: re.Pattern[bytes]
    most: int

    def is_in(self, looked_at: bytes) -> bool:
        """Whether a text, or what its long words are, has one of the signs."""
        return any(sign.is_in(looked_at) for sign in self.signs)

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


_NO_STARS_BEFORE = rf"(?<!\*{{{STARS}}})"
_NO_STARS = rf"(?!\*{{{STARS}}})"


def _format(signs: tuple[Sign, ...], head: str, sign: str, least: int, most: int, *, begins: str = "") -> Rule:
    """A format whose secret is a run of at least ``least`` and at most ``most`` of one kind of ``sign``.

    ``begins``: what else is asked of its beginning, as a look ahead.
    """
    return Rule(
        signs,
        re.compile(f"(?<![{_WITHIN}]){_NO_STARS_BEFORE}(?:{head})".encode()),
        re.compile(f"({begins}{sign}{{{least},{most}}})".encode()),
        re.compile(f"{sign}{{0,{most}}}".encode()),
        most,
    )


_GAP = rb"(?:[\r\n]{1,4}|(?:\\r|\\n){1,4})[ \t]{0,12}"
"""Nothing of a line before its end: whether that is hidden would depend on the next line."""

_LINE = rb"[A-Za-z0-9+/=]{%d,4000}(?![A-Za-z0-9+/=*])"
PRIVATE_KEY = Rule(
    _letters("PRIVATE KEY"),
    re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
    re.compile(
        rb"(?:" + _GAP + rb"[A-Z][A-Za-z-]{2,20}: [^\r\n\\]{0,200}){0,4}"
        rb"((?:" + _GAP + _LINE % 16 + rb")+(?:" + _GAP + _LINE % 1 + rb")?)"
    ),
    re.compile(rb"(?:(?!-----END)[\s\S])*"),
    KEY_BYTES,
)
_JWT = Rule(
    _pattern(r"eyJ[A-Za-z0-9_-]{8,3000}\.eyJ", "eyJ"),
    re.compile(f"(?<![{_WITHIN}_-]){_NO_STARS_BEFORE}eyJ".encode()),
    re.compile(rb"([A-Za-z0-9_-]{8,3000}\.eyJ[A-Za-z0-9_-]{8,3000}\.[A-Za-z0-9_-]{8,1000})"),
    re.compile(rb"[A-Za-z0-9_-]{0,3000}(?:\.(?:e|ey|eyJ[A-Za-z0-9_-]{0,3000}(?:\.[A-Za-z0-9_-]{0,1000})?)?)?"),
    7100,
)
_URL_PASSWORD = Rule(
    _pattern(r"://[^\s/@:\"'<>]{0,100}:[^\s/\"'<>]{1,200}@", "@"),
    re.compile(rf"://(?:{_NO_STARS}[^\s/@:\"'<>]){{0,100}}:".encode()),
    re.compile(rf"((?:{_NO_STARS}[^\s/\"'<>]){{1,200}})@".encode()),
    re.compile(rb"[^\s/\"'<>]{0,200}"),
    201,
)
_WORD, _DASHED = "[A-Za-z0-9]", "[A-Za-z0-9_-]"
_IN_WORDS = (
    _format(_pattern(r"A[KS]IA[A-Z0-9]{16}", "AKIA", "ASIA"), "AKIA|ASIA", "[A-Z0-9]", 16, 16),
    _format(
        _pattern("ecret_?[aA]ccess_?[kK]ey", "ccess") + _letters("ECRET_ACCESS_KEY"),
        r"(?i:aws_)?(?i:secret_?access_?key)[\"']?[ \t]{0,3}[=:][ \t]{0,3}[\"']?",
        "[A-Za-z0-9/+]",
        40,
        40,
    ),
    _format(_pattern("gh[pousr]_") + _letters("github_pat_"), "gh[pousr]_|github_pat_", "[A-Za-z0-9_]", 22, 255),
    _format(_pattern("gl(?:pat|ptt|dt|rt|cbt)-"), "gl(?:pat|ptt|dt|rt|cbt)-", _DASHED, 20, 100),
    _format(
        _pattern("xox[a-z]-", "xox") + _letters("xapp-", "hooks.slack.com"),
        "xox[a-z]-|xapp-|hooks.slack.com/services/",
        "[A-Za-z0-9/-]",
        10,
        250,
    ),
    _format(
        _pattern("k_(?:live|test)_[A-Za-z0-9]{16}", "k_live_", "k_test_") + _letters("whsec_"),
        "[sr]k_(?:live|test)_|whsec_",
        _WORD,
        16,
        250,
    ),
    _format(_letters("AIza", "ya29.", "GOCSPX-"), r"AIza|ya29\.|GOCSPX-", _DASHED, 20, 250),
    _format(
        _pattern("earer [A-Za-z0-9._~+/=-]{16}", "earer ") + _letters("EARER "),
        "(?i:bearer) ",
        "[A-Za-z0-9._~+/=-]",
        16,
        4000,
    ),
    _format(
        (*_pattern("sk-[A-Za-z0-9_-]{30}", "sk-"), *_pattern("pypi-[A-Za-z0-9_-]{30}", "pypi-")),
        "sk-|pypi-",
        _DASHED,
        30,
        250,
    ),
    _format(_pattern("npm_[A-Za-z0-9]", "npm_"), "npm_", _DASHED, 30, 250, begins=f"(?={_WORD})"),
    _format(_pattern("hf_[A-Za-z0-9]{30}", "hf_"), "hf_", _DASHED, 30, 250, begins=f"(?={_WORD}{{30}})"),
    _JWT,
)
BUILT_IN = (*_IN_WORDS, _URL_PASSWORD, PRIVATE_KEY)
"""Amazon (id, secret), GitHub, GitLab, Slack, Stripe, Google, bearers, other services, JWT, passwords in URLs, private
keys."""

_RUN_SIGNS = re.compile(rb"[A-Za-z0-9._~+/=-]")
RUNS = bytes(ord("a" if _RUN_SIGNS.match(bytes([byte])) else " ") for byte in range(256))
LEAST_RUN = b"a" * 15
"""Every format but passwords in URLs has that many of these signs in a row, a private key in a line of its own."""
_RUN = b" " + LEAST_RUN
_BEFORE_RUN = len("Bearer ")
"""What stands before them and is one of the signs of a format."""
_MOST_WORDS = 100
"""Of one part. Where there are more it takes longer to cut them out than to look at all of the part."""


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
    """What stands in ``data`` in runs that long, each with a little before it, or all of it where there are many.

    Nearly all text has few, and looking for every format in them costs nothing beside finding them. They are looked for
    from the end, as a blank and what follows: from a blank that is not it CPython jumps over as many bytes as it has.
    """
    shape = b" " + data.translate(RUNS)
    at = shape.rfind(_RUN)
    found: list[bytes] = []
    while at >= 0:
        if len(found) == _MOST_WORDS:
            return data
        end = shape.find(b" ", at + 1)  # in data one byte before that
        found.append(data[max(0, at - _BEFORE_RUN) : end - 1 if end >= 0 else len(data)])
        at = shape.rfind(_RUN, 0, at + 1)
    return b"\n".join(found)


def spans_of_formats(data: bytes) -> list[tuple[int, int]]:
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
    if has_words and PRIVATE_KEY.is_in(data):  # a line of a key is such a word
        spans += PRIVATE_KEY.spans(data, 0, len(data))
    return spans


_ANY_SIGN = re.compile(
    rb"I(?:A(?<=A[KS]IA)|za(?<=AIza))|J(?<=eyJ)|X-(?<=GOCSPX-)|y(?:a29\.|pi-(?<=pypi-))"
    rb"|b(?=earer |EARER )|B(?=earer |EARER )|w(?=hsec_)|h(?=f_)|m_(?<=npm_)"
    rb"|g(?:h[pousr]_|ithub_pat_|l(?:pat|ptt|dt|rt|cbt)-)"
    rb"|k(?:_live_|_test_|s\.slack\.com|-(?<=" + f"(?<![{_WITHIN}])".encode() + rb"sk-)|(?<=ccessk)|(?<=ccess_k))"
    rb"|K(?:(?<=ccessK)|(?<=ccess_K)|(?<=CCESS_K))"
)
"""One pattern for nearly all of them, for a text so short that to begin looking is what costs: a dozen looks take three
times as long for a line of 100 bytes. Each begins with a letter that stands in few words and in no hex number, date or
line of dashes, for each place where one stands costs as much as five where none does."""

_AT, _DASH, _V, _X = b"@-Vx"


_SHORT_BYTES = 2048
"""A longer text is looked at in another way, which takes longer to begin."""


def may_hold(data: bytes) -> bool:
    """Whether a text may hold a secret of a known format; made for a line, of which hardly any does.

    Signs are looked for from a little before the first long word to the end of the last. A letter that is given by its
    number is found in a fifth of the time that two take: ``in`` is for numbers quick, and for bytes slow.
    """
    if len(data) > _SHORT_BYTES:
        return True
    shape = data.translate(RUNS)
    first = shape.find(LEAST_RUN)
    if first >= 0 and (
        _ANY_SIGN.search(data, first - _BEFORE_RUN, shape.rfind(LEAST_RUN) + len(LEAST_RUN)) is not None
        or (_X in data and _DASH in data and (data.find(b"xox") >= 0 or data.find(b"xapp-") >= 0))
        or (_V in data and data.find(b"PRIVATE KEY") >= 0)
    ):
        return True
    return _AT in data and data.find(b"://") >= 0

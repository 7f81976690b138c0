"""What is shown of arguments and results: values whose names say that they are secret become stars.

A name is secret when its end is one of the keys, whatever stands between its words: ``db_password``, ``apiKey``,
``X-Auth-Token``. Values are looked for in what was given, and in a repr of it, which is all that some messages hold.

Pure: no I/O, no clock. Must never know: where arguments come from and are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from livetask.arguments import kept_call
from livetask.masking import Mask

STARS = "***"

_DEEPEST = 50
_PARTS = 100_000
_OTHER_SIGNS = re.compile("[^a-z0-9]")
# a key of a dict's repr or of JSON; a name before = in a call, a query or a repr of an object
_NAMED = re.compile(
    r"""(?P<quote>\\?['"])(?P<key>[^'"\\\n]{1,100})(?P=quote)\s{0,3}:\s{0,3}|(?P<name>[\w-]{1,100})=(?!=)"""
)
_ENDS = re.compile(r"""[,;)\]}&'"\s]|\\['"]""")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class Hiding:
    """``keys``: what names of secret values end with; none: no value is hidden by its name. ``mask``: hides formats."""

    def __init__(self, keys: Iterable[str] = (), mask: Mask | None = None) -> None:
        self._keys = tuple({plain for key in keys if (plain := _plain(key))})
        self._mask = mask or Mask(formats=False)

    def hides(self, name: object) -> bool:
        """Whether the value of that name is secret."""
        return isinstance(name, str) and _plain(name).endswith(self._keys)

    def value(self, value: Any) -> Any:
        """The value with what is secret in it replaced; the very same object where nothing is.

        What has too many parts to be looked through, because it holds itself say, is replaced too.
        """
        return self._value(value, 0, [_PARTS]) if self._keys else value

    def text(self, text: str) -> str:
        """The same for the repr of a value, or what is left of one; and keys of known formats in it are hidden."""
        if self._keys:
            text = self._named(text)
        return self._mask.text(text)

    def known(self, text: str) -> str:
        """A text without the secrets that are known by what they are, whatever their names."""
        return self._mask.text(text)

    def kept(self, args: Any, kwargs: Any, *limit_bytes: int) -> dict[str, str]:
        """As ``kept_call``; not kept is what holds a secret, since another run with stars would be another task."""
        fields = kept_call(args, kwargs, *limit_bytes)
        if not args and not kwargs:
            return fields
        call = fields.get("call", "")
        clean = self.value(args) is args and self.value(kwargs) is kwargs and self._mask.text(call) == call
        return fields if clean else {"call_not": "secret"}

    def _value(self, value: Any, depth: int, left: list[int]) -> Any:
        if not isinstance(value, (dict, list, tuple)):
            return value
        left[0] -= 1
        if depth > _DEEPEST or left[0] < 0:
            return STARS
        if isinstance(value, dict):
            found = {
                key: STARS if self.hides(key) and one else self._value(one, depth + 1, left)
                for key, one in value.items()
            }
            return found if any(found[key] is not one for key, one in value.items()) else value
        if type(value) in (list, tuple):
            parts = [self._value(one, depth + 1, left) for one in value]
            changed = any(new is not old for new, old in zip(parts, value, strict=True))
            return type(value)(parts) if changed else value
        return value

    def _named(self, text: str) -> str:
        parts, at = [], 0
        for found in _NAMED.finditer(text):
            if found.start() >= at and self.hides(found["key"] or found["name"]):
                parts += [text[at : found.end()], STARS]
                at = _end_of_value(text, found.end())
        return "".join([*parts, text[at:]])


SHOW_ALL = Hiding()


def _plain(name: str) -> str:
    return _OTHER_SIGNS.sub("", name.lower())


def _end_of_value(text: str, start: int) -> int:
    """Where the value that begins at ``start`` ends; the end of the text if it was shortened before that."""
    quoted = re.compile(r"""[bBrRuU]{0,2}(\\?['"])""").match(text, start)
    if quoted is not None:
        return _end_of_quoted(text, quoted.end(), quoted[1])
    if text[start : start + 1] in _PAIRS:
        return _end_of_pair(text, start)
    end = _ENDS.search(text, start)
    return end.start() if end else len(text)


def _end_of_quoted(text: str, at: int, quote: str) -> int:
    while at < len(text):
        if text.startswith(quote, at):
            return at + len(quote)
        at += 2 if text[at] == "\\" else 1
    return len(text)


def _end_of_pair(text: str, start: int) -> int:
    waiting, at = [_PAIRS[text[start]]], start + 1
    while at < len(text) and waiting:
        sign = text[at]
        if sign in "'\"":
            at = _end_of_quoted(text, at + 1, sign)
            continue
        if sign in _PAIRS:
            waiting.append(_PAIRS[sign])
        elif sign == waiting[-1]:
            waiting.pop()
        at += 1
    return at

"""Which colours are in force at a place in a run's output: what the SGR escape sequences before it have set.

They are kept as small as what they say, however many sequences there were: one value for each thing that can be set, in
the order in which they were set. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re

State = tuple[tuple[str, str], ...]
"""(what is set, the parameters that set it), in the order in which they were set."""

_SGR = re.compile(rb"\x1b\[([0-9;:]{0,61})m")
_ATTRIBUTES = {1: "weight", 2: "weight", 3: "italic", 4: "underline", 5: "blink", 6: "blink", 7: "inverse"}
_ATTRIBUTES |= {8: "hidden", 9: "struck", 21: "underline", 53: "overline"}
_ENDS = {22: "weight", 23: "italic", 24: "underline", 25: "blink", 27: "inverse", 28: "hidden", 29: "struck"}
_ENDS |= {39: "fore", 49: "back", 55: "overline", 59: "line"}


def after(sgr: State, text: bytes) -> State:
    """The colours in force after ``text``. ``sgr``: those before it."""
    state = dict(sgr)
    start = max(text.rfind(b"\x1b[0m"), text.rfind(b"\x1b[m"), 0)
    for match in _SGR.finditer(text, start):
        _apply(state, match[1].decode("ascii"))
    return tuple(state.items())


def parameters_after(parameters: bytes, text: bytes) -> bytes:
    """The same as the parameters of one SGR sequence, b"" for none."""
    if b"\x1b[" not in text:
        return parameters
    state: dict[str, str] = {}
    _apply(state, parameters.decode("ascii"))
    return ";".join(held for _, held in after(tuple(state.items()), text)).encode("ascii")


def _apply(state: dict[str, str], parameters: str) -> None:
    words = parameters.split(";")
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        head = word.partition(":")[0]
        code = int(head) if head and len(head) <= 3 else 0
        if code == 0:
            state.clear()
            continue
        if code in (38, 48, 58) and ":" not in word:
            count = {"5": 2, "2": 4}.get(words[place] if place < len(words) else "", 0)
            word = ";".join([word, *words[place : place + count]])
            place += count
        _set(state, code, word)


def _set(state: dict[str, str], code: int, word: str) -> None:
    what = _ATTRIBUTES.get(code)
    if what is None and (30 <= code <= 38 or 90 <= code <= 97):
        what = "fore"
    elif what is None and (40 <= code <= 48 or 100 <= code <= 107):
        what = "back"
    elif code == 58:
        what = "line"
    if what is not None:
        # The one that is set again goes to the end: the order is that in which they came.
        state.pop(what, None)
        state[what] = word
    elif code in _ENDS:
        state.pop(_ENDS[code], None)

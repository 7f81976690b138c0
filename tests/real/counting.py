"""Counting steps in place of timing them: the calls of livetask's own functions."""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType
from typing import Any

_PASSED_OVER = ("straight.py", "connecting.py")
"""How often the socket says something there is the kernel's affair."""


class Counted:
    """The calls of livetask's functions within the block, by name; a generator is called for each of its values."""

    def __enter__(self) -> Counter[str]:
        self.calls: Counter[str] = Counter()
        sys.setprofile(self._called)
        return self.calls

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and "/livetask/" in code.co_filename and not code.co_filename.endswith(_PASSED_OVER):
            self.calls[f"{code.co_filename.rpartition('/livetask/')[2]} {code.co_qualname}"] += 1

"""What the tasks of ``sixfold`` write, as values, so that a test can say to the byte what a log must hold.

A task of mark ``A`` writes its steps one after another. Every piece carries the mark and a number, so that a piece
that is missing, doubled, out of order or under another task is seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

KINDS = (
    "print",
    "print_parts",
    "print_blank",
    "unicode",
    "nul",
    "raw_bytes",
    "stderr",
    "logging_root",
    "logging_task",
    "child_thread",
    "executor",
    "old_stdout",
    "subprocess",
    "subprocess_stderr",
    "os_write",
    "os_write_raw",
    "c_write",
)
"""Every way to write that is tried."""

PAST_PYTHON = ("old_stdout", "subprocess", "subprocess_stderr", "os_write", "os_write_raw", "c_write")
"""The kinds that go past ``sys.stdout`` and ``sys.stderr``."""


@dataclass(frozen=True, slots=True)
class Step:
    """One act of writing. ``kind``: one of KINDS. ``number``: from 0 within its task. ``token``: its unique text."""

    kind: str
    number: int
    token: str

    @property
    def level(self) -> str:
        """The level of a log record."""
        return LEVELS[self.number % len(LEVELS)]

    @property
    def is_record(self) -> bool:
        """A log record: its line has the token at its end, and before it what the formatter says."""
        return self.kind.startswith("logging_")

    @property
    def data(self) -> bytes:
        """What the step writes, exactly; for a log record what its line must end with."""
        token = self.token.encode()
        match self.kind:
            case "print_parts":
                return b"no end " + token + b" 2 3.0 None\n"
            case "print_blank":
                return b"\n\n" + token + b"\n\n"
            case "unicode":
                return "żółć 漢字 🐍 e\u0301 \u2028 ".encode() + token + b"\n"
            case "nul":
                return b"\x00" + token + b"\x00\x00 \x1b[31mred\x1b[0m \r\t\x07\n"
            case "raw_bytes" | "os_write_raw":
                return b"\xff\xfe\xc3(\xed\xa0\x80" + token + b"\xf0\x9f\x90\n"
            case _:
                return token + b"\n"


def steps(mark: str, rounds: int) -> list[Step]:
    """All that the task of this mark writes, in order."""
    kinds = [kind for _ in range(rounds) for kind in KINDS]
    return [Step(kind, number, _token(mark, kind, number)) for number, kind in enumerate(kinds)]


def _token(mark: str, kind: str, number: int) -> str:
    body = f"{mark}:{kind}:{number:05}"
    return f"<{body}:{hashlib.sha256(body.encode()).hexdigest()[:8]}>"

"""What can go wrong for a client, and how the server's refusals become errors again.

    LivetaskError
    ├── Refused               the server said no, for a reason that has no class of its own
    ├── OutputBroken          what arrived cannot be the run's output
    ├── BadRequest
    │   └── AddressInvalid    the server's address cannot be one
    └── Unavailable
        └── ServerUnreachable no answer from the server in time

A refusal that livetask.errors has a class for is raised as that class: TaskUnknown, TaskNotAllowed, PositionUnknown.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from livetask.errors import (
    ArgumentsUnknown,
    BadRequest,
    BrokerUnavailable,
    LivetaskError,
    PositionUnknown,
    RedisUnavailable,
    RunUnknown,
    StopRefused,
    TaskIdInvalid,
    TaskNotAllowed,
    TaskUnknown,
    Unavailable,
)


class Refused(LivetaskError):
    """The server said no. ``code``: its word for programs. ``sentence``: its words for people."""

    def __init__(self, code: str, sentence: str, status: int = 0) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence
        self.status = status

    def __str__(self) -> str:
        return self.sentence or f"the server refused: {self.code}"


class AddressInvalid(BadRequest):
    """A server's address cannot be one. ``url``: what was given."""

    code = "address_invalid"

    def __init__(self, url: object) -> None:
        super().__init__(url)
        self.url = url

    def __str__(self) -> str:
        return f"{self.url!r} is not the address of a server: expected something like http://127.0.0.1:8400"


class ServerUnreachable(Unavailable):
    """The server did not answer in time. ``url``: its address. ``reason``: what was seen last."""

    code = "server_unreachable"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"no livetask server answers at {self.url}: {self.reason}"


class OutputBroken(LivetaskError):
    """What arrived cannot be the run's output: bytes are missing, doubled or changed.

    ``cursor``: up to where everything was right, as text; it can be gone on from. ``reason``: what is wrong.
    """

    code = "output_broken"

    def __init__(self, cursor: str, reason: str) -> None:
        super().__init__(cursor, reason)
        self.cursor = cursor
        self.reason = reason

    def __str__(self) -> str:
        return f"the output is broken at {self.cursor}: {self.reason}"


def refusal(code: str, sentence: str, status: int = 0, about: Mapping[str, Any] | None = None) -> LivetaskError:
    """The error that stands for a refusal.

    ``about``: what the call was about, as far as it had them: task_id, run, cursor, name.
    """
    made = _KNOWN.get(code)
    try:
        return made(about or {}, sentence) if made else Refused(code, sentence, status)
    except KeyError:
        return Refused(code, sentence, status)


def reason_of(error: BaseException) -> str:
    """What a failed connection looks like, in the system's words: 'Connection refused'."""
    below: BaseException | None = error
    while below is not None:
        cause = getattr(below, "os_error", below)
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)  # below 0: of name look-ups
        below = below.__cause__ or below.__context__
    return str(error) or type(error).__name__


def _rest(sentence: str) -> str:
    """The part of a sentence after its first colon: the reason, in the sentences of Unavailable errors."""
    return sentence.partition(": ")[2] or sentence


def _why(sentence: str) -> str:
    """Why arguments are not kept, out of the sentence that says so."""
    return "too_large" if "too large" in sentence else "not_json" if "JSON" in sentence else ""


def _stop_refused(code: str, _: Mapping[str, Any], sentence: str) -> StopRefused:
    return StopRefused(code, sentence)


_KNOWN: dict[str, Callable[[Mapping[str, Any], str], LivetaskError]] = {
    TaskIdInvalid.code: lambda about, _: TaskIdInvalid(about["task_id"]),
    TaskUnknown.code: lambda about, _: TaskUnknown(about["task_id"]),
    RunUnknown.code: lambda about, _: RunUnknown(about["task_id"], about["run"]),
    PositionUnknown.code: lambda about, _: PositionUnknown(about["cursor"]),
    ArgumentsUnknown.code: lambda about, sentence: ArgumentsUnknown(about["task_id"], _why(sentence)),
    **{code: partial(_stop_refused, code) for code in ("cannot_terminate", "no_answer", "not_running")},
    TaskNotAllowed.code: lambda about, _: TaskNotAllowed(about["name"]),
    RedisUnavailable.code: lambda _, sentence: RedisUnavailable(_rest(sentence)),
    BrokerUnavailable.code: lambda _, sentence: BrokerUnavailable(_rest(sentence)),
}

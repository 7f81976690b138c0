"""Every error that livetask raises on purpose, as one tree.

    LivetaskError
    ├── BadRequest                what was asked for makes no sense
    │   ├── TaskIdInvalid
    │   ├── CursorInvalid
    │   ├── EventCursorInvalid
    │   ├── ArgumentInvalid       a field of a message or a query has a wrong type or value
    │   │   └── PatternInvalid
    │   ├── TooLarge
    │   └── PatternTooSlow        this, PatternInvalid and SearchBusy are in search_errors.py
    ├── NotFound
    │   ├── TaskUnknown
    │   ├── RunUnknown
    │   └── CredentialUnknown     access_errors.py: there is no such token or user
    ├── PositionUnknown           a cursor of another run, or one beyond the end
    ├── PositionTrimmed           a cursor below what is kept
    ├── TaskNotAllowed            the allow-list does not hold this task name
    ├── ArgumentsUnknown          a task cannot be run again: what it was called with is not kept
    ├── StopRefused               a running task was to be terminated, and that did not happen
    ├── Cancelled                 raised inside a task, at a checkpoint, when it was cancelled
    ├── TooMany                   a limit for one viewer is reached
    ├── Unavailable
    │   ├── RedisUnavailable
    │   ├── BrokerUnavailable
    │   ├── ArchiveUnavailable
    │   ├── ArchiveBusy
    │   ├── SearchBusy
    │   └── RedisServerMissing    no Redis or Valkey program can be started on this machine
    ├── AlreadyRunning            another livetask serves this data directory
    ├── FormatUnknown             a task was stored by a version that this one cannot read
    ├── LoginNeeded               access_errors.py: the server does not know who asks
    ├── Forbidden                 access_errors.py: the caller may see this, and may not do that
    ├── UserExists                access_errors.py, as those below
    ├── LoginFailed               the name or the password is wrong
    ├── PasswordsDiffer           the two passwords that were typed are not the same
    ├── ProviderRefused           a login by a provider of OpenID Connect came to nothing
    ├── LoginsTooMany             too many logins have failed of late
    ├── TooFast                   access_errors.py: somebody asks for too much in too short a time
    ├── ArchiveDamaged            this, ArchiveUnavailable, ArchiveBusy and TaskUnderWay are in archive_errors.py
    ├── TaskUnderWay              a task that has not ended cannot be deleted
    ├── SettingInvalid            this and those below it are in setting_errors.py
    │   ├── SettingUnknown
    │   └── RedisUrlMissing
    └── CommandFailed             a command run inside a task ended with another status than 0

The name says what happened, the attributes hold plain values, ``str()`` makes the sentence, and ``code`` is what
travels to clients. ``status`` is the HTTP status that goes with it. This module knows nothing of the rest.
"""

from __future__ import annotations


class LivetaskError(Exception):
    """The root of the tree; never raised itself.

    ``code``: a short word for programs. ``status``: the HTTP status that goes with it.
    """

    code = "internal"
    status = 500


class BadRequest(LivetaskError):
    """What was asked for makes no sense, whatever the state of the system."""

    code = "bad_request"
    status = 400


class TaskIdInvalid(BadRequest):
    """A task id has characters that livetask does not accept, or is too long."""

    code = "task_id_invalid"

    def __init__(self, task_id: object) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return (
            f"{shown(self.task_id)} is not a task id: expected 1 to 200 of the characters "
            "A-Z a-z 0-9 . _ : @ = + ~ -, beginning with a letter or a digit"
        )


class CursorInvalid(BadRequest):
    """A cursor or a position cannot be read."""

    code = "cursor_invalid"

    def __init__(self, text: object) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return (
            f"{shown(self.text)} is not a cursor: expected <run>.<nonce>.<line>-<byte>, "
            "as the server gave it, for example 1.k3v9x0q2m4t8.120-8411"
        )


class EventCursorInvalid(BadRequest):
    """A cursor among a run's events cannot be read."""

    code = "event_cursor_invalid"

    def __init__(self, text: object) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return (
            f"{shown(self.text)} is not a cursor of an event: expected <run>.<nonce>.<number>, "
            "as an event carried it, for example 1.k3v9x0q2m4t8.7"
        )


class ArgumentInvalid(BadRequest):
    """A field has a wrong type or value, or is missing: ``value`` is NOTHING then.

    ``field``: its name. ``expected``: what would be right.
    """

    code = "argument_invalid"

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(field, value, expected)
        self.field = field
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        got = "nothing" if self.value is NOTHING else shown(self.value)
        return f"{self.field}: expected {self.expected}, got {got}"


class TooLarge(BadRequest):
    """A message or a body is larger than ``limit_bytes``."""

    code = "too_large"
    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return f"larger than the {self.limit_bytes} bytes that are accepted"


class NotFound(LivetaskError):
    """There is no such thing, or this viewer may not know of it."""

    code = "not_found"
    status = 404


class TaskUnknown(NotFound):
    """Nothing is stored under this task id."""

    code = "task_unknown"

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"nothing is known of task {self.task_id}: it never ran with livetask, or is no longer kept"


class RunUnknown(NotFound):
    """The task is known, the run is not. ``run``: what was asked for, an ordinal or a word."""

    code = "run_unknown"

    def __init__(self, task_id: str, run: object) -> None:
        super().__init__(task_id, run)
        self.task_id = task_id
        self.run = run

    def __str__(self) -> str:
        return f"task {self.task_id} has no run {shown(self.run)}"


class PositionUnknown(LivetaskError):
    """A cursor names another run, or a place beyond the end of what was stored."""

    code = "position_unknown"
    status = 409

    def __init__(self, cursor: str) -> None:
        super().__init__(cursor)
        self.cursor = cursor

    def __str__(self) -> str:
        return f"cursor {self.cursor} is not within the run's output: start again from 'start' or 'tail:N'"


class PositionTrimmed(LivetaskError):
    """A cursor lies below the first byte kept. ``first``: the first one that can be read. ``why``: a gap's reason."""

    code = "position_trimmed"
    status = 410

    def __init__(self, cursor: str, first: str, why: str = "trimmed") -> None:
        super().__init__(cursor, first, why)
        self.cursor = cursor
        self.first = first
        self.why = why or "trimmed"

    def __str__(self) -> str:
        return (
            f"cursor {self.cursor} is no longer kept ({self.why}): the first position that can be read is {self.first}"
        )


class TaskNotAllowed(LivetaskError):
    """The allow-list does not hold this task name."""

    code = "task_not_allowed"
    status = 403

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"task {shown(self.name)} may not be started here: the setting available_tasks does not list it"


class ArgumentsUnknown(LivetaskError):
    """A task cannot be run again as it was: its arguments are not kept.

    ``why``: 'too_large', 'not_json', 'secret' or ''.
    """

    code = "arguments_unknown"
    status = 409

    def __init__(self, task_id: str, why: str) -> None:
        super().__init__(task_id, why)
        self.task_id = task_id
        self.why = why

    def __str__(self) -> str:
        known = {"too_large": "they are too large", "not_json": "JSON cannot hold them", "secret": "they hold a secret"}
        return (
            f"the arguments of task {self.task_id} are not kept ({known.get(self.why, 'nobody noted them')}): give args"
        )


class StopRefused(LivetaskError):
    """A running task was to be terminated, and that did not happen. ``sentence``: why.

    ``code`` of each: cannot_terminate (its pool cannot), no_answer (its worker says nothing) or not_running.
    """

    code = "stop_refused"
    status = 409

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Cancelled(LivetaskError):
    """The task was cancelled, and has come to a checkpoint. ``by``: who cancelled it, '' if unknown."""

    code = "cancelled"

    def __init__(self, by: str = "") -> None:
        super().__init__(by)
        self.by = by

    def __str__(self) -> str:
        return f"cancelled by {self.by}" if self.by else "cancelled"


class TooMany(LivetaskError):
    """One viewer has reached a limit. ``what``: of which things. ``limit``: how many it may have."""

    code = "too_many"
    status = 429

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(what, limit)
        self.what = what
        self.limit = limit

    def __str__(self) -> str:
        return f"more than {self.limit} {self.what} at once"


class Unavailable(LivetaskError):
    """Something that livetask stands on does not answer now; asking again later is right."""

    code = "unavailable"
    status = 503


class RedisUnavailable(Unavailable):
    """livetask's Redis does not answer. ``reason``: what was seen, without the password."""

    code = "redis_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the Redis of livetask does not answer: {self.reason}"


class BrokerUnavailable(Unavailable):
    """Celery's broker does not answer in time. ``reason``: what was seen, without the password."""

    code = "broker_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the Celery broker does not answer: {self.reason}"


class RedisServerMissing(Unavailable):
    """No Redis or Valkey program can be started here. ``tried``: one sentence for each place looked at."""

    code = "redis_server_missing"

    def __init__(self, tried: tuple[str, ...]) -> None:
        super().__init__(tried)
        self.tried = tried

    def __str__(self) -> str:
        looked = "".join(f"\n  - {sentence}" for sentence in self.tried)
        return (
            f"no Redis or Valkey server can be started here; tried:{looked}\n"
            "install livetask[embedded] or a redis-server of 6.2 or later, or give the URL of a running one "
            "in LIVETASK_REDIS_URL"
        )


class AlreadyRunning(LivetaskError):
    """Another process serves this data directory. ``note``: what that process wrote about itself."""

    code = "already_running"

    def __init__(self, directory: str, note: str) -> None:
        super().__init__(directory, note)
        self.directory = directory
        self.note = note

    def __str__(self) -> str:
        return f"livetask already runs on {self.directory} ({self.note or 'it has not said more yet'})"


class FormatUnknown(LivetaskError):
    """A task was stored in a format that this version cannot read. ``found``: the format number it carries."""

    code = "format_unknown"

    def __init__(self, task_id: str, found: str) -> None:
        super().__init__(task_id, found)
        self.task_id = task_id
        self.found = found

    def __str__(self) -> str:
        return f"task {self.task_id} is stored in format {shown(self.found)}: upgrade this livetask to read it"


class CommandFailed(LivetaskError):
    """A command run inside a task ended with another status than 0.

    ``command``: its words. ``returncode``: as in subprocess, minus the signal number when a signal ended it.
    """

    code = "command_failed"

    def __init__(self, command: tuple[str, ...], returncode: int) -> None:
        super().__init__(command, returncode)
        self.command = command
        self.returncode = returncode

    def __str__(self) -> str:
        fate = f"signal {-self.returncode}" if self.returncode < 0 else f"exit status {self.returncode}"
        return f"{self.command[0]} ended with {fate}"


NOTHING = object()
"""Stands for a value that was not given."""


def shown(value: object) -> str:
    """The value as text that is short enough for one line of a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

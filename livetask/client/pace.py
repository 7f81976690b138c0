"""When to acknowledge, when to believe a silent line dead, how long to wait before the next try.

Pure: no I/O, no clock; times are given, monotonic, in seconds.
"""

from __future__ import annotations

from livetask.position import Cursor

ACK_S = 2.0
"""What was consumed is acknowledged after this time at the latest, and before, when it is a share of the window."""

ACK_SHARE = 2
"""An acknowledgement costs the server as much as sending some pieces; one for half of the window never stalls it."""

LEAST_ROOM_BYTES = 4 * 1024
"""A server that may send less than this waits for an acknowledgement."""

WINDOW_BYTES = 16 * 1024
"""Until the server has told its window: less than any sensible one."""

SILENT_S = 20.0
"""A line without a sign for this long is dead; the server's heartbeat comes every 5 s, or 15 s where nothing moves."""

RETRY_LEAST_S = 0.1
RETRY_MOST_S = 5.0


class Acks:
    """What was consumed and not acknowledged yet. ``window_bytes``: the server's, as it told it.

    The first is sent at once: until it has heard one, the server sends as much as the connection takes. Viewers of one
    task are given the same at the same time, and would all acknowledge at once: so each waits for some of the bounds
    above, from a half of them to all, as chance has it.
    """

    def __init__(self) -> None:
        self.window_bytes = WINDOW_BYTES
        self._due: Cursor | None = None
        self._first_s = 0.0  # when the first of what is due was consumed
        self._size_bytes = 0
        self._patience = 0.0

    def consumed(self, cursor: Cursor, size_bytes: int, now_s: float) -> None:
        """The program has taken over everything up to ``cursor``, which is ``size_bytes`` more."""
        if self._due is None:
            self._first_s = now_s
        self._due = cursor
        self._size_bytes += size_bytes

    def due_in_s(self, now_s: float) -> float | None:
        """How long until an acknowledgement is to be sent; None: there is none."""
        if self._due is None:
            return None
        most_bytes = min(self.window_bytes / ACK_SHARE * self._patience, self.window_bytes - LEAST_ROOM_BYTES)
        if self._size_bytes >= most_bytes:
            return 0.0
        return max(0.0, self._first_s + ACK_S * self._patience - now_s)

    def take(self, chance: float) -> Cursor | None:
        """The cursor to acknowledge now, if any. ``chance``: 0 to 1, decides when the next one is due."""
        due, self._due = self._due, None
        if due is not None:
            self._patience = 0.5 + chance / 2
        self._size_bytes = 0
        return due


class Silence:
    """How long a line may be silent: SILENT_S, or three of the server's heartbeats if these are slower."""

    def __init__(self, now_s: float) -> None:
        self._heard_s = now_s
        self._beat_s: float | None = None
        self._limit_s = SILENT_S

    def heard(self, event: str, now_s: float) -> None:
        """An event came."""
        self._heard_s = now_s
        if event == "heartbeat":
            if self._beat_s is not None:
                self._limit_s = max(SILENT_S, 3 * (now_s - self._beat_s))
            self._beat_s = now_s

    def left_s(self, now_s: float) -> float:
        """How long it may still be silent."""
        return self._heard_s + self._limit_s - now_s


class Tries:
    """Tries to connect, each later than the one before, spread by chance.

    ``timeout_s``: give up when there was no connection for so long; None: never.
    """

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._since_s: float | None = None
        self._count = 0

    def worked(self) -> None:
        """The server serves."""
        self._since_s = None
        self._count = 0

    def wait_s(self, now_s: float, chance: float, at_least_s: float = 0.0) -> float | None:
        """How long to wait before the next try; None: give up. ``chance``: 0 to 1.

        ``at_least_s``: what the server asked for.
        """
        if self._since_s is None:
            self._since_s = now_s
        wait_s = min(RETRY_MOST_S, RETRY_LEAST_S * 2.0 ** min(self._count, 10)) * (0.5 + chance / 2)
        wait_s = max(wait_s, at_least_s * (1 + chance / 2))
        self._count += 1
        if self._timeout_s is None:
            return wait_s
        left_s = self._since_s + self._timeout_s - now_s
        return min(wait_s, left_s) if left_s > 0 else None

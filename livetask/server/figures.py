"""The server's figures, read from the parts that own them when /metrics is asked for.

Must never know: HTTP, Prometheus' format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from livetask.server.answers import Bell
from livetask.server.hub import OK
from livetask.server.live import Live
from livetask.server.sse import LiveLog


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``name``: without the prefix and ``_total``. ``grows``: a counter, else a gauge.

    ``values``: by the value of ``label``; a figure without a label has one value, under ''.
    """

    name: str
    meaning: str
    grows: bool
    values: dict[str, float]
    label: str = ""


class Figures:
    """The figures of one server. ``live``: everything by Socket.IO. ``logs``: what is followed by HTTP."""

    def __init__(self, live: Live, logs: LiveLog) -> None:
        self._live = live
        self._logs = logs
        self._bells = 0
        self._overrun = 0
        live.hub.on_rung(self._rung)

    def __call__(self) -> Iterable[Figure]:
        """All of them, now."""
        sockets, logs = self._live.sockets, self._logs
        viewers = {"socketio": float(sockets.viewers), "http": float(logs.open)}
        yield Figure("viewers", "Clients connected now.", False, viewers, "by")
        followed = {"socketio": float(sockets.subscriptions), "http": float(logs.open)}
        yield Figure("subscriptions", "Tasks followed now, counted for each client.", False, followed, "by")
        up = float(self._live.hub.store_state == OK)
        yield Figure("store_up", "1 while livetask's Redis answers.", False, {"": up})
        yield Figure("bells", "Changes of tasks heard of, output not counted.", True, {"": self._bells})
        yield Figure("bells_overrun", "How often more bells rang than were heard.", True, {"": self._overrun})
        sent = float(logs.delivered.bytes)
        yield Figure("http_delivered_bytes", "Output delivered by HTTP while it was followed.", True, {"": sent})
        gaps = {reason: float(size) for reason, size in logs.delivered.gaps.items()}
        text = "Output that could not be delivered by HTTP, by reason."
        yield Figure("http_gap_bytes", text, True, gaps, "reason")

    def _rung(self, bells: Sequence[Bell], missed: bool) -> None:
        self._bells += len(bells)
        self._overrun += missed

"""The server's figures, read from the parts that own them when /metrics is asked for.

Must never know: HTTP, Prometheus' format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from livetask.server.answers import Bell
from livetask.server.hub import OK
from livetask.server.live import Live
from livetask.server.loop_lag import LoopLag
from livetask.server.sse import LiveLog
from livetask.server.store_figures import MOST_WORKERS, StoreFigures


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
    """The figures of one server.

    ``live``: everything by Socket.IO. ``logs``: what is followed by HTTP. ``store``: what Redis tells of itself.
    ``loop_lag``: of this process.
    """

    def __init__(self, live: Live, logs: LiveLog, store: StoreFigures, loop_lag: LoopLag) -> None:
        self._live = live
        self._logs = logs
        self._store = store
        self._loop_lag = loop_lag
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
        yield from self._followed()
        yield from self._of_redis()
        yield from self._of_workers()
        worst_s = self._loop_lag.worst_s
        yield Figure("loop_lag_seconds", "How late the event loop was at the most within 15 s.", False, {"": worst_s})

    async def fresh(self) -> None:
        """Ask for what others have to tell, before the figures are read."""
        await self._store.read()

    def brief(self) -> dict[str, float | int | None]:
        """The few that say at a glance how the server is."""
        ping_s, lags = self._store.ping_s, self._live.hub.lags()
        return {
            "store_ping_ms": None if ping_s is None else round(ping_s * 1000, 3),
            "loop_lag_ms": round(self._loop_lag.worst_s * 1000, 3),
            "viewers": self._live.sockets.viewers + self._logs.open,
            "windows_full": lags.full,
            "lag_bytes": lags.most_bytes,
        }

    def _followed(self) -> Iterable[Figure]:
        """Of all that is followed, by whatever way."""
        lags, tally = self._live.hub.lags(), self._live.hub.tally
        yield Figure("viewers_behind", "Subscriptions with output that is not sent yet.", False, {"": lags.behind})
        text = "Output not sent yet to who is furthest behind."
        yield Figure("viewer_lag_bytes_max", text, False, {"": lags.most_bytes})
        yield Figure("viewer_lag_bytes", "Output not sent yet, all subscriptions.", False, {"": lags.sum_bytes})
        yield Figure("windows_full", "Subscriptions that take no more until they have read.", False, {"": lags.full})
        yield Figure("delivered_pieces", "Pieces of output sent.", True, {"": tally.pieces})
        yield Figure("delivered_bytes", "Output sent.", True, {"": tally.output_bytes})
        gaps = {reason: float(count) for reason, count in tally.gaps.items()}
        yield Figure("gaps", "Gaps that viewers were told of, by reason.", True, gaps, "reason")
        sizes = {reason: float(size) for reason, size in tally.gap_bytes.items()}
        yield Figure("gap_bytes", "Output within these gaps, by reason.", True, sizes, "reason")

    def _of_redis(self) -> Iterable[Figure]:
        store = self._store
        if store.ping_s is not None:
            text = "How long Redis took to answer when these figures were asked for."
            yield Figure("store_ping_seconds", text, False, {"": store.ping_s})
        gauges = {
            "used_memory": ("store_memory_bytes", "Memory that Redis uses."),
            "maxmemory": ("store_memory_limit_bytes", "Redis' maxmemory; 0: none."),
            "connected_clients": ("store_clients", "Connections to Redis."),
            "connected_slaves": ("store_replicas", "Replicas of Redis."),
        }
        for name, value in store.numbers(*gauges):
            yield Figure(*gauges[name], False, {"": value})
        for _, value in store.numbers("evicted_keys"):
            yield Figure("store_evicted_keys", "Keys that Redis threw away for room.", True, {"": value})
        if policy := store.info.get("maxmemory_policy"):
            yield Figure("store_keeps_all", "1 if Redis' policy is noeviction.", False, {"": policy == "noeviction"})
        if aof := store.info.get("aof_enabled"):
            yield Figure("store_aof", "1 if Redis writes an append-only file.", False, {"": aof == "1"})

    def _of_workers(self) -> Iterable[Figure]:
        spools = self._store.spools
        yield Figure("workers", "Workers that told of their spools within a minute.", False, {"": len(spools)})
        some = spools[:MOST_WORKERS]
        held = {one.worker: float(one.held) for one in some}
        yield Figure("spool_bytes", "What the spools of a worker hold.", False, held, "worker")
        waiting = {one.worker: float(one.waiting) for one in some}
        yield Figure("spool_waiting_bytes", "Of that, what is not in Redis yet.", False, waiting, "worker")
        runs = {one.worker: float(one.runs) for one in some}
        yield Figure("runs_open", "Runs of a worker that have not ended in Redis.", False, runs, "worker")

    def _rung(self, bells: Sequence[Bell], missed: bool) -> None:
        self._bells += len(bells)
        self._overrun += missed

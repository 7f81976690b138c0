"""Whether the server lives, whether it can do its work, and its figures.

``/healthz`` answers while the process does; ``/readyz`` while Redis answers too; ``/metrics`` in Prometheus' format.
The figures are read when they are asked for, from whoever owns them: nothing is counted twice.

Must never know: Celery, the output of tasks.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

import livetask
from livetask.errors import Unavailable
from livetask.server.edge import refusal_json
from livetask.server.figures import Figure

Now = Callable[[], Iterable[Figure]]
Ping = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the routes tell of. ``ping``: returns if Redis answers, else raises Unavailable.

    ``figures``: the figures now. ``fresh``: to be awaited before they are read. ``brief``: the few for ``/readyz``.
    """

    ping: Ping
    figures: Now
    fresh: Ping
    brief: Callable[[], Mapping[str, float | int | None]]


def routes(sources: Sources) -> list[web.RouteDef]:
    """The routes."""
    health = _Health(sources)
    return [
        web.get("/healthz", health.healthz),
        web.get("/readyz", health.readyz),
        web.get("/metrics", health.metrics),
    ]


class _Health:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._since_mono_s = time.monotonic()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(self._current))

    async def healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": livetask.__version__}, headers=_NOT_KEPT)

    async def readyz(self, request: web.Request) -> web.Response:
        try:
            await self._sources.ping()
            await self._sources.fresh()
        except Unavailable as error:
            return refusal_json(error.code, str(error), 503, _NOT_KEPT)
        return web.json_response({"status": "ok", "store": "ok", **self._sources.brief()}, headers=_NOT_KEPT)

    async def metrics(self, request: web.Request) -> web.Response:
        await self._sources.fresh()
        body = generate_latest(self._registry)
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"} | _NOT_KEPT
        return web.Response(body=body, headers=headers)

    def _current(self) -> Iterable[Figure]:
        up_s = time.monotonic() - self._since_mono_s
        yield Figure("info", "The version of livetask.", False, {livetask.__version__: 1}, "version")
        yield Figure("uptime_seconds", "How long this server has been up.", False, {"": up_s})
        yield from self._sources.figures()


class _Collector:
    """Hands the figures to prometheus_client in its own shape."""

    def __init__(self, figures: Now) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        for figure in self._figures():
            kind = CounterMetricFamily if figure.grows else GaugeMetricFamily
            labels = [figure.label] if figure.label else []
            family = kind(f"livetask_{figure.name}", figure.meaning, labels=labels)
            for label, value in figure.values.items():
                family.add_metric([label] if figure.label else [], value)
            yield family


_NOT_KEPT = {"Cache-Control": "no-store"}

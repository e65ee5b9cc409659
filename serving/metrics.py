"""What Prometheus reads: requests by route and answer, their duration, the model in service."""

import time
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def monitoring_metrics(home: Path) -> Path:
    """What monitoring last wrote of the models, in Prometheus' text format."""
    return home.absolute() / "monitoring" / "metrics.prom"


class Metrics:
    """The measures of one application, in a registry of its own, and those of monitoring."""

    def __init__(self, home: Path) -> None:
        self._monitored = monitoring_metrics(home)
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "jinkong_requests", "HTTP requests answered", ("route", "method", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "jinkong_request_seconds", "Time to answer", ("route",), buckets=_SECONDS, registry=self._registry
        )
        # Looking a child up by its labels costs more than counting.
        self._routes: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._scores = Counter("jinkong_scores", "Scores given", ("legal_entity",), registry=self._registry)
        self._degraded = Counter(
            "jinkong_degraded_scores", "Of these, last scores that were given again", registry=self._registry
        )
        self._ready = Gauge("jinkong_ready", "1 while a champion is loaded", registry=self._registry)
        self._model = Gauge("jinkong_model", "The model in service", ("name", "version"), registry=self._registry)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (route, method, status)
        found = self._routes.get(key)
        if found is None:
            found = self._requests.labels(route, method, str(status)), self._seconds.labels(route)
            self._routes[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def scored(self, legal_entity: str, scores: int = 1, *, degraded: bool = False) -> None:
        """Count scores that were given, and whether they were given again for want of a new one."""
        self._scores.labels(legal_entity).inc(scores)
        if degraded:
            self._degraded.inc(scores)

    def text(self, model: tuple[str, str] | None) -> bytes:
        """The measures in Prometheus' text format, with name and version of the model in service, if there is one."""
        self._ready.set(model is not None)
        self._model.clear()
        if model is not None:
            self._model.labels(*model).set(1)
        return generate_latest(self._registry) + self._of_monitoring()

    def _of_monitoring(self) -> bytes:
        try:
            return self._monitored.read_bytes()
        except OSError:
            # Nothing was watched in this home yet.
            return b""


class Measured:
    """Counts every answer of ``app`` by the route's template, so that no identifier becomes a label."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(route, scope["method"], status, time.perf_counter() - began)

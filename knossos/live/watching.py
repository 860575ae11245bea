"""The figures of the WebSocket server, for Prometheus: how many watch what."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from knossos.live.hub import Hub
from knossos.operating.figures import PREFIX


class Watching(Collector):
    """Watchers, and tasks that are watched, at the moment it is asked."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(f"{PREFIX}watchers", "Clients that are connected and watch.", value=self._hub.watchers)
        yield GaugeMetricFamily(f"{PREFIX}watched_tasks", "Tasks that somebody watches.", value=self._hub.channels)

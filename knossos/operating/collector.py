"""What Prometheus is told: read from Redis at the moment it asks, so that all processes of all machines are in it.

What always holds: it takes as long as there are queues, workers and figures, and not as long as there are jobs; and
where Redis is away it says so rather than fails.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from redis.exceptions import RedisError

from knossos import __version__, tally
from knossos.jobs import Engine, counts, overview
from knossos.operating.disks import folders
from knossos.operating.figures import COUNTERS, HISTOGRAMS, PREFIX, Figure

#: Counters by the parts of their names, as `counts.read` answers them.
Counts = dict[tuple[str, ...], float]


class InstallationCollector(Collector):
    """All figures of the installation: jobs, queues, workers, counters, Redis, and the disks of this machine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        yield _gauge("build_info", "The version of this server.", ("version",), [((__version__,), 1)])
        yield from self._disks()
        try:
            self._engine.ping()
            counts.deliver(self._engine.redis)
            found = [*self._queues(), *self._workers(), *self._redis(), *families(counts.read(self._engine.redis))]
        except (RedisError, OSError):
            yield _gauge("redis_up", "Whether Redis answers.", (), [((), 0)])
            return
        yield _gauge("redis_up", "Whether Redis answers.", (), [((), 1)])
        yield from found

    def _queues(self) -> Iterator[Metric]:
        states = overview.queues(self._engine)
        rows = [
            ((queue.name, state), float(count))
            for queue in states
            for state, count in (
                ("waiting", queue.waiting),
                ("running", queue.running),
                ("retrying", queue.retrying),
                ("following", queue.following),
            )
        ]
        yield _gauge("queue_jobs", "Unfinished jobs of a queue, by what they do.", ("queue", "state"), rows)
        waits = [((queue.name,), queue.oldest_seconds or 0.0) for queue in states]
        yield _gauge("queue_oldest_wait_seconds", "For how long the head of a queue has waited.", ("queue",), waits)
        held = overview.held_back(self._engine)
        yield _gauge("jobs_held_back", "Jobs that wait since others of their owner, or limit, run.", (), [((), held)])

    def _workers(self) -> Iterator[Metric]:
        states = overview.workers(self._engine)
        busy = sum(worker.job is not None for worker in states)
        rows = [(("busy",), float(busy)), (("idle",), float(len(states) - busy))]
        yield _gauge("workers", "Workers, by whether they have a job.", ("state",), rows)
        beats = [worker.heartbeat_at for worker in states if worker.heartbeat_at is not None]
        if beats:
            age = max(0.0, time.time() - min(beats))
            yield _gauge("worker_oldest_heartbeat_seconds", "Age of the oldest sign of life.", (), [((), age)])

    def _redis(self) -> Iterator[Metric]:
        memory: dict[str, Any] = self._engine.redis.info("memory")
        used, most = float(memory.get("used_memory", 0)), float(memory.get("maxmemory", 0))
        yield _gauge("redis_memory_used_bytes", "Memory that Redis uses.", (), [((), used)])
        yield _gauge("redis_memory_limit_bytes", "Memory that Redis may use; 0: no limit.", (), [((), most)])

    def _disks(self) -> Iterator[Metric]:
        free, size = [], []
        for name, folder in folders(self._engine.settings):
            try:
                usage = shutil.disk_usage(folder)
            except OSError:
                continue  # not made yet
            free.append(((name,), float(usage.free)))
            size.append(((name,), float(usage.total)))
        about = "where a folder of this machine is"
        yield _gauge("disk_free_bytes", f"Free bytes of the disk {about}.", ("folder",), free)
        yield _gauge("disk_size_bytes", f"Size of the disk {about}.", ("folder",), size)


def registry(*collectors: Collector) -> CollectorRegistry:
    """A registry of these, and of nothing else."""
    made = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        made.register(collector)
    return made


def families(found: Counts) -> Iterator[Metric]:
    """Counters and histograms as Prometheus wants them."""
    by_figure: defaultdict[str, Counts] = defaultdict(dict)
    for name, value in found.items():
        by_figure[name[0]][name[1:]] = value
    for figure in COUNTERS:
        family = CounterMetricFamily(figure.public_name, figure.about, labels=figure.labels)
        beginning = dict.fromkeys([(value,) for value in figure.shown] if figure.labels else [()], 0.0)
        rows = beginning | by_figure[figure.name]
        for labels, value in sorted(rows.items()):
            if len(labels) == len(figure.labels):
                family.add_metric(labels, value)
        yield family
    for figure in HISTOGRAMS:
        yield _histogram(figure, by_figure[figure.name])


def _histogram(figure: Figure, rows: Counts) -> Metric:
    family = HistogramMetricFamily(figure.public_name, figure.about, labels=figure.labels)
    series: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for name, value in rows.items():
        if len(name) == len(figure.labels) + 1:
            series[name[:-1]][name[-1]] = value
    for labels, parts in sorted(series.items()):
        total = parts.pop(tally.SUM, 0.0)
        # Not only those that have something in them: a series must not begin in the middle.
        limits = (*figure.limits, float("inf"))
        counted = [(float(end), count) for end, count in parts.items()]
        buckets = [(_written(limit), sum(count for end, count in counted if end <= limit)) for limit in limits]
        family.add_metric(labels, buckets, total)
    return family


def _written(limit: float) -> str:
    return tally.ABOVE if limit == float("inf") else str(float(limit))


def _gauge(
    name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family

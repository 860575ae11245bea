"""The counters and histograms of this server: what processes count (`knossos.tally`), as Prometheus names it.

A figure's name in Redis is short; here stand its public name, its labels and what it means. What is not listed here is
not shown, so that an old counter that is left in Redis does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

from knossos.jobs.scripts import SECONDS as JOB_SECONDS

#: All names begin with it.
PREFIX = "knossos_"


#: Kinds of processes that count.
PROCESSES = ("web", "ws", "worker")
#: Ends in seconds of the buckets in which the durations of requests are counted.
HTTP_SECONDS = (0.05, 0.25, 1, 5, 30)


@dataclass(frozen=True)
class Figure:
    """``name`` is what it is counted as; ``public`` its name for Prometheus, without the beginning and the end that
    Prometheus wants (``_total``, ``_bucket``); ``limits`` are the ends of a histogram's buckets. ``shown`` are values
    of its one label that are there from the beginning, at nothing: Prometheus sees no increase to a first value."""

    name: str
    public: str
    labels: tuple[str, ...]
    about: str
    limits: tuple[float, ...] = ()
    shown: tuple[str, ...] = ()

    @property
    def public_name(self) -> str:
        return PREFIX + self.public


COUNTERS = (
    Figure("jobs", "jobs_ended", ("kind", "outcome"), "Jobs that have ended: succeeded, failed or cancelled."),
    Figure(
        "job_restarts",
        "job_restarts",
        ("kind",),
        "Jobs that went back to their queue: after an error, since their worker died, or since it was stopped.",
    ),
    Figure("http_requests", "http_requests", ("endpoint", "status"), "Requests that the HTTP server has answered."),
    Figure(
        "http_received_bytes",
        "http_received_bytes",
        ("endpoint",),
        "Bytes of bodies, such as uploads, that the HTTP server has read.",
    ),
    Figure(
        "http_sent_bytes",
        "http_sent_bytes",
        ("endpoint",),
        "Bytes of bodies that the HTTP server has sent; what nginx sends from disk is not among them.",
    ),
    Figure("download_bytes", "download_bytes", (), "Bytes that workers have downloaded from elsewhere."),
    Figure(
        "sandbox_kills",
        "sandbox_kills",
        ("reason",),
        "Runs of scripts that were ended: at a limit (timeout, memory, disk, cpu, file), for a forbidden call of the "
        "system (seccomp), or by somebody's wish (cancelled).",
        shown=("timeout", "memory", "disk", "cpu", "file", "seccomp", "cancelled"),
    ),
    Figure(
        "redis_errors",
        "redis_errors",
        ("process",),
        "Commands to Redis that found it away or silent.",
        shown=PROCESSES,
    ),
    Figure(
        "database_errors",
        "database_errors",
        ("process",),
        "Statements that the database could not carry out: it was away, locked, or out of space.",
        shown=PROCESSES,
    ),
    Figure(
        "operator_actions",
        "operator_actions",
        ("action",),
        "What operators have done on the operator's page.",
        shown=("task.retry", "task.delete"),
    ),
)

HISTOGRAMS = (
    Figure(
        "job_wait",
        "job_wait_seconds",
        ("queue",),
        "Seconds from a job's coming to its queue to its beginning.",
        JOB_SECONDS,
    ),
    Figure(
        "job_time",
        "job_duration_seconds",
        ("kind",),
        "Seconds from a job's last beginning to its end.",
        JOB_SECONDS,
    ),
    Figure(
        "http_seconds",
        "http_request_duration_seconds",
        ("endpoint",),
        "Seconds until a request was answered.",
        HTTP_SECONDS,
    ),
)

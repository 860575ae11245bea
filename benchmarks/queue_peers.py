"""The other queues' apps, each as its documentation begins, for their own worker commands; BENCH_SIDE says which."""

from __future__ import annotations

import os
from typing import Any

from benchmarks import queue_jobs

tell: Any
slow: Any
app: Any

match os.environ["BENCH_SIDE"]:
    case "Celery":
        from celery import Celery

        app = Celery("bench", broker=os.environ["BENCH_REDIS"])
        tell = app.task(name="tell")(queue_jobs.tell).delay
        slow = app.task(name="slow")(queue_jobs.slow).delay
    case "Dramatiq":
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        app = RedisBroker(url=os.environ["BENCH_REDIS"])  # type: ignore[no-untyped-call]
        dramatiq.set_broker(app)
        tell = dramatiq.actor(queue_jobs.tell, actor_name="tell").send
        slow = dramatiq.actor(queue_jobs.slow, actor_name="slow").send
    case "Huey":
        from huey import RedisHuey

        app = RedisHuey("bench", url=os.environ["BENCH_REDIS"])
        tell = app.task(name="tell")(queue_jobs.tell)
        slow = app.task(name="slow")(queue_jobs.slow)

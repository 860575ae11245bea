"""The other queues' apps, for their own worker commands; BENCH_SIDE says which.

Each as its documentation begins, but for Dramatiq, which would look for lost jobs only now and then.
"""

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

        # By itself a job whose worker is gone is looked for by chance, and given back after a minute.
        quicker: dict[str, Any] = {
            "heartbeat_timeout": queue_jobs.DRAMATIQ_HEARTBEAT_SECONDS * 1000,
            "maintenance_chance": 1_000_000,
        }
        app = RedisBroker(url=os.environ["BENCH_REDIS"], **quicker)
        dramatiq.set_broker(app)
        tell = dramatiq.actor(queue_jobs.tell, actor_name="tell").send
        slow = dramatiq.actor(queue_jobs.slow, actor_name="slow").send
    case "Huey":
        from huey import RedisHuey

        app = RedisHuey("bench", url=os.environ["BENCH_REDIS"])
        tell = app.task(name="tell")(queue_jobs.tell)
        slow = app.task(name="slow")(queue_jobs.slow)

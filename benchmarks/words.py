"""What the page says of a group below its table, by hand: what a figure stands for that its name has no room for."""

from __future__ import annotations

#: A paragraph for each group that needs one. It says nothing that a run could make untrue: no figures of one.
WORDS = {
    "queues": (
        "**A killed worker.** A new worker on the same machine, with the same work folder, sees at once that the one "
        "before it is gone. Where its machine is gone as well, or the new worker is on another one, only its silence "
        "tells: WORKER_LOST_SECONDS (12), and some seconds more until somebody looks and the job has run again. "
        "Dramatiq is quicker then with its heartbeat at 10 s, as it is set here; by itself it waits for a minute. The "
        "others make no difference between machines. RQ, Celery and Huey are as their documentation begins."
    ),
    "two_workers": (
        "**Why LZMA has no limit.** 1.8 times the throughput is asked for where the archives allow it. 7-Zip "
        "decompresses each of these archives in one thread; our process takes the sums of what comes out meanwhile. "
        "PPMd is so slow to decompress that all else hardly counts, and one worker leaves the second processor nearly "
        "idle. LZMA is many times as quick, and of what a mod takes then about half is all else, so one worker uses "
        "part of the second processor already, and the second worker gets what is left of it."
    ),
    "homes": (
        "**GET /api/jobs** answers all jobs of its caller, as the protocol has it (`limit` gives fewer), so the whole "
        "answer takes longer the more there are."
    ),
    "growth": (
        "**What is called.** The server's own code, on SQLite and Redis, without HTTP; a release also goes through a "
        "worker. One clean-up looks at 20,000 keys of Redis at the most, more than 100 tasks have."
    ),
}

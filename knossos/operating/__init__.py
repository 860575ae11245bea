"""What an operator looks at and does: figures for Prometheus, readiness, workers, queues, failed jobs, disks, versions.

It asks the other rooms and owns no state of theirs.
"""

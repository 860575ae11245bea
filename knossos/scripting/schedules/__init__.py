"""Schedules: what is run at a time, or again and again.

A schedule is a row; each time that it came to is a row, too (`tables.py`). `when.py` says when, `wish.py` what may be
asked for, `schedules.py` keeps them, `firing.py` has them run exactly once for each time, and `ticker.py` looks whether
any is due, in a process beside each worker.
"""

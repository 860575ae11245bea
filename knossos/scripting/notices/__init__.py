"""Notices: telling somebody by mail or webhook that a run has ended.

A notice is a row that is there before the run ends; the transaction that notes how the run ended makes it due
(`settling.py`), a job delivers it (`delivery.py`), and what lies about is picked up (`sweeping.py`). So none is lost,
and one may come twice: each has an id that stays.
"""

"""Fuzzing: ``make fuzz`` sends the server what nobody would send on purpose, and counts what that breaks.

How it is used, and what counts as a crash, is in docs/fuzzing.md.
"""

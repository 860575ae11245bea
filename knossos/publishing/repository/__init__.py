"""The repository that clients install from: its files, built from the releases, signed, and what changed since when.

The files hold nothing that the database does not: they can be made again at any time.
"""

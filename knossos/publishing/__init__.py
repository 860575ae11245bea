"""Publishing: stored files, uploads, mods, teams, releases, and the repository that clients install from.

Knows neither HTTP nor WebSockets. What was accepted is in the database and the storage; the repository's files are
made from these by a job, and can be made again at any time.
"""

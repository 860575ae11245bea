"""Runners: one configured command each, called over HTTP with values from path, query and body (script-runner.md).

Owns the operator's JSON files, the way from a request to a command's arguments, and the way from what the command left
to its results. Knows neither HTTP nor the worker: `knossos.web.runners` is the protocol, `run_job.py` runs the plan.
"""

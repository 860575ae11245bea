"""Calculations: an ``input.xml`` is posted, one program of the operator's calculates, and what it wrote is kept under
the SHA-1 of that input.

Each is a run of the scripts' room: in the sandbox by a worker of ours, or handed to a batch system by the operator's
scripts, with a worker following it. Knows no HTTP: `knossos.web.calculations` has the protocol's addresses.
"""

"""A real deployment under load and under fire, and a reckoning of what became of all that it had accepted.

``python -m chaos`` runs it. Everything happens in namespaces of its own (processes, mounts, network), on a file system
in memory: whatever ends the run, the kernel removes all of it.
"""

"""Measurements, each beside its peer in the same run. ``python -m benchmarks`` runs them all and prints one table."""

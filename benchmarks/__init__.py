"""Measurements of the platform's own speed: `make bench`, or `python -m benchmarks.run`."""

"""Benchmarks: the cost of a token check compared with other extensions, and its behavior under load and faults."""

"""Measurements that the documentation quotes. Each is a module to run: `python -m benchmarks.ctc`."""

"""Benchmarks, each a program of its own: `python -m bench.compare --help`. See docs/performance.md."""

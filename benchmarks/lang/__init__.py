"""Benchmarks of the language and its kernels: `python -m benchmarks.lang [--markdown] [--only products,distances]`."""

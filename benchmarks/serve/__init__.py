"""Serving side by side: the same ONNX files behind Hekla and behind its peers, one load generator for all.

`python -m benchmarks.serve --help` says how to run it; benchmarks/README.md says what came out.
"""

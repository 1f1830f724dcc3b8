"""Seeing what happens: statistics, metrics, logs, traces. Counting happens here and nowhere else."""

"""Hekla: compile, serve, search, train and prove, from one process."""

__version__ = "0.1.0"

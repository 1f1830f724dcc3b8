"""`python -m hekla` is `hekla`."""

from hekla.cli.main import run

run()

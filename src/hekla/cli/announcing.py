"""Saying that a server is ready: to a person, to the program that started it, to whoever waits for a file."""

import json
import os
import tempfile
from pathlib import Path

import typer

from hekla.serve.server import Addresses


def announce(addresses: Addresses, ready_file: Path | None, *, as_json: bool) -> None:
    """Write where the server listens, at once, to standard output and the file.

    The file appears whole. Errors: OSError if it cannot be written.
    """
    line = json.dumps({"event": "ready", "http": addresses.http, "grpc": addresses.grpc})
    if ready_file is not None:
        write_whole(ready_file, line + "\n")
    if as_json:
        typer.echo(line)
    else:
        grpc = f" and gRPC at {addresses.grpc}" if addresses.grpc else ""
        typer.echo(f"ready at {addresses.http}{grpc}")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half written."""
    number, staged = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(number, "w") as file:
        file.write(text)
    Path(staged).replace(path)

"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[
    str, typer.Option("--url", envvar="HEKLA_URL", help="Where the server answers.", show_default=DEFAULT_URL)
]
_REPOSITORY = ("--repository", "-r")
_REPOSITORY_HELP = "A folder with one folder per model. May be given several times."
ServedRepositories = Annotated[
    list[Path],
    typer.Option(*_REPOSITORY, envvar="HEKLA_REPOSITORY", help=_REPOSITORY_HELP, show_default=False),
]
# Without the environment variable: where it is set, `hekla models list` still asks the server.
Repositories = Annotated[
    list[Path],
    typer.Option(*_REPOSITORY, help=f"{_REPOSITORY_HELP} No server is asked.", show_default=False),
]
SAMPLES = Path("models")  # where `hekla models pull` and `hekla up` keep the sample models

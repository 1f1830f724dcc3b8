"""`hekla up`: the sample models, pulled where they are missing, and a server of them."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hekla import __version__
from hekla.cli.options import DEFAULT_URL, SAMPLES
from hekla.cli.serving import GrpcPort, Host, HttpPort

if TYPE_CHECKING:
    from hekla.serve.server import Addresses

VECTORS = Path("data/vector")
EXAMPLE = Path("examples/receipt.png")  # there when this runs in a clone of the repository


def up(
    repository: Annotated[Path, typer.Option("--repository", "-r", help="Where the sample models are kept.")] = SAMPLES,
    vectors: Annotated[Path, typer.Option("--vectors", help="Where the vector database is kept.")] = VECTORS,
    host: Host = "127.0.0.1",
    http_port: HttpPort = 8000,
    grpc_port: GrpcPort = 8001,
) -> None:
    """Pull the sample models if they are missing, serve them, and say what to try.

    The samples read text in images (`ocr`), turn sentences into vectors (`embed`), chat (`smollm2`), find speech
    (`vad`) and name file types (`file-type`).

    A vector database is served with them, for `qdrant-client` and others.

    Example: `hekla up --http-port 9000`
    """
    from hekla.cli.pulling import pull_shown
    from hekla.cli.wiring import run_server
    from hekla.serve.apis.config import ApiConfig
    from hekla.serve.observe.logs import configure_logs
    from hekla.serve.server import ServerConfig

    pull_shown((), repository)
    configure_logs("warning", "text")
    config = ServerConfig(
        (repository,),
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        version=__version__,
        apis={"vector": ApiConfig(str(vectors))},
    )
    run_server(config, threads=0, code_folders=(), on_ready=_say_what_to_try)


def _say_what_to_try(addresses: "Addresses") -> None:
    from hekla.cli.screen import console

    http_url = addresses.http
    url = "" if http_url == DEFAULT_URL else f" --url {http_url}"
    hekla, picture = _own_command(), EXAMPLE if EXAMPLE.exists() else "photo.png"
    out = console()
    out.print(f"\n[bold green]Hekla is ready[/bold green] at [bold]{http_url}[/bold] (gRPC {addresses.grpc})\n")
    out.print(f"  console    {http_url}/\n  metrics    {http_url}/metrics\n  API        {http_url}/openapi.json")
    out.print(f"  vectors    {http_url}/collections\n")
    out.print("Try, in another terminal:\n")
    for command in (
        f"{hekla} models list{url}",
        f"{hekla} chat{url}",
        f'{hekla} infer{url} embed "a cat sat on the mat" "a kitten on a rug"',
        f"{hekla} infer{url} ocr {picture}",
    ):
        out.print(f"  [cyan]{command}[/cyan]")
    out.print("\nCtrl-C stops it.")


def _own_command() -> str:
    """Return what to type for this very program: `hekla` where the shell would find it, else its path."""
    own = Path(sys.argv[0])
    found = shutil.which("hekla")
    if own.name != "hekla" or (found is not None and Path(found).samefile(own)):
        return "hekla"
    own = own.absolute()
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)

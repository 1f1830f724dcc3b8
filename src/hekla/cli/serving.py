"""`hekla serve`: serve every model in the repository folders."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from hekla import __version__
from hekla.cli.options import SAMPLES, ServedRepositories
from hekla.cli.screen import AsJson

_FOLDERS, _NET, _LIMITS, _SEEN = "Models", "Network", "Limits", "Logs, metrics and traces"


class LogLevel(enum.StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.StrEnum):
    """For people or for programs."""

    TEXT = "text"
    JSON = "json"


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="A TOML file that says which interfaces are served beside models: [apis.vector] for one.",
        show_default=False,
        rich_help_panel=_FOLDERS,
    ),
]
PythonModels = Annotated[
    list[Path],
    typer.Option(
        "--python-models",
        help="A folder from which Python engines may run code; nothing outside such folders is executed. "
        "May be given several times.",
        show_default=False,
        rich_help_panel=_FOLDERS,
    ),
]
Watch = Annotated[bool, typer.Option("--watch", help="Pick up changes on disk by itself.", rich_help_panel=_FOLDERS)]
Host = Annotated[str, typer.Option("--host", help="The address to listen on; 0.0.0.0 for all.", rich_help_panel=_NET)]
HttpPort = Annotated[int, typer.Option("--http-port", min=0, max=65535, help="0: any free port.", rich_help_panel=_NET)]
GrpcPort = Annotated[int, typer.Option("--grpc-port", min=0, max=65535, help="0: any free port.", rich_help_panel=_NET)]
ServerName = Annotated[
    str, typer.Option("--server-name", help="What the server's metadata calls it.", rich_help_panel=_NET)
]
NoGrpc = Annotated[bool, typer.Option("--no-grpc", help="Listen for HTTP only.", rich_help_panel=_NET)]
ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file", help="Write the addresses here, as JSON, once every model is loaded.", rich_help_panel=_NET
    ),
]
MaxBody = Annotated[
    int, typer.Option("--max-body-mb", min=1, max=65536, help="Larger requests are refused.", rich_help_panel=_LIMITS)
]
ReadTimeout = Annotated[
    float,
    typer.Option(
        "--read-timeout-s",
        min=0.1,
        max=86400,
        help="A client that takes longer to send an HTTP request is cut off.",
        rich_help_panel=_LIMITS,
    ),
]
Threads = Annotated[
    int,
    typer.Option("--threads", min=0, max=4096, help="Threads per engine; 0: as many as CPUs.", rich_help_panel=_LIMITS),
]
Drain = Annotated[
    float,
    typer.Option(
        "--drain-s",
        min=0,
        max=86400,
        help="A stopping server waits so many seconds for what it accepted.",
        rich_help_panel=_LIMITS,
    ),
]
Level = Annotated[LogLevel, typer.Option("--log-level", rich_help_panel=_SEEN)]
Format = Annotated[LogFormat, typer.Option("--log-format", rich_help_panel=_SEEN)]
AccessLog = Annotated[bool, typer.Option("--access-log", help="Log every request.", rich_help_panel=_SEEN)]
Otlp = Annotated[
    str,
    typer.Option(
        "--otlp-endpoint",
        envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
        help="Send traces here, e.g. http://localhost:4318.",
        show_default=False,
        rich_help_panel=_SEEN,
    ),
]


def serve(
    repository: ServedRepositories = [],  # noqa: B006  # typer's way to say: none
    python_models: PythonModels = [],  # noqa: B006  # typer's way to say: none
    config_file: ConfigFile = None,
    watch: Watch = False,
    host: Host = "127.0.0.1",
    http_port: HttpPort = 8000,
    grpc_port: GrpcPort = 8001,
    no_grpc: NoGrpc = False,
    server_name: ServerName = "hekla",
    ready_file: ReadyFile = None,
    max_body_mb: MaxBody = 64,
    read_timeout_s: ReadTimeout = 30.0,
    threads: Threads = 0,
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
    access_log: AccessLog = False,
    otlp_endpoint: Otlp = "",
    drain_s: Drain = 30.0,
    as_json: AsJson = False,
) -> None:
    """Serve every model in the repository folders, over HTTP and gRPC.

    A repository is a folder with one folder per model; without --repository it is `models`. The server stops on
    Ctrl-C or SIGTERM after it has answered what it accepted.

    Examples:

        hekla serve --repository my-models

        hekla serve -r my-models --watch --log-format json

        hekla serve -r my-models --config server.toml

        hekla serve -r my-models --host 0.0.0.0 --http-port 80 --no-grpc

    With --json the line `{"event": "ready", "http": URL, "grpc": ADDRESS}` is written once all models are loaded.
    """
    from hekla.cli.announcing import announce
    from hekla.cli.wiring import run_server
    from hekla.serve.apis.server_toml import read_server_toml
    from hekla.serve.observe.logs import configure_logs
    from hekla.serve.server import ServerConfig

    configure_logs(log_level.value, log_format.value)
    config = ServerConfig(
        repositories=tuple(repository) or (SAMPLES,),
        host=host,
        http_port=http_port,
        grpc_port=None if no_grpc else grpc_port,
        name=server_name,
        version=__version__,
        watch=watch,
        max_body_bytes=max_body_mb << 20,
        read_timeout_s=read_timeout_s,
        drain_s=drain_s,
        otlp_endpoint=otlp_endpoint,
        access_log=access_log,
        apis={} if config_file is None else read_server_toml(config_file).apis,
    )
    run_server(
        config,
        threads=threads,
        code_folders=python_models,
        on_ready=lambda addresses: announce(addresses, ready_file, as_json=as_json),
    )

"""`hekla models`: what is served, what lies in a folder, and the sample models."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hekla.cli.options import DEFAULT_URL, SAMPLES, Repositories, Url
from hekla.cli.screen import AsJson, console, write_json, write_table

Name = Annotated[str, typer.Argument(help="The model's name.", show_default=False)]
# JSON documents as the protocol defines them.
Json = dict[str, Any]

app = typer.Typer(
    help="List, describe, pull, load and unload models.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.command("list")
def list_models(
    repository: Repositories = [],  # noqa: B006  # typer's way to say: none
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List the models of a running server, or with --repository those in a folder.

    Examples: `hekla models list`, `hekla models list --repository my-models --json`
    """
    if repository:
        from hekla.cli.offline import models_in

        found = models_in(repository)
    else:
        from hekla.cli.client import ServerClient

        with ServerClient(url) as client:
            found = [_with_task(client, entry) for entry in client.post("/v2/repository/index", {})]
    if as_json:
        write_json(found)
        return
    if not found:
        console().print("no models; `hekla models pull` fetches the samples")
        return
    rows = [
        (entry["name"], str(entry.get("version", "")), entry["state"], entry.get("task", ""), _why(entry))
        for entry in found
    ]
    write_table(("model", "version ", "state", "task", ""), rows)


@app.command()
def describe(
    model: Name,
    repository: Repositories = [],  # noqa: B006  # typer's way to say: none
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Describe a model: inputs, outputs, settings and what it has done so far.

    Examples: `hekla models describe ocr`, `hekla models describe ocr --repository my-models`
    """
    if repository:
        from hekla.cli.offline import described

        document = described(repository, model)
    else:
        from hekla.cli.client import ServerClient, model_path

        with ServerClient(url) as client:
            document = client.metadata(model)
            document["config"] = client.get(f"{model_path(model)}/config")
            document["statistics"] = client.get(f"{model_path(model)}/stats").get("model_stats", [])
    if as_json:
        write_json(document)
    else:
        _show(document)


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="[NAME...]", help="All samples if left out.")] = [],  # noqa: B006  # typer's way to say: none
    repository: Annotated[Path, typer.Option("--repository", "-r", help="The folder to write into.")] = SAMPLES,
    as_json: AsJson = False,
) -> None:
    """Make the sample models' folders from pinned, hashed packages; repair what is damaged, keep what is right.

    Examples: `hekla models pull`, `hekla models pull embed ocr --repository my-models`
    """
    from hekla.cli.pulling import pull_shown

    pulled = pull_shown(names, repository)
    if as_json:
        write_json(
            [
                {"model": one.model, "folder": str(one.folder), "state": one.state, "replaced": list(one.replaced)}
                for one in pulled
            ]
        )
        return
    rows = [
        (one.model, one.state, str(one.folder), "keeps its own model.toml" if one.keeps_own_config else "")
        for one in pulled
    ]
    write_table(("model", "state", "folder", ""), rows)


@app.command()
def load(model: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Read a model's folder again and serve it; until then the version served before answers.

    Example: `hekla models load ocr`
    """
    _control(model, url, "load", "loaded", as_json)


@app.command()
def unload(model: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Stop serving a model, after it has answered what it accepted.

    Example: `hekla models unload ocr`
    """
    _control(model, url, "unload", "unloaded", as_json)


def _control(model: str, url: str, action: str, done: str, as_json: bool) -> None:
    from urllib.parse import quote

    from hekla.cli.client import ServerClient

    with ServerClient(url) as client:
        client.post(f"/v2/repository/models/{quote(model, safe='')}/{action}", {})
    if as_json:
        write_json({"model": model, "state": done})
    else:
        console().print(f"{model}: {done}", markup=False)


def _with_task(client: Any, entry: Json) -> Json:  # a ServerClient; imported only when a server is asked
    from hekla.base.errors import NotFoundError, UnavailableError

    if entry.get("state") == "READY":
        try:
            parameters = client.metadata(entry["name"]).get("parameters") or {}
        except (NotFoundError, UnavailableError):  # unloaded between the two requests
            return entry
        entry["task"] = parameters.get("task", "")
        entry["description"] = parameters.get("description", "")
    return entry


def _why(entry: Json) -> str:
    return str(entry.get("reason") or entry.get("description") or "")


def _show(document: Json) -> None:
    out = console()
    parameters = document.get("parameters") or {}
    out.print(f"[bold]{document['name']}[/bold]  {parameters.get('description', '')}")
    versions = ", ".join(document.get("versions", ()))
    out.print(f"versions {versions or 'none'}, engine {document.get('platform', '?')}\n", markup=False)
    rows = [
        (kind, tensor["name"], tensor["datatype"], str(tensor["shape"]))
        for kind, table in (("input", "inputs"), ("output", "outputs"))
        for tensor in document.get(table, ())
    ]
    if rows:
        write_table(("", "name", "datatype", "shape"), rows)
    for entry in document.get("statistics", ()):
        success = entry.get("inference_stats", {}).get("success", {})
        count = int(success.get("count", 0))
        if count:
            mean_ms = int(success.get("ns", 0)) / count / 1e6
            out.print(f"\nversion {entry.get('version')}: {count} answered, {mean_ms:.2f} ms on average", markup=False)

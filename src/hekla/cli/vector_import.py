"""`hekla vector import`: files of points into a collection, with a bar."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hekla.cli.options import DEFAULT_URL, Url
from hekla.cli.screen import AsJson, console, write_json
from hekla.cli.vector_open import Folder, writing

if TYPE_CHECKING:
    from hekla.vector import Collection
    from hekla.vector.importing import Embed, Names

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="What to import, in order.", show_default=False)]
Model = Annotated[str, typer.Option("--model", "-m", help="The server's model that embeds texts.")]
_KINDS = "npy, npz, jsonl, fvecs, bvecs, ivecs, hdf5, parquet, arrow, lines or paragraphs; by the name if left out."


def import_files(
    folder: Folder,
    files: Files,
    kind: Annotated[str, typer.Option("--kind", help=_KINDS)] = "",
    into: Annotated[str, typer.Option("--into", help="The vector to fill, where the collection has several.")] = "",
    vector: Annotated[
        str, typer.Option("--vector", help="The file's column, key or array of vectors; usual names are found.")
    ] = "",
    id_name: Annotated[str, typer.Option("--id", help="The file's column, key or array of ids.")] = "id",
    first_id: Annotated[
        int | None, typer.Option("--first-id", min=0, help="Number points without an id from here; else counted on.")
    ] = None,
    text_path: Annotated[str, typer.Option("--text", help="Where in the payload the text to embed is.")] = "text",
    model: Model = "embed",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Import points; texts without vectors are embedded by a running server's model. What was imported is on disk.

    Examples: `hekla vector import notes book.txt`, `hekla vector import glove glove-100-angular.hdf5`
    """
    from hekla.cli.vector_embed import embedder
    from hekla.vector.importing import Names

    names = Names(id_name, vector, into)
    started = time.perf_counter()
    with writing(folder) as collection:
        embed = embedder(url, model) if into in collection.schema.vectors else None
        before = len(collection)
        count = _shown(collection, files, kind, names, first_id, embed, text_path)
        added = len(collection) - before
    took_s = time.perf_counter() - started
    if as_json:
        write_json({"folder": str(folder), "imported": count, "new": added, "seconds": round(took_s, 3)})
    else:
        rate = count / took_s if took_s else 0.0
        console().print(f"{folder}: {count} imported, {added} of them new, {rate:.0f} a second", markup=False)


def _shown(
    collection: "Collection",
    files: list[Path],
    kind: str,
    names: "Names",
    first_id: int | None,
    embed: "Embed | None",
    text_path: str,
) -> int:
    """Import the files, a bar for each on a terminal; return how many points."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from hekla.vector.importing import import_source, open_source

    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    count = 0
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        for path in files:
            source = open_source(path, names, kind)
            task = bars.add_task(path.name, total=source.total or None)
            done = 0
            for step in import_source(
                collection, source, first_id=first_id, embed=embed, text_path=text_path, into=names.into
            ):
                bars.update(task, completed=source.done, description=f"{path.name}: {step.points} points")
                done, first_id = step.points, None if first_id is None else step.next_id
            count += done
    return count

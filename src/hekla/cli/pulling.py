"""Pulling sample models with progress bars."""

from collections.abc import Sequence
from pathlib import Path

from hekla.samples import Pulled, PullProgress, pull

_VERBS = {"check": "checking", "fetch": "fetching", "write": "writing"}


def pull_shown(names: Sequence[str], repository: Path) -> tuple[Pulled, ...]:
    """Pull the models named (all for ()), with a bar per step on a terminal. Errors: those of `hekla.samples.pull`."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    error_console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=error_console, transient=True, disable=not error_console.is_terminal) as bars:
        tasks: dict[tuple[str, str, str], TaskID] = {}

        def show(step: PullProgress) -> None:
            key = (step.model, step.step, step.subject)
            if key not in tasks:
                label = f"{step.model}: {_VERBS[step.step]} {step.subject}"
                tasks[key] = bars.add_task(label, total=step.total_bytes or None)
            done = bool(step.total_bytes) and step.done_bytes >= step.total_bytes
            bars.update(tasks[key], completed=step.done_bytes, visible=not done)

        return pull(names, repository, show)

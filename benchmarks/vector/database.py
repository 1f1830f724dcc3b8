"""python -m benchmarks.vector.database: Hekla beside other embedded databases, each in its own process and environment.

First `python -m benchmarks.vector.database_environments`. One task is done by each of them, then the next task; a call
that does not return costs a minute and is said to hang. Tables in Markdown on standard output, all numbers as JSON with
--json FILE. Every rate has its recall beside it; the questions are the same, a call each.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.vector import database_environments as environments
from benchmarks.vector.database_points import SETS, points_file
from benchmarks.vector.database_tables import Result, best_of, chosen_knob, least, tables

RUN = Path(__file__).parent / "databases" / "run.py"
NAMES = ("hekla", *environments.PINS)
TASKS = ("build", "search", "open", "mixed", "upserts")
# zvec takes the number of its search threads from OMP_NUM_THREADS, and with one of them its searches do not return once
# points were written over others: it keeps its own number.
ONE_THREAD = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS")
OWN_THREADS = ("zvec",)


def run(task: str, name: str, folder: Path, points: Path, options: Result, timeout_s: float) -> Result:
    """Return what a task gave; {"error": ...} where it failed."""
    interpreter = Path(sys.executable) if name == "hekla" else environments.python(name)
    command: list[str | Path] = [interpreter, "-W", "ignore", RUN, task, name, folder, points, json.dumps(options)]
    threads = dict.fromkeys(() if name in OWN_THREADS else ONE_THREAD, "1")
    environment = os.environ | threads | {"PYTHONPATH": str(RUN.parents[3] / "src"), "RUST_LOG": "off"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {timeout_s:.0f} s"}
    if done.returncode or not done.stdout.strip():
        return {"error": failure(done.stderr)}
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def failure(text: str) -> str:
    """Return why a process failed, of what it wrote on standard error."""
    lines = text.strip().splitlines() or ["no output"]
    hang = next((at for at, line in enumerate(lines) if line.startswith("Timeout (")), None)
    if hang is None:
        return lines[-1][:160]
    frames = [line.strip() for line in lines[hang:] if line.strip().startswith("File ")]
    return f"hangs: a call did not return ({frames[0].rsplit('/', 1)[-1][:80] if frames else lines[hang]})"


def evict(folder: Path) -> None:
    """Drop a folder's files from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


class Comparison:
    """Several databases and what came of them so far."""

    def __init__(self, names: Sequence[str], points: Path, options: Result) -> None:
        self.names, self.points, self.options = list(names), points, options
        self.results: dict[str, Result] = {name: {} for name in names}

    def folder(self, name: str) -> Path:
        """Return where a database lies: a place of this run's own, or that of all that keep it."""
        run_name = "kept" if self.options["is_kept"] else str(os.getpid())
        return environments.cache() / "data" / f"{self.points.stem}-{name}-{run_name}"

    def alive(self) -> list[str]:
        """Return the databases that were built."""
        return [name for name in self.names if "error" not in self.results[name].get("build", {"error": ""})]

    def knob(self, name: str) -> int:
        """Return the knob with a recall of 0.98, as the search found it."""
        found = self.results[name].get("search", {}).get("all")
        return chosen_knob(found, 0.98) if found else 64

    def one(self, task: str, name: str, timeout_s: float) -> Result:
        """Return what a task of a database gave."""
        options = {**self.options, "knob": self.knob(name)}
        return run(task, name, self.folder(name), self.points, options, timeout_s)

    def build(self) -> None:
        """Write the points into each, anew unless it is there."""
        for name in self.names:
            made = self.folder(name).with_suffix(".json")
            if made.exists() and self.options["is_kept"]:
                self.results[name]["build"] = json.loads(made.read_text())
                continue
            shutil.rmtree(self.folder(name), ignore_errors=True)
            result = self.results[name]["build"] = self.one("build", name, 900)
            made.unlink(missing_ok=True)
            if "error" not in result:
                made.write_text(json.dumps(result))

    def search(self) -> None:
        """Sweep the knobs of each, twice, the databases in turn; the better of the two counts."""
        timeout_s = 120 + 60 * self.options["seconds"]
        rounds = [{name: self.one("search", name, timeout_s) for name in self.alive()} for _ in range(2)]
        for name in self.alive():
            self.results[name]["search"] = best_of([each[name] for each in rounds])

    def open(self) -> None:
        """Open each in fresh processes, in turn: warm five times, cold three times."""
        for kind, times in (("warm", 5), ("cold", 3)):
            rounds: list[dict[str, Result]] = []
            for _ in range(times):
                opened = {}
                for name in self.alive():
                    if kind == "cold":
                        evict(self.folder(name))
                    opened[name] = self.one("open", name, 120)
                rounds.append(opened)
            for name in self.alive():
                self.results[name][kind] = least([each[name] for each in rounds])

    def upserts(self) -> None:
        """Write into each."""
        for name in self.alive():
            self.results[name]["upserts"] = self.one("upserts", name, 180 + 10 * self.options["seconds"])

    def mixed(self) -> None:
        """Do the mixed load with each."""
        for name in self.alive():
            self.results[name]["mixed"] = self.one("mixed", name, 180 + 1.5 * self.options["mixed_s"])

    def forget(self) -> None:
        """Remove the folders: they were written into."""
        for name in self.names:
            shutil.rmtree(self.folder(name), ignore_errors=True)
            self.folder(name).with_suffix(".json").unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector.database", description=__doc__)
    parser.add_argument("--set", choices=SETS, default="clustered")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--only", default=",".join(NAMES), help="names, with commas")
    parser.add_argument("--tasks", default=",".join(TASKS), help="with commas; open, upserts and mixed need search")
    parser.add_argument("--seconds", type=float, default=1, help="at most, for each point of a curve and kind of batch")
    parser.add_argument("--mixed", type=float, default=20, help="seconds of the mixed load; 1800 for the full run")
    parser.add_argument("--keep", action="store_true", help="take what an earlier run built, and leave it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    points = points_file(options.set, options.rows)
    given = {"seconds": options.seconds, "mixed_s": options.mixed, "is_kept": options.keep, "hang_s": 50}
    comparison = Comparison(options.only.split(","), points, given)
    steps: dict[str, Callable[[], None]] = {task: getattr(comparison, task) for task in TASKS}
    for task in options.tasks.split(","):
        started = time.monotonic()
        steps[task]()
        print(f"{task}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(comparison.results, indent=1))
    if not options.keep or {"upserts", "mixed"} & set(options.tasks.split(",")):
        comparison.forget()
    print(f"{points.stem}: a call a question, recall@10\n\n{tables(comparison.results)}")


if __name__ == "__main__":
    main()

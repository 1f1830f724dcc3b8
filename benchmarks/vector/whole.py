"""python -m benchmarks.vector.whole FOLDER: every comparison of vectors, one after the other, each into a file.

About 50 minutes of two quiet processors, once sets, environments and the collections of `opening` are there. A step
that fails or takes twice its time is said to have, and the next begins. The half hour of mixed load is left out unless
--mixed asks for it.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Step:
    """One command: `python -m benchmarks.vector...`."""

    name: str
    minutes: float  # that it took here, at most
    module: str
    arguments: str


STEPS = (
    Step("opening", 3, "benchmarks.vector.opening", ""),
    Step("clustered-200k", 7, "benchmarks.vector", "--rows 200000 --points"),
    Step("databases", 15, "benchmarks.vector.database", "--json FOLDER/databases.json"),
    Step("codes", 2, "benchmarks.vector.codes", "--rows 200000"),
    Step("sentences-100k", 8, "benchmarks.vector", "--set sentences --rows 100000"),
    Step("clustered-1m", 14, "benchmarks.vector", "--rows 1000000 --only ours,symphonyqg,faiss_ivfpq,hnswlib"),
    Step("unit-50k", 4, "benchmarks.vector", "--set unit --rows 50000"),
    Step("databases-sentences", 8, "benchmarks.vector.database", "--set sentences --tasks build,search"),
)
MIXED = Step(
    "mixed", 35, "benchmarks.vector.database",
    "--only hekla --tasks build,search,mixed --mixed 1800 --json FOLDER/mixed.json",
)  # fmt: skip


def chosen(names: str, *, is_mixed: bool) -> list[Step]:
    """Return the steps to do. Errors: ValueError for a name that is none's."""
    steps = [*STEPS, *([MIXED] if is_mixed else [])]
    wanted = [name for name in names.split(",") if name]
    unknown = sorted(set(wanted) - {step.name for step in steps})
    if unknown:
        raise ValueError(f"no step is named {', '.join(unknown)}; there are {', '.join(step.name for step in steps)}")
    return [step for step in steps if not wanted or step.name in wanted]


def run(step: Step, folder: Path) -> str:
    """Do a step, its output into FOLDER/NAME.md and NAME.err; return how it ended."""
    arguments: Sequence[str] = step.arguments.replace("FOLDER", str(folder)).split()
    command = [sys.executable, "-m", step.module, *arguments]
    started = time.monotonic()
    with (folder / f"{step.name}.md").open("w") as out, (folder / f"{step.name}.err").open("w") as err:
        try:
            code = subprocess.run(command, stdout=out, stderr=err, timeout=120 * step.minutes, check=False).returncode
        except subprocess.TimeoutExpired:
            return f"not done after {2 * step.minutes:.0f} minutes"
    return f"{time.monotonic() - started:.0f} s" + (f", failed ({code}): see {step.name}.err" if code else "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector.whole", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="steps, with commas: " + ", ".join(step.name for step in STEPS))
    parser.add_argument("--mixed", action="store_true", help="half an hour of mixed load at the end")
    options = parser.parse_args()
    try:
        steps = chosen(options.only, is_mixed=options.mixed)
    except ValueError as error:
        parser.error(str(error))
    options.folder.mkdir(parents=True, exist_ok=True)
    for step in steps:
        print(f"{step.name} (at most {step.minutes:.0f} min): ", end="", flush=True)
        print(run(step, options.folder), flush=True)


if __name__ == "__main__":
    main()

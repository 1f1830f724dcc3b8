"""python -m benchmarks.llm MODEL.gguf ...: every peer side by side, interleaved, medians of several rounds.

Before: an environment with requirements-peers.txt at $XDG_CACHE_HOME/hekla/bench/llm/env, one with
requirements-convert.txt at .../llm/convert, and the model converted by `convert.py` into .../llm/converted/STEM.
All peers are loaded at once and asked in turn; a peer that does not load is left out and said so.
"""

import argparse
import json
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lang.limits import measure_limits
from benchmarks.lang.machine import describe
from benchmarks.llm.measures import MEASURES
from benchmarks.llm.process import PEERS, Peer

Row = dict[str, Any]  # Any: figures by column, and the reason of one who is missing


def side_by_side(model: Path, threads: int, peers: list[str], rounds: int) -> list[Row]:
    """Return a row for each peer."""
    rows: list[Row] = []
    with ExitStack() as stack:
        loaded: list[tuple[Peer, Row]] = []
        for name in peers:
            row: Row = {"peer": name, "figures": {}}
            rows.append(row)
            try:
                peer = stack.enter_context(Peer(name, model, threads))
            except (RuntimeError, OSError) as error:
                row["missing"] = str(error)
                continue
            row["first answer s"] = peer.first_answer_s
            loaded.append((peer, row))
        random = np.random.default_rng(threads)
        for number in range(rounds + 1):  # the first warms up
            for measure in MEASURES:
                for peer, row in loaded:
                    if row.get("missing"):
                        continue
                    try:
                        found = measure.run(peer, random)
                    except (RuntimeError, OSError) as error:
                        row["missing"] = str(error)
                        continue
                    if number:
                        row["figures"].setdefault(measure.name, []).append(found)
        for peer, row in loaded:
            if not row.get("missing"):
                row["peak MiB"] = peer.peak_mib()
    return rows


def table(model: Path, threads: int, rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    names = [measure.name for measure in MEASURES]
    lines = [f"### {model.stem}, {threads} thread{'s' if threads > 1 else ''}, tokens/s (spread)", ""]
    lines.append("| peer | " + " | ".join([*names, "weights read, GB/s", "first answer s", "peak MiB"]) + " |")
    lines.append("|---" * (len(names) + 4) + "|")
    for row in rows:
        if row.get("missing"):
            lines.append(f"| {row['peer']} | did not run: {str(row['missing']).splitlines()[-1][:100]} |")
            continue
        cells = []
        for name in names:
            found = row["figures"][name]
            middle = statistics.median(found)
            cells.append(f"{middle:.0f} ({100 * (max(found) - min(found)) / middle:.0f} %)")
        decode = statistics.median(row["figures"]["decode"])
        # Decoding reads every weight once a token; peers of other formats read other bytes.
        speed = f"{decode * model.stat().st_size / 1e9:.0f}" if row["peer"] in ("hekla", "llama_cpp") else ""
        cells += [speed, f"{row['first answer s']:.1f}", f"{row['peak MiB']:.0f}"]
        lines.append(f"| {row['peer']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llm", description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write every figure there")
    asked = parser.parse_args()
    limits = measure_limits(0.5)
    for what, value in describe(limits):
        print(f"- {what}: {value}")
    everything = []
    for model in asked.models:
        for threads in asked.threads:
            rows = side_by_side(model.absolute(), threads, asked.peers, asked.rounds)
            everything.append({"model": model.stem, "threads": threads, "rows": rows})
            print("\n" + table(model, threads, rows), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()

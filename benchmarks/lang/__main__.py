"""python -m benchmarks.lang: the language's kernels beside their peers."""

import argparse
import os

ONE_THREAD = ("HEKLA_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Read the options, hold the peers to one thread, and print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lang", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="print tables for a document")
    parser.add_argument("--only", default="", help="sections, with commas: products,vectors,rowwise,...")
    parser.add_argument("--seconds", type=float, default=0.3, help="how long each callable of a row is timed")
    options = parser.parse_args()
    for name in ONE_THREAD:
        os.environ[name] = "1"
    from benchmarks.lang.report import (
        COMPILING,
        SECTIONS,
        SIZES,
        report,
    )  # NumPy reads the environment when it is imported

    only = [name for name in options.only.split(",") if name]
    for name in only:
        if name not in (*SECTIONS, COMPILING, SIZES):
            parser.error(f"no section {name!r}; there are {', '.join([*SECTIONS, COMPILING, SIZES])}")
    report(only, options.seconds, markdown=options.markdown)


if __name__ == "__main__":
    main()

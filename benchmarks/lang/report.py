"""The whole report: machine, then a table for each section."""

from collections.abc import Callable, Iterable, Mapping

from benchmarks.lang import calling, compiling, decoding, messages, pictures, products, rowwise, sizes, vectors
from benchmarks.lang.limits import Limits, measure_limits
from benchmarks.lang.machine import describe
from benchmarks.lang.table import HEADS, Row, show_table

Section = Callable[[Limits, float], Iterable[Row]]
SECTIONS: Mapping[str, tuple[str, Section]] = {
    "products": ("Matrix products, 1 thread", products.rows),
    "vectors": ("Distances of vectors, 1 thread", vectors.rows),
    "rowwise": ("Softmax, norms, activations, 1 thread", rowwise.rows),
    "pictures": ("Resize and normalise, 1 thread", pictures.rows),
    "decoding": ("Decoding and selection, 1 thread", decoding.rows),
    "calling": ("Calls from Python", calling.rows),
    "messages": ("Threads: messages and parallel loops", messages.rows),
}
COMPILING, SIZES = "compiling", "sizes"
NOTE = """A row is measured in one process, Hekla and its peers in turns. A figure is the best round of many; "spread"
is how far Hekla's round in the middle lay above its best. "x best peer" above 1 is faster. Gop/s is GFLOP/s for
floats and GB/s for bytes copied.
"""


def report(only: Iterable[str], seconds: float, *, markdown: bool) -> None:
    """Print the sections asked for, each as soon as it is measured."""
    wanted = list(only) or [*SECTIONS, COMPILING, SIZES]
    limits = measure_limits(seconds if wanted != [SIZES] else 0.01)  # sizes are the same on every machine
    print(show_table("Machine", ("what", "value"), describe(limits), markdown=markdown))
    print(NOTE)
    for name in wanted:
        if name == COMPILING:
            cells = [c.cells() for c in compiling.compilations()]
            print(show_table("Compiling", compiling.HEADS, cells, markdown=markdown), flush=True)
            continue
        if name == SIZES:
            cells = [s.cells() for s in sizes.sizes()]
            print(show_table("Sizes of programs", sizes.HEADS, cells, markdown=markdown), flush=True)
            continue
        title, measured = SECTIONS[name]
        cells = [row.cells() for row in measured(limits, seconds)]
        print(show_table(title, HEADS, cells, markdown=markdown), flush=True)

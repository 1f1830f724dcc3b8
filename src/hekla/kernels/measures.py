"""What near means to a search kernel: the kernels that measure, and how a score is turned into a rank and back.

A rank rises with the distance, whatever the metric: l2 the squared distance, dot minus the product, cosine 1 - cosine,
manhattan and hamming the distance. A score is what callers see, see the numbers below.
"""

from dataclasses import dataclass

from hekla.kernels.distances import (
    cosine,
    cosine_f16,
    cosine_f16_many,
    cosine_many,
    dot,
    dot_f16,
    dot_f16_many,
    dot_many,
    squared_l2,
    squared_l2_f16,
    squared_l2_f16_many,
    squared_l2_many,
)
from hekla.kernels.distances_i8 import (
    cosine_i8,
    cosine_i8_many,
    dot_i8,
    dot_i8_many,
    squared_l2_i8,
    squared_l2_i8_many,
)
from hekla.kernels.distances_l1 import hamming_many, manhattan_f16_many, manhattan_many
from hekla.lang import Kernel, f16, f32, i8, u8
from hekla.lang.types import ScalarType

ROOT, MINUS, LESS_ONE, SAME = 0, 1, 2, 3  # score: the root of the rank; minus it; minus it and 1 more; the rank itself
LINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric on vectors of one type. rank = offset + sign * what the kernels say."""

    element: ScalarType
    many: Kernel  # of a query and rows that follow each other
    pair: Kernel | None  # of a query and one row; None where no graph is searched by it
    sign: float
    offset: float
    scoring: int

    @property
    def line(self) -> int:
        """Elements in a cache line."""
        return LINE_BYTES // self.element.dtype.itemsize


MEASURES = {  # metric and element type
    ("l2", "float32"): Measure(f32, squared_l2_many, squared_l2, 1.0, 0.0, ROOT),
    ("l2", "float16"): Measure(f16, squared_l2_f16_many, squared_l2_f16, 1.0, 0.0, ROOT),
    ("l2", "int8"): Measure(i8, squared_l2_i8_many, squared_l2_i8, 1.0, 0.0, ROOT),
    ("dot", "float32"): Measure(f32, dot_many, dot, -1.0, 0.0, MINUS),
    ("dot", "float16"): Measure(f16, dot_f16_many, dot_f16, -1.0, 0.0, MINUS),
    ("dot", "int8"): Measure(i8, dot_i8_many, dot_i8, -1.0, 0.0, MINUS),
    ("cosine", "float32"): Measure(f32, cosine_many, cosine, -1.0, 1.0, LESS_ONE),
    ("cosine", "float16"): Measure(f16, cosine_f16_many, cosine_f16, -1.0, 1.0, LESS_ONE),
    ("cosine", "int8"): Measure(i8, cosine_i8_many, cosine_i8, -1.0, 1.0, LESS_ONE),
    ("manhattan", "float32"): Measure(f32, manhattan_many, None, 1.0, 0.0, SAME),
    ("manhattan", "float16"): Measure(f16, manhattan_f16_many, None, 1.0, 0.0, SAME),
    ("hamming", "uint8"): Measure(u8, hamming_many, None, 1.0, 0.0, SAME),
}

"""What a search asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hekla.vector.filters import Filter
from hekla.vector.point import PointId, Vector

if TYPE_CHECKING:
    from hekla.vector.expressions import Term  # a dozen classes that most programs never need

FusionKind = Literal["rrf", "weighted", "distribution"]
Strategy = Literal["average", "best_score", "sum_scores"]
Example = Vector | PointId  # a vector, or the id of the point whose vector it is


@dataclass(frozen=True, slots=True)
class Nearest:
    """Points whose vector is nearest to this one: dense, sparse, or several for max-sim."""

    vector: Example
    using: str = ""  # the vector's name


@dataclass(frozen=True, slots=True)
class Diverse:
    """Points near a vector and unlike each other (maximal marginal relevance); scores are those of `Nearest`."""

    vector: Example
    using: str = ""
    diversity: float = 0.5  # 0: as Nearest; 1: as unlike each other as can be
    candidates: int | None = None  # how many of the nearest it chooses from; None: as many as are asked for


@dataclass(frozen=True, slots=True)
class Words:
    """Points whose text at the path has these words, by BM25. The path has a text index."""

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Fusion:
    """The prefetches' results as one list.

    rrf: by places from 1, sum of 1 / (k - 1 + place / weight). weighted: by scores brought to 0..1 within each
    prefetch, sum of weight * score. distribution: as weighted, brought to about 0..1 by mean and three
    standard deviations.
    """

    kind: FusionKind = "rrf"
    weights: tuple[float, ...] = ()  # (): all 1
    k: float = 60.0  # Cormack, Clarke and Buettcher, SIGIR 2009


@dataclass(frozen=True, slots=True)
class Formula:
    """What the prefetches found, scored by an expression (`hekla.vector.expressions`), the greatest first.

    Defaults are for payload paths without a value, and by "$score[i]" for points that prefetch i did not find.
    """

    expression: "Term"
    defaults: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON


@dataclass(frozen=True, slots=True)
class Recommend:
    """Points like the positive examples and unlike the negative ones. Examples that are points are not found."""

    positive: tuple[Example, ...] = ()
    negative: tuple[Example, ...] = ()
    strategy: Strategy = "average"
    using: str = ""


@dataclass(frozen=True, slots=True)
class Discover:
    """Points near the target, on the positive side of as many pairs (positive, negative) as can be."""

    target: Example | None = None  # None: only the sides count
    context: tuple[tuple[Example, Example], ...] = ()
    using: str = ""


@dataclass(frozen=True, slots=True)
class OrderBy:
    """Points by the value at a path that has an integer, float or datetime index."""

    path: str
    is_descending: bool = False
    start_from: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Points drawn at random; the same seed on the same points draws the same."""

    seed: int = 0


Query = Nearest | Diverse | Words | Fusion | Formula | Recommend | Discover | OrderBy | Sample


@dataclass(frozen=True, slots=True)
class Search:
    """One search. `query` chooses from what the prefetches found: fusions and formulas join it, others score anew."""

    query: Query
    limit: int = 10
    offset: int = 0
    filter: Filter | None = None
    prefetch: Sequence["Search"] = field(default=())
    score_threshold: float | None = None
    ef: int | None = None  # candidates kept while walking the graph; None: enough for a recall of about 0.95
    is_exact: bool = False
    deadline_s: float | None = None  # from now; when over, the best so far is returned and flagged

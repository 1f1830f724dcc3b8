"""One running or waiting request, as the scheduler sees it, and what it plans for a step."""

from array import array
from dataclasses import dataclass, field

from hekla.llm.prefix_tree import Node
from hekla.protocols.text_engine import RequestId


@dataclass(slots=True, eq=False)
class Sequence:
    """Tokens, and how far their keys and values stand in pages."""

    request_id: RequestId
    tokens: list[int]  # prompt and answer
    prompt_tokens: int
    limit_tokens: int  # prompt and answer together never grow past it
    adapter: str = ""
    tenant: str = ""
    priority: int = 0
    deadline_s: float | None = None
    arrival: int = 0  # given by the scheduler: the smaller came first
    computed: int = 0  # the first tokens whose keys and values are in pages
    pages: "array[int]" = field(default_factory=lambda: array("i"))  # in order of position
    node: Node | None = None  # where in the prefix tree its last whole page is; None while it waits
    kept_pages: int = 0  # how many of its pages stand in the tree
    cached_tokens: int | None = None  # prompt tokens that the tree had when it first ran
    draft: list[int] = field(default_factory=list)  # tokens guessed to come next

    @property
    def is_decoding(self) -> bool:
        """True if only the last token is left to compute."""
        return self.computed == len(self.tokens) - 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a step computes of one sequence: tokens[start : start + count], then `drafted` tokens of its draft."""

    sequence: Sequence
    start: int
    count: int
    drafted: int = 0

    @property
    def is_last(self) -> bool:
        """True if a token is chosen after it."""
        return self.start + self.count == len(self.sequence.tokens)


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: page copies first, in order, then the chunks."""

    chunks: tuple[Chunk, ...]
    copies: tuple[tuple[int, int], ...]  # (source page, target page)
    expired: tuple[Sequence, ...]  # whose deadline passed: already forgotten


EMPTY_PLAN = Plan((), (), ())

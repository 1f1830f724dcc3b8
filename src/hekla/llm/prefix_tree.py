"""Prompts that were computed before, as a radix tree of blocks of tokens: one node, one page.

A node's path from its root spells the tokens whose keys and values its page ends. Roots are one an adapter, which
changes them. A node of a whole page may have children; a partial one (the tail of a prompt or of an answer) has none,
and is replaced as soon as a longer block with the same beginning comes. Windows of attention change nothing here:
pages keep all positions.

Order of use: `_by_age` has the least recently used node first. A path is marked from its end to its root, so that a
node is always older than its parent: the oldest node that nobody holds is a leaf.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hekla.llm.pages import PagePool

Block = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Node:
    """One page of tokens, after those of its parent."""

    block: Block
    page: int  # -1 for a root
    parent: "Node | None"
    adapter: str
    children: dict[int, list["Node"]] = field(default_factory=dict)  # by the first token of their blocks


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """What of a prompt is there: whole pages, and the start of one more page that has to be copied."""

    nodes: tuple[Node, ...]  # of whole pages, from the start
    partial: Node | None
    partial_tokens: int


class PrefixTree:
    """Keeps pages in a pool until they are needed."""

    def __init__(self, pool: PagePool, page_tokens: int) -> None:
        self._pool, self._page_tokens = pool, page_tokens
        self._roots: dict[str, Node] = {}
        self._by_age: OrderedDict[Node, None] = OrderedDict()

    def root(self, adapter: str) -> Node:
        """Return where all paths of an adapter begin."""
        if adapter not in self._roots:
            self._roots[adapter] = Node((), -1, None, adapter)
        return self._roots[adapter]

    def match(self, adapter: str, tokens: Sequence[int]) -> PrefixMatch:
        """Return the longest path of the first tokens, all but the last: at least one is left to compute."""
        node, place, last = self.root(adapter), 0, len(tokens) - 1
        found: list[Node] = []
        while True:
            rest = tuple(tokens[place : min(place + self._page_tokens, last)])
            best, shared = _nearest(node.children.get(rest[0], ()) if rest else (), rest)
            if best is None or shared < self._page_tokens:
                return PrefixMatch(tuple(found), best, shared)
            found.append(best)
            node, place = best, place + shared

    def extend(self, parent: Node, block: Block, page: int) -> Node:
        """Return the child of a node that spells a block, made with this page unless it is there already.

        A caller that gets another page than its own, of a whole block, does well to use that one and free its own:
        the bits are the same. A partial block of which the start is already known returns the one that knows it.
        """
        siblings = parent.children.setdefault(block[0], [])
        for sibling in siblings:
            if sibling.block[: len(block)] == block:
                return sibling
        for sibling in siblings:
            if block[: len(sibling.block)] == sibling.block:  # partial, and known better now
                self._remove(sibling)
                break
        node = Node(block, page, parent, parent.adapter)
        parent.children.setdefault(block[0], []).append(node)
        self._pool.keep(page)
        self._by_age[node] = None
        return node

    def touch(self, node: Node) -> None:
        """Mark a path as just used."""
        step: Node | None = node
        while step is not None and step.parent is not None:
            if step in self._by_age:
                self._by_age.move_to_end(step)
            step = step.parent

    def evict(self) -> bool:
        """Free the least recently used page that nobody holds; False if there is none."""
        for node in self._by_age:
            if not node.children and not self._pool.is_held(node.page):
                self._remove(node)
                return True
        return False

    def drop(self, adapter: str) -> None:
        """Forget all that was computed with an adapter."""
        for node in [node for node in self._by_age if node.adapter == adapter]:
            del self._by_age[node]
            self._pool.forget(node.page)
        self._roots.pop(adapter, None)

    def pages(self) -> Iterator[int]:
        """Yield the page of every node."""
        return (node.page for node in self._by_age)

    def _remove(self, node: Node) -> None:
        assert node.parent is not None, "roots have no page"
        siblings = node.parent.children[node.block[0]]
        siblings.remove(node)
        if not siblings:
            del node.parent.children[node.block[0]]
        del self._by_age[node]
        self._pool.forget(node.page)


def _nearest(nodes: Sequence[Node], tokens: Block) -> tuple[Node | None, int]:
    """Return the node that shares the most first tokens, and how many."""
    best, shared = None, 0
    for node in nodes:
        common = len(tokens) if node.block[: len(tokens)] == tokens else _common(node.block, tokens)
        if common > shared:
            best, shared = node, common
    return best, shared


def _common(left: Block, right: Block) -> int:
    """Return how many first tokens are the same."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))

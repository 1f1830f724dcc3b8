"""Pages that are kept for prompts that begin alike."""

import pytest

from hekla.base.errors import EngineError
from hekla.llm.pages import PagePool
from hekla.llm.prefix_tree import Node, PrefixTree


def grown(*paths: tuple[int, ...]) -> tuple[PagePool, PrefixTree]:
    """Return a tree of pages of 2 tokens that knows these paths, none of them held."""
    pool = PagePool(12)
    tree = PrefixTree(pool, 2)
    for path in paths:
        node, taken = tree.root(""), []
        for place in range(0, len(path), 2):
            taken.append(pool.take())
            node = tree.extend(node, path[place : place + 2], taken[-1])
        tree.touch(node)
        for page in taken:
            pool.release(page)
    return pool, tree


def spelled(nodes: tuple[Node, ...]) -> list[int]:
    return [token for node in nodes for token in node.block]


def test_a_match_is_the_longest_start_less_the_last_token() -> None:
    _, tree = grown((1, 2, 3, 4), (1, 2, 5))
    found = tree.match("", [1, 2, 3, 4, 9])
    assert spelled(found.nodes) == [1, 2, 3, 4]
    assert found.partial is None
    found = tree.match("", [1, 2, 3, 4])
    assert spelled(found.nodes) == [1, 2]
    assert found.partial is not None
    assert found.partial_tokens == 1
    found = tree.match("", [1, 2, 5, 6, 7])
    assert (spelled(found.nodes), found.partial_tokens) == ([1, 2], 1)
    found = tree.match("", [2, 1, 1])
    assert (found.nodes, found.partial) == ((), None)
    assert tree.match("", [1]).partial is None


def test_adapters_share_nothing() -> None:
    _, tree = grown((1, 2, 3, 4))
    assert tree.match("other", [1, 2, 3, 4, 5]).nodes == ()


def test_a_longer_block_replaces_the_partial_one() -> None:
    pool, tree = grown((1, 2, 3))
    node = tree.match("", [1, 2, 9]).nodes[0]
    page = pool.take()
    tree.extend(node, (3, 4), page)
    pool.release(page)
    assert pool.reusable == 2
    assert spelled(tree.match("", [1, 2, 3, 4, 5]).nodes) == [1, 2, 3, 4]
    assert tree.extend(node, (3,), page).block == (3, 4)


def test_the_least_recently_used_leaf_goes_first() -> None:
    pool, tree = grown((1, 2, 3, 4), (1, 2, 5, 6), (7, 8))
    tree.touch(tree.match("", [1, 2, 3, 4, 0]).nodes[-1])
    gone = []
    for _ in range(4):
        assert tree.evict()
        gone.append([len(tree.match("", [*path, 0]).nodes) for path in ((1, 2, 3, 4), (1, 2, 5, 6), (7, 8))])
    assert gone == [[2, 1, 1], [2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert not tree.evict()
    assert pool.free == 12


def test_held_pages_are_not_evicted() -> None:
    pool, tree = grown((1, 2, 3, 4))
    page = tree.match("", [1, 2, 3, 4, 0]).nodes[1].page
    pool.hold(page)
    assert not tree.evict()
    pool.release(page)
    assert tree.evict()


def test_dropping_an_adapter_frees_its_pages() -> None:
    pool, tree = grown((1, 2, 3, 4))
    tree.drop("")
    assert pool.free == 12
    pool.check_integrity([], tree.pages())


def test_the_integrity_check_sees_a_planted_leak() -> None:
    pool, tree = grown((1, 2, 3, 4))
    pool.check_integrity([], tree.pages())
    page = pool.take()
    pool.check_integrity([page], tree.pages())
    with pytest.raises(EngineError, match=rf"page {page}: .*0 sequences hold it"):
        pool.check_integrity([], tree.pages())
    with pytest.raises(EngineError, match="nodes keep it"):
        pool.check_integrity([page], [])

"""The block runner itself: what it runs, and that it notices what is wrong."""

from pathlib import Path

import pytest
from tests.docs.blocks import assert_shows, blocks_of, run_blocks


def run(tmp_path: Path, markdown: str) -> int:
    return run_blocks(blocks_of(markdown, "page.md"), tmp_path)


def test_blocks_run_in_order_in_one_folder(tmp_path: Path) -> None:
    page = (
        "```toml file=a/b.toml\nx = 1\n```\n"
        "```bash run\ncat a/b.toml\n```\n```text output\nx = 1\n```\n"
        "1. An item\n\n   ```bash fails\n   echo no >&2; exit 3\n   ```\n   ```text output\n   no\n   ```\n"
        "```bash\nfalse\n```\n"
    )
    assert run(tmp_path, page) == 2


def test_a_block_that_prints_something_else_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:4: the page shows\ntwo"):
        run(tmp_path, "```bash run\necho one\n```\n```text output\ntwo\n```\n")


def test_a_block_that_fails_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:1: exit status 1"):
        run(tmp_path, "```bash run\nfalse\n```\n")


def test_a_block_that_should_fail_and_does_not_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:1: exit status 0"):
        run(tmp_path, "```bash fails\ntrue\n```\n")


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("```bash rnu\nls\n```\n", "unknown role 'rnu'"),
        ("```text output\nx\n```\n", "no block before this output was run"),
        ("```text file=../x\nx\n```\n", "leads out"),
        ("```text run\nx\n```\n", "text cannot be run"),
        ("```bash serve\nhekla up\n```\n", "is one `hekla serve ...`"),
    ],
)
def test_a_block_marked_wrongly_is_refused(tmp_path: Path, markdown: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        run(tmp_path, markdown)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("a  b", "a b   \n"),
        ("a ... d", "a b c d"),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...\nd", "a\nd"),
        ("score 0.999 in 12 ms", "score 0.998 in 3.5 ms"),
        ("0.5... s, ...0.5, 1.5 ...", "0.54 s, 10.5, 1.5 2"),
        ("1.000 x 2.0 ...", "0.999 x 2.0 +3.0"),
        ("127.0.0.1 (v1.2.3)", "127.0.0.1 (v1.2.3)"),
    ],
)
def test_output_matches(expected: str, printed: str) -> None:
    assert_shows(expected, printed, "page.md:1")


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("a ... d", "a b\nc d"),
        ("a", "a\nb"),
        ("score 0.999", "score 0.9"),
        ("12 rows", "13 rows"),
        ("a.b", "axb"),
        ("127.0.0.1", "127.0.0.2"),
    ],
)
def test_output_differs(expected: str, printed: str) -> None:
    with pytest.raises(AssertionError, match="the page shows"):
        assert_shows(expected, printed, "page.md:1")

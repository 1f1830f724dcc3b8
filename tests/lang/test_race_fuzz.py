"""The race proof against brute force: what it accepts never collides, and what it shows does."""

import random
import re
from pathlib import Path

import pytest

from hekla.lang import Kernel, KernelTypeError, RaceError
from hekla.lang.files import kernel_in

SIZE = 24  # iterations tried by brute force


def index_expression(rng: random.Random, depth: int) -> str:
    """Return a random integer expression over i, the inner counter j and constants."""
    if depth == 0:
        return rng.choice(["i", "i", "j", str(rng.randint(0, 5))])
    a, b = index_expression(rng, depth - 1), index_expression(rng, depth - 1)
    choice = rng.randrange(6)
    if choice == 0:
        return f"({a} // {rng.randint(1, 4)})"
    if choice == 1:
        return f"({a} % {rng.randint(1, 30)})"
    if choice == 2:
        return f"({a} * {rng.randint(1, 6)})"
    if choice == 3:
        return f"min({a}, {b})"
    return f"({a} {rng.choice('+-')} {b})"


def touched(expression: str, i: int, inner: int, lanes: int) -> set[int]:
    """Return the places one iteration touches."""
    found: set[int] = set()
    for j in range(inner):
        at = eval(expression, {"i": i, "j": j, "min": min})
        found |= set(range(at, at + lanes))
    return found


def check(seed: int, folder: Path) -> str:
    """Make a loop with one write and perhaps one read, and hold the verdict against brute force."""
    rng = random.Random(seed)
    write, read = index_expression(rng, rng.randint(1, 3)), index_expression(rng, rng.randint(0, 2))
    inner, lanes, reads = rng.randint(1, 5), rng.choice([1, 1, 4]), rng.random() < 0.4
    value = f"y[{read}]" if reads else "1.0"
    store = f"y[{write}] = {value}" if lanes == 1 else f"store(y, {write}, Vec[f32, 4]({value}))"
    path = folder / f"race_{seed}.py"
    path.write_text(
        "from hekla.lang import *\n\n@kernel\ndef program(y: MutView[f32, 1], n: index):\n"
        f"    for i in parallel(n):\n        for j in range({inner}):\n            {store}\n"
    )
    program = kernel_in(path, "program")
    writes = [touched(write, i, inner, lanes) for i in range(SIZE)]
    both = [w | (touched(read, i, inner, 1) if reads else set()) for i, w in enumerate(writes)]
    verdict = verdict_on(program)
    if verdict == "no program":
        return verdict
    if verdict != "accepted":
        shown = re.match(r"iterations (\d+) and (\d+)", verdict)
        a, b = (int(shown[1]), int(shown[2])) if shown is not None else (0, SIZE)
        if max(a, b) < SIZE:
            meet = (writes[a] & both[b]) | (writes[b] & both[a])
            assert meet, f"seed {seed}: {write}, {read}: {verdict}"
        return "refused"
    for a in range(SIZE):
        for b in range(a):
            meet = (writes[a] & both[b]) | (writes[b] & both[a])
            assert not meet, f"seed {seed}: {a} and {b} meet: {write}, {read}"
    return "accepted"


def verdict_on(program: Kernel) -> str:
    """Return "accepted", the message of the race, or "no program" (a constant index below 0, say)."""
    try:
        program.lower()
    except RaceError as error:
        return error.message
    except KernelTypeError:
        return "no program"
    return "accepted"


def test_verdicts_agree_with_brute_force(tmp_path: Path) -> None:
    outcomes = [check(seed, tmp_path) for seed in range(12)]
    assert "refused" in outcomes


@pytest.mark.slow
def test_many_verdicts_agree_with_brute_force(tmp_path: Path) -> None:
    outcomes = [check(seed, tmp_path) for seed in range(100, 500)]
    assert outcomes.count("accepted") > 20
    assert outcomes.count("refused") > 20

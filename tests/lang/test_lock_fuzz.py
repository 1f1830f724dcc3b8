"""The proof of lock order against brute force: what it accepts always rises, and what it shows does not."""

import random
import re
from pathlib import Path

import pytest

from hekla.lang import DeadlockError, KernelTypeError
from hekla.lang.files import kernel_in

SIZE, WIDE = 12, 48  # values of a and b tried by brute force: for what is accepted, for what an error shows


def expression(rng: random.Random, depth: int) -> str:
    """Return a random integer expression over a and b, which is not negative where they are not."""
    if depth == 0:
        return rng.choice(["a", "b", str(rng.randint(0, 3))])
    left, right = expression(rng, depth - 1), expression(rng, depth - 1)
    forms = (f"min({left}, {right})", f"max({left}, {right})", f"({left} + {right})", f"({left} // 2)", f"({left} * 2)")
    return rng.choice(forms)


def check(seed: int, folder: Path) -> str:
    """Take two locks at random places under a random condition, and hold the verdict against brute force."""
    rng = random.Random(seed)
    first, second = expression(rng, rng.randint(0, 2)), expression(rng, rng.randint(0, 2))
    condition = f"a {rng.choice(['<', '<=', '!=', '>'])} b"
    path = folder / f"locks_{seed}.py"
    path.write_text(
        "from hekla.lang import Mutex, View, i64, index, kernel, lock\n\n@kernel\n"
        "def program(m: View[Mutex[i64], 1], a: index, b: index):\n"
        f"    if {condition} and a >= 0 and b >= 0:\n"
        f"        with lock(m[{first}]) as x, lock(m[{second}]) as y:\n            x += y\n"
    )
    names = {"min": min, "max": max}

    def places(size: int) -> list[tuple[int, int]]:
        tried = [{"a": a, "b": b} for a in range(size) for b in range(size)]
        return [(eval(first, names, at), eval(second, names, at)) for at in tried if eval(condition, {}, at)]

    verdict = verdict_on(path)
    if verdict == "no program":
        return verdict
    if verdict != "accepted":
        twice = re.match(r"lock (\d+) of 'm' may be waited for by the thread that holds it", verdict)
        crossed = re.match(r"lock (\d+) of 'm' is waited for while lock (\d+) is held", verdict)
        shown = (int(twice[1]), int(twice[1])) if twice else (int(crossed[2]), int(crossed[1])) if crossed else None
        assert shown is None or shown in places(WIDE), f"seed {seed}: {verdict}"
        return "refused"
    assert all(one < other for one, other in places(SIZE)), f"seed {seed}: {first}, {second} under {condition}"
    return "accepted"


def verdict_on(path: Path) -> str:
    """Return "accepted", the message of the deadlock, or "no program"."""
    try:
        kernel_in(path, "program").lower()
    except DeadlockError as error:
        return error.message
    except KernelTypeError:
        return "no program"
    return "accepted"


def test_verdicts_on_locks_agree_with_brute_force(tmp_path: Path) -> None:
    outcomes = [check(seed, tmp_path) for seed in range(8)]
    assert "refused" in outcomes


@pytest.mark.slow
def test_many_verdicts_on_locks_agree_with_brute_force(tmp_path: Path) -> None:
    outcomes = [check(seed, tmp_path) for seed in range(100, 500)]
    assert outcomes.count("accepted") > 10
    assert outcomes.count("refused") > 100

"""mypy reads the Python around kernels, and not the kernels."""

import sys
from pathlib import Path

import pytest
from mypy import api

PROGRAM = '''"""A user's file."""

import numpy as np

from hekla.lang import (
    Array, Atomic, Const, Function, MutView, Mutex, TypeParam, Vec, View, f32, i64, index, kernel, lock, parallel,
    struct,
)
from hekla.lang.actors import Address, actor
from hekla.lang.math import exp

T = TypeParam("T")


@struct
class Account:
    balance: i64
    changes: i64


@kernel(inline=True)
def square(x: T) -> T:
    return x * x


@kernel
def saxpy(a: f32, x: View[f32, 1], y: MutView[T, 2], *, f: Function = square, width: Const = 3) -> None:
    parts = Array[f32, width](0.0)
    total = Vec[f32, 16](0.0)
    for i in parallel(len(x)):
        y[i, 0] = a * x[i] + exp(y[i, 1]) + total[0] + parts[2]


@kernel
def pay(bank: View[Mutex[Account], 1], done: View[Atomic[i64], 1]) -> i64:
    with lock(bank[0]) as account:
        account.balance += 1
        both = Account(balance=account.balance, changes=1)
    return done[0].add(1) + both.changes


@actor(mailbox=8)
class Total:
    """Adds up."""

    sum: i64 = 0

    def add(self, n: i64) -> None:
        self.sum += n


@kernel
def feed(to: Address[Total], n: index) -> i64:
    return 1 if to.add.send(i64(n)) else 0


bank = np.zeros(1, Mutex[Account].dtype)
with Total.start() as running:
    running.add.send(1)
'''


@pytest.mark.slow
def test_a_users_strict_file_has_only_pythons_own_errors(tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\nplugins = hekla.lang.mypy_plugin\n")
    (tmp_path / "user.py").write_text(f"{PROGRAM}\nwrong: int = 'text'\n")
    said, trouble, _ = api.run(
        ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path), "--python-executable",
         sys.executable, "--follow-imports=silent", str(tmp_path / "user.py")]
    )  # fmt: skip
    assert trouble == ""
    errors = [line for line in said.splitlines() if ": error: " in line]
    assert len(errors) == 1, said
    assert "Incompatible types in assignment" in errors[0]


def test_the_program_is_one_of_the_language(tmp_path: Path) -> None:
    path = tmp_path / "user.py"
    path.write_text(PROGRAM)
    names: dict[str, object] = {"__name__": "user"}
    exec(compile(PROGRAM, str(path), "exec"), names)

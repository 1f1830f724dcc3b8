"""Random whole programs that are right by construction: every index is in its range, every loop ends.

`program(x: View[K, 1], s: View[i32, 2, strided], y: MutView[K, 1], z: MutView[i64, 1], n: index) -> i64`, for one kind
K of numbers a program. The parts: branches, loops, records, arrays, buffers, regions, slices, split views, vectors with
masks, gathers, calls of kernels with compile-time parameters, parallel loops, reductions, atomics and locks.
"""

import random
from dataclasses import dataclass

KINDS = ("f32", "f64", "f16", "bf16", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64")
FLOATS = ("f32", "f64", "f16", "bf16")
SIZE = 37  # elements of x, y and z: no multiple of any vector
ROWS, COLUMNS = 5, 7  # of s

HEAD = """from hekla.lang import *


@struct
class Record:
    flag: u8
    value: {kind}
    count: i64


@kernel(inline={inline})
def twice(a: {kind}, *, times: Const = 2) -> {kind}:
    for i in unroll(range(times)):
        a = a + a
    return a


@kernel
def apply(a: {kind}, b: {kind}, *, f: Function = twice) -> {kind}:
    if a < b:
        return f(a) - b
    return f(b, times=1)


@kernel
def filled(y: MutView[{kind}, 1], a: {kind}, first: index) -> i64:
    total = i64(0)
    for i in range(first, len(y), 2):
        y[i] = a
        total += i64(i)
    return total


@kernel
def program(x: View[{kind}, 1], s: View[i32, 2, strided], y: MutView[{kind}, 1], z: MutView[i64, 1], n: index) -> i64:
    total = i64(1)
    seed = i64(n)
"""


@dataclass
class Names:
    """What may be used where a statement stands."""

    values: list[str]  # of the program's kind
    indices: list[str]  # not negative


class RandomProgram:
    """Writes one program."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.kind = self.rng.choice(KINDS)
        self.lines: list[str] = []
        self._made = 0

    def text(self) -> str:
        """Return the program."""
        names = Names(["x[0]"], ["n"])
        self.block(names, 1, self.rng.randint(3, 7))
        head = HEAD.format(kind=self.kind, inline=self.rng.random() < 0.5)
        return "\n".join([head + "\n".join(self.lines), "    return total + seed", ""])

    # --- parts --------------------------------------------------------------------------------------------

    def name(self) -> str:
        """Return a new name."""
        self._made += 1
        return f"a{self._made}"

    def place(self, names: Names, length: str) -> str:
        """Return an index that is in range."""
        i = self.rng.choice(names.indices)
        return f"({i} * {self.rng.randint(1, 3)} + {self.rng.randint(0, 9)}) % {length}"

    def value(self, names: Names, depth: int = 2) -> str:
        """Return an expression of the program's kind."""
        rng, kind = self.rng, self.kind
        if depth == 0:
            return rng.choice([*names.values, f"x[{self.place(names, 'len(x)')}]", f"{kind}({rng.randint(0, 9)})"])
        a, b = self.value(names, depth - 1), self.value(names, depth - 1)
        operators = ["+", "-", "*"] + ([] if kind in FLOATS else ["//", "%", "&", "|", "^"])
        return rng.choice(
            [
                f"({a} {rng.choice(operators)} {b})",
                f"min({a}, {b})",
                f"max({a}, {b})",
                f"({a} if {self.condition(names)} else {b})",
                f"twice({a})",
                f"apply({a}, {b})",
                f"{kind}(s[{self.place(names, 's.shape[0]')}, {self.place(names, 's.shape[1]')}])",
                f"{kind}({rng.choice(KINDS)}({a}))",
            ]
        )

    def condition(self, names: Names) -> str:
        """Return a truth value."""
        rng = self.rng
        i = rng.choice(names.indices)
        return rng.choice(
            [
                f"{i} % {rng.randint(2, 4)} == {rng.randint(0, 1)}",
                f"{rng.choice(names.values)} < {self.kind}({rng.randint(0, 5)})",
                f"{i} > {rng.randint(0, 30)} and {i} != {rng.randint(0, 40)}",
            ]
        )

    def line(self, depth: int, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * depth + text)

    def block(self, names: Names, depth: int, count: int) -> None:
        """Write statements; what they declare is gone after the block."""
        inner = Names(list(names.values), list(names.indices))
        parts = [self.assign, self.update, self.store]
        larger = [
            self.branch, self.loop, self.count_down, self.array, self.buffer, self.region, self.record, self.slices,
            self.halves, self.vectors, self.gathered,
        ]  # fmt: skip
        for _ in range(count):
            self.rng.choice(parts if depth > 3 else [*parts, *larger])(inner, depth)
        if depth == 1:
            self.side_by_side(inner, depth)
            self.reduced(depth)
            self.shared(depth)

    # --- statements ---------------------------------------------------------------------------------------

    def assign(self, names: Names, depth: int) -> None:
        """Declare a variable."""
        name, value = self.name(), self.value(names)
        self.line(depth, f"{name} = {self.kind}({value})")
        names.values.append(name)

    def update(self, names: Names, depth: int) -> None:
        """Change what the program returns, and perhaps a variable."""
        own = [v for v in names.values if v.isidentifier()]
        if own and self.rng.random() < 0.6:
            self.line(depth, f"{self.rng.choice(own)} = {self.value(names)}")
        self.line(depth, f"total = total * 31 + i64({self.value(names, 1)})")
        self.line(depth, "seed = (seed ^ total) + 7")

    def store(self, names: Names, depth: int) -> None:
        """Write to an output."""
        self.line(depth, f"y[{self.place(names, 'len(y)')}] {self.rng.choice(['=', '+='])} {self.value(names)}")
        self.line(depth, f"z[{self.place(names, 'len(z)')}] += total")

    def branch(self, names: Names, depth: int) -> None:
        """Go two ways."""
        self.line(depth, f"if {self.condition(names)}:")
        self.block(names, depth + 1, self.rng.randint(1, 2))
        if self.rng.random() < 0.6:
            self.line(depth, "else:")
            self.block(names, depth + 1, 1)

    def loop(self, names: Names, depth: int) -> None:
        """Count, perhaps leave early."""
        i = self.name()
        stop = self.rng.choice([str(self.rng.randint(0, 6)), "n % 5", "len(x) % 4"])
        self.line(depth, f"for {i} in {self.rng.choice(['range({})', 'range(1, {}, 2)']).format(stop)}:")
        if self.rng.random() < 0.3:
            self.line(depth + 1, f"if {i} == 3:")
            self.line(depth + 2, self.rng.choice(["break", "continue"]))
        self.block(Names(names.values, [*names.indices, i]), depth + 1, self.rng.randint(1, 2))

    def count_down(self, names: Names, depth: int) -> None:
        """Repeat while there is something left."""
        left = self.name()
        self.line(depth, f"{left} = index({self.rng.randint(1, 5)})")
        self.line(depth, f"while {left} > 0:")
        self.line(depth + 1, f"{left} -= 1")
        self.block(Names(names.values, [*names.indices, left]), depth + 1, 1)

    def array(self, names: Names, depth: int) -> None:
        """Fill an array and read it."""
        a, length = self.name(), self.rng.choice([1, 3, 8])
        self.line(depth, f"{a} = Array[{self.kind}, {length}]({self.rng.randint(0, 3)})")
        self.line(depth, f"{a}[{self.place(names, str(length))}] = {self.value(names)}")
        names.values.append(f"{a}[{self.rng.randrange(length)}]")

    def buffer(self, names: Names, depth: int) -> None:
        """Own memory; lend it."""
        b, length = self.name(), self.rng.randint(1, 9)
        self.line(depth, f"{b} = buffer({self.kind}, {length})")
        self.line(depth, f"total += filled({b}.mut(), {self.value(names, 1)}, {self.rng.randint(0, 3)})")
        if self.rng.random() < 0.3:
            self.line(depth, f"{b}_moved = {b}")
            b = f"{b}_moved"
        self.line(depth, f"total ^= i64({b}[{self.place(names, str(length))}])")

    def region(self, names: Names, depth: int) -> None:
        """Take memory from a region."""
        r = self.name()
        self.line(depth, f"{r} = region(1024)")
        self.line(depth, f"{r}_a = {r}.take({self.kind}, {self.rng.randint(1, 20)})")
        self.line(depth, f"{r}_b = {r}.take(i64, 3)")
        self.line(depth, f"{r}_a[0] = {self.value(names)}")
        self.line(depth, f"{r}_b[2] = i64({r}_a[0]) + {r}_b[1]")
        self.line(depth, f"total += {r}_b[2]")

    def record(self, names: Names, depth: int) -> None:
        """Make a record, change a field."""
        r = self.name()
        self.line(depth, f"{r} = Record(flag=u8({self.rng.randint(0, 255)}), value={self.value(names)}, count=total)")
        self.line(depth, f"{r}.count += i64({r}.flag)")
        self.line(depth, f"total += {r}.count")
        names.values.append(f"{r}.value")

    def slices(self, names: Names, depth: int) -> None:
        """Look at every second element of a part."""
        v = self.name()
        first, step = self.rng.randint(0, 5), self.rng.randint(1, 3)
        self.line(depth, f"{v} = x[{first}:{first + 9}:{step}]")
        self.line(depth, f"total += i64({v}[{self.place(names, f'len({v})')}]) + i64(len({v}))")
        self.line(depth, f"{v}_row = s[{self.place(names, 's.shape[0]')}]")
        self.line(depth, f"total += i64({v}_row[{self.place(names, 's.shape[1]')}])")

    def halves(self, names: Names, depth: int) -> None:
        """Write to disjoint parts of the output."""
        v = self.name()
        self.line(depth, f"{v}_l, {v}_r = split(y, {self.rng.randint(1, 30)})")
        self.line(depth, f"{v}_l[0] = {self.value(names, 1)}")
        self.line(depth, f"{v}_r[{self.place(names, f'len({v}_r)')}] = {v}_l[0]")

    def vectors(self, names: Names, depth: int) -> None:
        """Walk the arrays in vectors, the end masked."""
        i, lanes = self.name(), self.rng.choice([2, 8, 16])
        count = f"count=len(x) - {i}"
        scalar = self.rng.choice([v for v in names.values if v.isidentifier()] or [f"{self.kind}(3)"])
        self.line(depth, f"for {i} in range(0, len(x), {lanes}):")
        self.line(depth + 1, f"{i}_v = load(x, {i}, width={lanes}, {count})")
        self.line(depth + 1, f"{i}_m = {i}_v < {scalar}")
        self.line(depth + 1, f"{i}_w = select({i}_m, {i}_v + {scalar}, {i}_v * {i}_v)")
        self.line(depth + 1, f"if any_lane({i}_m):")
        self.line(depth + 2, f"{i}_w = shuffle({i}_w, indices={tuple(range(lanes))[::-1]})")
        self.line(depth + 1, f"store(y, {i}, {i}_w, {count})")
        self.line(depth + 1, f"total += i64(reduce_{self.rng.choice(['add', 'min', 'max'])}({i}_w))")

    def gathered(self, names: Names, depth: int) -> None:
        """Read places that a vector names."""
        g = self.name()
        self.line(depth, f"{g} = gather(x, (iota(i32, width=8) * {self.rng.randint(1, 4)}) % i32(len(x)))")
        self.line(depth, f"total ^= i64({g}[{self.rng.randrange(8)}])")

    def side_by_side(self, names: Names, depth: int) -> None:
        """Write in parallel; count with an atomic, whose sum no order changes."""
        i = self.name()
        stable = Names([v for v in names.values if v.isidentifier() or v == "x[0]"], ["n", i])
        offset = self.rng.choice(["", " + 0", " * 1"])
        self.line(depth, f"for {i} in parallel(len(y)):")
        self.line(depth + 1, f"y[{i}{offset}] = y[{i}] + {self.value(stable)}")
        if self.rng.random() < 0.7:
            self.line(depth + 1, f"atomic_add(z, {i} % 3, i64({i}), order='relaxed')")
        if self.rng.random() < 0.3:
            self.line(depth + 1, f"atomic_max(z, 4, i64({i}) * 3)")

    def reduced(self, depth: int) -> None:
        """Combine what iterations add to, or take the least and the greatest of; the order is part of the meaning."""
        i, found, count = self.name(), self.name(), self.name()
        how = self.rng.choice(["add", "min", "max"])
        self.line(depth, f"{found} = x[{self.rng.randrange(SIZE)}]")
        self.line(depth, f"{count} = index(0)")
        named = f"reduce_add={count}, reduce_{how}={found}" if how != "add" else f"reduce_add=({count}, {found})"
        self.line(depth, f"for {i} in parallel(len(x), {named}):")
        self.line(depth + 1, f"{count} += {i} * {self.rng.randint(1, 5)}")
        more = f"{found} + x[{i}]" if how == "add" else f"{how}({found}, x[{i}])"
        self.line(depth + 1, f"{found} = {more}")
        self.line(depth, f"total ^= i64({found}) + i64({count})")

    def shared(self, depth: int) -> None:
        """Use Atomics and a Mutex of its own, alone and from the iterations of a loop."""
        cells, locks, view, guarded, i, held = (self.name() for _ in range(6))
        how = self.rng.choice(["add", "exchange", "min", "max"])
        self.line(depth, f"{cells} = Array[Atomic[i64], 2]({self.rng.randint(0, 9)})")
        self.line(depth, f"{locks} = Array[Mutex[i64], 2]({self.rng.randint(0, 9)})")
        self.line(depth, f"{view} = {cells}.view()")
        self.line(depth, f"{guarded} = {locks}.view()")
        self.line(depth, f"for {i} in parallel(len(x)):")
        self.line(depth + 1, f"{view}[{i} % 2].add(i64({i}) + 1, order='relaxed')")
        self.line(depth + 1, f"with lock({guarded}[1]) as {held}:")
        self.line(depth + 2, f"{held} += i64({i})")
        self.line(depth, f"total ^= {view}[1].{how}({self.rng.randint(-9, 9)})")
        self.line(depth, f"if {view}[0].compare_exchange({view}[1].load(), 3) != 3:")
        self.line(depth + 1, f"with lock({guarded}[1]) as {held}:")
        self.line(depth + 2, f"total ^= {held} + {view}[1].load()")

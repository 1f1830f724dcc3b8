# ruff: noqa: T201  print is a word of the language here
"""Programs that print, read and take arguments; test_program_io.py builds them for every target."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from hekla.lang import (
    Array,
    View,
    buffer,
    close_file,
    drop,
    f32,
    i32,
    i64,
    index,
    kernel,
    open_file,
    read,
    u8,
    u64,
    write,
)
from hekla.lang.printing import argument, argument_count, integer_of


@kernel
def hello() -> i32:
    print("hello", 3, 1.5)
    return 3


@kernel
def echo(arguments: View[u8, 1]) -> i32:
    count = argument_count(arguments)
    print("arguments:", count)
    total = i64(0)
    for i in range(count):
        print(argument(arguments, i))
        total += integer_of(argument(arguments, i), 0)
    print("sum", total)
    return i32(count)


@kernel
def numbers() -> i32:
    x = Array[f32, 5](0.0)
    x[0] = 1.0
    x[1] = -0.5
    x[2] = 1.0e-7
    x[3] = 3.0e10
    for i in range(5):
        print(i, x[i] / 3.0)
    print(i32(-7), u64(18446744073709551615), u8(255), x[0] / x[4], x[4] / x[4])
    print()
    return 0


@kernel
def sums() -> i32:
    """Read floats from standard input until it ends; write each doubled."""
    block = Array[f32, 16](0.0)
    count = 0
    while True:
        moved = read(0, block.mut())
        if moved <= 0:
            return i32(count)
        have = moved // 4
        for i in range(have):
            block[i] = block[i] * 2.0
        count += have
        if write(1, block.view()[:have]) != have * 4:
            return 99


@kernel
def copies(arguments: View[u8, 1]) -> i32:
    """Copy the file named first to the file named second."""
    source = open_file(argument(arguments, 0))
    if source < 0:
        print("no such file:", argument(arguments, 0))
        return 2
    target = open_file(argument(arguments, 1), writing=True)
    block = Array[u8, 256](0)
    total = 0
    while True:
        moved = read(source, block.mut())
        if moved <= 0:
            break
        total += write(target, block.view()[:moved])
    close_file(source)
    close_file(target)
    print("copied", total)
    return 0


@kernel
def refilled(arguments: View[u8, 1]) -> i32:
    """Take and give back memory in many orders; then what is asked for must fit again, as one piece."""
    size = index(integer_of(argument(arguments, 0), 0))
    total = 0
    for turn in range(40):
        a = buffer(u8, 64 + turn * 37 % 500)
        b = buffer(u8, 1 + turn * 91 % 900)
        c = buffer(u8, 200)
        total += len(a) + len(b) + len(c)
        if turn % 3 == 0:
            drop(a)
            d = buffer(u8, 40)
            drop(c)
            total += len(d)
        elif turn % 3 == 1:
            drop(b)
            e = buffer(u8, 1000)
            drop(e)
            drop(a)
        else:
            drop(c)
            drop(a)
            drop(b)
    whole = buffer(u8, size)
    print(total, len(whole))
    return 0

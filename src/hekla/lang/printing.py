"""Printing and reading numbers, in the language itself: what `print` inside of a kernel becomes.

Everything goes to standard output (file 1) as it is printed: nothing is kept back, Python's own buffer is not used.
"""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from hekla.lang.kernel import Kernel, kernel
from hekla.lang.surface import Array, MutView, View, bitcast, text, write
from hekla.lang.types import f64, i64, index, u8, u64

__all__ = [
    "Kernel", "argument", "argument_count", "integer_of", "print_float", "print_integer", "print_natural",
    "print_text",
]  # fmt: skip

FIGURES = 6  # of a float
POINT, PLACES = 320, 1408  # decimal places kept: any f64 has at most 309 before the point and 1074 behind it
STEP = 50  # powers of two at once: ten times 2^50 fits u64
MINUS, PLUS, DOT, ZERO, LETTER_E = 45, 43, 46, 48, 101


@kernel
def print_text(t: View[u8, 1]):
    """Write bytes to standard output."""
    at = 0
    while at < len(t):
        moved = write(1, t[at:])
        if moved <= 0:
            return
        at += moved


@kernel
def put_natural(value: u64, out: MutView[u8, 1], end: index) -> index:
    """Write decimal digits so that they end before `end`; return where they begin."""
    rest = value
    at = end
    while rest > 9:
        at -= 1
        out[at] = u8(rest % 10) + ZERO
        rest = rest // 10
    out[at - 1] = u8(rest) + ZERO
    return at - 1


@kernel
def print_natural(value: u64):
    """Write a number without sign."""
    line = Array[u8, 20](0)
    at = put_natural(value, line.mut(), 20)
    print_text(line.view()[at:])


@kernel
def print_integer(value: i64):
    """Write a whole number."""
    line = Array[u8, 21](0)
    size = bitcast(u64, value)
    if value < 0:
        size = 0 - size
    at = put_natural(size, line.mut(), 21)
    if value < 0:
        at -= 1
        line[at] = MINUS
    print_text(line.view()[at:])


@kernel
def decimal_digits(mantissa: u64, power: index, digits: MutView[u8, 1]) -> index:
    """Write mantissa * 2^power in decimal, exactly, with the point before place POINT; return where digits end."""
    low = put_natural(mantissa, digits, POINT)
    for i in range(low, POINT):
        digits[i] -= ZERO
    end = POINT
    left = power
    while left > 0:
        k = u64(min(left, STEP))
        carry = u64(0)
        for back in range(POINT - low):
            value = (u64(digits[POINT - 1 - back]) << k) + carry
            digits[POINT - 1 - back] = u8(value % 10)
            carry = value // 10
        while carry > 0:
            low -= 1
            digits[low] = u8(carry % 10)
            carry = carry // 10
        left = max(0, left - STEP)
    while left < 0:
        k = u64(min(0 - left, STEP))
        rest = u64(0)
        for i in range(low, end):
            value = rest * 10 + u64(digits[i])
            digits[i] = u8(value >> k)
            rest = value - (value >> k << k)
        while rest > 0:
            value = rest * 10
            digits[end] = u8(value >> k)
            rest = value - (value >> k << k)
            end += 1
        left = min(0, left + STEP)
    return end


@kernel
def rounded_up(digits: View[u8, 1], first: index, end: index) -> bool:
    """Say whether six digits from `first` are to be rounded up: to the nearest, ties to even."""
    next = first + FIGURES
    if next >= end or digits[next] < 5:
        return False
    if digits[next] > 5:
        return True
    for i in range(next + 1, end):
        if digits[i] != 0:
            return True
    return digits[next - 1] % 2 == 1


@kernel
def put_exponent(exponent: index, out: MutView[u8, 1], at: index) -> index:
    """Write e+07, say; return where it ends."""
    out[at] = LETTER_E
    out[at + 1] = PLUS
    if exponent < 0:
        out[at + 1] = MINUS
    size = u64(abs(exponent))
    end = at + (5 if size > 99 else 4)
    if size < 10:
        out[at + 2] = ZERO
    put_natural(size, out, end)
    return end


@kernel
def put_float(x: f64, out: MutView[u8, 1]) -> index:  # noqa: C901  one number from its bits to its text
    """Write a finite number with six digits, as format(x, ".6g") does; return how many bytes."""
    bits = bitcast(u64, x)
    at = 0
    if bits >> 63 != 0:
        out[0] = MINUS
        at = 1
    field = index(bits >> 52) & 2047
    mantissa = bits & 4503599627370495
    if field != 0:
        mantissa += 4503599627370496
    digits = Array[u8, PLACES](0)
    end = decimal_digits(mantissa, max(field, 1) - 1075, digits.mut())
    first = 0
    while first < end and digits[first] == 0:
        first += 1
    if first == end:
        out[at] = ZERO
        return at + 1
    if rounded_up(digits.view(), first, end):
        last = first + FIGURES - 1
        while last >= first and digits[last] == 9:
            digits[last] = 0
            last -= 1
        digits[last] += 1
        first = min(first, last)
    exponent = POINT - 1 - first
    count = FIGURES
    while count > 1 and digits[first + count - 1] == 0:
        count -= 1
    is_fixed = exponent >= -4 and exponent < FIGURES
    point = 0
    if is_fixed:
        point = exponent
    if point < 0:
        out[at] = ZERO
        out[at + 1] = DOT
        at += 2
        for _ in range(0 - point - 1):
            out[at] = ZERO
            at += 1
    for i in range(max(count, point + 1)):
        if i == point + 1 and point >= 0:
            out[at] = DOT
            at += 1
        out[at] = digits[first + i] + ZERO
        at += 1
    if is_fixed:
        return at
    return put_exponent(exponent, out, at)


@kernel
def print_float(x: f64):
    """Write a float with six digits."""
    if x != x:
        print_text(text("nan"))
        return
    if x - x != 0.0:
        if x > 0.0:
            print_text(text("inf"))
        else:
            print_text(text("-inf"))
        return
    line = Array[u8, 32](0)
    size = put_float(x, line.mut())
    print_text(line.view()[:size])


@kernel
def argument_count(arguments: View[u8, 1]) -> index:
    """Return how many arguments there are: each ends in a 0."""
    count = 0
    for i in range(len(arguments)):
        if arguments[i] == 0:
            count += 1
    return count


@kernel
def argument(arguments: View[u8, 1], number: index) -> View[u8, 1]:
    """Return an argument without its 0, counted from 0; nothing where there are not so many."""
    begin = 0
    left = number
    for i in range(len(arguments)):
        if arguments[i] == 0:
            if left == 0:
                return arguments[begin:i]
            left -= 1
            begin = i + 1
    return arguments[len(arguments) :]


@kernel
def integer_of(digits: View[u8, 1], otherwise: i64) -> i64:
    """Return a decimal number, perhaps with a sign; `otherwise` where the text is none. It wraps at 64 bits."""
    begin = 0
    if len(digits) > 0 and (digits[0] == MINUS or digits[0] == PLUS):
        begin = 1
    if begin == len(digits):
        return otherwise
    total = i64(0)
    for i in range(begin, len(digits)):
        if digits[i] < ZERO or digits[i] > ZERO + 9:
            return otherwise
        total = total * 10 + i64(digits[i] - ZERO)
    if digits[0] == MINUS:
        return 0 - total
    return total

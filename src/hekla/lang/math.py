"""exp, log, tanh, erf, sigmoid for f32 and vectors of it, written in the language itself.

Each is one polynomial without branches; errors are the largest seen over the stated range against 64-bit
arithmetic (tests/lang/test_math.py measures them). Results below 2^-126 are 0. NaN gives NaN.

    exp      1 ulp     Cephes expf (Moshier), range reduction by fma
    log      1 ulp     Cephes logf
    tanh     2 ulp     Cephes tanhf below 0.625, exp above
    erf      1 ulp     Juffa's minimax pair, joined at 0.9277
    sigmoid  3 ulp     1 / (1 + exp(-x))
"""

import math

from hekla.lang import TypeParam, bitcast, copysign, f32, fma, i32, kernel, select

V = TypeParam("V")  # f32 or Vec[f32, N]
INFINITY, NAN = math.inf, math.nan
LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits


@kernel(inline=True)
def exp_within(x: V) -> V:
    """Return e to the x for x from -87.3 to 88.7; outside of it the result means nothing. NaN gives NaN."""
    shifted = fma(x, LOG2_E, ROUND)
    n = shifted - ROUND
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
    p = fma(r, 1.9875691500e-4, 1.3981999507e-3)
    p = fma(p, r, 8.3334519073e-3)
    p = fma(p, r, 4.1665795894e-2)
    p = fma(p, r, 1.6666665459e-1)
    p = fma(p, r, 5.0000001201e-1)
    p = fma(p, r * r, r) + 1.0
    return bitcast(f32, bitcast(i32, p) + (bitcast(i32, shifted) << 23))


@kernel(inline=True)
def exp(x: V) -> V:
    """Return e to the x."""
    return select(x > 88.72283, INFINITY, select(x < -87.33654, 0.0, exp_within(x)))


@kernel(inline=True)
def log(x: V) -> V:
    """Return the natural logarithm; of 0 minus infinity, of less NaN."""
    small = x < 1.17549435e-38
    bits = bitcast(i32, select(small, x * 8388608.0, x))
    exponent = f32((bits >> 23) - 126) - select(small, V(23.0), 0.0)
    m = bitcast(f32, (bits & 0x007FFFFF) | 0x3F000000)
    low = m < 0.707106781186547524
    e = exponent - select(low, V(1.0), 0.0)
    r = select(low, m + m, m) - 1.0
    z = r * r
    p = fma(r, 7.0376836292e-2, -1.1514610310e-1)
    p = fma(p, r, 1.1676998740e-1)
    p = fma(p, r, -1.2420140846e-1)
    p = fma(p, r, 1.4249322787e-1)
    p = fma(p, r, -1.6668057665e-1)
    p = fma(p, r, 2.0000714765e-1)
    p = fma(p, r, -2.4999993993e-1)
    p = fma(p, r, 3.3333331174e-1)
    y = fma(e, LN2_LOW, p * r * z)
    y = fma(z, -0.5, y)
    result = fma(e, LN2_HIGH, r + y)
    result = select(x == INFINITY, INFINITY, result)
    result = select(x == 0.0, -INFINITY, result)
    return select((x < 0.0) | (x != x), NAN, result)


@kernel(inline=True)
def tanh(x: V) -> V:
    """Return the hyperbolic tangent."""
    a = abs(x)
    s = x * x
    p = fma(s, -5.70498872745e-3, 2.06390887954e-2)
    p = fma(p, s, -5.37397155531e-2)
    p = fma(p, s, 1.33314422036e-1)
    p = fma(p, s, -3.33332819422e-1)
    near = fma(p * s, x, x)
    far = copysign(1.0 - 2.0 / (exp(a + a) + 1.0), x)
    return select(a < 0.625, near, far)


@kernel(inline=True)
def erf(x: V) -> V:
    """Return the error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    a = min(6.0, abs(x))
    s = x * x
    r = fma(a, -1.72853470e-5, 3.83197126e-4)
    u = fma(a, -3.88396438e-3, 2.42546219e-2)
    r = fma(r, a * a, u)
    r = fma(r, a, -1.06777877e-1)
    r = fma(r, a, -6.34846687e-1)
    r = fma(r, a, -1.28717512e-1)
    far = copysign(1.0 - exp(fma(r, a, -a)), x)
    q = fma(s, -5.96761703e-4, 4.99119423e-3)
    q = fma(q, s, -2.67681349e-2)
    q = fma(q, s, 1.12819925e-1)
    q = fma(q, s, -3.76125336e-1)
    q = fma(q, s, 1.28379166e-1)
    near = fma(q, x, x)
    return select(a < 0.927734375, near, far)


@kernel(inline=True)
def sigmoid(x: V) -> V:
    """Return 1 / (1 + e to the -x)."""
    return 1.0 / (1.0 + exp(-x))

"""The place in the order of logits where a count or a mass of probability is reached, without sorting.

The order: largest first, the smaller id of equals first. Masked tokens are not in it. The search walks down the bits
of the logits: a histogram of 2048 by their upper 11 bits, one of those that share the bucket found, one more: three
passes, of which two skip nearly all. `floor`: tokens below it are left out of the first histogram; the caller knows
that what he looks for lies above.

A mass is a sum of exp((logit - best) * sharpness): the likeliest token weighs 1.
"""

from hekla.kernels.softmax import exp_below
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    any_lane,
    bitcast,
    f32,
    f64,
    i32,
    i64,
    index,
    iota,
    kernel,
    load,
    reduce_add,
    select,
    store,
    struct,
    u32,
    unroll,
)

LANES = 16
SHIFTS, WIDTHS = (21, 10, 0), (11, 11, 10)  # the bits of a key, level by level
LOWEST = -3.0e38
FAR = -100.0  # e to it is 0 among weights of which the largest is 1


@struct
class Cut:
    """A place in the order: what comes up to and with it is kept."""

    key: u32  # of the logit
    token: i32
    mass: f64  # of all that is kept


@kernel(inline=True)
def keys_of(x: Vec[f32, 16]) -> Vec[u32, 16]:
    """Return numbers that are ordered as floats are."""
    bits = bitcast(Vec[u32, 16], x)
    return select(bits >= 0x80000000, ~bits, bits | 0x80000000)


@kernel(inline=True)
def allowed_logits(logits: View[f32, 1], mask: View[u32, 1], i: index, n: index, is_masked: bool) -> Vec[f32, 16]:
    """Return sixteen logits; below all others where the mask or the end forbids."""
    places = iota(i32, width=16)
    on = places < i32(min(16, n - i))
    if is_masked:
        word = Vec[u32, 16](mask[i // 32] >> u32(i % 32))
        on = on & (((word >> u32(places)) & 1) == 1)
    return select(on, load(logits, i, width=16, count=n - i) + 0.0, LOWEST)  # -0.0 becomes 0.0: they are equal


@kernel
def mass_above(
    logits: View[f32, 1], mask: View[u32, 1], n: index, best: f32, sharpness: f32, floor: f32, cut_key: u32,
    cut_token: i32, least: f32, is_masked: bool,
) -> f64:  # fmt: skip
    """Return the mass of the tokens up to a cut that are at least `floor` and weigh at least `least`."""
    total = Vec[f64, 16](0.0)
    for i in range(0, n, LANES):
        x = allowed_logits(logits, mask, i, n, is_masked)
        weight = exp_below(max((x - best) * sharpness, FAR))
        keys = keys_of(x)
        in_cut = (keys > cut_key) | ((keys == cut_key) & (iota(i32, width=16) + i32(i) <= cut_token))
        on = in_cut & (x > LOWEST) & (x >= floor) & (weight >= least)
        total += f64(select(on, weight, 0.0))
    return reduce_add(total)


@kernel
def count_above(logits: View[f32, 1], mask: View[u32, 1], n: index, floor: f32, is_masked: bool) -> index:
    """Return how many tokens are at least `floor`."""
    total = Vec[i32, 16](0)
    for i in range(0, n, LANES):
        x = allowed_logits(logits, mask, i, n, is_masked)
        total += select((x >= floor) & (x > LOWEST), Vec[i32, 16](1), 0)
    return index(reduce_add(total))


@kernel(inline=True)
def histogram(
    logits: View[f32, 1], mask: View[u32, 1], n: index, best: f32, sharpness: f32, floor: f32, prefix: u32,
    is_count: bool, is_masked: bool, sums: MutView[f64, 1], *, level: Const,
):  # fmt: skip
    """Add up the tokens whose upper bits are `prefix` by the bits of a level."""
    shift: Const = SHIFTS[level]
    width: Const = WIDTHS[level]
    for empty in range(0, 1 << width, 32):
        store(sums, empty, Vec[f64, 32](0.0))
    for i in range(0, n, LANES):
        x = allowed_logits(logits, mask, i, n, is_masked)
        on = (x >= floor) & (x > LOWEST)
        keys = keys_of(x)
        if level > 0:
            on = on & ((keys >> (shift + width)) == prefix)
        if any_lane(on):
            weight = exp_below(max((x - best) * sharpness, FAR))
            for lane in range(LANES):
                if on[lane]:
                    bucket = index((keys[lane] >> shift) & ((1 << width) - 1))
                    sums[bucket] += 1.0 if is_count else f64(weight[lane])


@kernel
def crossing(sums: View[f64, 1], buckets: index, above: f64, target: f64, is_strict: bool) -> index:
    """Return the bucket, from the last one down, where a sum that begins at `above` reaches the target.

    Where none does, the lowest that is not empty.
    """
    total = above
    lowest = index(0)
    high = buckets - 32
    while high >= 0:
        if any_lane(load(sums, high, width=32) > 0.0):
            b = high + 31
            while b >= high:
                if sums[b] > 0.0:
                    lowest = b
                    total += sums[b]
                    if total > target or (total == target and not is_strict):
                        return b
                b -= 1
        high -= 32
    return lowest


@kernel(inline=True)
def sum_after(sums: View[f64, 1], first: index, buckets: index, above: f64) -> f64:
    """Return the sum of the buckets after one, from the last one down."""
    total = above
    b = buckets - 1
    while b > first:
        total += sums[b]
        b -= 1
    return total


@kernel
def nth_of_key(logits: View[f32, 1], mask: View[u32, 1], n: index, key: u32, count: i64, is_masked: bool) -> i32:
    """Return the id of the count-th token, from 1, with a key."""
    left = count
    token = i32(0)
    at = 0
    while at < n and left > 0:
        x = allowed_logits(logits, mask, at, n, is_masked)
        same = (keys_of(x) == key) & (x > LOWEST)
        if any_lane(same):
            for lane in range(LANES):
                if same[lane] and left > 0:
                    token = i32(at + lane)
                    left -= 1
        at += LANES
    return token


@kernel
def find_cut(
    logits: View[f32, 1], mask: View[u32, 1], n: index, best: f32, sharpness: f32, floor: f32, target: f64,
    cut: MutView[Cut, 1], is_count: bool, is_strict: bool, is_masked: bool,
):  # fmt: skip
    """Find the first place in the order whose running sum reaches the target (is_strict: exceeds it).

    Sums are masses, or counts of tokens. Where rounding lets no place reach it, it is the last place.
    """
    room = Array[f64, 1 << WIDTHS[0]](0.0)
    sums = room.mut()
    above = f64(0.0)
    prefix = u32(0)
    for level in unroll(range(3)):
        buckets: Const = 1 << WIDTHS[level]
        histogram(logits, mask, n, best, sharpness, floor, prefix, is_count, is_masked, sums, level=level)
        found = crossing(sums, buckets, above, target, is_strict)
        above = sum_after(sums, found, buckets, above)
        prefix = (prefix << WIDTHS[level]) | u32(found)
    # all that is left has one key: how many of them
    bits = prefix & 0x7FFFFFFF
    if prefix < 0x80000000:
        bits = ~prefix
    each = f64(1.0)
    if not is_count:
        each = f64(exp_below((bitcast(f32, bits) - best) * sharpness))
    wanted = i64(1)
    if each > 0.0:
        wanted = max(i64(1), i64((target - above) / each))
        if above + f64(wanted) * each < target or (is_strict and above + f64(wanted) * each <= target):
            wanted += 1
        wanted = max(i64(1), min(wanted, i64(sums[index(prefix & 1023)] / each + 0.5)))
    cut[0].key = prefix
    cut[0].mass = above + f64(wanted) * each
    cut[0].token = nth_of_key(logits, mask, n, prefix, wanted, is_masked)

"""fma of f64 in whole numbers, as LLVM text, for machines without the instruction (x86-64-v2, WebAssembly).

a b + c is rounded once, to the nearest, ties to even, subnormal results included; NaN where IEEE 754 gives one.
Numbers are taken apart into m 2^e with m of 54 bits, the last one 0; the product is two words, the sum of it and c
is aligned in 128 bits with a last bit that says "and something more", and what comes out is rounded as it is packed.
Source: the algorithm of musl's fma.c (Szabolcs Nagy, 2017; MIT licence), packing by integers instead of scalbn, and
a product that vanishes keeps its sign when c is 0.
"""

FMA_TEXT = """
define internal { i64, i64 } @hekla_parts(double %x) #0 section ".text.hekla_parts" {
  %plain = bitcast double %x to i64
  %plain.up = lshr i64 %plain, 52
  %plain.e = and i64 %plain.up, 2047
  %is.small = icmp eq i64 %plain.e, 0
  %scaled = fmul double %x, 0x43E0000000000000
  %scaled.bits = bitcast double %scaled to i64
  %scaled.up = lshr i64 %scaled.bits, 52
  %scaled.e = and i64 %scaled.up, 2047
  %is.zero = icmp eq i64 %scaled.e, 0
  %moved.e = sub i64 %scaled.e, 63
  %small.e = select i1 %is.zero, i64 2048, i64 %moved.e
  %bits = select i1 %is.small, i64 %scaled.bits, i64 %plain
  %field = select i1 %is.small, i64 %small.e, i64 %plain.e
  %fraction = and i64 %bits, 4503599627370495
  %whole = or i64 %fraction, 4503599627370496
  %m = shl i64 %whole, 1
  %e = sub i64 %field, 1076
  %one = insertvalue { i64, i64 } poison, i64 %m, 0
  %both = insertvalue { i64, i64 } %one, i64 %e, 1
  ret { i64, i64 } %both
}

define internal { i64, i64 } @hekla_product(i64 %x, i64 %y) #0 section ".text.hekla_product" {
  %x.low = and i64 %x, 4294967295
  %x.high = lshr i64 %x, 32
  %y.low = and i64 %y, 4294967295
  %y.high = lshr i64 %y, 32
  %least = mul i64 %x.low, %y.low
  %cross = mul i64 %x.low, %y.high
  %other = mul i64 %x.high, %y.low
  %middle = add i64 %cross, %other
  %most = mul i64 %x.high, %y.high
  %middle.low = shl i64 %middle, 32
  %middle.high = lshr i64 %middle, 32
  %low = add i64 %least, %middle.low
  %carried = icmp ult i64 %low, %least
  %carry = zext i1 %carried to i64
  %sum = add i64 %most, %middle.high
  %high = add i64 %sum, %carry
  %one = insertvalue { i64, i64 } poison, i64 %high, 0
  %both = insertvalue { i64, i64 } %one, i64 %low, 1
  ret { i64, i64 } %both
}

define internal double @hekla_packed(i64 %m, i64 %e, i64 %sign) #0 section ".text.hekla_packed" {
entry:
  %field = add i64 %e, 1085
  %is.normal = icmp sge i64 %field, 1
  %deep = sub i64 1, %field
  %more = select i1 %is.normal, i64 0, i64 %deep
  %shift = add i64 %more, 10
  %above = sub i64 %field, 1
  %base.e = select i1 %is.normal, i64 %above, i64 0
  %vanishes = icmp sgt i64 %shift, 63
  %overflows = icmp sgt i64 %base.e, 2045
  br i1 %vanishes, label %zero, label %other
other:
  br i1 %overflows, label %endless, label %round
round:
  %kept = lshr i64 %m, %shift
  %back = shl i64 %kept, %shift
  %rest = sub i64 %m, %back
  %below = sub i64 %shift, 1
  %half = shl i64 1, %below
  %is.more = icmp ugt i64 %rest, %half
  %is.tie = icmp eq i64 %rest, %half
  %last = and i64 %kept, 1
  %is.odd = icmp ne i64 %last, 0
  %tie.up = and i1 %is.tie, %is.odd
  %up = or i1 %is.more, %tie.up
  %unit = zext i1 %up to i64
  %rounded = add i64 %kept, %unit
  %base = shl i64 %base.e, 52
  %number = add i64 %base, %rounded
  br label %done
zero:
  br label %done
endless:
  br label %done
done:
  %size = phi i64 [ %number, %round ], [ 0, %zero ], [ 9218868437227405312, %endless ]
  %bits = or i64 %size, %sign
  %result = bitcast i64 %bits to double
  ret double %result
}

define double @fma(double %x, double %y, double %z) #0 section ".text.fma" {
entry:
  %x.parts = call { i64, i64 } @hekla_parts(double %x) #0
  %y.parts = call { i64, i64 } @hekla_parts(double %y) #0
  %z.parts = call { i64, i64 } @hekla_parts(double %z) #0
  %x.m = extractvalue { i64, i64 } %x.parts, 0
  %x.e = extractvalue { i64, i64 } %x.parts, 1
  %y.m = extractvalue { i64, i64 } %y.parts, 0
  %y.e = extractvalue { i64, i64 } %y.parts, 1
  %z.m = extractvalue { i64, i64 } %z.parts, 0
  %z.e = extractvalue { i64, i64 } %z.parts, 1
  %x.bits = bitcast double %x to i64
  %y.bits = bitcast double %y to i64
  %z.bits = bitcast double %z to i64
  %signs = xor i64 %x.bits, %y.bits
  %r.sign = and i64 %signs, -9223372036854775808
  %z.sign = and i64 %z.bits, -9223372036854775808
  %x.odd = icmp sge i64 %x.e, 971
  %y.odd = icmp sge i64 %y.e, 971
  %factors.odd = or i1 %x.odd, %y.odd
  %z.zero = icmp sgt i64 %z.e, 971
  br i1 %factors.odd, label %simple, label %proper
proper:
  br i1 %z.zero, label %product, label %finite
product:
  %only = fmul double %x, %y
  ret double %only
simple:
  %p = fmul double %x, %y
  %s = fadd double %p, %z
  ret double %s
finite:
  %z.odd = icmp eq i64 %z.e, 971
  br i1 %z.odd, label %addend, label %multiply
addend:
  ret double %z
multiply:
  %r = call { i64, i64 } @hekla_product(i64 %x.m, i64 %y.m) #0
  %r.high = extractvalue { i64, i64 } %r, 0
  %r.low = extractvalue { i64, i64 } %r, 1
  %r.e = add i64 %x.e, %y.e
  %d = sub i64 %z.e, %r.e
  %z.above = icmp sgt i64 %d, 0
  br i1 %z.above, label %up, label %down
up:
  %up.near = icmp slt i64 %d, 64
  br i1 %up.near, label %up.shift, label %up.word
up.shift:
  %us.low = shl i64 %z.m, %d
  %us.back = sub i64 64, %d
  %us.high = lshr i64 %z.m, %us.back
  br label %add
up.word:
  %uw.e = sub i64 %z.e, 64
  %uw.d = sub i64 %d, 64
  %uw.same = icmp eq i64 %uw.d, 0
  br i1 %uw.same, label %add, label %up.apart
up.apart:
  %ua.near = icmp slt i64 %uw.d, 64
  br i1 %ua.near, label %up.both, label %up.far
up.both:
  %ub.back = sub i64 64, %uw.d
  %ub.down = shl i64 %r.high, %ub.back
  %ub.own = lshr i64 %r.low, %uw.d
  %ub.lost = shl i64 %r.low, %ub.back
  %ub.some = icmp ne i64 %ub.lost, 0
  %ub.last = zext i1 %ub.some to i64
  %ub.joined = or i64 %ub.down, %ub.own
  %ub.low = or i64 %ub.joined, %ub.last
  %ub.high = lshr i64 %r.high, %uw.d
  br label %add
up.far:
  br label %add
down:
  %dd = sub i64 0, %d
  %down.same = icmp eq i64 %dd, 0
  br i1 %down.same, label %add, label %down.apart
down.apart:
  %down.near = icmp slt i64 %dd, 64
  br i1 %down.near, label %down.shift, label %down.far
down.shift:
  %ds.own = lshr i64 %z.m, %dd
  %ds.back = sub i64 64, %dd
  %ds.lost = shl i64 %z.m, %ds.back
  %ds.some = icmp ne i64 %ds.lost, 0
  %ds.last = zext i1 %ds.some to i64
  %ds.low = or i64 %ds.own, %ds.last
  br label %add
down.far:
  br label %add
add:
  %a.high = phi i64 [ %r.high, %up.shift ], [ %r.high, %up.word ], [ %ub.high, %up.both ], [ 0, %up.far ],
                    [ %r.high, %down ], [ %r.high, %down.shift ], [ %r.high, %down.far ]
  %a.low = phi i64 [ %r.low, %up.shift ], [ %r.low, %up.word ], [ %ub.low, %up.both ], [ 1, %up.far ],
                   [ %r.low, %down ], [ %r.low, %down.shift ], [ %r.low, %down.far ]
  %c.high = phi i64 [ %us.high, %up.shift ], [ %z.m, %up.word ], [ %z.m, %up.both ], [ %z.m, %up.far ],
                    [ 0, %down ], [ 0, %down.shift ], [ 0, %down.far ]
  %c.low = phi i64 [ %us.low, %up.shift ], [ 0, %up.word ], [ 0, %up.both ], [ 0, %up.far ],
                   [ %z.m, %down ], [ %ds.low, %down.shift ], [ 1, %down.far ]
  %e = phi i64 [ %r.e, %up.shift ], [ %uw.e, %up.word ], [ %uw.e, %up.both ], [ %uw.e, %up.far ],
               [ %r.e, %down ], [ %r.e, %down.shift ], [ %r.e, %down.far ]
  %alike = icmp eq i64 %r.sign, %z.sign
  br i1 %alike, label %plus, label %minus
plus:
  %p.low = add i64 %a.low, %c.low
  %p.over = icmp ult i64 %p.low, %c.low
  %p.carry = zext i1 %p.over to i64
  %p.sum = add i64 %a.high, %c.high
  %p.high = add i64 %p.sum, %p.carry
  br label %sum
minus:
  %m.low = sub i64 %a.low, %c.low
  %m.under = icmp ult i64 %a.low, %c.low
  %m.borrow = zext i1 %m.under to i64
  %m.diff = sub i64 %a.high, %c.high
  %m.high = sub i64 %m.diff, %m.borrow
  %m.negative = icmp slt i64 %m.high, 0
  %n.low = sub i64 0, %m.low
  %n.some = icmp ne i64 %m.low, 0
  %n.borrow = zext i1 %n.some to i64
  %n.over = sub i64 0, %m.high
  %n.high = sub i64 %n.over, %n.borrow
  %s.low = select i1 %m.negative, i64 %n.low, i64 %m.low
  %s.high = select i1 %m.negative, i64 %n.high, i64 %m.high
  %s.sign = select i1 %m.negative, i64 %z.sign, i64 %r.sign
  br label %sum
sum:
  %low = phi i64 [ %p.low, %plus ], [ %s.low, %minus ]
  %high = phi i64 [ %p.high, %plus ], [ %s.high, %minus ]
  %sign = phi i64 [ %r.sign, %plus ], [ %s.sign, %minus ]
  %long = icmp ne i64 %high, 0
  br i1 %long, label %two, label %one
two:
  %t.zeros = call i64 @llvm.ctlz.i64(i64 %high, i1 false)
  %t.d = sub i64 %t.zeros, 1
  %t.up = shl i64 %high, %t.d
  %t.back = sub i64 64, %t.d
  %t.from = lshr i64 %low, %t.back
  %t.lost = shl i64 %low, %t.d
  %t.some = icmp ne i64 %t.lost, 0
  %t.last = zext i1 %t.some to i64
  %t.joined = or i64 %t.up, %t.from
  %t.m = or i64 %t.joined, %t.last
  %t.word = add i64 %e, 64
  %t.e = sub i64 %t.word, %t.d
  %t.result = call double @hekla_packed(i64 %t.m, i64 %t.e, i64 %sign) #0
  ret double %t.result
one:
  %none = icmp eq i64 %low, 0
  br i1 %none, label %simple, label %short
short:
  %o.zeros = call i64 @llvm.ctlz.i64(i64 %low, i1 false)
  %o.full = icmp eq i64 %o.zeros, 0
  %o.d = sub i64 %o.zeros, 1
  %o.shift = select i1 %o.full, i64 0, i64 %o.d
  %o.up = shl i64 %low, %o.shift
  %o.half = lshr i64 %low, 1
  %o.bit = and i64 %low, 1
  %o.down = or i64 %o.half, %o.bit
  %o.m = select i1 %o.full, i64 %o.down, i64 %o.up
  %o.e = sub i64 %e, %o.d
  %o.result = call double @hekla_packed(i64 %o.m, i64 %o.e, i64 %sign) #0
  ret double %o.result
}

declare i64 @llvm.ctlz.i64(i64, i1)
"""

"""The names LLVM calls on 32-bit Arm (Run-time ABI for the Arm Architecture, sections 4.2 and 4.3.4), as LLVM text.

memcpy and its kin return nothing, and memset takes its byte last. A 64-bit division returns the quotient in r0 r1 and
the remainder in r2 r3: what LLVM does with a record of two i64.

Atomic operations on 64 bits, which the processor lacks, are plain ones: an image has one thread, and no interrupt runs
a kernel.
"""


def _moves() -> str:
    made = []
    for width in ("", "4", "8"):  # the alignment the caller promises, in bytes; the same code does for all
        for name in ("memcpy", "memmove"):
            made.append(f"""
define void @__aeabi_{name}{width}(ptr %to, ptr %from, WORD %count) #0 section ".text.__aeabi_{name}{width}" {{
  %r = call ptr @{name}(ptr %to, ptr %from, WORD %count) #0
  ret void
}}""")
        made.append(f"""
define void @__aeabi_memset{width}(ptr %to, WORD %count, i32 %byte) #0 section ".text.__aeabi_memset{width}" {{
  %r = call ptr @memset(ptr %to, i32 %byte, WORD %count) #0
  ret void
}}
define void @__aeabi_memclr{width}(ptr %to, WORD %count) #0 section ".text.__aeabi_memclr{width}" {{
  %r = call ptr @memset(ptr %to, i32 0, WORD %count) #0
  ret void
}}""")
    return "\n".join(made)


_DIVISION = """
define { i64, i64 } @__aeabi_uldivmod(i64 %a, i64 %b) #0 section ".text.__aeabi_uldivmod" {
entry:
  br label %loop
loop:
  %i = phi i32 [ 64, %entry ], [ %left, %loop ]
  %n = phi i64 [ %a, %entry ], [ %n.next, %loop ]
  %r = phi i64 [ 0, %entry ], [ %r.next, %loop ]
  %q = phi i64 [ 0, %entry ], [ %q.next, %loop ]
  %top = lshr i64 %n, 63
  %lost = icmp slt i64 %r, 0
  %r.up = shl i64 %r, 1
  %r.in = or i64 %r.up, %top
  %n.next = shl i64 %n, 1
  %reached = icmp uge i64 %r.in, %b
  %fits = or i1 %lost, %reached
  %r.less = sub i64 %r.in, %b
  %r.next = select i1 %fits, i64 %r.less, i64 %r.in
  %bit = zext i1 %fits to i64
  %q.up = shl i64 %q, 1
  %q.next = or i64 %q.up, %bit
  %left = sub i32 %i, 1
  %end = icmp eq i32 %left, 0
  br i1 %end, label %done, label %loop
done:
  %pair = insertvalue { i64, i64 } undef, i64 %q.next, 0
  %both = insertvalue { i64, i64 } %pair, i64 %r.next, 1
  ret { i64, i64 } %both
}

define { i64, i64 } @__aeabi_ldivmod(i64 %a, i64 %b) #0 section ".text.__aeabi_ldivmod" {
  %a.sign = ashr i64 %a, 63
  %b.sign = ashr i64 %b, 63
  %a.flip = xor i64 %a, %a.sign
  %a.size = sub i64 %a.flip, %a.sign
  %b.flip = xor i64 %b, %b.sign
  %b.size = sub i64 %b.flip, %b.sign
  %both = call { i64, i64 } @__aeabi_uldivmod(i64 %a.size, i64 %b.size) #0
  %q = extractvalue { i64, i64 } %both, 0
  %r = extractvalue { i64, i64 } %both, 1
  %q.sign = xor i64 %a.sign, %b.sign
  %q.flip = xor i64 %q, %q.sign
  %q.signed = sub i64 %q.flip, %q.sign
  %r.flip = xor i64 %r, %a.sign
  %r.signed = sub i64 %r.flip, %a.sign
  %pair = insertvalue { i64, i64 } undef, i64 %q.signed, 0
  %result = insertvalue { i64, i64 } %pair, i64 %r.signed, 1
  ret { i64, i64 } %result
}
"""

_ATOMICS = """
define i64 @__atomic_load_8(ptr %p, i32 %order) #0 section ".text.__atomic_load_8" {
  %v = load i64, ptr %p
  ret i64 %v
}

define void @__atomic_store_8(ptr %p, i64 %v, i32 %order) #0 section ".text.__atomic_store_8" {
  store i64 %v, ptr %p
  ret void
}

define i64 @__atomic_exchange_8(ptr %p, i64 %v, i32 %order) #0 section ".text.__atomic_exchange_8" {
  %before = load i64, ptr %p
  store i64 %v, ptr %p
  ret i64 %before
}

define i64 @__atomic_fetch_add_8(ptr %p, i64 %v, i32 %order) #0 section ".text.__atomic_fetch_add_8" {
  %before = load i64, ptr %p
  %sum = add i64 %before, %v
  store i64 %sum, ptr %p
  ret i64 %before
}

define zeroext i1 @__atomic_compare_exchange_8(ptr %p, ptr %expected, i64 %v, i32 %good, i32 %bad) #0
    section ".text.__atomic_compare_exchange_8" {
  %before = load i64, ptr %p
  %wanted = load i64, ptr %expected
  %same = icmp eq i64 %before, %wanted
  %after = select i1 %same, i64 %v, i64 %before
  store i64 %after, ptr %p
  store i64 %before, ptr %expected
  ret i1 %same
}
"""

EABI_TEXT = _moves() + _DIVISION + _ATOMICS

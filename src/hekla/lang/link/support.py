"""What compiled code may call without any library, as LLVM text: memory moves, an allocator, printing, fmaf.

LLVM itself makes calls to memcpy, memmove, memset and memcmp, and to fmaf on machines without a fused multiply-add
(computed in double, rounded to odd, so that the second rounding is right); the language makes calls to aligned_alloc
and free. Each function is in a section of its own, so that a product carries only those it uses. All are `nobuiltin`:
LLVM must not find that the loop of memset is a memset.

The allocator is a stack in one array, `arena_bytes` long: freeing the last block gives its bytes back, freeing another
one does nothing. Ownership scopes free in reverse order, so in practice everything comes back. It serves one thread.

    block    offset  size       meaning
             -16     w          where the stack ended before this block (w: bytes of an address)
              -8     w          the block before this one
               0     as asked   the caller's bytes
"""

from hekla.lang.link.support_eabi import EABI_TEXT
from hekla.lang.targets.seam import Target


def support_text(target: Target, arena_bytes: int) -> str:
    """Return the LLVM text of everything compiled code may call; needs `hekla_write` where printing is used."""
    text = _TEXT.replace("ARENA", str(arena_bytes)) + FMAF_TEXT
    if target.family == "thumb":
        text += EABI_TEXT
    return text.replace("WORD", f"i{target.pointer_bits}")


FMAF_TEXT = """
define float @fmaf(float %a, float %b, float %c) #0 section ".text.fmaf" {
  %wide.a = fpext float %a to double
  %wide.b = fpext float %b to double
  %wide.c = fpext float %c to double
  %product = fmul double %wide.a, %wide.b
  %sum = fadd double %product, %wide.c
  %back = fsub double %sum, %product
  %rest = fsub double %sum, %back
  %lost.a = fsub double %product, %rest
  %lost.b = fsub double %wide.c, %back
  %lost = fadd double %lost.a, %lost.b
  %bits = bitcast double %sum to i64
  %last = and i64 %bits, 1
  %even = icmp eq i64 %last, 0
  %inexact = fcmp one double %lost, 0.0
  %mend = and i1 %even, %inexact
  %lost.up = fcmp ogt double %lost, 0.0
  %sum.up = fcmp ogt double %sum, 0.0
  %away = icmp eq i1 %lost.up, %sum.up
  %step = select i1 %away, i64 1, i64 -1
  %moved = add i64 %bits, %step
  %odd = select i1 %mend, i64 %moved, i64 %bits
  %exact = bitcast i64 %odd to double
  %result = fptrunc double %exact to float
  ret float %result
}
"""

_TEXT = """
@hekla_arena = internal global [ARENA x i8] zeroinitializer, align 64, section ".bss.hekla_arena"
@hekla_arena_top = internal global ptr null, section ".bss.hekla_arena_top"
@hekla_arena_last = internal global ptr null, section ".bss.hekla_arena_last"

define ptr @memcpy(ptr %to, ptr %from, WORD %count) #0 section ".text.memcpy" {
entry:
  %none = icmp eq WORD %count, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi WORD [ 0, %entry ], [ %next, %loop ]
  %source = getelementptr i8, ptr %from, WORD %i
  %byte = load i8, ptr %source
  %goal = getelementptr i8, ptr %to, WORD %i
  store i8 %byte, ptr %goal
  %next = add WORD %i, 1
  %end = icmp eq WORD %next, %count
  br i1 %end, label %done, label %loop
done:
  ret ptr %to
}

define ptr @memmove(ptr %to, ptr %from, WORD %count) #0 section ".text.memmove" {
entry:
  %none = icmp eq WORD %count, 0
  br i1 %none, label %done, label %choose
choose:
  %up = icmp ule ptr %to, %from
  br i1 %up, label %forward, label %backward
forward:
  %i = phi WORD [ 0, %choose ], [ %next, %forward ]
  %source = getelementptr i8, ptr %from, WORD %i
  %byte = load i8, ptr %source
  %goal = getelementptr i8, ptr %to, WORD %i
  store i8 %byte, ptr %goal
  %next = add WORD %i, 1
  %end = icmp eq WORD %next, %count
  br i1 %end, label %done, label %forward
backward:
  %left = phi WORD [ %count, %choose ], [ %before, %backward ]
  %before = sub WORD %left, 1
  %source2 = getelementptr i8, ptr %from, WORD %before
  %byte2 = load i8, ptr %source2
  %goal2 = getelementptr i8, ptr %to, WORD %before
  store i8 %byte2, ptr %goal2
  %end2 = icmp eq WORD %before, 0
  br i1 %end2, label %done, label %backward
done:
  ret ptr %to
}

define ptr @memset(ptr %to, i32 %value, WORD %count) #0 section ".text.memset" {
entry:
  %byte = trunc i32 %value to i8
  %none = icmp eq WORD %count, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi WORD [ 0, %entry ], [ %next, %loop ]
  %goal = getelementptr i8, ptr %to, WORD %i
  store i8 %byte, ptr %goal
  %next = add WORD %i, 1
  %end = icmp eq WORD %next, %count
  br i1 %end, label %done, label %loop
done:
  ret ptr %to
}

define i32 @memcmp(ptr %a, ptr %b, WORD %count) #0 section ".text.memcmp" {
entry:
  %none = icmp eq WORD %count, 0
  br i1 %none, label %same, label %loop
loop:
  %i = phi WORD [ 0, %entry ], [ %next, %more ]
  %pa = getelementptr i8, ptr %a, WORD %i
  %pb = getelementptr i8, ptr %b, WORD %i
  %va = load i8, ptr %pa
  %vb = load i8, ptr %pb
  %equal = icmp eq i8 %va, %vb
  br i1 %equal, label %more, label %differ
more:
  %next = add WORD %i, 1
  %end = icmp eq WORD %next, %count
  br i1 %end, label %same, label %loop
differ:
  %wa = zext i8 %va to i32
  %wb = zext i8 %vb to i32
  %difference = sub i32 %wa, %wb
  ret i32 %difference
same:
  ret i32 0
}

define i32 @bcmp(ptr %a, ptr %b, WORD %count) #0 section ".text.bcmp" {
  %r = call i32 @memcmp(ptr %a, ptr %b, WORD %count) #0
  ret i32 %r
}

define ptr @aligned_alloc(WORD %align, WORD %size) #0 section ".text.aligned_alloc" {
entry:
  %top = load ptr, ptr @hekla_arena_top
  %fresh = icmp eq ptr %top, null
  %start = select i1 %fresh, ptr @hekla_arena, ptr %top
  %from = ptrtoint ptr %start to WORD
  %first = ptrtoint ptr @hekla_arena to WORD
  %limit = add WORD %first, ARENA
  %behind = add WORD %from, 16
  %less = sub WORD %align, 1
  %over = add WORD %behind, %less
  %mask = sub WORD 0, %align
  %at = and WORD %over, %mask
  %within = icmp ult WORD %at, %limit
  %room = sub WORD %limit, %at
  %enough = icmp ule WORD %size, %room
  %fits = and i1 %within, %enough
  br i1 %fits, label %take, label %full
take:
  %block = inttoptr WORD %at to ptr
  %note = getelementptr i8, ptr %block, WORD -16
  store ptr %start, ptr %note
  %older = load ptr, ptr @hekla_arena_last
  %link = getelementptr i8, ptr %block, WORD -8
  store ptr %older, ptr %link
  %after = getelementptr i8, ptr %block, WORD %size
  store ptr %after, ptr @hekla_arena_top
  store ptr %block, ptr @hekla_arena_last
  ret ptr %block
full:
  ret ptr null
}

define void @free(ptr %block) #0 section ".text.free" {
entry:
  %last = load ptr, ptr @hekla_arena_last
  %is_last = icmp eq ptr %block, %last
  %real = icmp ne ptr %block, null
  %pops = and i1 %is_last, %real
  br i1 %pops, label %pop, label %done
pop:
  %note = getelementptr i8, ptr %block, WORD -16
  %before = load ptr, ptr %note
  store ptr %before, ptr @hekla_arena_top
  %link = getelementptr i8, ptr %block, WORD -8
  %older = load ptr, ptr %link
  store ptr %older, ptr @hekla_arena_last
  br label %done
done:
  ret void
}

declare WORD @hekla_write(i32, ptr, WORD)

define void @hekla_print_i64(i64 %value) #0 section ".text.hekla_print_i64" {
entry:
  %text = alloca [24 x i8]
  %newline = getelementptr i8, ptr %text, WORD 23
  store i8 10, ptr %newline
  %negative = icmp slt i64 %value, 0
  %opposite = sub i64 0, %value
  %size = select i1 %negative, i64 %opposite, i64 %value
  br label %loop
loop:
  %rest = phi i64 [ %size, %entry ], [ %quotient, %loop ]
  %at = phi WORD [ 23, %entry ], [ %place, %loop ]
  %quotient = udiv i64 %rest, 10
  %whole = mul i64 %quotient, 10
  %digit = sub i64 %rest, %whole
  %small = trunc i64 %digit to i8
  %letter = add i8 %small, 48
  %place = sub WORD %at, 1
  %slot = getelementptr i8, ptr %text, WORD %place
  store i8 %letter, ptr %slot
  %end = icmp eq i64 %quotient, 0
  br i1 %end, label %sign, label %loop
sign:
  %front = sub WORD %place, 1
  %sign_slot = getelementptr i8, ptr %text, WORD %front
  store i8 45, ptr %sign_slot
  %begin = select i1 %negative, WORD %front, WORD %place
  %from = getelementptr i8, ptr %text, WORD %begin
  %count = sub WORD 24, %begin
  %written = call WORD @hekla_write(i32 1, ptr %from, WORD %count)
  ret void
}

attributes #0 = { nounwind nobuiltin noinline "no-builtins" }
"""

"""What compiled code may call without any library, as LLVM text: memory moves, an allocator, printing, fmaf.

LLVM itself makes calls to memcpy, memmove, memset and memcmp, and to fmaf on machines without a fused multiply-add
(computed in double, rounded to odd, so that the second rounding is right); the language makes calls to aligned_alloc
and free. Each function is in a section of its own, so that a product carries only those it uses. All are `nobuiltin`:
LLVM must not find that the loop of memset is a memset.

The allocator takes the first free block that fits, in one array `arena_bytes` long; blocks begin and end at multiples
of 64 bytes, and neighbours that are free become one. In programs that may have threads a lock is around it.

    block    offset  size       meaning
             -64     w          its bytes, these 64 included (w: bytes of an address)
             -56     w          the next free block, higher up; 0 for the last, and only while this one is free
               0     as asked   the caller's bytes
"""

from hekla.lang.link import system_linux, system_thumb
from hekla.lang.link.support_eabi import EABI_TEXT
from hekla.lang.link.system_linux import LOCK_TEXT, numbered
from hekla.lang.targets.seam import Target


def support_text(target: Target, arena_bytes: int, *, is_program: bool = False) -> str:
    """Return the LLVM text of everything compiled code may call; needs `hekla_write` where printing is used.

    is_program: with files and arguments, over what start code provides.
    """
    text = _TEXT.replace("ARENA", str(arena_bytes)) + FMAF_TEXT
    locks = is_program and target.family in ("x86-64", "aarch64", "riscv64")
    for word, name in (("UNLOCK", "hekla_unlock"), ("LOCK", "hekla_lock")):
        text = text.replace(f"  {word}\n", f"  call void @{name}() #0\n" if locks else "")
    if locks:
        text += system_linux.system_text(target) + numbered(LOCK_TEXT, target)
    if target.family == "thumb":
        text += EABI_TEXT
        # the product's own definition is system_thumb's
        text = text.replace("declare WORD @hekla_write(i32, ptr, WORD)\n", "") + system_thumb.system_text()
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
@hekla_arena_free = internal global ptr null, section ".bss.hekla_arena_free"
@hekla_arena_begun = internal global i8 0, section ".bss.hekla_arena_begun"

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
  %wide = icmp ule WORD %align, 64
  %small = icmp ult WORD %size, ARENA
  %sane = and i1 %wide, %small
  br i1 %sane, label %start, label %refuse
start:
  LOCK
  %begun = load i8, ptr @hekla_arena_begun
  %fresh = icmp eq i8 %begun, 0
  br i1 %fresh, label %first, label %search
first:
  store WORD ARENA, ptr @hekla_arena
  store ptr @hekla_arena, ptr @hekla_arena_free
  store i8 1, ptr @hekla_arena_begun
  br label %search
search:
  %padded = add WORD %size, 127
  %need = and WORD %padded, -64
  br label %look
look:
  %link = phi ptr [ @hekla_arena_free, %search ], [ %next.at, %more ]
  %node = load ptr, ptr %link
  %none = icmp eq ptr %node, null
  br i1 %none, label %full, label %more
more:
  %next.at = getelementptr i8, ptr %node, WORD 8
  %have = load WORD, ptr %node
  %enough = icmp uge WORD %have, %need
  br i1 %enough, label %take, label %look
take:
  %next = load ptr, ptr %next.at
  %rest = sub WORD %have, %need
  %splits = icmp uge WORD %rest, 128
  br i1 %splits, label %split, label %whole
split:
  %behind = getelementptr i8, ptr %node, WORD %need
  store WORD %rest, ptr %behind
  %behind.next = getelementptr i8, ptr %behind, WORD 8
  store ptr %next, ptr %behind.next
  store WORD %need, ptr %node
  br label %whole
whole:
  %following = phi ptr [ %behind, %split ], [ %next, %take ]
  store ptr %following, ptr %link
  UNLOCK
  %block = getelementptr i8, ptr %node, WORD 64
  ret ptr %block
full:
  UNLOCK
  ret ptr null
refuse:
  ret ptr null
}

define void @free(ptr %block) #0 section ".text.free" {
entry:
  %nothing = icmp eq ptr %block, null
  br i1 %nothing, label %done, label %start
start:
  LOCK
  %head = getelementptr i8, ptr %block, WORD -64
  %head.next = getelementptr i8, ptr %head, WORD 8
  br label %look
look:
  %link = phi ptr [ @hekla_arena_free, %start ], [ %node.next, %more ]
  %node = load ptr, ptr %link
  %last = icmp eq ptr %node, null
  br i1 %last, label %insert, label %compare
compare:
  %before = icmp ult ptr %node, %head
  br i1 %before, label %more, label %insert
more:
  %node.next = getelementptr i8, ptr %node, WORD 8
  br label %look
insert:
  store ptr %node, ptr %head.next
  store ptr %head, ptr %link
  %size = load WORD, ptr %head
  %end = getelementptr i8, ptr %head, WORD %size
  %meets = icmp eq ptr %end, %node
  br i1 %meets, label %join, label %back
join:
  %node.size = load WORD, ptr %node
  %sum = add WORD %size, %node.size
  store WORD %sum, ptr %head
  %after.at = getelementptr i8, ptr %node, WORD 8
  %after = load ptr, ptr %after.at
  store ptr %after, ptr %head.next
  br label %back
back:
  %is.first = icmp eq ptr %link, @hekla_arena_free
  br i1 %is.first, label %out, label %previous
previous:
  %earlier = getelementptr i8, ptr %link, WORD -8
  %earlier.size = load WORD, ptr %earlier
  %earlier.end = getelementptr i8, ptr %earlier, WORD %earlier.size
  %touches = icmp eq ptr %earlier.end, %head
  br i1 %touches, label %merge, label %out
merge:
  %head.size = load WORD, ptr %head
  %both = add WORD %earlier.size, %head.size
  store WORD %both, ptr %earlier
  %rest = load ptr, ptr %head.next
  store ptr %rest, ptr %link
  br label %out
out:
  UNLOCK
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

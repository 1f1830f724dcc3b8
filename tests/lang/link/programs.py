"""Programs in LLVM text that use what a linker must get right; WORD stands for the width of an address."""

from hekla.lang.targets.seam import Target

# y = A x + b with constants, then each element times 1000, printed as integers; the exit status counts the rows
HELLO_TENSOR = """
@matrix = private constant [4 x <4 x float>] [
  <4 x float> <float 1.0, float 2.0, float 3.0, float 4.0>, <4 x float> <float 0.5, float -1.5, float 2.5, float -3.5>,
  <4 x float> <float 8.0, float 0.0, float -8.0, float 1.0>, <4 x float> <float 0.25, float 0.5, float 0.75, float 1.0>]
@vector = private constant <4 x float> <float 1.5, float -2.0, float 0.25, float 4.0>
@bias = private global [4 x float] [float 0.125, float 0.25, float 0.5, float 1.0]
@result = private global [4 x float] zeroinitializer
declare void @hekla_print_i64(i64)
declare float @llvm.vector.reduce.fadd.v4f32(float, <4 x float>)

define void @multiply(ptr %out) noinline {
entry:
  %x = load volatile <4 x float>, ptr @vector
  br label %loop
loop:
  %i = phi WORD [ 0, %entry ], [ %next, %loop ]
  %row.at = getelementptr <4 x float>, ptr @matrix, WORD %i
  %row = load <4 x float>, ptr %row.at
  %products = fmul <4 x float> %row, %x
  %b.at = getelementptr float, ptr @bias, WORD %i
  %b = load float, ptr %b.at
  %sum = call float @llvm.vector.reduce.fadd.v4f32(float %b, <4 x float> %products)
  %out.at = getelementptr float, ptr %out, WORD %i
  store float %sum, ptr %out.at
  %next = add WORD %i, 1
  %end = icmp eq WORD %next, 4
  br i1 %end, label %done, label %loop
done:
  ret void
}

define i32 @main() {
entry:
  call void @multiply(ptr @result)
  br label %loop
loop:
  %i = phi WORD [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr float, ptr @result, WORD %i
  %y = load volatile float, ptr %at
  %scaled = fmul float %y, 1.0e3
  %small = fptosi float %scaled to i32
  %number = sext i32 %small to i64
  call void @hekla_print_i64(i64 %number)
  %next = add WORD %i, 1
  %end = icmp eq WORD %next, 4
  br i1 %end, label %done, label %loop
done:
  ret i32 4
}
"""
HELLO_TENSOR_OUTPUT = "14375\n-9375\n14500\n4562\n"

# calls through a table of functions, a jump table, initialised and zero data, memory moves, the allocator
MACHINERY = """
@table = internal global [3 x ptr] [ptr @double, ptr @square, ptr @negate]
@counter = global i32 7
@zeros = internal global [100 x i32] zeroinitializer
@text = private constant [6 x i8] c"hello\\0A"
declare void @hekla_print_i64(i64)
declare WORD @hekla_write(i32, ptr, WORD)
declare ptr @aligned_alloc(WORD, WORD)
declare void @free(ptr)
declare ptr @memmove(ptr, ptr, WORD)
declare i32 @memcmp(ptr, ptr, WORD)
declare void @llvm.memcpy.p0.p0.WORD(ptr, ptr, WORD, i1)
declare void @llvm.memset.p0.WORD(ptr, i8, WORD, i1)

define i64 @double(i64 %x) {
  %r = add i64 %x, %x
  ret i64 %r
}
define i64 @square(i64 %x) {
  %r = mul i64 %x, %x
  ret i64 %r
}
define i64 @negate(i64 %x) {
  %r = sub i64 0, %x
  ret i64 %r
}
define i64 @choose(i32 %which, i64 %x) noinline {
entry:
  switch i32 %which, label %other [ i32 0, label %a
    i32 1, label %b
    i32 2, label %c
    i32 3, label %d
    i32 4, label %e
    i32 5, label %f ]
a:
  %ra = sdiv i64 %x, 7
  ret i64 %ra
b:
  %rb = srem i64 %x, 1000
  ret i64 %rb
c:
  %rc = call i64 @square(i64 %x)
  ret i64 %rc
d:
  %rd = ashr i64 %x, 3
  ret i64 %rd
e:
  %re = xor i64 %x, -1
  ret i64 %re
f:
  ret i64 42
other:
  ret i64 -1
}
define i32 @main() {
entry:
  %wrote = call WORD @hekla_write(i32 1, ptr @text, WORD 6)
  %wrote64 = sext i32 6 to i64
  call void @hekla_print_i64(i64 %wrote64)
  br label %tables
tables:
  %i = phi i32 [ 0, %entry ], [ %next, %tables ]
  %f.at = getelementptr ptr, ptr @table, i32 %i
  %f = load volatile ptr, ptr %f.at
  %c = load volatile i32, ptr @counter
  %wide = sext i32 %c to i64
  %y = call i64 %f(i64 %wide)
  %narrow = trunc i64 %y to i32
  store volatile i32 %narrow, ptr @counter
  call void @hekla_print_i64(i64 %y)
  %next = add i32 %i, 1
  %end = icmp eq i32 %next, 3
  br i1 %end, label %cases, label %tables
cases:
  %k = phi i32 [ 0, %tables ], [ %k.next, %cases ]
  %z = call i64 @choose(i32 %k, i64 -123456789012)
  call void @hekla_print_i64(i64 %z)
  %k.next = add i32 %k, 1
  %k.end = icmp eq i32 %k.next, 7
  br i1 %k.end, label %memory, label %cases
memory:
  %size.at = getelementptr i32, ptr @zeros, i32 99
  %untouched = load volatile i32, ptr %size.at
  %untouched64 = sext i32 %untouched to i64
  call void @hekla_print_i64(i64 %untouched64)
  %block = call ptr @aligned_alloc(WORD 64, WORD 400)
  %address = ptrtoint ptr %block to i64
  %low = and i64 %address, 63
  call void @hekla_print_i64(i64 %low)
  %count = load volatile i32, ptr @counter
  %seven = sub i32 0, %count
  %amount = zext i32 %seven to WORD2
  call void @llvm.memset.p0.WORD(ptr %block, i8 9, WORD AMOUNT, i1 false)
  call void @llvm.memcpy.p0.p0.WORD(ptr @zeros, ptr %block, WORD AMOUNT, i1 false)
  %ahead = getelementptr i8, ptr @zeros, i32 2
  %moved = call ptr @memmove(ptr %ahead, ptr @zeros, WORD AMOUNT)
  %differ = call i32 @memcmp(ptr @zeros, ptr %block, WORD AMOUNT)
  %differ64 = sext i32 %differ to i64
  call void @hekla_print_i64(i64 %differ64)
  %last.at = getelementptr i8, ptr @zeros, i32 197
  %last = load volatile i8, ptr %last.at
  %last64 = sext i8 %last to i64
  call void @hekla_print_i64(i64 %last64)
  call void @free(ptr %block)
  %again = call ptr @aligned_alloc(WORD 64, WORD 40)
  %same = icmp eq ptr %block, %again
  %same64 = zext i1 %same to i64
  call void @hekla_print_i64(i64 %same64)
  ret i32 17
}
"""
MACHINERY_OUTPUT = (
    "hello\n6\n14\n196\n-196\n-17636684144\n-12\n4568148269394301328\n-15432098627\n123456789011\n42\n-1\n"
    "0\n0\n0\n9\n1\n"
)


def text_for(program: str, target: Target) -> str:
    """Return a program with addresses of the target's width."""
    word = f"i{target.pointer_bits}"
    amount = "zext i32 %seven to i64" if word == "i64" else "add i32 %seven, 0"
    program = program.replace("zext i32 %seven to WORD2", amount).replace("AMOUNT", "%amount")
    return program.replace("WORD", word)

"""What bare-metal programs ask of a debugger or emulator, as LLVM text: files and arguments through semihosting.

`hekla_semihost(operation, argument)` is machine code (start_thumb.py). Operations (Arm's "Semihosting for AArch32"):
    1  SYS_OPEN         {path, mode, bytes of the path} -> handle, -1;  mode 1 reads bytes, 5 writes
    2  SYS_CLOSE        {handle}
    5  SYS_WRITE        {handle, from, bytes} -> bytes not written
    6  SYS_READ         {handle, to, bytes} -> bytes not read
    21 SYS_GET_CMDLINE  {place, its bytes}: the program's name and arguments with a space between, then 0

File 0 is the console ":tt", opened for reading when it is first read; file 1 and 2 are its output; file n + 3 is
handle n. An argument cannot hold a space.
"""

from hekla.lang.llvm.system import OPEN

LINE_BYTES = 256  # of the command line

_OPEN_CALL = """  %mode = select i1 %writes, i32 5, i32 1
  %file = call i32 @hekla_open_host(ptr %copy, i32 %count, i32 %mode)"""

_TEXT = """
declare i32 @hekla_semihost(i32, ptr)
declare i32 @hekla_console_write(i32, ptr, i32)
@hekla_console = internal global i32 -1, section ".data.hekla_console"
@hekla_console_name = internal constant [4 x i8] c":tt\\00", section ".rodata.hekla_console_name"

define internal i32 @hekla_transfer(i32 %operation, i32 %handle, ptr %memory, i32 %count) #0 section ".text.transfer" {
  %block = alloca [3 x i32], align 4
  store i32 %handle, ptr %block
  %at = getelementptr i8, ptr %block, i32 4
  store ptr %memory, ptr %at
  %size = getelementptr i8, ptr %block, i32 8
  store i32 %count, ptr %size
  %left = call i32 @hekla_semihost(i32 %operation, ptr %block) #0
  %moved = sub i32 %count, %left
  %bad = icmp slt i32 %moved, 0
  %result = select i1 %bad, i32 -1, i32 %moved
  ret i32 %result
}

define internal i32 @hekla_open_host(ptr %path, i32 %count, i32 %mode) #0 section ".text.hekla_open_host" {
  %block = alloca [3 x i32], align 4
  store ptr %path, ptr %block
  %at = getelementptr i8, ptr %block, i32 4
  store i32 %mode, ptr %at
  %size = getelementptr i8, ptr %block, i32 8
  store i32 %count, ptr %size
  %handle = call i32 @hekla_semihost(i32 1, ptr %block) #0
  %bad = icmp slt i32 %handle, 0
  %number = add i32 %handle, 3
  %file = select i1 %bad, i32 -1, i32 %number
  ret i32 %file
}

define i32 @hekla_write(i32 %file, ptr %from, i32 %count) #0 section ".text.hekla_write" {
entry:
  %is.console = icmp ult i32 %file, 3
  br i1 %is.console, label %console, label %file.block
console:
  %written = call i32 @hekla_console_write(i32 %file, ptr %from, i32 %count) #0
  ret i32 %written
file.block:
  %handle = sub i32 %file, 3
  %moved = call i32 @hekla_transfer(i32 5, i32 %handle, ptr %from, i32 %count) #0
  ret i32 %moved
}

define i32 @hekla_read(i32 %file, ptr %to, i32 %count) #0 section ".text.hekla_read" {
entry:
  %is.console = icmp eq i32 %file, 0
  br i1 %is.console, label %console, label %other
console:
  %known = load i32, ptr @hekla_console
  %is.open = icmp sge i32 %known, 0
  br i1 %is.open, label %read, label %open
open:
  %made = call i32 @hekla_open_host(ptr @hekla_console_name, i32 3, i32 1) #0
  store i32 %made, ptr @hekla_console
  br label %read
other:
  br label %read
read:
  %number = phi i32 [ %known, %console ], [ %made, %open ], [ %file, %other ]
  %handle = sub i32 %number, 3
  %moved = call i32 @hekla_transfer(i32 6, i32 %handle, ptr %to, i32 %count) #0
  ret i32 %moved
}

define void @hekla_close(i32 %file) #0 section ".text.hekla_close" {
  %block = alloca i32
  %handle = sub i32 %file, 3
  store i32 %handle, ptr %block
  %r = call i32 @hekla_semihost(i32 2, ptr %block) #0
  ret void
}

@hekla_line = internal global [LINE x i8] zeroinitializer, section ".bss.hekla_line"

define { ptr, i64 } @hekla_arguments(ptr %stack) #0 section ".text.hekla_arguments" {
entry:
  %block = alloca [2 x i32], align 4
  store ptr @hekla_line, ptr %block
  %size = getelementptr i8, ptr %block, i32 4
  store i32 LINE, ptr %size
  %bad = call i32 @hekla_semihost(i32 21, ptr %block) #0
  br label %name
name:
  %at = phi ptr [ @hekla_line, %entry ], [ %at.next, %name.more ]
  %byte = load i8, ptr %at
  %at.next = getelementptr i8, ptr %at, i32 1
  switch i8 %byte, label %name.more [ i8 0, label %none
    i8 32, label %arguments ]
name.more:
  br label %name
arguments:
  %place = phi ptr [ %at.next, %name ], [ %place.next, %other ], [ %place.next, %space ]
  %letter = load i8, ptr %place
  %place.next = getelementptr i8, ptr %place, i32 1
  switch i8 %letter, label %other [ i8 0, label %done
    i8 32, label %space ]
other:
  br label %arguments
space:
  store i8 0, ptr %place
  br label %arguments
done:
  %from = ptrtoint ptr %at.next to i32
  %to = ptrtoint ptr %place.next to i32
  %length = sub i32 %to, %from
  %wide = zext i32 %length to i64
  %one = insertvalue { ptr, i64 } poison, ptr %at.next, 0
  %both = insertvalue { ptr, i64 } %one, i64 %wide, 1
  ret { ptr, i64 } %both
none:
  %empty = insertvalue { ptr, i64 } poison, ptr @hekla_line, 0
  %nothing = insertvalue { ptr, i64 } %empty, i64 0, 1
  ret { ptr, i64 } %nothing
}
"""


def system_text() -> str:
    """Return the LLVM text of files and arguments."""
    opening = OPEN.replace("WORD", "i32").replace("CALL", _OPEN_CALL)
    opening = opening.replace("define internal", "define").replace(") {", ') #0 section ".text.hekla_open" {', 1)
    return _TEXT.replace("LINE", str(LINE_BYTES)) + opening

"""The function CPython calls: unpacks arguments, frees the interpreter lock, runs the kernel, packs its result.

It is written in LLVM text like the kernel, reads NumPy arrays by their public C layout, and on anything it
does not expect hands the same arguments to `self`, a Python callable that converts them or says what is wrong.
Code refers to nothing by address: everything of the process is in the table `hekla_env` (llvm/environment.py), which is
filled after loading.

    PyArrayObject (NumPy's C API, PyArrayObject_fields), offsets in bytes on 64-bit machines:
    8 type, 16 data, 24 number of dimensions (i32), 32 dimensions, 40 strides (bytes), 56 descr, 64 flags (i32)
"""

from collections.abc import Sequence

from hekla.lang import types as t
from hekla.lang.ir.core import Function, SlotType
from hekla.lang.llvm.environment import ENTRY, ENVIRONMENT, environment_names
from hekla.lang.llvm.names import commas, register_type
from hekla.lang.llvm.text import Text

ALIGNED, WRITEABLE = 0x100, 0x400
MANY = 8  # views, past which a loop looks for those that overlap


def can_be_called(function: Function) -> str:
    """Return why Python cannot call a kernel, or an empty text."""
    for param in function.params:
        if not isinstance(param.type, t.ScalarType | t.ViewType):
            return f"parameter {param.hint!r} is {shown(param.type)}"
    if not isinstance(function.result, t.ScalarType | t.NoneType_):
        return f"its result is {function.result}"
    return ""


def shown(kind: t.Type) -> str:
    """Return a parameter's type as its author wrote it: a region is lent as its slot."""
    return str(kind.element if isinstance(kind, SlotType) else kind)


class EntryText:
    """Writes the entry of one kernel."""

    def __init__(self, function: Function, text: Text) -> None:
        self.function, self.text = function, text
        self.lines: list[str] = []
        self.env = environment_names(function.params)
        self._count = 0
        self.extents: list[tuple[bool, str, str]] = []  # (is written, first byte, past the last byte)

    def run(self) -> None:
        """Write the table and the entry into the module."""
        params = self.function.params
        right_count = self.make(f"icmp eq i64 %count, {len(params)}")
        self._continue_if(self.make(f"and i1 {right_count}, {self.make('icmp eq ptr %names, null')}"))
        args: list[str] = []
        for position, param in enumerate(params):
            slot = self.make(f"getelementptr ptr, ptr %args, i64 {position}")
            given = self.make(f"load ptr, ptr {slot}")
            if isinstance(param.type, t.ViewType):
                args += self._view(given, param.type, position)
            else:
                assert isinstance(param.type, t.ScalarType)
                args.append(self._scalar(given, param.type))
        self._disjoint()
        self._run_kernel(args)
        self.lines += ["slow:", *self._slow()]
        table = f"@{ENVIRONMENT} = global [{len(self.env)} x ptr] zeroinitializer"
        head = f"define ptr @{ENTRY}(ptr %self, ptr %args, i64 %count, ptr %names) #0 {{"
        self.text.functions.append("\n".join([table, head, "entry:", *self.lines, "}"]))

    # --- writing ----------------------------------------------------------------------------------------

    def make(self, text: str) -> str:
        """Write a line that gives a value and return its name."""
        self._count += 1
        self.lines.append(f"  %t{self._count} = {text}")
        return f"%t{self._count}"

    def line(self, text: str) -> None:
        """Write a line that gives nothing."""
        self.lines.append(f"  {text}")

    def label(self) -> str:
        """Return an unused block name."""
        self._count += 1
        return f"l{self._count}"

    def _continue_if(self, condition: str) -> None:
        following = self.label()
        self.line(f"br i1 {condition}, label %{following}, label %slow")
        self.lines.append(f"{following}:")

    def _env(self, name: str) -> str:
        index = self.env.index(name)
        return self.make(f"load ptr, ptr getelementptr (ptr, ptr @{ENVIRONMENT}, i64 {index})")

    def _field(self, pointer: str, offset: int, kind: str) -> str:
        at = self.make(f"getelementptr i8, ptr {pointer}, i64 {offset}")
        return self.make(f"load {kind}, ptr {at}")

    # --- arguments --------------------------------------------------------------------------------------

    def _scalar(self, given: str, kind: t.ScalarType) -> str:
        if kind.kind == "bool":
            is_true = self.make(f"icmp eq ptr {given}, {self._env('True')}")
            is_false = self.make(f"icmp eq ptr {given}, {self._env('False')}")
            self._continue_if(self.make(f"or i1 {is_true}, {is_false}"))
            return f"i1 {is_true}"
        if kind.kind == "float":
            number = self.make(f"call double {self._env('PyFloat_AsDouble')}(ptr {given})")
            self._check_error(self.make(f"fcmp une double {number}, -1.0"))
            return f"{register_type(kind)} {self._narrowed(number, kind)}"
        function = "PyLong_AsLongLong" if kind.signed or kind.bits < 64 else "PyLong_AsUnsignedLongLong"
        number = self.make(f"call i64 {self._env(function)}(ptr {given})")
        self._check_error(self.make(f"icmp ne i64 {number}, -1"))
        if kind.bits < 64:
            narrow = self.make(f"trunc i64 {number} to i{kind.bits}")
            again = self.make(f"{'sext' if kind.signed else 'zext'} i{kind.bits} {narrow} to i64")
            self._continue_if(self.make(f"icmp eq i64 {number}, {again}"))
            number = narrow
        return f"{register_type(kind)} {number}"

    def _narrowed(self, number: str, kind: t.ScalarType) -> str:
        """Return a double as a narrower float, by way of f32 as in the language: the direct way needs a library."""
        if kind == t.f64:
            return number
        single = self.make(f"fptrunc double {number} to float")
        if kind == t.f32:
            return single
        if kind == t.f16:
            return self.make(f"fptrunc float {single} to half")
        bits = self.make(f"bitcast float {single} to i32")
        high = self.make(f"lshr i32 {bits}, 16")
        half = self.make(f"add i32 {self.make(f'and i32 {high}, 1')}, 32767")
        rounded = self.make(f"lshr i32 {self.make(f'add i32 {bits}, {half}')}, 16")
        is_nan = self.make(f"fcmp uno float {single}, 0.0")
        chosen = self.make(f"select i1 {is_nan}, i32 {self.make(f'or i32 {high}, 64')}, i32 {rounded}")
        return self.make(f"bitcast i16 {self.make(f'trunc i32 {chosen} to i16')} to bfloat")

    def _widened(self, number: str, kind: t.ScalarType) -> str:
        """Return a narrower float as a double."""
        if kind == t.f64:
            return number
        if kind == t.f16:
            number = self.make(f"fpext half {number} to float")
        elif kind == t.bf16:
            bits = self.make(f"zext i16 {self.make(f'bitcast bfloat {number} to i16')} to i32")
            number = self.make(f"bitcast i32 {self.make(f'shl i32 {bits}, 16')} to float")
        return self.make(f"fpext float {number} to double")

    def _check_error(self, surely_good: str) -> None:
        """-1 may be the number or an error: ask, and on an error let `self` say it better."""
        good, ask, bad = self.label(), self.label(), self.label()
        self.line(f"br i1 {surely_good}, label %{good}, label %{ask}")
        self.lines.append(f"{ask}:")
        error = self.make(f"call ptr {self._env('PyErr_Occurred')}()")
        self.line(f"br i1 {self.make(f'icmp eq ptr {error}, null')}, label %{good}, label %{bad}")
        self.lines.append(f"{bad}:")
        self.line(f"call void {self._env('PyErr_Clear')}()")
        self.line("br label %slow")
        self.lines.append(f"{good}:")

    def _view(self, given: str, kind: t.ViewType, position: int) -> list[str]:
        self._continue_if(self.make(f"icmp eq ptr {self._field(given, 8, 'ptr')}, {self._env('ndarray')}"))
        self._continue_if(self.make(f"icmp eq ptr {self._field(given, 56, 'ptr')}, {self._env(f'dtype:{position}')}"))
        self._continue_if(self.make(f"icmp eq i32 {self._field(given, 24, 'i32')}, {kind.rank}"))
        wanted = ALIGNED | (WRITEABLE if kind.mutable else 0)
        flags = self.make(f"and i32 {self._field(given, 64, 'i32')}, {wanted}")
        self._continue_if(self.make(f"icmp eq i32 {flags}, {wanted}"))
        data = self._field(given, 16, "ptr")
        sizes, steps = self._field(given, 32, "ptr"), self._field(given, 40, "ptr")
        shape = [self._field(sizes, 8 * d, "i64") for d in range(kind.rank)]
        strides = [self._field(steps, 8 * d, "i64") for d in range(kind.rank)]
        empty = self._extent(kind, data, shape, strides)
        size = t.size_and_align(kind.element)[0]
        if not kind.strided:
            dense = self.make(f"icmp eq i64 {strides[-1]}, {size}")
            short = self.make(f"icmp sle i64 {shape[-1]}, 1")
            fits = self.make(f"or i1 {dense}, {short}")
            self._continue_if(self.make(f"or i1 {fits}, {empty}"))
            strides = strides[:-1]
        words = [f"i64 {d}" for d in shape]
        for stride in strides:
            if size > 1:
                rest = self.make(f"srem i64 {stride}, {size}")
                self._continue_if(self.make(f"icmp eq i64 {rest}, 0"))
                stride = self.make(f"sdiv exact i64 {stride}, {size}")
            words.append(f"i64 {stride}")
        return [f"ptr {data}", *words]

    def _extent(self, kind: t.ViewType, data: str, shape: Sequence[str], strides: Sequence[str]) -> str:
        """Note the bytes a view covers, and return whether there are none."""
        low = high = self.make(f"ptrtoint ptr {data} to i64")
        empty = "false"
        for length, stride in zip(shape, strides, strict=True):
            reach = self.make(f"mul i64 {self.make(f'sub i64 {length}, 1')}, {stride}")
            backwards = self.make(f"icmp slt i64 {reach}, 0")
            low = self.make(f"add i64 {low}, {self.make(f'select i1 {backwards}, i64 {reach}, i64 0')}")
            high = self.make(f"add i64 {high}, {self.make(f'select i1 {backwards}, i64 0, i64 {reach}')}")
            empty = self.make(f"or i1 {empty}, {self.make(f'icmp eq i64 {length}, 0')}")
        high = self.make(f"add i64 {high}, {t.size_and_align(kind.element)[0]}")
        high = self.make(f"select i1 {empty}, i64 {low}, i64 {high}")
        self.extents.append((kind.mutable, low, high))
        return empty

    def _disjoint(self) -> None:
        """What one parameter writes no other may see."""
        if len(self.extents) > MANY:
            self._disjoint_by_loop()
            return
        for i, (writes, low, high) in enumerate(self.extents):
            for other_writes, other_low, other_high in self.extents[i + 1 :]:
                if writes or other_writes:
                    before = self.make(f"icmp ule i64 {high}, {other_low}")
                    after = self.make(f"icmp ule i64 {other_high}, {low}")
                    apart = self.make(f"or i1 {before}, {after}")
                    # an empty view meets nobody
                    none_first = self.make(f"icmp eq i64 {low}, {high}")
                    none_second = self.make(f"icmp eq i64 {other_low}, {other_high}")
                    apart = self.make(f"or i1 {apart}, {self.make(f'or i1 {none_first}, {none_second}')}")
                    self._continue_if(apart)

    def _disjoint_by_loop(self) -> None:
        """As `_disjoint`, for so many views that the code for each pair would be most of the kernel's."""
        ordered = sorted(self.extents, key=lambda e: not e[0])  # written ones first: each meets all after it
        count, written = len(ordered), sum(writes for writes, _, _ in ordered)
        lows, highs = (self.make(f"alloca [{count} x i64]") for _ in range(2))
        for position, (_, low, high) in enumerate(ordered):
            empty = self.make(f"icmp eq i64 {low}, {high}")  # meets nobody, as what ends at 0 does
            for array, value in ((lows, low), (highs, high)):
                kept = self.make(f"select i1 {empty}, i64 0, i64 {value}")
                self.line(f"store i64 {kept}, ptr {self.make(f'getelementptr i64, ptr {array}, i64 {position}')}")
        before, outer, inner, turn, done = (self.label() for _ in range(5))
        one, other, following, next_other = (f"%n{self._count}.{name}" for name in ("i", "j", "i1", "j1"))
        self.line(f"br label %{before}")
        self.lines.append(f"{before}:")
        self.line(f"br label %{outer}")
        self.lines.append(f"{outer}:")
        self.line(f"{one} = phi i64 [ 0, %{before} ], [ {following}, %{turn} ]")
        self.line(f"{following} = add i64 {one}, 1")
        low, high = (self._word(array, one) for array in (lows, highs))
        more = self.make(f"icmp ult i64 {one}, {written}")
        others = self.make(f"icmp ult i64 {following}, {count}")
        self.line(f"br i1 {self.make(f'and i1 {more}, {others}')}, label %{inner}, label %{done}")
        self.lines.append(f"{inner}:")
        self.line(f"{other} = phi i64 [ {following}, %{outer} ], [ {next_other}, %{inner}.good ]")
        first = self.make(f"icmp ule i64 {high}, {self._word(lows, other)}")
        second = self.make(f"icmp ule i64 {self._word(highs, other)}, {low}")
        self.line(f"br i1 {self.make(f'or i1 {first}, {second}')}, label %{inner}.good, label %slow")
        self.lines.append(f"{inner}.good:")
        self.line(f"{next_other} = add i64 {other}, 1")
        last = self.make(f"icmp eq i64 {next_other}, {count}")
        self.line(f"br i1 {last}, label %{turn}, label %{inner}")
        self.lines.append(f"{turn}:")
        self.line(f"br label %{outer}")
        self.lines.append(f"{done}:")

    def _word(self, array: str, position: str) -> str:
        at = self.make(f"getelementptr i64, ptr {array}, i64 {position}")
        return self.make(f"load i64, ptr {at}")

    # --- the call ---------------------------------------------------------------------------------------

    def _run_kernel(self, args: list[str]) -> None:
        result = register_type(self.function.result)
        if self.text.faults:
            fault = self.make("alloca i64")
            self.line(f"store i64 0, ptr {fault}")
            args = [*args, f"ptr {fault}"]
        state = self.make(f"call ptr {self._env('PyEval_SaveThread')}()")
        call = f"call {result} @{self.function.symbol}({commas(args)})"
        value = ""
        if result == "void":
            self.line(call)
        else:
            value = self.make(call)
        self.line(f"call void {self._env('PyEval_RestoreThread')}(ptr {state})")
        if self.text.faults:
            self._raise_fault(fault)
        self.line(f"ret ptr {self._result(value)}")

    def _raise_fault(self, fault: str) -> None:
        number = self.make(f"load i64, ptr {fault}")
        good, bad = self.label(), self.label()
        self.line(f"br i1 {self.make(f'icmp eq i64 {number}, 0')}, label %{good}, label %{bad}")
        self.lines.append(f"{bad}:")
        boxed = self.make(f"call ptr {self._env('PyLong_FromLongLong')}(i64 {number})")
        place = self.make("alloca ptr")
        self.line(f"store ptr {boxed}, ptr {place}")
        call = f"call ptr {self._env('PyObject_Vectorcall')}(ptr {self._env('fault')}, ptr {place}, i64 1, ptr null)"
        raised = self.make(call)
        self.line(f"call void {self._env('Py_DecRef')}(ptr {boxed})")
        self.line(f"ret ptr {raised}")
        self.lines.append(f"{good}:")

    def _result(self, value: str) -> str:
        kind = self.function.result
        if not isinstance(kind, t.ScalarType):
            nothing = self._env("None")
            self.line(f"call void {self._env('Py_IncRef')}(ptr {nothing})")
            return nothing
        text = register_type(kind)
        if kind.kind == "bool":
            return self.make(f"call ptr {self._env('PyBool_FromLong')}(i64 {self.make(f'zext i1 {value} to i64')})")
        if kind.kind == "float":
            wide = self._widened(value, kind)
            return self.make(f"call ptr {self._env('PyFloat_FromDouble')}(double {wide})")
        if kind.bits < 64:
            value = self.make(f"{'sext' if kind.signed else 'zext'} {text} {value} to i64")
        function = "PyLong_FromLongLong" if kind.signed else "PyLong_FromUnsignedLongLong"
        return self.make(f"call ptr {self._env(function)}(i64 {value})")

    def _slow(self) -> list[str]:
        self.lines, before = [], self.lines
        call = self._env("PyObject_Vectorcall")
        self.line(f"ret ptr {self.make(f'call ptr {call}(ptr %self, ptr %args, i64 %count, ptr %names)')}")
        self.lines, slow = before, self.lines
        return slow

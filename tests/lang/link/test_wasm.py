"""WebAssembly modules export their functions and memory, and run under two other people's machines."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hekla.lang.link.build import build
from hekla.lang.link.errors import AssembleError, UndefinedSymbolError
from hekla.lang.link.leb import Cursor, signed, unsigned
from hekla.lang.targets.known import target_named

TEXT = """
@table = internal constant [2 x ptr] [ptr @twice, ptr @thrice]
@count = internal global i32 40
@scratch = internal global [16 x i8] zeroinitializer
define internal i32 @twice(i32 %x) {
  %r = shl i32 %x, 1
  ret i32 %r
}
define internal i32 @thrice(i32 %x) {
  %r = mul i32 %x, 3
  ret i32 %r
}
define i32 @pick(i32 %which, i32 %x) {
  %at = getelementptr ptr, ptr @table, i32 %which
  %f = load volatile ptr, ptr %at
  %r = call i32 %f(i32 %x)
  %c = load volatile i32, ptr @count
  %n = add i32 %c, 1
  store volatile i32 %n, ptr @count
  store volatile i32 %n, ptr @scratch
  %s = add i32 %r, %n
  ret i32 %s
}
define float @dot4(ptr %a, ptr %b) {
  %x = load <4 x float>, ptr %a, align 4
  %y = load <4 x float>, ptr %b, align 4
  %p = fmul <4 x float> %x, %y
  %s = call float @llvm.vector.reduce.fadd.v4f32(float 0.0, <4 x float> %p)
  ret float %s
}
declare float @llvm.vector.reduce.fadd.v4f32(float, <4 x float>)
"""
NODE = """
const fs = require("fs");
WebAssembly.instantiate(fs.readFileSync(process.argv[1])).then(({instance: {exports: e}}) => {
  const f = new Float32Array(e.memory.buffer, 60000, 8);
  f.set([1, 2, 3, 4, 0.5, 0.25, 2, 1]);
  console.log(JSON.stringify([e.pick(0, 5), e.pick(1, 5), e.dot4(60000, 60016)]));
});
"""
WASMTIME = """
import json, struct, sys, wasmtime
store = wasmtime.Store()
e = wasmtime.Instance(store, wasmtime.Module.from_file(store.engine, sys.argv[1]), []).exports(store)
e["memory"].write(store, struct.pack("<8f", 1, 2, 3, 4, 0.5, 0.25, 2, 1), 60000)
print(json.dumps([e["pick"](store, 0, 5), e["pick"](store, 1, 5), e["dot4"](store, 60000, 60016)]))
"""
EXPECTED = [10 + 41, 15 + 42, 11.0]


def built(tmp_path: Path) -> Path:
    path = tmp_path / "library.wasm"
    build(TEXT, entry="pick", exports=["dot4"], target=target_named("wasm32"), kind="shared", output=path)
    return path


def answer(call: list[str]) -> object:
    return json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)


def test_wasmtime_runs_a_library(tmp_path: Path) -> None:
    pytest.importorskip("wasmtime", reason="needs the wasmtime package")
    assert answer([sys.executable, "-c", WASMTIME, str(built(tmp_path))]) == EXPECTED


def test_node_runs_a_library(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    assert answer([node, "-e", NODE, str(built(tmp_path))]) == EXPECTED


def test_a_library_carries_only_what_its_exports_use(tmp_path: Path) -> None:
    made = build(TEXT, entry="dot4", target=target_named("wasm32"), kind="shared")
    assert len(made.content) < 200
    assert {name for name, _ in made.sections} == {"types", "functions", "memory", "exports", "code"}


def test_a_program_may_not_define_what_the_linker_provides() -> None:
    text = "define void @hekla_exit(i32 %x) {\n  ret void\n}\ndefine i32 @main() {\n  ret i32 0\n}\n"
    with pytest.raises(AssembleError, match=r"the program defines what the linker provides: .*hekla_exit"):
        build(text, entry="main", target=target_named("wasm32"), kind="executable")


def test_mathematics_that_nobody_provides_is_named() -> None:
    text = "declare double @llvm.sin.f64(double)\ndefine double @f(double %x) {\n"
    text += "  %r = call double @llvm.sin.f64(double %x)\n  ret double %r\n}\n"
    with pytest.raises(UndefinedSymbolError, match="undefined symbol 'sin'"):
        build(text, entry="f", target=target_named("wasm32"), kind="shared")


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 300, 2**31, 2**32 - 1])
def test_numbers_go_round(value: int) -> None:
    assert Cursor(unsigned(value), "test").number() == value
    for number in (value, -value):
        assert Cursor(signed(number), "test").signed_number() == number

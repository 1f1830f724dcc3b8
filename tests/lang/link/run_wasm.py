"""Run a WASI command under wasmtime: `python run_wasm.py MODULE ARGUMENTS`; the exit status is the program's.

It may open files below the current folder.
"""

import sys

import wasmtime

engine = wasmtime.Engine()
linker = wasmtime.Linker(engine)
linker.define_wasi()
store = wasmtime.Store(engine)
system = wasmtime.WasiConfig()
system.inherit_stdout()
system.inherit_stderr()
system.inherit_stdin()
system.argv = sys.argv[1:]
system.preopen_dir(".", ".")
store.set_wasi(system)
instance = linker.instantiate(store, wasmtime.Module.from_file(engine, sys.argv[1]))
start = instance.exports(store)["_start"]
assert isinstance(start, wasmtime.Func)
try:
    start(store)
except wasmtime.ExitTrap as ended:
    sys.exit(ended.code)

"""The process engine: another engine in a worker, which may be killed, hang, or outlive nobody."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.engines.announced import Announced
from tests.engines.onnx_models import gather_model, identity_model, loop_model, mlp_model, source_of
from tests.engines.python_models import predicting, python_source

from hekla.base.dtypes import DType
from hekla.base.errors import (
    CancelledError,
    ConfigError,
    EngineError,
    InputError,
    ModelFileError,
    UnavailableError,
)
from hekla.engines.process.engine import ProcessEngine
from hekla.engines.process.loader import load
from hekla.protocols.engine import Cancellation, EngineSource
from hekla.protocols.tensor import TensorSpec
from hekla.testing.check_engine import check_engine

ROWS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
Start = Callable[..., ProcessEngine]


# Says in a pipe that its run has begun, and hangs: days of native code that holds the interpreter's lock.
HANGING = """
import os
class Model:
    def load(self, source):
        self.pipe = os.open(source.folder / "pipe", os.O_WRONLY)
    def predict(self, inputs):
        os.write(self.pipe, b"x")
        pow(3, 10**12)
"""


def opened_pipe(folder: Path) -> int:
    """Make the pipe of a HANGING model and return its reading end."""
    os.mkfifo(folder / "pipe")
    descriptor = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


def isolated(source: EngineSource, kind: str, **more: object) -> EngineSource:
    """Return the source of the process engine that runs this one."""
    return replace(source, options={**source.options, "engine": kind, **more})


@pytest.fixture
def start() -> Iterator[Start]:
    """Start process engines; all are closed at the end of the test."""
    engines: list[ProcessEngine] = []

    def start_one(source: EngineSource, kind: str, **more: object) -> ProcessEngine:
        engines.append(load(isolated(source, kind, **more)))
        return engines[-1]

    yield start_one
    for engine in engines:
        engine.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_an_onnx_model_in_a_process_passes_the_conformance_kit(tmp_path: Path) -> None:
    source = isolated(source_of(tmp_path, gather_model()), "onnxruntime")
    check_engine(lambda: load(source), {"index": np.array([0, 2, 1])}, failing={"index": np.array([3])})


@pytest.mark.slow
def test_bytes_in_a_process_pass_the_conformance_kit(tmp_path: Path) -> None:
    specs = TensorSpec("x", DType.BYTES, (-1,), 0), TensorSpec("y", DType.BYTES, (-1,), 0)
    source = isolated(python_source(tmp_path, predicting("{'y': x}"), inputs=specs[:1], outputs=specs[1:]), "python")
    check_engine(lambda: load(source), {"x": np.array([b"", b"\xff\0", b"b" * 99], object)})


def test_specs_and_answers_are_those_of_the_inner_engine(start: Start, tmp_path: Path) -> None:
    engine = start(source_of(tmp_path, mlp_model()), "onnxruntime")
    assert engine.inputs == (TensorSpec("x", DType.FP32, (-1, 4), 0),)
    assert [spec.name for spec in engine.outputs] == ["scores", "best"]
    assert engine.may_block
    found = engine.run({"x": np.eye(4, dtype=np.float32)}, ["best"])
    assert list(found) == ["best"]
    assert found["best"].shape == (4, 1)


def test_tensors_larger_than_the_shared_memory_make_it_grow(start: Start, tmp_path: Path) -> None:
    engine = start(python_source(tmp_path, predicting("{'y': x + 1}")), "python")
    for rows in (1, 100_000, 10, 300_000, 0):
        x = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
        assert (engine.run({"x": x})["y"] == x + 1).all()


def test_errors_keep_their_type_text_and_place(start: Start, tmp_path: Path) -> None:
    engine = start(python_source(tmp_path, predicting("{'y': 1 / (x - 1 if x.any() else 0)}")), "python")
    with pytest.raises(EngineError) as caught:
        engine.run({"x": ROWS * 0})
    assert str(caught.value) == "model.py:5: ZeroDivisionError: division by zero"
    assert engine.run({"x": ROWS + 1})["y"][0, 0] == 1


def test_an_input_error_of_the_inner_engine_stays_one(start: Start, tmp_path: Path) -> None:
    engine = start(source_of(tmp_path, identity_model(8)), "onnxruntime")
    with pytest.raises(InputError, match="input 'x': element 1 is not UTF-8"):
        engine.run({"x": np.array([[b"a", b"\xff"]], object)})


def test_load_errors_of_the_inner_engine_are_raised_here(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"m/1/model\.onnx: not an ONNX file"):
        load(isolated(source_of(tmp_path, b"nonsense"), "onnxruntime"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"engine": "onnxrun"},
            r"\[engine\]\.engine: no engine 'onnxrun' to run in a process; did you mean 'onnxruntime'",
        ),
        ({"engine": "process"}, "no engine 'process' to run in a process"),
        ({}, r"\[engine\]\.engine: expected a text"),
        ({"engine": "onnxruntime", "grace_s": 0}, r"grace_s: expected a number of seconds above 0, got 0"),
        ({"engine": "onnxruntime", "grace_s": True}, "expected a number of seconds above 0, got True"),
    ],
)
def test_wrong_options_are_refused_before_a_process_starts(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(source_of(tmp_path, mlp_model(), options))


def test_an_unknown_option_of_the_inner_engine_is_refused_by_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[engine\]\.fil: unknown option; did you mean 'file'"):
        load(isolated(source_of(tmp_path, mlp_model(), {"fil": "x"}), "onnxruntime"))


def test_a_worker_killed_between_runs_makes_the_engine_unavailable(start: Start, tmp_path: Path) -> None:
    engine = start(source_of(tmp_path, mlp_model()), "onnxruntime")
    os.kill(engine.worker_pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="m: its worker process was killed by SIGKILL; load the model again"):
            engine.run({"x": np.eye(4, dtype=np.float32)})
    engine.close()
    assert not is_alive(engine.worker_pid), "reaped"


def test_a_worker_killed_in_a_run_ends_the_run_at_once(start: Start, tmp_path: Path) -> None:
    engine = start(source_of(tmp_path, loop_model()), "onnxruntime")
    begun = Announced()
    begun.set = lambda: os.kill(engine.worker_pid, signal.SIGKILL)  # type: ignore[method-assign] # kill, not cancel
    killer = threading.Thread(target=begun.set_once_awaited)
    killer.start()
    with pytest.raises(UnavailableError, match="was killed by SIGKILL"):
        engine.run({"times": np.array(10**12), "x": np.eye(2, dtype=np.float32)}, (), begun)
    killer.join()


@pytest.mark.parametrize(
    ("crash", "message"),
    [
        ("__import__('ctypes').string_at(0)", "was killed by SIGSEGV"),
        ("__import__('os')._exit(7)", "exited with status 7"),
        ("__import__('os').abort()", "was killed by SIGABRT"),
    ],
)
def test_a_worker_that_crashes_in_a_run_is_told_how(crash: str, message: str, start: Start, tmp_path: Path) -> None:
    engine = start(python_source(tmp_path, predicting(crash)), "python")
    with pytest.raises(UnavailableError, match=message):
        engine.run({"x": ROWS})


def test_a_worker_that_crashes_while_it_loads_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="exited with status 9"):
        load(isolated(python_source(tmp_path, "import os\nos._exit(9)\n"), "python"))


def test_a_crash_is_noticed_although_a_grandchild_holds_the_socket(start: Start, tmp_path: Path) -> None:
    body = """
    import os, signal, time
    class Model:
        def predict(self, inputs):
            child = os.fork()  # it inherits every descriptor
            if child:
                (self.folder / "grandchild").write_text(str(child))
                os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        def load(self, source):
            self.folder = source.folder
    """
    source = python_source(tmp_path, body)
    engine = start(source, "python")
    with pytest.raises(UnavailableError, match="was killed by SIGKILL"):
        engine.run({"x": ROWS})
    os.kill(int((source.folder / "grandchild").read_text()), signal.SIGKILL)


def test_a_cancelled_run_stops_politely_and_the_engine_goes_on(start: Start, tmp_path: Path) -> None:
    engine = start(source_of(tmp_path, loop_model()), "onnxruntime", grace_s=60)
    x = np.eye(2, dtype=np.float32)
    cancellation = Announced()
    stopper = threading.Thread(target=cancellation.set_once_awaited)
    stopper.start()
    with pytest.raises(CancelledError, match="stopped"):
        engine.run({"times": np.array(10**12), "x": x}, (), cancellation)
    stopper.join()
    assert engine.run({"times": np.array(0), "x": x})["y"].tolist() == x.tolist()


def test_a_run_that_does_not_stop_is_killed_after_its_grace(start: Start, tmp_path: Path) -> None:
    source = python_source(tmp_path, HANGING)
    pipe = opened_pipe(source.folder)
    engine = start(source, "python", grace_s=0.05)
    cancellation = Cancellation()

    def cancel_once_it_hangs() -> None:
        os.read(pipe, 1)
        cancellation.set()

    canceller = threading.Thread(target=cancel_once_it_hangs)
    canceller.start()
    with pytest.raises(CancelledError, match="did not stop when asked; its worker was killed"):
        engine.run({"x": ROWS}, (), cancellation)
    canceller.join()
    os.close(pipe)
    with pytest.raises(UnavailableError, match="was killed by SIGKILL"):
        engine.run({"x": ROWS})


def test_a_late_cancellation_does_not_touch_the_next_run(start: Start, tmp_path: Path) -> None:
    engine = start(python_source(tmp_path, predicting("{'y': x}")), "python", grace_s=0.05)
    late = Announced()
    for _ in range(20):
        late = Announced()
        engine.run({"x": ROWS}, (), late)
        late.set()
        assert engine.run({"x": ROWS}, (), Announced())["y"].tolist() == ROWS.tolist()
    engine.close()
    late.set()


def test_close_in_a_run_ends_it(start: Start, tmp_path: Path) -> None:
    engine = start(source_of(tmp_path, loop_model()), "onnxruntime", grace_s=0.05)
    begun = Announced()
    begun.set = engine.close  # type: ignore[method-assign] # close, not cancel
    closer = threading.Thread(target=begun.set_once_awaited)
    closer.start()
    with pytest.raises(UnavailableError):
        engine.run({"times": np.array(10**12), "x": np.eye(2, dtype=np.float32)}, (), begun)
    closer.join()
    assert not is_alive(engine.worker_pid)


def test_close_lets_the_inner_engine_close(start: Start, tmp_path: Path) -> None:
    body = predicting("{'y': x}") + "    def load(self, source):\n        self.folder = source.folder\n"
    body += "    def close(self):\n        (self.folder / 'closed').write_text('yes')\n"
    source = python_source(tmp_path, body)
    engine = start(source, "python", grace_s=60)
    engine.close()
    assert (source.folder / "closed").read_text() == "yes"
    assert not is_alive(engine.worker_pid)


@pytest.mark.slow
def test_close_gives_back_every_descriptor_and_thread(tmp_path: Path) -> None:
    source = isolated(python_source(tmp_path, predicting("{'y': x}")), "python")
    load(source).close()
    before = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    engine = load(source)
    engine.run({"x": ROWS})
    watcher = next(thread for thread in threading.enumerate() if thread.name == "hekla-worker-watch")
    engine.close()
    watcher.join()
    with pytest.raises(ModelFileError):
        load(isolated(source_of(tmp_path, b"nonsense"), "onnxruntime"))
    for thread in threading.enumerate():
        if thread.name == "hekla-worker-watch":
            thread.join()
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_the_worker_ignores_the_signals_meant_for_its_parent(start: Start, tmp_path: Path) -> None:
    engine = start(python_source(tmp_path, predicting("{'y': x}")), "python")
    os.kill(engine.worker_pid, signal.SIGINT)
    os.kill(engine.worker_pid, signal.SIGTERM)
    assert engine.run({"x": ROWS})["y"].tolist() == ROWS.tolist()


def test_the_thread_that_loads_may_end(tmp_path: Path) -> None:
    made: list[ProcessEngine] = []
    source = isolated(python_source(tmp_path, predicting("{'y': x}")), "python")
    loader = threading.Thread(target=lambda: made.append(load(source)))
    loader.start()
    loader.join()
    assert made[0].run({"x": ROWS})["y"].tolist() == ROWS.tolist(), "its end must not kill the worker"
    made[0].close()


def test_what_the_model_prints_does_not_reach_stdout(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = start(python_source(tmp_path, predicting("print('hello', flush=True) or {'y': x}")), "python")
    engine.run({"x": ROWS})
    out, err = capfd.readouterr()
    assert (out, err) == ("", "hello\n")


def test_the_worker_reads_no_module_from_the_working_folder(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orjson.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    engine = start(python_source(tmp_path, predicting("{'y': x}")), "python")
    assert engine.run({"x": ROWS})["y"].tolist() == ROWS.tolist()


PARENT = """
import sys
from pathlib import Path
import numpy as np
from hekla.base.dtypes import DType
from hekla.engines.process.loader import load
from hekla.protocols.engine import EngineSource
from hekla.protocols.tensor import TensorSpec
folder = Path(sys.argv[1])
x, y = (TensorSpec(name, DType.FP32, (-1, 2), 0) for name in "xy")
options = {"engine": "python", "class": "model.py:Model"}
engine = load(EngineSource("m", 1, folder / "1", (x,), (y,), options, code_folders=(folder,)))
print("loaded", flush=True)
if sys.stdin.readline() == "run\\n":
    engine.run({"x": np.ones((1, 2), np.float32)})
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed idle", "killed in a run", "returns"])
def test_the_worker_dies_with_its_parent(end: str, tmp_path: Path) -> None:
    pipe = opened_pipe(python_source(tmp_path, HANGING).folder)
    arguments = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "loaded\n"
        if end == "killed in a run":
            parent.stdin.write("run\n")
            parent.stdin.flush()
            assert os.read(pipe, 1) == b"x", "the run has begun"
        if end != "returns":
            parent.kill()
        parent.stdin.close()
    assert os.read(pipe, 1) == b"", "nobody holds the other end of the pipe: the worker is gone"
    os.close(pipe)

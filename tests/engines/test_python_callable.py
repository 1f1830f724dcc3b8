"""The Python engine: a user's class, allowed by the operator, its mistakes told at its own lines."""

import sys
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from tests.engines.python_models import Y, predicting, python_source

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, ConfigError, EngineError, InputError, UnavailableError
from hekla.engines.python_callable import load
from hekla.protocols.engine import Cancellation
from hekla.protocols.tensor import TensorSpec
from hekla.testing.check_engine import check_engine

ROWS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)

KEEPER = """
class Model:
    def load(self, source):
        self.kept = None

    def predict(self, inputs):
        if inputs["x"].max() > 100:
            raise ValueError("too large")
        if self.kept is None or self.kept.shape != inputs["x"].shape:
            self.kept = inputs["x"] * 0
        self.kept[...] = inputs["x"] * 2  # the same array is returned each time
        return {"y": self.kept, "same": inputs["x"]}
"""


def test_a_model_that_reuses_memory_passes_the_conformance_kit(tmp_path: Path) -> None:
    source = python_source(tmp_path, KEEPER, outputs=(Y, replace(Y, name="same")))
    check_engine(lambda: load(source), {"x": ROWS}, failing={"x": ROWS * 1000})


def test_load_gets_the_options_and_the_folder(tmp_path: Path) -> None:
    body = """
    class Model:
        def load(self, source):
            self.factor = source.options["factor"]
            self.table = (source.folder / "table.txt").read_text()

        def predict(self, inputs):
            return {"y": inputs["x"] * self.factor + float(self.table)}
    """
    source = python_source(tmp_path, body, options={"factor": 3})
    (source.folder / "table.txt").write_text("0.5")
    engine = load(source)
    assert engine.run({"x": ROWS[:1]})["y"].tolist() == [[3.5, 6.5]]
    assert engine.may_block
    engine.close()


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (DType.BYTES, [b"a", b"\xff\0"]),
        (DType.BF16, [1.5, -2]),
        (DType.BOOL, [True, False]),
        (DType.UINT64, [2**64 - 1, 0]),
    ],
)
def test_every_kind_of_datatype_passes_through(dtype: DType, values: list[object], tmp_path: Path) -> None:
    x = np.array(values, dtype.numpy)
    specs = TensorSpec("x", dtype, (-1,), 0), TensorSpec("y", dtype, (-1,), 0)
    source = python_source(tmp_path, predicting("{'y': x}"), inputs=specs[:1], outputs=specs[1:])
    check_engine(lambda: load(source), {"x": x})


def test_text_is_answered_as_utf8_bytes(tmp_path: Path) -> None:
    source = python_source(
        tmp_path, predicting("{'y': np.array(['é', b'b'], object)}"), outputs=(TensorSpec("y", DType.BYTES, (2,)),)
    )
    engine = load(source)
    assert engine.run({"x": ROWS})["y"].tolist() == ["é".encode(), b"b"]
    engine.close()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("{'y': x.astype(np.float64)}", "m: output 'y': expected datatype FP32, got FP64"),
        ("{'y': x.astype(complex)}", "m: output 'y': expected datatype FP32, got complex128"),
        ("{'y': x[:, :1]}", "m: output 'y': expected shape [-1, 2], got [3, 1]"),
        ("{'y': x[:2]}", "m: output 'y': expected 3 rows on axis 0, as many as came in, got shape [2, 2]"),
        ("{}", "m: output 'y': expected an array named 'y', got only []"),
        ("{'y': x, 'z': x}", "m: predict returned 'z', which no output declares; known: y"),
        ("x", "m: expected predict to return a dict of arrays, got ndarray"),
        ("{'y': [[1, 2], [3]]}", "m: output 'y': expected an array, got list: "),
        ("{'y': None}", "m: output 'y': expected datatype FP32, got NoneType"),
        ("1 / 0", "model.py:5: ZeroDivisionError: division by zero"),
        ("x.__setitem__(0, 1)", "model.py:5: ValueError: assignment destination is read-only"),
        ("__import__('sys').exit(3)", "model.py:5: SystemExit: 3"),
        ("np.linalg.inv(x)", "model.py:5: LinAlgError: "),
    ],
)
def test_a_wrong_answer_is_told_with_output_expected_and_got(expression: str, message: str, tmp_path: Path) -> None:
    engine = load(python_source(tmp_path, predicting(expression)))
    with pytest.raises(EngineError) as caught:
        engine.run({"x": ROWS})
    assert str(caught.value).startswith(message)
    assert "hekla" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__, "no traceback through our files"
    engine.close()


def test_wrong_bytes_are_told_by_element(tmp_path: Path) -> None:
    y = TensorSpec("y", DType.BYTES, (-1,))
    engine = load(python_source(tmp_path, predicting("{'y': np.array([b'a', 3], object)}"), outputs=(y,)))
    with pytest.raises(EngineError, match="expected elements of type bytes or str, got int at 1"):
        engine.run({"x": ROWS})
    engine.close()


def test_errors_said_on_purpose_pass_unchanged(tmp_path: Path) -> None:
    body = """
    from hekla.base.errors import InputError
    class Model:
        def predict(self, inputs):
            raise InputError("needs a face", where="x")
    """
    engine = load(python_source(tmp_path, body))
    with pytest.raises(InputError, match="x: needs a face"):
        engine.run({"x": ROWS})
    engine.close()


def test_predict_may_ask_for_the_cancellation(tmp_path: Path) -> None:
    body = """
    from hekla.base.errors import CancelledError
    class Model:
        def predict(self, inputs, cancellation):
            cancellation.set()
            if cancellation.is_set:
                raise CancelledError("stopped")
    """
    engine = load(python_source(tmp_path, body))
    with pytest.raises(CancelledError, match="stopped"):
        engine.run({"x": ROWS}, (), Cancellation())
    engine.close()


def test_code_outside_the_allowed_folders_is_refused_with_the_option(tmp_path: Path) -> None:
    source = python_source(tmp_path, predicting("{'y': x}"))
    for folders in ((), (tmp_path / "other",), (tmp_path / "1/model.p",)):
        with pytest.raises(ConfigError, match=r"\[engine\]\.class: 'model\.py' is Python code .* --python-models "):
            load(replace(source, code_folders=folders))


def test_a_link_to_code_elsewhere_is_refused_unless_that_is_allowed_too(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    source = python_source(tmp_path / "models", "")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/other.py").write_text(predicting("1 / 0"))
    (source.folder / "model.py").unlink()
    (source.folder / "model.py").symlink_to(tmp_path / "shared/other.py")
    with pytest.raises(ConfigError, match="outside the folders that code may be loaded from"):
        load(source)
    engine = load(replace(source, code_folders=(tmp_path / "shared",)))
    with pytest.raises(EngineError, match=r"^other\.py:5: ZeroDivisionError"):
        engine.run({"x": ROWS})
    engine.close()


def test_an_allowed_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    source = python_source(tmp_path / "real", predicting("{'y': x}"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    load(replace(source, code_folders=(tmp_path / "link",))).close()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("model.py", "expected 'file.py:ClassName', got 'model.py'"),
        ("model:Model", "expected 'file.py:ClassName', got 'model:Model'"),
        ("../1/model.py:Model", "'../1/model.py' leads out of the version's folder"),
        ("modle.py:Model", "there is no file 'modle.py' in version 1"),
        ("model.py:Modle", "model.py has no class 'Modle'; did you mean 'Model'?"),
        ("model.py:np", "model.py has no class 'np'; known: Model"),
        (3, "[engine].class: expected a text, got 3"),
    ],
)
def test_a_wrong_class_option_says_what_is_there(value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(python_source(tmp_path, predicting("{'y': x}"), options={"class": value}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("class Model:\n    def predict(self, inputs)\n", "model.py:2: import failed: SyntaxError: expected ':'"),
        ("import nothing_of_that_name\n", "model.py:1: import failed: ModuleNotFoundError"),
        ("class Model:\n    def __init__(self):\n        1 / 0\n", "model.py:3: make failed: ZeroDivisionError"),
        (
            "class Model:\n    def load(self, source):\n        source.options['depth']\n",
            "model.py:3: load failed: KeyError: 'depth'",
        ),
        ("class Model:\n    pass\n", "Model has no method `predict`"),
        ("class Model:\n    async def predict(self, inputs): ...\n", "or it is async"),
        ("raise SystemExit('bye')", "model.py:1: import failed: SystemExit: bye"),
    ],
)
def test_mistakes_at_load_point_at_the_users_line(body: str, message: str, tmp_path: Path) -> None:
    before = set(sys.modules)
    with pytest.raises(ConfigError) as caught:
        load(python_source(tmp_path, body))
    assert message in str(caught.value)
    assert not {name for name in set(sys.modules) - before if "hekla_python_model" in name}


def test_tensors_must_be_declared(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"m/model\.toml: a Python engine needs its tensors declared; write \[\[inputs"
    ):
        load(python_source(tmp_path, predicting("{'y': x}"), outputs=()))


def test_two_engines_share_no_globals_and_leave_nothing_behind(tmp_path: Path) -> None:
    body = """
    from dataclasses import dataclass
    import numpy as np
    from . import neighbour
    from .neighbour import STEP

    count = 0

    @dataclass
    class Model:
        start: "int" = 0

        def predict(self, inputs):
            global count
            count += STEP
            return {"y": inputs["x"] * 0 + count}

        def close(self):
            neighbour.closed.write_text("yes")
    """
    source = python_source(tmp_path, body)
    (source.folder / "neighbour.py").write_text(
        "from pathlib import Path\nSTEP = 10\nclosed = Path(__file__).with_name('closed')\n"
    )
    modules, paths = set(sys.modules), list(sys.path)
    first, second = load(source), load(source)
    assert [first.run({"x": ROWS})["y"][0, 0] for _ in range(3)] == [10, 20, 30]
    assert second.run({"x": ROWS})["y"][0, 0] == 10
    first.close()
    assert (source.folder / "closed").read_text() == "yes"
    assert second.run({"x": ROWS})["y"][0, 0] == 20
    second.close()
    assert set(sys.modules) == modules
    assert sys.path == paths
    with pytest.raises(UnavailableError):
        second.run({"x": ROWS})


def test_a_failing_close_is_told_once_and_the_engine_is_closed(tmp_path: Path) -> None:
    engine = load(python_source(tmp_path, predicting("{'y': x}") + "    def close(self):\n        1 / 0\n"))
    with pytest.raises(EngineError, match=r"^model\.py:7: close failed: ZeroDivisionError"):
        engine.close()
    engine.close()


def test_bfloat16_subclasses_of_the_dtype_are_not_confused(tmp_path: Path) -> None:
    y = TensorSpec("y", DType.BF16, (-1, 2))
    engine = load(python_source(tmp_path, predicting("{'y': x.astype(np.float16)}"), outputs=(y,)))
    with pytest.raises(EngineError, match="expected datatype BF16, got FP16"):
        engine.run({"x": ROWS.astype(ml_dtypes.bfloat16)})
    engine.close()

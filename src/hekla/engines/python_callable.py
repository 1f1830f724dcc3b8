"""Engines from a user's Python class: `predict` from arrays to arrays, and `load` and `close` where it needs them.

    class Doubler:
        def load(self, source):              # optional: once, before the first predict
            self.factor = source.options.get("factor", 2)

        def predict(self, inputs):           # {name: read-only array} -> {name: array}
            return {"y": inputs["x"] * self.factor}

A `predict(self, inputs, cancellation)` also gets the call's Cancellation, or None. Beside the standard library and
installed packages the class may import its neighbours relatively: `from . import tables`.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hekla.base.errors import CancelledError, ConfigError, EngineError, HeklaError, InputError, UnavailableError
from hekla.engines.options import config_place, option_place, text_option
from hekla.engines.python_answers import Answers
from hekla.engines.python_code import UserCode, user_code, user_place
from hekla.engines.specs import check_batch_axis
from hekla.protocols.engine import Cancellation, EngineSource
from hekla.protocols.tensor import Tensors, TensorSpec

# What the user's class returns is checked, not believed.
_Predict = Callable[..., Any]


def load(source: EngineSource) -> "PythonEngine":
    """Return an engine around the user's class.

    Options: `class` = "file.py:ClassName", the file relative to the version's folder and below a folder from which
    the operator allows code; all others are the class's own, in `source.options`.
    Errors: ConfigError, with the user's file and line where their code is at fault.
    """
    if not source.inputs or not source.outputs:
        raise ConfigError(
            "a Python engine needs its tensors declared",
            where=config_place(source),
            cure="write [[inputs]] and [[outputs]] with name, dtype and shape",
        )
    for spec in (*source.inputs, *source.outputs):
        check_batch_axis(spec, f"{config_place(source)}: {spec.name}")
    name = text_option(source, "class", "")
    code = user_code(source, name)
    try:
        made = code.run("make", code.made_class)
        if hasattr(made, "load"):
            own = {key: value for key, value in source.options.items() if key != "class"}
            code.run("load", made.load, replace(source, options=own))
        if not callable(getattr(made, "predict", None)) or inspect.iscoroutinefunction(made.predict):
            raise ConfigError(
                f"{name.rpartition(':')[2]} has no method `predict`, or it is async",
                where=option_place(source, "class"),
                cure="define `def predict(self, inputs)`",
            )
    except BaseException:
        code.forget()
        raise
    return PythonEngine(source, code, made)


class PythonEngine:
    """An `Engine` around an instance of the user's class."""

    def __init__(self, source: EngineSource, code: UserCode, made: Any) -> None:  # made: of a class we cannot know
        self._inputs, self._outputs, self._model = source.inputs, source.outputs, source.model
        self._code, self._made = code, made
        self._predict: _Predict | None = made.predict
        self._takes_cancellation = "cancellation" in inspect.signature(made.predict).parameters
        self._answers = Answers(source.model, source.inputs, source.outputs)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def may_block(self) -> bool:
        return True

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        predict = self._predict
        if predict is None:
            raise UnavailableError(f"the engine of {self._model!r} is closed")
        if cancellation is not None and cancellation.is_set:
            raise CancelledError("the run was stopped before it began")
        seen = {}
        for name, array in inputs.items():
            seen[name] = array.view()
            seen[name].flags.writeable = False  # a predict that writes into the request fails at its own line
        extra = {"cancellation": cancellation} if self._takes_cancellation else {}
        try:
            with np.errstate():  # what the user sets inside stays inside
                answered = predict(seen, **extra)
        except (InputError, CancelledError):
            raise  # said on purpose
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's code raises is its fault
            raise EngineError(f"{type(error).__name__}: {error}", where=user_place(error, self._code.folder)) from None
        return self._answers.checked(answered, inputs, outputs)

    def close(self) -> None:
        """Call the user's `close`, if there is one, and forget their modules."""
        if self._predict is None:
            return
        self._predict = None
        try:
            if hasattr(self._made, "close"):
                self._code.run("close", self._made.close)
        except HeklaError as error:
            raise EngineError(error.message, where=error.where) from None
        finally:
            self._made = None
            self._code.forget()

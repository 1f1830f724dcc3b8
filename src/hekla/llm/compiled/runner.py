"""The compiled runner: a step of the whole model is one native call, in memory made beforehand."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import EngineError
from hekla.kernels.llm.step import step
from hekla.kernels.llm.step_shape import StepShape
from hekla.llm.compiled.pack import pack
from hekla.llm.compiled.plan import Planner, PackPlan, head_room
from hekla.llm.compiled.scratch import Scratch
from hekla.llm.model_config import ModelConfig
from hekla.llm.runner import F32, LoraDelta, StepBatch, StepResult
from hekla.llm.tensors import StoredTensor

KvType = Literal["f32", "f16", "int8"]
Precision = Literal["quantised", "exact"]
KV_DTYPES = {"f32": np.float32, "f16": np.float16, "int8": np.int8}

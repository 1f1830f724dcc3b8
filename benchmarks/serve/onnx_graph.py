"""Writing ONNX graphs a node at a time: names are made, equal constants are shared, the bytes never vary."""

from types import ModuleType

import numpy as np
import onnx

OPSET = 20  # the first with Gelu
_IR_VERSION = 10  # what ONNX Runtime 1.20, the oldest supported, reads


class GraphWriter:
    """One graph under construction. Every method returns the name of the value it adds."""

    def __init__(self, name: str) -> None:
        self._onnx: ModuleType = onnx  # as a module of any type: its stubs know no fields of messages
        self._graph = self._onnx.GraphProto(name=name)
        self._constants: dict[tuple[object, ...], str] = {}

    def input(self, name: str, dtype: str, shape: tuple[str | int, ...]) -> None:
        self._graph.input.append(self._value(name, dtype, shape))

    def output(self, name: str, dtype: str, shape: tuple[str | int, ...]) -> None:
        self._graph.output.append(self._value(name, dtype, shape))

    def add(self, kind: str, *inputs: str, to_name: str = "", **attributes: object) -> str:
        """Add a node with one output. The attribute `to` may name an element type."""
        name = to_name or f"{kind}_{len(self._graph.node)}"
        if isinstance(target := attributes.get("to"), str):
            attributes["to"] = self._onnx.TensorProto.DataType.Value(target)
        self._graph.node.append(self._onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def ints(self, *values: int) -> str:
        """Add a 1-d i64 constant."""
        return self._constant(np.array(values, np.int64), "ints", *values)

    def number(self, value: float) -> str:
        """Add an f32 constant of rank 0."""
        return self._constant(np.array(value, np.float32), "number", value)

    def stored(self, name: str, location: str, shape: tuple[int, ...], offset: int, nbytes: int) -> str:
        """Add an f32 constant that is `nbytes` bytes at `offset` of the file `location` beside the graph."""
        key = ("stored", name)
        if key not in self._constants:
            tensor = self._graph.initializer.add()
            tensor.name, tensor.data_type = name, self._onnx.TensorProto.FLOAT
            tensor.dims.extend(shape)
            tensor.data_location = self._onnx.TensorProto.EXTERNAL
            for field, value in (("location", location), ("offset", str(offset)), ("length", str(nbytes))):
                tensor.external_data.add(key=field, value=value)
            self._constants[key] = name
        return self._constants[key]

    def serialised(self, opset: int) -> bytes:
        """Return the model's bytes."""
        helper = self._onnx.helper
        model = helper.make_model(
            self._graph, producer_name="hekla", ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", opset)]
        )
        # `Any` of the untyped module ends here.
        return bytes(model.SerializeToString(deterministic=True))

    def _value(self, name: str, dtype: str, shape: tuple[str | int, ...]) -> object:
        kind = self._onnx.TensorProto.DataType.Value(dtype)
        return self._onnx.helper.make_tensor_value_info(name, kind, list(shape))

    def _constant(self, array: "np.ndarray[tuple[int, ...], np.dtype[np.int64 | np.float32]]", *key: object) -> str:
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._graph.initializer.append(self._onnx.numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

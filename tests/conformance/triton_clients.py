"""One face for the four tritonclients (HTTP and gRPC, blocking and asyncio), so that a test can be run with each."""

import asyncio
import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tests.running_server import RunningServer
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from hekla.protocols.tensor import Array

KINDS = ("http", "http-aio", "grpc", "grpc-aio")
_MODULES: dict[str, ModuleType] = {
    "http": tritonclient.http,
    "http-aio": tritonclient.http.aio,
    "grpc": tritonclient.grpc,
    "grpc-aio": tritonclient.grpc.aio,
}


class TritonClient:
    """Any of the four clients; every call blocks and answers plain Python values where HTTP and gRPC differ."""

    def __init__(self, kind: str, server: RunningServer) -> None:
        self.kind = kind
        self.is_http = kind.startswith("http")
        self._loop = asyncio.new_event_loop() if kind.endswith("aio") else None
        address = server.http_address if self.is_http else server.grpc_address
        self._client = self._in_loop(_MODULES[kind].InferenceServerClient, address)

    def call(self, method: str, *args: Any, **options: Any) -> Any:  # tritonclient is untyped
        """Call a method of the client; protobuf answers come as the dicts HTTP would give."""
        function = getattr(self._client, method)
        if not self.is_http and "as_json" in inspect.signature(function).parameters:
            options["as_json"] = True
        return self._in_loop(function, *args, **options)

    def infer(
        self,
        model: str,
        inputs: dict[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        binary: bool = True,
        datatypes: dict[str, str] | None = None,
        **options: Any,  # passed on to tritonclient, which is untyped
    ) -> dict[str, Array]:
        """Infer and return the outputs by name, in the order they came."""
        result = self.result(model, inputs, outputs, binary=binary, datatypes=datatypes, **options)
        return {name: result.as_numpy(name) for name in self.output_names(result)}

    def result(
        self,
        model: str,
        inputs: dict[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        binary: bool = True,
        datatypes: dict[str, str] | None = None,
        **options: Any,  # passed on to tritonclient, which is untyped
    ) -> Any:  # tritonclient's InferResult
        """Infer and return tritonclient's own result."""
        tensors = [self.input(name, array, binary, (datatypes or {}).get(name)) for name, array in inputs.items()]
        wanted = None if outputs is None else [self.requested(name, binary) for name in outputs]
        return self._in_loop(self._client.infer, model, tensors, outputs=wanted, **options)

    def input(self, name: str, array: Array, binary: bool = True, datatype: str | None = None) -> Any:
        """Return tritonclient's InferInput of an array; `datatype` lies about it."""
        kind = datatype or _np_to_triton(array)
        tensor = self.module.InferInput(name, list(array.shape), _np_to_triton(array))
        if self.is_http:
            tensor.set_data_from_numpy(array, binary_data=binary)
        else:
            tensor.set_data_from_numpy(array)
        if kind != tensor.datatype():
            # The client checks what it can; to send a lie it must be told afterwards.
            if self.is_http:
                tensor._datatype = kind
            else:
                tensor._input.datatype = kind
        return tensor

    def requested(self, name: str, binary: bool = True, class_count: int = 0) -> Any:
        """Return tritonclient's InferRequestedOutput."""
        if self.is_http:
            return self.module.InferRequestedOutput(name, binary_data=binary, class_count=class_count)
        return self.module.InferRequestedOutput(name, class_count=class_count)

    def output_names(self, result: Any) -> list[str]:
        """Names of a result's outputs in the order they came."""
        response = result.get_response()
        if self.is_http:
            return [output["name"] for output in response.get("outputs", [])]
        return [output.name for output in response.outputs]

    @property
    def module(self) -> Any:  # a module of an untyped package
        """tritonclient.http or tritonclient.grpc."""
        return tritonclient.http if self.is_http else tritonclient.grpc

    def close(self) -> None:
        """Close the client and its loop."""
        self._in_loop(self._client.close)
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _in_loop(self, function: Any, *args: Any, **options: Any) -> Any:
        if self._loop is None:
            return function(*args, **options)

        async def call() -> Any:
            answer = function(*args, **options)
            return await answer if inspect.isawaitable(answer) else answer

        return self._loop.run_until_complete(call())


def status_of(error: InferenceServerException) -> str:
    """Return "400" or "INVALID_ARGUMENT"."""
    return str(error.status()).removeprefix("StatusCode.")


def _np_to_triton(array: Array) -> str:
    kind = np_to_triton_dtype(array.dtype)
    assert kind is not None, array.dtype
    return str(kind)

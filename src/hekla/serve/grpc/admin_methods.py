"""The service's methods beside inference: health, metadata, statistics, repository, shared memory, settings."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message

from hekla.base.errors import HeklaError, InputError, NotFoundError
from hekla.serve.grpc import health_pb2
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.call import UnaryCall
from hekla.serve.grpc.codes import Code
from hekla.serve.grpc.infer_plan import values_of
from hekla.serve.grpc.message_reader import Message as MessageBytes
from hekla.serve.grpc.method import Method
from hekla.serve.oip.settings import LOGGING, TRACE, refuse_change, refuse_device_memory
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.service import Service

_log = logging.getLogger(__name__)
_Request = TypeVar("_Request", bound=Message)

SERVICE = "inference.GRPCInferenceService"


def methods_of(service: Service, regions: SharedMemoryRegions) -> dict[bytes, Method]:
    """Return every method but the two that infer, by path."""
    admin = _Admin(service, regions)
    plain: dict[str, tuple[type[Message], Callable[[Any], Message]]] = {  # Any: the row's own request type
        "ServerLive": (pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=service.is_live())),
        "ServerReady": (pb.ServerReadyRequest, lambda _: pb.ServerReadyResponse(ready=service.is_ready())),
        "ModelReady": (pb.ModelReadyRequest, admin.model_ready),
        "ServerMetadata": (pb.ServerMetadataRequest, admin.server_metadata),
        "ModelMetadata": (pb.ModelMetadataRequest, admin.model_metadata),
        "ModelConfig": (pb.ModelConfigRequest, admin.model_config),
        "ModelStatistics": (pb.ModelStatisticsRequest, admin.model_statistics),
        "RepositoryIndex": (pb.RepositoryIndexRequest, admin.repository_index),
        "SystemSharedMemoryStatus": (pb.SystemSharedMemoryStatusRequest, admin.shared_memory_status),
        "SystemSharedMemoryRegister": (pb.SystemSharedMemoryRegisterRequest, admin.shared_memory_register),
        "SystemSharedMemoryUnregister": (pb.SystemSharedMemoryUnregisterRequest, admin.shared_memory_unregister),
        "CudaSharedMemoryStatus": (
            pb.CudaSharedMemoryStatusRequest,
            lambda _: pb.CudaSharedMemoryStatusResponse(),
        ),
        "CudaSharedMemoryRegister": (pb.CudaSharedMemoryRegisterRequest, admin.cuda_register),
        "CudaSharedMemoryUnregister": (
            pb.CudaSharedMemoryUnregisterRequest,
            lambda _: pb.CudaSharedMemoryUnregisterResponse(),
        ),
        "TraceSetting": (pb.TraceSettingRequest, admin.trace_setting),
        "LogSettings": (pb.LogSettingsRequest, admin.log_settings),
    }
    slow: dict[str, tuple[type[Message], Callable[[Any], Coroutine[None, None, Message]]]] = {
        "RepositoryModelLoad": (pb.RepositoryModelLoadRequest, admin.model_load),
        "RepositoryModelUnload": (pb.RepositoryModelUnloadRequest, admin.model_unload),
    }
    methods = {f"/{SERVICE}/{name}".encode(): Method(unary=_at_once(*row)) for name, row in plain.items()}
    tasks: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly
    for name, row in slow.items():
        methods[f"/{SERVICE}/{name}".encode()] = Method(unary=_later(*row, tasks))
    methods[b"/grpc.health.v1.Health/Check"] = Method(unary=_at_once(health_pb2.HealthCheckRequest, admin.health_check))
    return methods


class _Admin:
    """One method each: request message in, response message out, errors raised."""

    def __init__(self, service: Service, regions: SharedMemoryRegions) -> None:
        self._service = service
        self._regions = regions

    def health_check(self, request: health_pb2.HealthCheckRequest) -> Message:
        """ "" is the server, as is the inference service; any other name is a model."""
        response = health_pb2.HealthCheckResponse()
        name = request.service
        is_ready = self._service.is_ready() if name in ("", SERVICE) else self._service.is_model_ready(name)
        response.status = response.SERVING if is_ready else response.NOT_SERVING
        return response

    def model_ready(self, request: pb.ModelReadyRequest) -> Message:
        """A model nobody knows is not ready, which is no error here."""
        try:
            ready = self._service.is_model_ready(request.name, request.version)
        except NotFoundError:
            ready = False
        return pb.ModelReadyResponse(ready=ready)

    # The REST documents may say more than these messages have fields for (a model's parameters).

    def server_metadata(self, request: pb.ServerMetadataRequest) -> Message:
        metadata = self._service.server_metadata()
        return ParseDict(metadata, pb.ServerMetadataResponse(), ignore_unknown_fields=True)

    def model_metadata(self, request: pb.ModelMetadataRequest) -> Message:
        metadata = self._service.model_metadata(request.name, request.version)
        return ParseDict(metadata, pb.ModelMetadataResponse(), ignore_unknown_fields=True)

    def model_config(self, request: pb.ModelConfigRequest) -> Message:
        config = self._service.model_config(request.name, request.version)
        return ParseDict({"config": config}, pb.ModelConfigResponse())

    def model_statistics(self, request: pb.ModelStatisticsRequest) -> Message:
        statistics = self._service.model_statistics(request.name, request.version)
        return ParseDict(statistics, pb.ModelStatisticsResponse())

    def repository_index(self, request: pb.RepositoryIndexRequest) -> Message:
        return ParseDict({"models": self._service.repository_index(request.ready)}, pb.RepositoryIndexResponse())

    async def model_load(self, request: pb.RepositoryModelLoadRequest) -> Message:
        await self._service.load_model(request.model_name, values_of("$", request.parameters))
        return pb.RepositoryModelLoadResponse()

    async def model_unload(self, request: pb.RepositoryModelUnloadRequest) -> Message:
        dependents = request.parameters.get("unload_dependents")
        await self._service.unload_model(request.model_name, dependents is not None and dependents.bool_param)
        return pb.RepositoryModelUnloadResponse()

    def shared_memory_status(self, request: pb.SystemSharedMemoryStatusRequest) -> Message:
        response = pb.SystemSharedMemoryStatusResponse()
        for region in self._regions.status(request.name):
            response.regions[region.name].name = region.name
            response.regions[region.name].key = region.key
            response.regions[region.name].offset = region.offset
            response.regions[region.name].byte_size = region.byte_size
        return response

    def shared_memory_register(self, request: pb.SystemSharedMemoryRegisterRequest) -> Message:
        self._regions.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    def shared_memory_unregister(self, request: pb.SystemSharedMemoryUnregisterRequest) -> Message:
        self._regions.unregister(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    def cuda_register(self, request: pb.CudaSharedMemoryRegisterRequest) -> Message:
        raise refuse_device_memory()

    def trace_setting(self, request: pb.TraceSettingRequest) -> Message:
        if request.settings:
            raise refuse_change("trace")
        response = pb.TraceSettingResponse()
        for name, value in TRACE.items():
            response.settings[name].value.append(value)
        return response

    def log_settings(self, request: pb.LogSettingsRequest) -> Message:
        if request.settings:
            raise refuse_change("log")
        response = pb.LogSettingsResponse()
        for name, value in LOGGING.items():
            if isinstance(value, bool):
                response.settings[name].bool_param = value
            elif isinstance(value, int):
                response.settings[name].uint32_param = value
            else:
                response.settings[name].string_param = value
        return response


def _parse(kind: type[_Request], message: MessageBytes) -> _Request:
    try:
        return kind.FromString(bytes(message))
    except DecodeError:
        raise InputError(f"the message is not a {kind.DESCRIPTOR.name}") from None


def _at_once(kind: type[_Request], answer: Callable[[_Request], Message]) -> Callable[[UnaryCall, MessageBytes], None]:
    def handle(call: UnaryCall, message: MessageBytes) -> None:
        call.respond(answer(_parse(kind, message)).SerializeToString())

    return handle


def _later(
    kind: type[_Request],
    answer: Callable[[_Request], Coroutine[None, None, Message]],
    tasks: set[asyncio.Task[None]],
) -> Callable[[UnaryCall, MessageBytes], None]:
    async def run(call: UnaryCall, request: _Request) -> None:
        try:
            call.respond((await answer(request)).SerializeToString())
        except HeklaError as error:
            call.fail_with(error)
        except Exception:  # noqa: BLE001  # the boundary of a request
            _log.exception("a gRPC handler failed")
            call.fail(Code.INTERNAL, "internal error")

    def handle(call: UnaryCall, message: MessageBytes) -> None:
        # A load or unload goes on when its caller goes away: half of one would leave the model in neither state.
        task = asyncio.get_running_loop().create_task(run(call, _parse(kind, message)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return handle

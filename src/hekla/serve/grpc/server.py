"""The Open Inference Protocol over gRPC, ready for `loop.create_server`."""

import asyncio
from collections.abc import Mapping

from hekla.serve.grpc.admin_methods import SERVICE, methods_of
from hekla.serve.grpc.door import GrpcDoor
from hekla.serve.grpc.infer_call import InferenceCalls
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.method import Method
from hekla.serve.http2.loop import Loop
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.service import Service


def grpc_protocol_factory(
    service: Service,
    regions: SharedMemoryRegions,
    limits: GrpcLimits | None = None,
    loop: Loop | None = None,
    more: Mapping[bytes, Method] | None = None,
) -> GrpcDoor:
    """Return the factory of connection protocols; its `drain` ends them.

    Called on the loop that will serve, or given it. more: further methods by path.
    """
    inference = InferenceCalls(service, regions)
    methods = methods_of(service, regions)
    methods[f"/{SERVICE}/ModelInfer".encode()] = Method(unary=inference.unary)
    methods[f"/{SERVICE}/ModelStreamInfer".encode()] = Method(streaming=inference.streaming)
    methods |= more or {}
    return GrpcDoor(methods, limits or GrpcLimits(), loop or asyncio.get_running_loop())

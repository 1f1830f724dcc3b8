"""The generated message modules are up to date and agree with the clients' own."""

import ast
import importlib.util
from pathlib import Path

import pytest
import tritonclient.grpc.model_config_pb2 as triton_config
import tritonclient.grpc.service_pb2 as triton_service
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from hekla.serve.grpc import model_config_pb2, open_inference_pb2

GENERATOR = Path(__file__).resolve().parents[3] / "tools" / "generate_protos.py"


def test_generating_again_gives_the_same() -> None:
    spec = importlib.util.spec_from_file_location("generate_protos", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    texts: dict[Path, str] = generator.generate()
    assert len(texts) == 8
    for path, text in texts.items():
        if path.suffix == ".pyi":  # protoc's releases differ in how they import
            assert _declared(path.read_text()) == _declared(text), f"{path.name} is stale"
            continue
        assert path.read_text() == text, f"{path.name} is stale: run tools/generate_protos.py"


def _declared(stub: str) -> set[str]:
    """The classes of a stub and their annotated fields."""
    classes = [node for node in ast.walk(ast.parse(stub)) if isinstance(node, ast.ClassDef)]
    fields = {
        f"{node.name}.{ast.unparse(item)}" for node in classes for item in node.body if isinstance(item, ast.AnnAssign)
    }
    return fields | {node.name for node in classes}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (open_inference_pb2.DESCRIPTOR, triton_service.DESCRIPTOR),
        (model_config_pb2.DESCRIPTOR, triton_config.DESCRIPTOR),
    ],
    ids=["open_inference", "model_config"],
)
def test_our_messages_are_those_of_the_triton_clients(ours: object, theirs: object) -> None:
    protos = [FileDescriptorProto(), FileDescriptorProto()]
    ours.CopyToProto(protos[0])  # type: ignore[attr-defined]  # both are upb file descriptors
    theirs.CopyToProto(protos[1])  # type: ignore[attr-defined]  # as above
    for proto in protos:
        proto.ClearField("name")
        proto.ClearField("dependency")
        _strip_names(proto)
    assert protos[0] == protos[1]


def _strip_names(proto: FileDescriptorProto) -> None:
    """Drop what only protoc's command line decides."""

    def strip(messages: object) -> None:
        for message in messages:  # type: ignore[attr-defined]  # a repeated field of DescriptorProto
            for field in message.field:
                field.ClearField("json_name")
            strip(message.nested_type)

    strip(proto.message_type)

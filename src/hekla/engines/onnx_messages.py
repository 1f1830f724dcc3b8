"""ONNX Runtime's error texts in one line each, without its own source files in them."""

import re

_LONGEST = 400
_STATUS = re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_FILE = re.compile(r"Load model from .*? failed:\s*")
_NODE = re.compile(
    r"Non-zero status code returned while running (?P<op>\S+) node\. Name:'(?P<name>[^']*)' Status Message: "
)
# "/onnxruntime_src/core/graph/model.cc:256 void onnxruntime::Model::Model(const A&, B) "
_ORIGIN = re.compile(r"\S*/\S+\.(?:cc|cpp|cu|h|hpp):\d+ [^\n]*?\w\((?:[^()]|\([^()]*\))*\)(?: const)? ")


def run_message(error: Exception) -> str:
    """Return what went wrong in a run, with the node it went wrong in."""
    return _cleaned(_NODE.sub(lambda m: f"{m['op']} node{' ' + m['name'] if m['name'] else ''}: ", str(error)))


def load_message(error: Exception) -> tuple[str, str]:
    """Return what is wrong with a file that does not load, and the cure where one is known."""
    text = str(error)
    if "Opset" in text or "IR version" in text:
        return _cleaned(text), "upgrade onnxruntime, or export the model for an older opset"
    if "is not a registered function/op" in text or "No Op registered" in text or "No opset import" in text:
        return _cleaned(text), "custom operators are never loaded: export the model with standard ones"
    if "INVALID_PROTOBUF" in text or "No graph was found" in text:
        return "not an ONNX file, or a damaged one", "export or copy it again"
    return _cleaned(text), ""


def _cleaned(text: str) -> str:
    for pattern in (_STATUS, _FILE, _ORIGIN):
        text = pattern.sub("", text)
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

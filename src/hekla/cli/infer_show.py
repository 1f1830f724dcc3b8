"""What a person, or a program, sees of a model's answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.cli.client import Answer
from hekla.cli.infer_vad import Heard
from hekla.cli.screen import console, write_table
from hekla.protocols.tensor import Array, Tensors

# JSON documents, and NumPy scalars of any type.
Json = dict[str, Any]


def answer_document(answer: Answer, task: str) -> Json:
    """Return everything a model answered as JSON values; bytes that are not UTF-8 become hexadecimal."""
    return {
        "model": answer.model,
        "version": answer.version,
        "task": task,
        "took_ms": round(answer.took_s * 1000, 3),
        "outputs": {
            name: {"datatype": DType.of(array.dtype).value, "shape": list(array.shape), "data": _plain(array)}
            for name, array in answer.outputs.items()
        },
    }


def heard_document(heard: Heard, model: str) -> Json:
    """Return what was heard as JSON values."""
    return {
        "model": model,
        "task": "vad",
        "took_ms": round(heard.took_s * 1000, 3),
        "seconds": heard.seconds,
        "segments": [{"start_s": segment.start_s, "end_s": segment.end_s} for segment in heard.segments],
        "probabilities": list(heard.probabilities),
    }


def show_answer(answer: Answer, task: str, names: Sequence[str]) -> None:
    """Write an answer for a person; `names` are the inputs as they were given."""
    show = _SHOWS.get(task, _show_tensors)
    try:
        show(answer.outputs, names)
    except KeyError:  # a model that says it is for a task and answers something else
        _show_tensors(answer.outputs, names)
    console().print(f"[dim]{answer.model} in {answer.took_s * 1000:.1f} ms[/dim]")


def show_heard(heard: Heard, model: str) -> None:
    """Write the stretches of speech for a person."""
    rows = [
        (f"{segment.start_s:.2f} s", f"{segment.end_s:.2f} s", f"{segment.end_s - segment.start_s:.2f} s")
        for segment in heard.segments
    ]
    if rows:
        write_table(("from ", "to ", "speech "), rows)
    spoken = sum(segment.end_s - segment.start_s for segment in heard.segments)
    summary = f"{spoken:.2f} s of speech in {heard.seconds:.2f} s" if rows else f"no speech in {heard.seconds:.2f} s"
    console().print(f"{summary} [dim]{model} in {heard.took_s * 1000:.0f} ms[/dim]")


def _show_ocr(outputs: Tensors, names: Sequence[str]) -> None:
    texts, scores, boxes = outputs["text"].reshape(-1), outputs["scores"].reshape(-1), outputs["boxes"]
    if not len(texts):
        console().print("no text found")
        return
    rows = []
    for text, score, box in zip(texts, scores, boxes.reshape(len(texts), -1, 2), strict=True):
        left, top = box.min(axis=0)
        width, height = box.max(axis=0) - box.min(axis=0)
        rows.append((_text(text), f"{score:.3f}", f"{left:.0f},{top:.0f} {width:.0f}x{height:.0f}"))
    write_table(("text", "score ", "left,top size"), rows)


def _show_embeddings(outputs: Tensors, names: Sequence[str]) -> None:
    vectors: Array = outputs["embedding"].astype(np.float64)
    rows = []
    for name, vector in zip(names, vectors, strict=False):
        first = " ".join(f"{value:+.4f}" for value in vector[:5])
        rows.append((name[:40], str(vector.size), f"{np.linalg.norm(vector):.4f}", f"{first} ..."))
    write_table(("text", "dimensions ", "norm ", "first values"), rows)
    if len(vectors) > 1:
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
        likeness = (vectors @ vectors.T) / np.outer(lengths, lengths)
        pairs = [(i, j) for i in range(len(vectors)) for j in range(i)]
        write_table(
            ("similarity ", "between", ""),
            [
                (f"{likeness[i, j]:.4f}", names[j][:40], names[i][:40])
                for i, j in sorted(pairs, key=lambda p: (p[1], p[0]))
            ],
        )


def _show_file_types(outputs: Tensors, names: Sequence[str]) -> None:
    labels = outputs["label"].reshape(-1)
    rows = []
    for at, label in enumerate(labels):
        more = [_text(outputs[key].reshape(-1)[at]) for key in ("description", "mime_type") if key in outputs]
        rows.append(
            (names[at] if at < len(names) else "", _text(label), f"{outputs['score'].reshape(-1)[at]:.3f}", *more)
        )
    write_table(("file", "label", "score ", "description", "mime type"), rows)


def _show_tensors(outputs: Tensors, names: Sequence[str]) -> None:
    rows = []
    for name, array in outputs.items():
        dtype = DType.of(array.dtype)
        flat = array.reshape(-1)
        shown = ", ".join(_text(v)[:40] if dtype is DType.BYTES else _number(v) for v in flat[:6])
        spread = ""
        if flat.size > 6 and dtype not in (DType.BYTES, DType.BOOL):
            spread = f"{_number(flat.min())} to {_number(flat.max())}, mean {_number(flat.astype(np.float64).mean())}"
        rows.append((name, dtype.value, str(list(array.shape)), shown + (", ..." if flat.size > 6 else ""), spread))
    write_table(("output", "datatype", "shape", "values", "range"), rows)


def _number(value: Any) -> str:  # a NumPy scalar of any type
    return f"{float(value):.5g}" if np.dtype(type(value)).kind in "fV" else str(value)


def _text(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"{len(value)} bytes: {value[:16].hex()}"


def _plain(array: Array) -> Any:
    """Return nested lists of JSON values."""
    if DType.of(array.dtype) is DType.BYTES:
        return np.array([_utf8_or_hex(item) for item in array.reshape(-1)], np.object_).reshape(array.shape).tolist()
    if DType.of(array.dtype).is_float:
        array = array.astype(np.float64)
        if not np.isfinite(array).all():  # JSON has no such numbers
            finite = [float(v) if np.isfinite(v) else str(v) for v in array.reshape(-1)]
            return np.array(finite, np.object_).reshape(array.shape).tolist()
    return array.tolist()


def _utf8_or_hex(item: object) -> str:
    if not isinstance(item, bytes):
        return str(item)
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item.hex()


_SHOWS: Mapping[str, Callable[[Tensors, Sequence[str]], None]] = {
    "ocr": _show_ocr,
    "embedding": _show_embeddings,
    "file-type": _show_file_types,
}

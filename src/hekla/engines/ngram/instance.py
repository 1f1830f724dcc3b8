"""The simplest text that fits a grammar: what this engine answers where an answer must have a form."""

import json
from collections.abc import Mapping
from typing import Any

from hekla.base.errors import InputError
from hekla.protocols.text_engine import Grammar

_DEEPEST = 32

# Any: JSON Schema and its instances, which are JSON.
Json = Any


def text_of(grammar: Grammar, turn: int) -> str:
    """Return a text the grammar accepts; `turn` picks one of several choices.

    Errors: InputError for a grammar that no text of finite length fits, or of a kind this engine does not know.
    """
    if grammar.otherwise is not None:  # calls, or a form: a call would have been asked for by name
        return text_of(grammar.otherwise, turn)
    if grammar.kind == "json_object":
        return '{"answer": 42}'
    if grammar.kind == "choice":
        choices = json.loads(grammar.text)
        return str(choices[turn % len(choices)])
    if grammar.kind == "json_schema":
        return json.dumps(instance(json.loads(grammar.text)), ensure_ascii=False)
    raise InputError(f"this model's engine holds no answer to a {grammar.kind}", cure="use json_schema or choice")


def instance(schema: Json) -> Json:
    """Return the simplest instance of a schema. Errors: InputError if there is none."""
    return _instance(schema, schema, _DEEPEST)


def _instance(schema: Json, root: Json, depth: int) -> Json:
    if not depth:
        raise InputError("the schema asks for itself without end: no answer could ever be complete")
    if not isinstance(schema, Mapping):
        if schema is False:
            raise InputError("the schema accepts nothing")
        return None
    if "$ref" in schema:
        return _instance(_referred(str(schema["$ref"]), root), root, depth - 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _first([*schema[key]], root, depth - 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        if not schema["enum"]:
            raise InputError("the schema has an empty enum: no answer could ever fit")
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "null")
    return _of_type(kind[0] if isinstance(kind, list) else kind, schema, root, depth)


def _of_type(kind: str, schema: Mapping[str, Json], root: Json, depth: int) -> Json:
    if kind == "object":
        wanted = schema.get("properties", {})
        return {name: _instance(inner, root, depth - 1) for name, inner in wanted.items()}
    if kind == "array":
        return [_instance(schema.get("items", {}), root, depth - 1) for _ in range(max(1, schema.get("minItems", 1)))]
    if kind == "string":
        return "a" * max(1, schema.get("minLength", 1))
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    raise InputError(f"the schema names a type {kind!r} that JSON has not")


def _first(schemas: list[Json], root: Json, depth: int) -> Json:
    """Return an instance of the first that has one."""
    for schema in schemas[:-1]:
        try:
            return _instance(schema, root, depth)
        except InputError:
            continue
    return _instance(schemas[-1], root, depth)


def _referred(reference: str, root: Json) -> Json:
    found = root
    for part in [part for part in reference.removeprefix("#").split("/") if part]:
        if not isinstance(found, Mapping) or part not in found:
            raise InputError(f"the schema refers to {reference!r}, which is not there")
        found = found[part]
    return found

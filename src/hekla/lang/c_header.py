"""The C header of a kernel's shared object or object: its prototype, its records, and the rules in words."""

import re

from hekla.lang import types as t
from hekla.lang.ir.core import Function
from hekla.lang.product_text import FAULT_TEXT

_SCALARS = {
    "bool": "bool", "index": "int64_t", "f16": "_Float16", "bf16": "__bf16", "f32": "float", "f64": "double",
    **{f"i{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}_t" for bits in (8, 16, 32, 64)},
}  # fmt: skip
# of C and C++, and the name of the parameter that is ours
_KEYWORDS = frozenset({
    "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const", "constexpr", "continue", "default",
    "delete", "do", "double", "else", "enum", "explicit", "export", "extern", "false", "fault", "float", "for",
    "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace", "new", "operator", "private",
    "protected", "public", "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct",
    "switch", "template", "this", "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using",
    "virtual", "void", "volatile", "while",
})  # fmt: skip


def c_header(function: Function, words: str, *, faults: bool, checked: bool) -> str:
    """Return the header as text. words: what the kernel says of itself; faults: whether it takes `int64_t *fault`."""
    name = function.name
    guard = f"HEKLA_{name.upper()}_H"
    lines = [f"/* {name}: made by hekla build{' --checked' if checked else ''}", ""]
    lines += [f"   {line}".rstrip() for line in words.strip().splitlines()] + ([""] if words.strip() else [])
    lines += [f"   {line}".rstrip() for line in _rules(function, faults=faults, checked=checked)]
    lines[-1] += " */"
    lines += [f"#ifndef {guard}", f"#define {guard}", "", "#include <stdbool.h>", "#include <stdint.h>", ""]
    lines += ["#ifdef __cplusplus", "#define HEKLA_RESTRICT __restrict__", 'extern "C" {', "#else"]
    lines += ["#define HEKLA_RESTRICT restrict", "#endif", ""]
    for record in _records(function):
        lines += [*_typedef(record), ""]
    shown, label = (f"{name}_", f' __asm__("{name}")') if name in _KEYWORDS else (name, "")
    parameters = ", ".join(_parameters(function, faults=faults)) or "void"
    lines.append(f"{_c_type(function.result)} {shown}({parameters}){label};")
    if faults:
        lines += ["", "/* What a fault was: a text that ends in a line feed; empty for numbers there are not. */"]
        lines.append(f"const char *{name}_{FAULT_TEXT}(int64_t fault);")
    lines += ["", "#undef HEKLA_RESTRICT", "#ifdef __cplusplus", "}", "#endif", "#endif", ""]
    return "\n".join(lines)


def _c_type(kind: t.Type) -> str:
    if isinstance(kind, t.ScalarType):
        return _SCALARS[kind.name]
    return _record_name(kind) if isinstance(kind, t.StructType) else "void"


def _record_name(record: t.StructType) -> str:
    """Return what C calls a record: Mutex[Account] is Mutex_Account."""
    return "_".join(re.findall(r"\w+", record.name))


def _parameters(function: Function, *, faults: bool) -> list[str]:
    made = []
    for param in function.params:
        kind, name = param.type, param.hint + ("_" if param.hint in _KEYWORDS else "")
        if not isinstance(kind, t.ViewType):
            made.append(f"{_c_type(kind)} {name}")
            continue
        access = "" if kind.mutable or t.is_shared(kind.element) else "const "
        alone = "" if t.is_shared(kind.element) else "HEKLA_RESTRICT "
        made.append(f"{access}{_c_type(kind.element)} *{alone}{name}")
        made += [f"int64_t {name}_size{d}" for d in range(kind.rank)]
        made += [f"int64_t {name}_stride{d}" for d in range(kind.rank if kind.strided else kind.rank - 1)]
    return [*made, "int64_t *fault"] if faults else made


def _rules(function: Function, *, faults: bool, checked: bool) -> list[str]:
    views = [(p.hint, p.type) for p in function.params if isinstance(p.type, t.ViewType)]
    rules = []
    for name, kind in views:
        use = "shared by threads" if t.is_shared(kind.element) else "read and written" if kind.mutable else "read"
        align = t.size_and_align(kind.element)[1]
        rules.append(f"{name}: {kind}, {use}, at a multiple of {align} byte{'s' if align > 1 else ''}.")
    if views:
        rules.append("Sizes and strides count elements; sizes are 0 or more; what a view covers must exist.")
        if any(kind.mutable for _, kind in views):
            rules.append("What is written may not overlap another argument.")
        promise = "is checked: a broken one is a fault." if checked else "is not checked in this build."
        rules.append(f"That arguments keep these rules {promise}")
    if faults:
        rules.append("Set *fault to 0 before the call. It is not 0 after a fault; the result is then 0.")
    return rules or ["It takes no memory and meets no fault."]


def _records(function: Function) -> list[t.StructType]:
    """Return the records of the views, parts before wholes."""
    found: list[t.StructType] = []

    def look(kind: t.Type) -> None:
        if isinstance(kind, t.ArrayType | t.ViewType):
            look(kind.element)
        if isinstance(kind, t.StructType) and kind not in found:
            for _, part in kind.fields:
                look(part)
            found.append(kind)

    for param in function.params:
        look(param.type)
    return found


def _typedef(record: t.StructType) -> list[str]:
    size, align = t.size_and_align(record)[0], t.line_align(record)
    name = _record_name(record)
    fields = [_field(*record.fields[position]) for position in record.order]
    if isinstance(record, t.AtomicType | t.MutexType) and align == t.LINE_BYTES:
        fields[0] = f"HEKLA_ALIGN({align}) {fields[0]}"  # on cache lines of its own
    check = f'_Static_assert(sizeof({name}) == {size}, "{name} has another layout here");'
    guard = f"HEKLA_RECORD_{name}"  # several headers may have the record
    lines = [f"#ifndef {guard}", f"#define {guard}"]
    is_aligned = any("HEKLA_ALIGN" in f for f in fields)
    if is_aligned:
        lines += [
            "#ifdef __cplusplus",
            "#define HEKLA_ALIGN alignas",
            "#else",
            "#define HEKLA_ALIGN _Alignas",
            "#endif",
        ]
    lines += ["typedef struct {", *(f"  {f};" for f in fields), f"}} {name};"]
    lines += ["#ifndef __cplusplus", check, "#endif"]
    return [*lines, *(["#undef HEKLA_ALIGN"] if is_aligned else []), "#endif"]


def _field(name: str, kind: t.Type) -> str:
    lengths = ""
    while isinstance(kind, t.ArrayType):
        lengths, kind = f"{lengths}[{kind.length}]", kind.element
    if isinstance(kind, t.VecType):
        align = t.size_and_align(kind)[1]
        if kind.element == t.bool_:
            return f"uint8_t {name}{lengths}[{t.size_and_align(kind)[0]}]"
        return f"HEKLA_ALIGN({align}) {_SCALARS[kind.element.name]} {name}{lengths}[{kind.lanes}]"
    return f"{_c_type(kind)} {name}{lengths}"

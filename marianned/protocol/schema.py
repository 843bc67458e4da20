"""What each field of a message means, and the JSON Schema of a message, which says it too.

A field is described by the string behind it: that reads best, and editors show it. Python keeps no such
string, so that it costs a running daemon nothing; whoever wants to show it reads the source.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec

from marianned import errors
from marianned.protocol import parts, replies, requests

_KINDS: dict[str, type[msgspec.Struct]] = {
    name: kind
    for module in (errors, parts, replies, requests)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}
"""Every Struct of a message, by the name that a schema has it under."""


def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the fields of a Struct mean, by name, with those of its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            found |= _field_docs_of_module(base.__module__).get(base.__name__, {})
    return found


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a message, its fields described."""
    described = msgspec.json.schema(kind)
    for name in described["$defs"].keys() & _KINDS.keys():
        definition, docs = described["$defs"][name], field_docs(_KINDS[name])
        for field in msgspec.structs.fields(_KINDS[name]):
            if field.name in docs:
                definition["properties"][field.encode_name]["description"] = docs[field.name]
    return described


@cache
def _field_docs_of_module(module: str) -> dict[str, dict[str, str]]:
    """Read the strings behind the fields of all classes of a module: class, field, text.

    Where it was installed without its source, nothing is known.
    """
    try:
        source = inspect.getsource(sys.modules[module])
    except OSError:
        return {}
    found: dict[str, dict[str, str]] = {}
    for part in ast.parse(source).body:
        if isinstance(part, ast.ClassDef):
            found[part.name] = dict(_field_docs_of_class(part))
    return found


def _field_docs_of_class(part: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, behind in pairwise(part.body):
        match field, behind:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())

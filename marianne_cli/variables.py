"""Values for the variables of a score, from the command line and from a file, as the daemon takes them."""

import datetime as dt
import math
from typing import Any

from marianned import yaml_tree
from marianned.score.read.variables import BUILT_IN
from marianned.yaml_tree import MappingNode, ScalarNode, UnreadableYaml, plain_value

_MOST_INTEGER = 10**18


class VariableError(Exception):
    """A value can't be given: why, and in which line of the file."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def parse_assignments(items: tuple[str, ...]) -> dict[str, Any]:
    """Read NAME=VALUE texts; of a name that comes twice, the last.

    Raises:
        VariableError: one is none, or its name is a built-in of templates.
    """
    values: dict[str, Any] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise VariableError(f"'{item}' is not NAME=VALUE")
        _check_name(name)
        values[name] = value
    return values


def read_values(data: bytes) -> dict[str, Any]:
    """Read a file of values: one mapping, YAML or JSON; an empty file gives none.

    Raises:
        VariableError: it is none, or a name in it is a built-in of templates.
    """
    try:
        tree = yaml_tree.read(data)
    except UnreadableYaml as fault:
        raise VariableError(fault.message, fault.place.line) from None
    if tree.root is None or (isinstance(tree.root, ScalarNode) and tree.root.value is None):
        return {}
    if not isinstance(tree.root, MappingNode):
        raise VariableError("a file of values is one mapping: NAME: VALUE", 1)
    values: dict[str, Any] = {}
    for _, key in tree.duplicates:
        raise VariableError(f"'{key.text}' is given twice", key.place.line)
    for key, node in tree.root.entries:
        _check_name(key.text, key.place.line)
        if key.text in values:
            raise VariableError(f"'{key.text}' is given twice", key.place.line)
        try:
            values[key.text] = _wire_value(plain_value(node))
        except VariableError as fault:
            raise VariableError(f"'{key.text}' {fault.message}", key.place.line) from None
    return values


def names_of_score(data: bytes) -> dict[str, str | None]:
    """Return the names that a score takes values for, with what it says of each.

    Raises:
        VariableError: it can't be read.
    """
    score = _read_score(data)
    parameters, prompt = score.get("parameters"), score.get("prompt")
    variables = prompt.get("variables") if isinstance(prompt, dict) else None
    names: dict[str, str | None] = dict.fromkeys(variables) if isinstance(variables, dict) else {}
    for name, part in parameters.items() if isinstance(parameters, dict) else ():
        names[str(name)] = part.get("description") if isinstance(part, dict) else None
    return names


def _read_score(data: bytes) -> dict[str, Any]:
    try:
        root = yaml_tree.read(data).root
    except UnreadableYaml as fault:
        raise VariableError(fault.message, fault.place.line) from None
    found: dict[str, Any] = plain_value(root) if isinstance(root, MappingNode) else {}
    return found


def stages_of(data: bytes) -> list[str]:
    """Return the names of a score's stages.

    Raises:
        VariableError: it can't be read.
    """
    score = _read_score(data)
    movements = score.get("movements")
    parts = movements.values() if isinstance(movements, dict) else ()
    return [str(part["name"]) for part in parts if isinstance(part, dict) and part.get("name")]


def _check_name(name: str, line: int | None = None) -> None:
    if name in BUILT_IN:
        raise VariableError(
            f"'{name}' is the name of a built-in of templates; no value can be given for it", line
        )


def _wire_value(value: Any) -> Any:
    """Return a value as JSON has it: dates as texts, which the daemon reads again where one is needed."""
    if isinstance(value, dict):
        return {_wire_key(key): _wire_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_wire_value(item) for item in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise VariableError("holds a number that is not finite")
    if isinstance(value, int) and abs(value) >= _MOST_INTEGER:
        raise VariableError("holds a number of over 18 digits; write it in quotes")
    return value


def _wire_key(key: object) -> str:
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return str(key)
    raise VariableError(f"holds a key that is not text: {key}")

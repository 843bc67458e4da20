"""The variables of a score, packed so that JSON loses nothing: keys and dates stay what they are.

Source: docs/reference/score-format.md §9.1.
"""

import datetime as dt
import math
from typing import Any

_MARK = "!"
"""The only key of a mapping that stands for something JSON does not have."""

_MOST_INTEGER = 2**63


def pack(value: Any) -> Any:
    """Return a value that JSON can hold, from which `unpack` makes the same again."""
    if isinstance(value, dict):
        if all(isinstance(key, str) and key != _MARK for key in value):
            return {key: pack(inner) for key, inner in value.items()}
        return {_MARK: ["map", [[pack(key), pack(inner)] for key, inner in value.items()]]}
    if isinstance(value, list):
        return [pack(item) for item in value]
    return _packed_scalar(value)


def _packed_scalar(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return {_MARK: ["datetime", value.isoformat()]}
    if isinstance(value, dt.date):
        return {_MARK: ["date", value.isoformat()]}
    if isinstance(value, float) and not math.isfinite(value):
        return {_MARK: ["float", str(value)]}
    if isinstance(value, int) and abs(value) >= _MOST_INTEGER:
        return {_MARK: ["int", str(value)]}
    return value


def unpack(value: Any) -> Any:
    """Return a fresh copy of what was packed."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _MARK not in value:
        return {key: unpack(inner) for key, inner in value.items()}
    kind, content = value[_MARK]
    if kind == "map":
        return {unpack(key): unpack(inner) for key, inner in content}
    return _SCALARS[kind](content)


_SCALARS: dict[str, Any] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "float": float,
    "int": int,
}


def with_number_keys(value: Any) -> Any:
    """Make keys that are decimal integers integers, in mappings inside a variable, but not inside lists."""
    if not isinstance(value, dict):
        return value
    return {
        int(key) if isinstance(key, str) and key.isascii() and key.isdecimal() else key: with_number_keys(
            inner
        )
        for key, inner in value.items()
    }


def scalars(variables: dict[str, Any]) -> dict[str, object]:
    """Return the variables that a placeholder or a condition may name."""
    kinds = (str, int, float, dt.date)
    return {key: value for key, value in variables.items() if isinstance(value, kinds)}

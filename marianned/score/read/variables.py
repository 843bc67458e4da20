"""The variables of a score, packed so that JSON loses nothing: keys and dates stay what they are.

Source: docs/reference/score-format.md §9.1.
"""

import datetime as dt
import math
from typing import Any

BUILT_IN = frozenset(
    {"sheet_num", "total_sheets", "start_item", "end_item", "stage", "movement", "instance", "voice"}
    | {"fan_count", "voice_count", "total_stages", "total_movements", "workspace", "score_dir"}
    | {
        "instrument_name",
        "previous_outputs",
        "previous_files",
        "skipped_upstream",
        "injected_context",
        "injected_skills",
    }
    | {"injected_tools", "stakes", "thinking_method"}
)
"""Names that every template has (§9.2); they win over variables."""

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


def as_json(value: Any) -> Any:
    """Return a value as JSON shows it to people: keys, dates and what is too large or endless as texts."""
    if isinstance(value, dict):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    whole = isinstance(value, int) and abs(value) < _MOST_INTEGER
    finite = isinstance(value, float) and math.isfinite(value)
    return value if value is None or isinstance(value, str) or whole or finite else str(value)


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

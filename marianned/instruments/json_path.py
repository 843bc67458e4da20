"""The path language of profiles: which values of a tool's output are meant.

Keys joined by dots, `key[0]` and `key[-1]` for the items of a list, `*` for every value of a mapping or
list: `stats.models.*.tokens.prompt`, `messages[-1].content.*.text`.
Source: docs/reference/score-format.md §23.3.
"""

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from marianned.decoding import Undecodable, from_json

_PART = re.compile(r"(?P<key>[^.\[\]\s]*)(?P<indexes>(?:\[-?\d+\])*)")
_INDEX = re.compile(r"-?\d+")
_EVERY = "*"
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_PLAIN_DIGITS = re.compile(r"\d{1,18}", re.ASCII)


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[str | int, ...]:
    """Cut a path into its steps: keys, indexes, and `*`.

    Raises:
        ValueError: the path is none.
    """
    steps: list[str | int] = []
    for number, part in enumerate(path.split(".")):
        match = _PART.fullmatch(part)
        if match is None or not (match["key"] or (match["indexes"] and number == 0)):
            raise ValueError(f"'{path}' is not a path; write keys joined by dots, 'key[0]', '*'")
        if match["key"]:
            steps.append(match["key"])
        steps.extend(int(index) for index in _INDEX.findall(match["indexes"]))
    return tuple(steps)


def matches(value: Any, path: str) -> list[Any]:
    """Return all values that `path` leads to, in the order of the output; none is an empty list."""
    found = [value]
    for step in parse(path):
        found = [inner for outer in found for inner in _step_into(outer, step)]
    return found


def _step_into(value: Any, step: str | int) -> Iterator[Any]:
    if step == _EVERY:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value
    elif isinstance(step, int):
        if isinstance(value, list) and -len(value) <= step < len(value):
            yield value[step]
    elif isinstance(value, dict) and step in value:
        yield value[step]


def matching_numbers(value: Any, path: str) -> list[float]:
    """Return the matches that are numbers, also those in quotes; true and false are none."""
    return [number for item in matches(value, path) if (number := number_of(item)) is not None]


def number_of(item: Any) -> float | None:
    """Return the number that a value is, or that stands in its quotes; None: it is none, or not finite."""
    if isinstance(item, str) and _NUMBER.fullmatch(item):
        item = float(item) if _PLAIN_DIGITS.fullmatch(item) is None else int(item)
    if isinstance(item, bool) or not isinstance(item, int | float):
        return None
    return item if isinstance(item, int) or math.isfinite(item) else None


def value_text(value: Any) -> str:
    """Return a text as it is, another value as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def decode_json(data: bytes) -> Any:
    """Return the value that a JSON text is; None where it is none, or nested too deeply.

    Programs write what is no JSON: `NaN`, too large a number, bytes that are no UTF-8, a tab in a string.
    What stands around it counts.
    """
    try:
        return from_json(data)
    except Undecodable:
        pass
    if data[-1:] not in b"}] \t\n":  # cut off, or another text: not read a second time
        return None
    try:
        return clean_texts(json.loads(data.decode(errors="replace"), strict=False))
    except (ValueError, RecursionError):
        return None


def clean_texts(value: Any) -> Any:
    """Return a value whose texts are valid ones: half of a character becomes a question mark."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {clean_texts(key): clean_texts(inner) for key, inner in value.items()}
    return [clean_texts(inner) for inner in value] if isinstance(value, list) else value

"""The checks that look into data: where a path leads, a field, a digest, a column; all in a worker.

Source: docs/reference/score-format.md §13.1.
"""

import datetime as dt
import errno
import hashlib
import io
import json
import os
import re
from collections.abc import Callable
from typing import Any

from marianned import files
from marianned.accidents import SHORT
from marianned.score.expanded import DataCheck
from marianned.score.read.variables import as_json, unpack

DATA_LIMIT = 64 * 1024 * 1024
"""The most bytes of a file that is looked into."""

_STEP = re.compile(r"\[(-?\d+)\]|\.?([^.\[\]]+)")
_SHOWN = 100


class _DataCheckFailed(Exception):
    """The check fails; the message says why."""


def data_fault(kind: str, path: str, data: DataCheck) -> str | None:
    """Say why a check of data fails; None: it passes.

    Raises:
        OSError: of what runs short on this machine, which says nothing of the data.
    """
    try:
        _CHECKS[kind](path, data)
    except _DataCheckFailed as why:
        return str(why)
    except OSError as error:
        if error.errno in SHORT:
            raise
        return "no such file" if error.errno == errno.ENOENT else (error.strerror or "cannot be read").lower()
    return None


def _check_scope(path: str, data: DataCheck) -> None:
    leads, scope = os.path.realpath(path), os.path.realpath(data.source or "/")
    if os.path.commonpath([leads, scope]) != scope:
        raise _DataCheckFailed(f"it lies in {os.path.dirname(leads)}, outside of {scope}")  # noqa: PTH120  a text


def _check_field(path: str, data: DataCheck) -> None:
    found = _field(_load_document(path), data.field or "", "the file")
    if data.source is None:
        wanted, whose = unpack(data.expected), ""
    else:
        try:
            wanted = _field(_load_document(data.source), data.source_field or "", data.source)
        except FileNotFoundError:
            raise _DataCheckFailed(f"{data.source} is not there") from None
        whose = f", that of {data.source}"
    if _with_kind(found) != _with_kind(wanted):
        raise _DataCheckFailed(f"'{data.field}' is {_quote_value(found)}, not {_quote_value(wanted)}{whose}")


def _check_digest(path: str, data: DataCheck) -> None:
    found = hashlib.sha256(_read(path)).hexdigest()
    if found != data.digest:
        raise _DataCheckFailed(f"its SHA-256 is {found}")


def _check_column(path: str, data: DataCheck) -> None:
    import csv  # noqa: PLC0415  the daemon itself has no use for it

    text = _read(path).decode("utf-8-sig", errors="replace")
    csv.field_size_limit(DATA_LIMIT)
    try:
        rows = csv.reader(io.StringIO(text, newline=""))
        header = next(rows, [])
        if data.field not in header:
            raise _DataCheckFailed(f"there is no column '{data.field}'")
        column = header.index(data.field)
        seen: dict[str, int] = {}
        for row in rows:
            value = row[column] if column < len(row) else ""
            if row and value in seen:
                said = f"in lines {seen[value]} and {rows.line_num}"
                raise _DataCheckFailed(
                    f"{_quote_value(value)} stands twice in the column '{data.field}', {said}"
                )
            if row:
                seen[value] = rows.line_num
    except csv.Error as fault:
        raise _DataCheckFailed(f"it can't be read as CSV: {fault}") from None


_CHECKS: dict[str, Callable[[str, DataCheck], None]] = {
    "path_in_scope": _check_scope,
    "field_match": _check_field,
    "file_sha256": _check_digest,
    "csv_unique_key": _check_column,
}


def _read(path: str) -> bytes:
    try:
        data, _ = files.head(path, DATA_LIMIT + 1)
    except files.UnsuitableFile:
        raise _DataCheckFailed("not a regular file") from None
    if len(data) > DATA_LIMIT:
        raise _DataCheckFailed(f"larger than {DATA_LIMIT // 1024**2} MiB")
    return data


def _load_document(path: str) -> Any:
    import yaml  # noqa: PLC0415  as above

    data = _read(path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  they are safe
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
        raise _DataCheckFailed(f"{path} is neither JSON nor YAML") from None


def _field(value: Any, path: str, where: str) -> Any:
    """Return a field by its path; a key that is a number is found by its digits."""
    for step in _STEP.finditer(path):
        index, key = step[1], step[2]
        if index is not None and isinstance(value, list) and -len(value) <= int(index) < len(value):
            value = value[int(index)]
        elif key is not None and isinstance(value, dict) and (key in value or key in map(str, value)):
            value = value[key] if key in value else next(value[one] for one in value if str(one) == key)
        else:
            raise _DataCheckFailed(f"there is no field '{path}' in {where}")
    return value


def _with_kind(value: Any) -> Any:
    """Return a value that equals only values of its own kind: true is not 1, but 1 is 1.0."""
    if isinstance(value, list):
        return ("list", [_with_kind(item) for item in value])
    if isinstance(value, dict):
        return ("mapping", {str(key): _with_kind(inner) for key, inner in value.items()})
    if isinstance(value, dt.date):  # JSON has none
        return ("text", value.isoformat())
    kinds = ((bool, "truth"), (int | float, "number"), (str, "text"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "nothing"), value


def _quote_value(value: Any) -> str:
    text = json.dumps(as_json(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

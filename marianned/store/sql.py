"""SQL by name, and rows as it knows them: the blocks of queries.sql, and Structs ↔ columns.

A block begins with a line `-- name: NAME`. What puts or deletes a row is made from the fields of its Struct
and its place in `rows.TABLES`. Every Struct becomes columns in the same way, driven by its fields: numbers,
text, words and bytes as they are, truth as 0 or 1, anything nested as JSON text.
"""

import re
import types
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from marianned.decoding import JsonDecoder, Undecodable
from marianned.rows import TABLES, AttemptRow, BriefRunRow, RevisionRow

Value = int | float | str | bytes | None
"""What a column holds."""

_PLAIN = (int, float, str, bytes)
_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_encoder = msgspec.json.Encoder()
T = TypeVar("T", bound=msgspec.Struct)


def blocks(text: str) -> dict[str, str]:
    """Cut a file of SQL into its named blocks.

    Raises:
        ValueError: a name comes twice.
    """
    pieces = _HEADER.split(text)[1:]
    names = pieces[::2]
    if len(names) != len(set(names)):
        raise ValueError("a name of a block comes twice")
    return dict(zip(names, (body.strip() for body in pieces[1::2]), strict=True))


def put(kind: type[msgspec.Struct]) -> str:
    """Return the statement that stores a row: new, or in place of the one with the same key.

    It is an upsert, not REPLACE: that would delete the old row first, and with a run all that hangs on it.
    """
    name, key = TABLES[kind]
    fields = kind.__struct_fields__
    values = ", ".join(f":{field}" for field in fields)
    statement = f"INSERT INTO {name} ({', '.join(fields)}) VALUES ({values})"  # noqa: S608  names of our own
    if not key:
        return statement
    updated = ", ".join(f"{field} = excluded.{field}" for field in fields if field not in key)
    effect = f"UPDATE SET {updated}" if updated else "NOTHING"
    return f"{statement} ON CONFLICT ({', '.join(key)}) DO {effect}"


def delete(kind: type[msgspec.Struct]) -> str:
    """Return the statement that deletes what a `Deleted` of this kind names, by its `values`.

    Raises:
        ValueError: a row of this kind is none of one run, and is not deleted so.
    """
    name, key = TABLES[kind]
    if not TABLES[kind].is_deleted_by_run:
        raise ValueError(f"{kind.__name__} is not told by its run")
    return f"DELETE FROM {name} WHERE {' AND '.join(f'{column} = ?' for column in key)}"  # noqa: S608  likewise


def _columns(kind: type[msgspec.Struct], **left_out: str) -> str:
    """Return the columns to select for a row, with a constant in place of those that are left out."""
    fields = kind.__struct_fields__
    return ", ".join(f"{left_out[field]} AS {field}" if field in left_out else field for field in fields)


SQL = blocks(
    Template(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8")).substitute(
        attempts_but_results=_columns(AttemptRow, result="NULL"),
        attempts_but_texts=_columns(AttemptRow, result="NULL", validations="'[]'"),
        brief_runs=_columns(BriefRunRow),
        revisions_but_contents=_columns(
            RevisionRow, problems="'[]'", text="''", files="'{}'", expanded="x''"
        ),
    )
)


class Columns(Generic[T]):
    """How one kind of Struct lies in columns of the same names."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._names = kind.__struct_fields__
        hints = {name: _without_none(hint) for name, hint in get_type_hints(kind).items()}
        self._flags = [name for name in self._names if hints[name] is bool]
        self._words = {name: hints[name] for name in self._names if _is_of_words(hints[name])}
        self._nested = {
            name: JsonDecoder[Any](hints[name])
            for name in self._names
            if hints[name] is not bool and hints[name] not in _PLAIN and name not in self._words
        }

    def values(self, row: T) -> dict[str, Value]:
        """Return the columns of a Struct by name."""
        values = {name: getattr(row, name) for name in self._names}
        for name in self._nested:
            if values[name] is not None:
                values[name] = _encoder.encode(values[name]).decode()
        return values

    def struct(self, columns: Mapping[str, Any]) -> T:
        """Return the Struct that these columns hold; others beside its own are passed over."""
        values = {name: columns[name] for name in self._names}
        for name in self._flags:
            if values[name] is not None:
                values[name] = bool(values[name])
        for name, words in self._words.items():
            if values[name] is not None:
                values[name] = words(values[name])
        for name, decoder in self._nested.items():
            if values[name] is not None:
                values[name] = decoder.decode(values[name])
        return self._kind(**values)

    def remains(self, columns: Mapping[str, Any]) -> T:
        """Return the Struct of damaged columns: nested values that can't be read are empty."""
        values = dict(columns)
        for name, decoder in self._nested.items():
            try:
                if values[name] is not None:
                    decoder.decode(values[name])
            except (TypeError, ValueError):  # one of them is Undecodable
                values[name] = _empty(decoder)
        return self.struct(values)


def _empty(decoder: JsonDecoder[Any]) -> str | None:
    """Return the least JSON text that is of this type; None: there is none."""
    for text in ("{}", "[]"):
        try:
            decoder.decode(text)
        except Undecodable:
            continue
        return text
    return None


def _is_of_words(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, StrEnum)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint

"""SQL by name, and rows as it knows them: the blocks of queries.sql, and Structs ↔ columns.

A block begins with a line `-- name: NAME`. Every Struct becomes columns in the same way, driven by its
fields: numbers, text and bytes as they are, truth as 0 or 1, anything nested as JSON text.
"""

import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

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


SQL = blocks(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"))


class Columns(Generic[T]):
    """How one kind of Struct lies in columns of the same names."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._names = kind.__struct_fields__
        hints = {name: _without_none(hint) for name, hint in get_type_hints(kind).items()}
        self._flags = [name for name in self._names if hints[name] is bool]
        self._nested = {
            name: msgspec.json.Decoder(hints[name])
            for name in self._names
            if hints[name] is not bool and hints[name] not in _PLAIN
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
            except (msgspec.MsgspecError, TypeError, ValueError):
                values[name] = _empty(decoder)
        return self.struct(values)


def _empty(decoder: "msgspec.json.Decoder[Any]") -> str | None:
    """Return the least JSON text that is of this type; None: there is none."""
    for text in ("{}", "[]"):
        try:
            decoder.decode(text)
        except msgspec.MsgspecError:
            continue
        return text
    return None


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint

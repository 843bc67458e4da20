"""Decodes what somebody else wrote: one exception, whatever is wrong with it. The one place for it.

A text can be wrong in three ways, for which each library has exceptions of its own: it is no JSON, or of
another shape; its bytes are no text; or it is nested so deeply that the interpreter's stack ends
(RecursionError, which no library tells among its own). Who handles but one of them ends with a traceback.

YAML is read by yaml_tree.py, which bounds depth and size itself. A lint test (tests/unit/test_decoding.py)
finds any other decoder. Clients that do without msgspec: client_wire.py.
"""

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import msgspec

T = TypeVar("T")

DEPTH_MOST = 100
"""How deep lists and tables of a text may be nested that a person writes by hand."""

_TOO_DEEP = "it is nested too deeply"
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)
_TOML_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_TOML_TOKENS = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]', re.DOTALL
)
_LONG_NUMBER = re.compile(r"\d[\d_]{4000,}")
_TOML_WORDS = {"Cannot overwrite a value": "this key has a value already"}


class Undecodable(ValueError):
    """What somebody else wrote can't be decoded; the message says why.

    `line` and `column` count from 1, and are null where the place is not known.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class _Decoder(Generic[T]):
    """A decoder for one type, made once where much is decoded."""

    def __init__(self, decode: Callable[[Any], T]) -> None:
        self._decode = decode

    def decode(self, data: bytes | str | msgspec.Raw) -> T:
        """Decode one value.

        Raises:
            Undecodable: it is none of this type.
        """
        decoded: T = _checked(self._decode, data)
        return decoded


class JsonDecoder(_Decoder[T]):
    """A decoder of JSON."""

    def __init__(self, kind: Any) -> None:
        super().__init__(msgspec.json.Decoder(kind).decode)


class MsgpackDecoder(_Decoder[T]):
    """A decoder of msgpack."""

    def __init__(self, kind: Any) -> None:
        super().__init__(msgspec.msgpack.Decoder(kind).decode)


@overload
def from_json(data: bytes | str, kind: type[T], *, strict: bool = True) -> T: ...
@overload
def from_json(data: bytes | str) -> Any: ...
def from_json(data: bytes | str, kind: Any = Any, *, strict: bool = True) -> Any:
    """Decode JSON.

    Raises:
        Undecodable: it is none of this type.
    """
    return _checked(msgspec.json.decode, data, type=kind, strict=strict)


def from_msgpack(data: bytes, kind: type[T]) -> T:
    """Decode msgpack.

    Raises:
        Undecodable: it is none of this type.
    """
    decoded: T = _checked(msgspec.msgpack.decode, data, type=kind)
    return decoded


def from_builtins(value: object, kind: type[T], *, str_keys: bool = False) -> T:
    """Take a decoded value for one of a type.

    Raises:
        Undecodable: it is none of this type.
    """
    taken: T = _checked(msgspec.convert, value, type=kind, str_keys=str_keys)
    return taken


def from_toml(text: str) -> dict[str, Any]:
    """Decode TOML, in which brackets are nested at most DEPTH_MOST deep.

    Raises:
        Undecodable: it is none; with its place.
    """
    depth = 0
    for token in _TOML_TOKENS.finditer(text):
        depth += 1 if token[0] in "[{" else -1 if token[0] in "]}" else 0
        if depth > DEPTH_MOST:
            raise Undecodable(_TOO_DEEP, *_position(text, token.start()))
    import tomllib  # noqa: PLC0415  who decodes JSON alone does without

    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _toml_fault(text, error) from None
    check_depth(values)  # names with dots nest, too
    return values


def _toml_fault(text: str, error: Exception) -> Undecodable:
    """Return what is wrong with a text, with its place, which the library's message ends with."""
    if isinstance(error, RecursionError):
        return Undecodable(_TOO_DEEP)
    found = _TOML_PLACE.search(str(error))
    if found is None:  # Python's own error, of a number with more digits than it reads
        number = _LONG_NUMBER.search(text)
        place = (None, None) if number is None else _position(text, number.start())
        return Undecodable("a number has too many digits", *place)
    message = str(error)[: found.start()]
    message = _TOML_WORDS.get(message, message[:1].lower() + message[1:])
    if found["line"] is None:
        return Undecodable(message, *_position(text, len(text)))
    return Undecodable(message, int(found["line"]), int(found["column"]))


def check_depth(value: object) -> None:
    """See that lists and mappings of a decoded value are nested at most DEPTH_MOST deep.

    What was decoded could else be too deep for what follows: to be encoded again, or sent to a worker.

    Raises:
        Undecodable: they are nested deeper.
    """
    depth = 0
    level: list[Any] = [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        if depth > DEPTH_MOST:
            raise Undecodable(_TOO_DEEP)
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]


def _position(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _checked(decode: Callable[..., Any], data: object, **options: Any) -> Any:
    """Call a library's function; whatever is wrong with the data is one exception."""
    try:
        return decode(data, **options)
    except _FAULTS as error:
        raise Undecodable(_TOO_DEEP if isinstance(error, RecursionError) else str(error)) from None

"""Params read by the type of their method; what is wrong with them in words: the place, what is wanted."""

import re
from typing import Any

import msgspec
from msgspec import inspect as types

from marianned import wire
from marianned.formatting import CONTROLS, did_you_mean
from marianned.protocol import METHODS, Query

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(method.params) for name, method in METHODS.items()
}
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SHOWN = 40
"""Characters of a name or a value that are repeated in an error."""
_PLACE = re.compile(r"`\$\.?([^`]*)`$")
_GIVEN = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def read_params(request: wire.Request) -> Query[Any]:
    """Decode the params of a request by the type of its method.

    Raises:
        ProtocolFault: there is no such method, or the params are not of its type.
    """
    decoder = _DECODERS.get(request.method)
    if decoder is None:
        raise wire.ProtocolFault(
            wire.METHOD_NOT_FOUND,
            f"no method '{_short(request.method)}'{_nearest(request.method, METHODS)}",
            request.id,
            hints=["mzt rpc"],
        )
    try:
        params: Query[Any] = decoder.decode(request.params)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise wire.ProtocolFault(
            wire.INVALID_PARAMS,
            _usage_error(request, str(error)),
            request.id,
            hints=[f"mzt rpc {request.method} --schema"],
        ) from None
    return params


def _usage_error(request: wire.Request, complaint: str) -> str:
    """Say what is wrong: a name that is unknown, one that is missing, or a value that is not of its type."""
    try:
        given = _members.decode(request.params)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "params: not a valid JSON object"
    fields = {field.encode_name: field for field in _fields(METHODS[request.method].params)}
    for name in given:
        if name not in fields:
            return f"params.{_short(name)}: unknown parameter of {request.method}{_nearest(name, fields)}"
    for name, field in fields.items():
        if field.required and name not in given:
            return f"params.{name}: {request.method} needs it, {_wanted(field.type)}"
    place = _PLACE.search(complaint)
    name = re.split(r"[.\[]", place[1])[0] if place else ""
    if name not in fields:
        return "params: they can't be read"
    return (
        f"params.{name}: {_wanted(fields[name].type)} is wanted, not {_given(given[name], fields[name].type)}"
    )


def _fields(kind: type[Query[Any]]) -> tuple[types.Field, ...]:
    described = types.type_info(kind)
    assert isinstance(described, types.StructType)
    return described.fields


def _nearest(name: str, names: Any) -> str:
    hint = did_you_mean(name[:200], names)
    return f"; {hint}" if hint else ""


def _wanted(kind: types.Type) -> str:
    """Describe a type as people say it."""
    match kind:
        case types.UnionType():
            said = " or ".join(_wanted(one) for one in kind.types)
        case types.LiteralType():
            said = " or ".join(f"'{one}'" for one in kind.values)
        case types.ListType():
            said = f"a list of {_wanted(kind.item_type)}"
        case types.DictType():
            said = f"an object of {_wanted(kind.value_type)} by names without '='"
        case types.IntType():
            said = f"a whole number{_range(kind.ge, kind.le)}"
        case types.FloatType():
            said = f"a number{_range(kind.ge, kind.le)}{'' if kind.gt is None else f' above {kind.gt:g}'}"
        case types.StrType():
            pattern = "" if kind.pattern is None else " without zero bytes"
            if kind.pattern is not None and CONTROLS in kind.pattern:
                pattern = " without control characters"
            said = f"text{_range(kind.min_length, kind.max_length, ' characters')}{pattern}"
        case _:
            said = "null" if isinstance(kind, types.NoneType) else "true or false"
    return said


def _range(least: float | None, most: float | None, what: str = "") -> str:
    if least is not None and most is not None:
        return f" of {least}-{most}{what}" if what else f" from {least} to {most}"
    if most is not None:
        return f" of at most {most}{what}"
    return "" if least is None else f" from {least:g} up"


def _has_length(text: str, wanted: types.StrType) -> bool:
    most = wanted.max_length
    return len(text) >= (wanted.min_length or 0) and (most is None or len(text) <= most)


def _given(raw: msgspec.Raw, wanted: types.Type) -> str:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "a value that can't be read"
    texts = [one for one in getattr(wanted, "types", (wanted,)) if isinstance(one, types.StrType)]
    if isinstance(value, str) and texts and not any(_has_length(value, one) for one in texts):
        return f"one of {len(value):,}" if value else "an empty one"
    return _GIVEN.get(type(value)) or _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"

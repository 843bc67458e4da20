"""Says in words what is wrong with a field of a message: what it takes, and what was given."""

import re

import msgspec
from msgspec import inspect as types

from marianned.decoding import JsonDecoder, Undecodable, from_json
from marianned.formatting import CONTROLS, did_you_mean

_members = JsonDecoder[dict[str, msgspec.Raw]](dict[str, msgspec.Raw])
_SHOWN = 40
"""Characters of a name or a value that are repeated in an error."""
_PLACE = re.compile(r"`\$\.?([^`]*)`$")
_STRANGE = re.compile(f"[{CONTROLS}]")
_ONE_OF = {"params": "parameter", "arguments": "argument"}
_GIVEN = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def describe_field_error(
    kind: type[msgspec.Struct], given: msgspec.Raw | bytes, error: str, *, whose: str, called: str
) -> str:
    """Say which field of an object is wrong and why; `error` is what msgspec says of it.

    A name that is unknown comes first, then one that is missing, then a value that is not of its type.
    `whose` fields they are, and what all of them are `called`: `params`.
    """
    try:
        members = _members.decode(given)
    except Undecodable:
        return f"{called}: not a valid JSON object"
    described = types.type_info(kind)
    assert isinstance(described, types.StructType)
    fields = {field.encode_name: field for field in described.fields}
    for name in members:
        if name not in fields:
            hint = did_you_mean(name[:200], fields)
            said = f"{called}.{shorten(name)}: unknown {_ONE_OF[called]} of {whose}"
            return f"{said}; {hint}" if hint else said
    for name, field in fields.items():
        if field.required and name not in members:
            return f"{called}.{name}: {whose} needs it, {_describe_type(field.type)}"
    place = _PLACE.search(error)
    name = re.split(r"[.\[]", place[1])[0] if place else ""
    if name not in fields:
        return f"{called}: they can't be read"
    wanted = fields[name].type
    return (
        f"{called}.{name}: {_describe_type(wanted)} is wanted, not {_describe_value(members[name], wanted)}"
    )


def _describe_type(kind: types.Type) -> str:
    """Describe a type as people say it."""
    match kind:
        case types.Metadata():
            said = _describe_type(kind.type)
        case types.UnionType():
            said = " or ".join(_describe_type(one) for one in kind.types)
        case types.LiteralType():
            said = " or ".join(f"'{one}'" for one in kind.values)
        case types.ListType():
            said = f"a list of {_describe_type(kind.item_type)}"
        case types.DictType():
            said = f"an object of {_describe_type(kind.value_type)} by names without '='"
        case types.IntType():
            said = f"a whole number{_range_text(kind.ge, kind.le)}"
        case types.FloatType():
            said = (
                f"a number{_range_text(kind.ge, kind.le)}{'' if kind.gt is None else f' above {kind.gt:g}'}"
            )
        case types.StrType():
            pattern = "" if kind.pattern is None else " without zero bytes"
            if kind.pattern is not None and CONTROLS in kind.pattern:
                pattern = " without control characters"
            said = f"text{_range_text(kind.min_length, kind.max_length, ' characters')}{pattern}"
        case _:
            said = "null" if isinstance(kind, types.NoneType) else "true or false"
    return said


def _range_text(least: float | None, most: float | None, what: str = "") -> str:
    if least is not None and most is not None:
        return f" of {least}-{most}{what}" if what else f" from {least} to {most}"
    if most is not None:
        return f" of at most {most}{what}"
    return "" if least is None else f" from {least:g} up"


def _has_length(text: str, wanted: types.StrType) -> bool:
    most = wanted.max_length
    return len(text) >= (wanted.min_length or 0) and (most is None or len(text) <= most)


def _describe_value(raw: msgspec.Raw, wanted: types.Type) -> str:
    try:
        value = from_json(bytes(raw))
    except Undecodable:
        return "a value that can't be read"
    ways = [
        one.type if isinstance(one, types.Metadata) else one for one in getattr(wanted, "types", (wanted,))
    ]
    texts = [one for one in ways if isinstance(one, types.StrType)]
    if isinstance(value, str) and texts and not any(_has_length(value, one) for one in texts):
        return f"one of {len(value):,}" if value else "an empty one"
    if isinstance(value, str) and texts and (strange := _STRANGE.search(value)):
        return f"one with {strange.group()!r}"
    return _GIVEN.get(type(value)) or shorten(str(value))


def shorten(text: str) -> str:
    """Return what is repeated of a text in an error."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"

"""The JSON Schema of a score, read off the model: python tests/docs/generated.py writes the file anew.

Draft 7, which editors know. It says what a structure can say; `mzt validate` knows the rest.
"""

import json
from typing import get_type_hints

import msgspec
import score_fields

from marianned.formatting import DURATION_MOST
from marianned.score.read import model, rules

FILE = "marianned/score/score.schema.json"

_INTEGER = {"type": "string", "pattern": r"^[-+]?[0-9]{1,18}$"}
_NUMBER = {"type": "string", "pattern": r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"}
_DURATION = {"type": "string", "pattern": r"^\s*(([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+|[0-9]+(\.[0-9]+)?)\s*$"}
_FLAG = {
    "type": "string",
    "pattern": "^([Tt][Rr][Uu][Ee]|[Yy][Ee][Ss]|[Oo][Nn]|[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]|[Oo][Ff]{2})$",
}
_KEY = {"pattern": r"^\+?0*[1-9][0-9]*$"}
_SCALARS = ["string", "number", "boolean"]
_PUBLISHED_AS_PARTS = frozenset(
    {"Action", "CrossSheet", "Executor", "Loop", "Parallel", "Parameter", "Prompt", "Retry", "Sheet"}
    | {"Triggers"}
)


def document():
    """Return the whole schema."""
    definitions = {definition_name(struct): part(struct) for struct in score_fields.SECTIONS}
    definitions["Settings"] = settings(rules.SettingsRule(model.SETTINGS))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A score of Marianne",
        "allOf": [{"$ref": "#/definitions/Score"}],
        "definitions": definitions,
    }


def written():
    """Write it as the file has it."""
    return json.dumps(document(), indent=1) + "\n"


def definition_name(struct):
    """Return what a section's definition was called when it was first published: others may refer to it."""
    name = struct.__name__.removesuffix("Section")
    return f"{name}Part" if name in _PUBLISHED_AS_PARTS else name


def part(struct):
    """Return the schema of a mapping with known keys."""
    hints = get_type_hints(struct, include_extras=True)
    properties = {}
    required = []
    for field in msgspec.structs.fields(struct):
        key = field.name.removesuffix("_")
        about = score_fields.FIELDS[struct][field.name]
        properties[key] = described(of(hints[field.name].__metadata__[0]), about, null=not field.required)
        if field.required:
            required.append(key)
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": required} if required else {})


def described(schema, about, *, null=True):
    """Return the schema of a key; null is the same as leaving an optional one out."""
    return {"description": about, "anyOf": [schema, *([{"type": "null"}] if null else [])]}


def of(rule):  # noqa: PLR0911, PLR0912  a type a branch
    """Return what a type of the format accepts."""
    match rule:
        case rules.EitherRule():
            return {"anyOf": [of(rule.short), of(rule.long)]}
        case rules.StructRule(others="S501"):
            return part(rule.struct) | {"additionalProperties": {}}
        case rules.StructRule():
            return {"$ref": f"#/definitions/{definition_name(rule.struct)}"}
        case rules.SettingsRule():
            return {"$ref": "#/definitions/Settings"} if rule.rules is model.SETTINGS else settings(rule)
        case rules.ListRule():
            return {"type": "array", "items": of(rule.item)}
        case rules.MapRule():
            names = {"propertyNames": _KEY} if rule.numbered else {}
            return {"type": "object", "additionalProperties": of(rule.value)} | names
        case rules.TextRule(choices=choices) if choices:
            return {"enum": list(choices)}
        case rules.TextRule():
            pattern = {"pattern": f"^({rule.pattern})$"} if rule.pattern else {}
            return {"type": _SCALARS} | ({"pattern": r"\S"} if rule.filled else pattern)
        case rules.PatternRule():
            return {"type": _SCALARS, "pattern": r"\S"}
        case rules.BoolRule():
            return {"anyOf": [{"const": rule.only} if rule.only is not None else {"type": "boolean"}, _FLAG]}
        case rules.NumberRule():
            kind = {"type": "integer" if rule.whole else "number"} | limits(rule, 1)
            return {"anyOf": [kind, _INTEGER if rule.whole else _NUMBER]}
        case rules.DurationRule():
            most = round(DURATION_MOST / rule.unit, 6)
            kind = {"type": "number", "minimum": 0, "maximum": most} | limits(rule.range, rule.unit)
            return {"anyOf": [kind, _DURATION]}
        case rules.NullableRule():
            return {}
        case rules.AnyRule():
            return {"type": ["object", "array"]} if rule.kinds else {}
    raise AssertionError(rule)


def limits(rule, unit):
    """Return a range, in the unit in which a number counts."""
    words = {"minimum": rule.least, "exclusiveMinimum": rule.above, "maximum": rule.most}
    return {word: round(limit / unit, 6) for word, limit in words.items() if limit is not None}


def settings(rule):
    """Return the schema of an instrument's settings: others than ours may stand there too."""
    properties = {key: described(of(inner), score_fields.SETTINGS[key]) for key, inner in rule.rules.items()}
    properties |= {key: {} for key in rule.ignored}
    return {"type": "object", "properties": properties} | (
        {"additionalProperties": False} if rule.closed else {}
    )

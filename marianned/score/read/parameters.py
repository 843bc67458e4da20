"""The parameters of a run: what a score says of them, and the values that its variables have in one run.

A value given with a run takes the place of a default and must be of its kind; a text is read as the number,
the truth value or the date that the default is, for that is how it is typed. Source:
docs/reference/score-format.md §9.5.
"""

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from marianned.protocol import Parameter
from marianned.score.read.model import ParameterSection, Score
from marianned.score.read.reader import ScoreSource
from marianned.score.read.report import ProblemReport
from marianned.score.read.variables import BUILT_IN, as_json
from marianned.yaml_tree import KeyPath

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d{1,18}")
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?")
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (dt.date, "a date"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a mapping"),
)
_SHOWN = 40
_NAMED = 8


class ValueKindError(Exception):
    """A value is of another kind than the default; the message says which is needed."""


def convert_to_kind(value: Any, default: Any) -> Any:
    """Return a value as one of the default's kind; where there is no default, as it is.

    Raises:
        ValueKindError: it can't be converted.
    """
    if default is None:
        return value
    kind, wanted = next((kind, words) for kind, words in _KINDS if isinstance(default, kind))
    read = _parse_text(value, kind) if isinstance(value, str) else value
    if isinstance(read, float) and not math.isfinite(read):
        raise ValueKindError(f"a finite number is needed, this is {_quote(value)}")
    if kind is float and type(read) is int:
        return float(read)
    if read is None or not isinstance(read, kind) or isinstance(read, bool) is not (kind is bool):
        raise ValueKindError(f"{wanted} is needed, this is {_quote(value)}")
    return read


def _parse_text(text: str, kind: type) -> Any:
    """Read a text as a value of another kind; None where the text is no such value."""
    if kind is bool:
        return _TRUTHS.get(text.lower())
    if kind is int:
        return int(text) if _WHOLE.fullmatch(text) else None
    if kind is float:
        return float(text) if _DECIMAL.fullmatch(text) else None
    if issubclass(kind, dt.date):
        try:
            return dt.datetime.fromisoformat(text) if "T" in text else dt.date.fromisoformat(text)
        except ValueError:
            return None
    return text


def apply_values(score: Score, source: ScoreSource, report: ProblemReport) -> tuple[Score, list[Parameter]]:
    """Return the score with the values that its variables have in this run, and its parameters."""
    _check_block(score, report)
    values = {**score.prompt.variables}
    for name, part in score.parameters.items():
        if part.default is not None and name not in BUILT_IN:
            values[name] = part.default
    names = [*score.parameters, *(name for name in score.prompt.variables if name not in score.parameters)]
    _check_names(source, names, report)
    for name, given in {**source.kept, **source.given}.items():
        if name in names and name not in BUILT_IN:
            values[name] = _checked_value(score, name, given, report, kept=name not in source.given)
    parameters = [_describe_parameter(score, name, values) for name in names if name not in BUILT_IN]
    for name in _report_missing(score, values, report):
        # A stand-in, so that each use of the name is not reported as a fault of its own.
        values[name] = next(iter(score.parameters[name].choices), f"({name})")
    prompt = msgspec.structs.replace(score.prompt, variables=values)
    return msgspec.structs.replace(score, prompt=prompt), parameters


def _report_missing(score: Score, values: Mapping[str, Any], report: ProblemReport) -> list[str]:
    """Report required parameters without a value; return their names."""
    missing = [
        name
        for name, part in score.parameters.items()
        if part.required and name not in values and not report.wrong("parameters", name)
    ]
    for name in missing:
        description = score.parameters[name].description
        said = f"'{name}' needs a value{f': {description}' if description else ''}"
        hint = f"--var {name}=VALUE, or --vars-file FILE"
        report.add("S217", ("parameters", name), said, key=True, hint=hint)
    return missing


def _check_block(score: Score, report: ProblemReport) -> None:
    """Report contradictions in the `parameters` section."""
    for name, part in score.parameters.items():
        path: KeyPath = ("parameters", name)
        if not _NAME.fullmatch(name):
            report.add("S016", path, f"'{name[:_SHOWN]}' is not a name that a template can write", key=True)
        elif name in BUILT_IN:
            report.add("S209", path, f"'{name}' is the name of a built-in, which wins", key=True)
        default, also = part.default, name in score.prompt.variables
        if default is not None and also:
            message = f"'{name}' has a default here, and a value in 'prompt.variables'"
            report.add("S015", (*path, "default"), message)
        if part.required and (default is not None or also):
            report.add("S015", (*path, "required"), f"'{name}' is required, and has a default")
        default = score.prompt.variables.get(name) if default is None else default
        if default is not None and part.choices and default not in part.choices:
            message = f"{_quote(default)} is not one of {_name_list(part.choices)}"
            report.add("S013", (*path, "default"), message)


def _check_names(source: ScoreSource, names: list[str], report: ProblemReport) -> None:
    """Report values for what is no variable of the score; those the run was given before are kept."""
    for name in source.given:
        if name in BUILT_IN:
            report.add("S216", (), f"'{name}' is the name of a built-in; no value can be given for it")
        elif name not in names:
            known = (
                f"there are {_name_list(names)}"
                if names
                else "the score has neither parameters nor variables"
            )
            hint = report.nearest(name, names) or known
            report.add("S216", (), f"a value is given for '{name}', which the score does not know", hint=hint)
    for name in source.kept:
        if name not in names and name not in source.given:
            message = f"the run's value for '{name}' is kept, though the score does not know it any more"
            report.add("S219", (), message)


def _checked_value(score: Score, name: str, given: Any, report: ProblemReport, *, kept: bool) -> Any:
    """Return a given value as one of its kind; report what is wrong with it.

    `kept`: the run was given it before, under a score that may have wanted another.
    """
    again = f"the run was given it before; --var {name}=VALUE replaces it" if kept else None
    part = score.parameters.get(name, ParameterSection())
    default = score.prompt.variables.get(name) if part.default is None else part.default
    if default is None and part.choices:
        default = part.choices[0]
    path = ("parameters", name) if name in score.parameters else ("prompt", "variables", name)
    try:
        value = convert_to_kind(given, default)
    except ValueKindError as fault:
        lists = isinstance(default, list | dict) and isinstance(given, str)
        hint = "only --vars-file can give it" if lists else None
        if isinstance(default, str) and isinstance(given, int | float):
            hint = f'write "{given}" in quotes in the file of --vars-file'
        report.add("S218", path, f"the value given for '{name}': {fault}", key=True, hint=again or hint)
        return default
    if part.choices and value not in part.choices:
        message = f"the value given for '{name}', {_quote(value)}, is not one of {_name_list(part.choices)}"
        hint = report.nearest(str(value), [str(choice) for choice in part.choices])
        report.add("S218", path, message, key=True, hint=again or hint)
    return value


def _describe_parameter(score: Score, name: str, values: Mapping[str, Any]) -> Parameter:
    part = score.parameters.get(name, ParameterSection())
    default = score.prompt.variables.get(name) if part.default is None else part.default
    return Parameter(
        name=name,
        description=part.description,
        declared=name in score.parameters,
        required=part.required,
        default=as_json(default),
        choices=as_json(part.choices),
        value=as_json(values.get(name)),
    )


def _quote(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value[:_SHOWN]}'"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    return "nothing" if value is None else json.dumps(value, default=str)


def _name_list(values: list[Any]) -> str:
    named = ", ".join(str(value)[:_SHOWN] for value in values[:_NAMED])
    return named if len(values) <= _NAMED else f"{named} and {len(values) - _NAMED} more"

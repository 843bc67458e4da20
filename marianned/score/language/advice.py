"""What to write instead of an expression that is none, or that is always true: hints for people.

Source: docs/reference/score-format.md §14, §29.2.
"""

import ast
import keyword
import re
from collections.abc import Collection, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from marianned.formatting import did_you_mean
from marianned.protocol import SheetStatus
from marianned.score.language.expressions import (
    OF_FILES,
    ExpressionLanguage,
    JobValue,
    SheetValue,
    comparisons,
    describe_python_error,
    parse_loosely,
    value_of,
)

_OPERATORS = (
    (re.compile(r"\{\{|\}\}|\{%"), "an expression stands without '{{' and '}}'"),
    (re.compile(r"&&|\|\||!(?!=)"), "write 'and', 'or', 'not'"),
    (re.compile(r"=[<>]"), "write '>=' or '<='"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "write '==' to compare"),
    (re.compile(r"\bsheets?\.\d"), "write 'sheets[3]' for sheet 3"),
    (re.compile(r";"), "it is one expression: 'and' and 'or' join several"),
)
"""Spellings of other languages, and what to write; the first that is found is told."""
_CONSTANTS = {"true": "True", "false": "False", "null": "None", "none": "None", "yes": "True", "no": "False"}
_OF_ROUNDS = frozenset({"round", "iteration", "index", "count"})
_PRINTED = ("previous_outputs", "previous_files", "previous")
_ASK_A_FILE = 'let the sheet write it into a file: file("p").contains("t")'
_SKIP_EXAMPLE = "sheets[1].exit_code == 0"
_MAY_BE_CALLED = 'file("p").exists, file("p").contains("t"), file("p").matches("re"), sheets.get(3)'


class Objection(NamedTuple):
    """Why an expression can't be meant so, and what to write instead."""

    message: str
    hint: str | None


def advice(text: str, language: ExpressionLanguage) -> str:
    """Say what to write instead of a text that is no expression of a language."""
    for pattern, hint in _OPERATORS:
        if pattern.search(_without_texts(text.strip())):
            return hint
    if (word := re.search(r"\bloop\.([a-z]+)\b", text)) and keyword.iskeyword(word[1]):
        return did_you_mean(word[1], sorted(language.loop or ())) or "the name is a word of the language"
    tree = parse_loosely(text)
    nodes = [] if tree is None else list(ast.walk(tree))
    found = (_advice_for_call(node, language) or _advice_for_attribute(node, language) for node in nodes)
    return next((hint for hint in found if hint is not None), _example(language))


def _example(language: ExpressionLanguage) -> str:
    return f"as in: {'loop.passed or file(' + repr('p') + ').exists' if language.files else _SKIP_EXAMPLE}"


def advice_for_name(name: str, known: Collection[str], language: ExpressionLanguage, end: int | None) -> str:
    """Say what to write for a name that an expression has and nobody knows; `end` is a loop's last sheet."""
    if name in _CONSTANTS:
        return f"write '{_CONSTANTS[name]}'"
    if language.loop:
        if name in language.loop:
            return f"write 'loop.{name}'"
        if name in _OF_ROUNDS:
            return "write 'loop.round'"
    if name in SheetValue.__struct_fields__:
        return f"write 'sheets[{end or 3}].{name}'"
    return did_you_mean(name, sorted(known)) or "a variable is meant, or a text, which stands in quotes"


def find_objection(text: str, language: ExpressionLanguage, variables: Mapping[str, Any]) -> Objection | None:
    """Say why an expression can't be meant so: it is always true, or compares what has no order."""
    tree = parse_loosely(text)
    if tree is None:
        return None
    for node in _truth_tests(tree):
        written = ast.unparse(node)[:40]
        match node:
            case ast.Call(func=ast.Name(id="file")):
                hint: str = f"write '{written}.exists', '.contains(\"t\")' or '.matches(\"re\")'"
            case ast.Subscript(value=ast.Name(id="sheets")):
                hint = f"write '{written}.exit_code == 0', '.status' or '.validation_passed'"
            case ast.Name(id="loop"):
                hint = (
                    "write 'loop.passed' or 'loop.round == 3'"
                    if language.files
                    else "write 'loop.round == 3'"
                )
            case ast.Name(id="sheets" | "job"):
                hint = "an attribute of it is meant"
            case ast.Constant(value=str()):
                hint = "an expression stands without quotes of its own"
            case _:
                continue
        return Objection(f"{written} is always true", hint)
    outputs = _object_to_outputs(tree) if language.files else None
    return _object_to_keys(tree) or _object_to_statuses(tree) or _object_to_kinds(text, variables) or outputs


def _truth_tests(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the parts of an expression whose truth value is used."""
    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                yield from _truth_tests(part)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            yield from _truth_tests(part)
        case _:
            yield node


def _object_to_keys(tree: ast.expr) -> Objection | None:
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id="sheets"), slice=ast.Constant(value=key)) if (
                type(key) is not int
            ):
                return Objection(f"there is no sheet {key!r}", "sheets go by number: sheets[3]")
            case ast.Subscript(value=ast.Name(id="sheets"), slice=ast.UnaryOp()):
                return Objection(f"there is no sheet {ast.unparse(node.slice)}", "sheets are counted from 1")
    return None


def _object_to_statuses(tree: ast.expr) -> Objection | None:
    """Look for statuses that no sheet has."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=ast.Attribute(attr="status"), comparators=[ast.Constant(value=str(word))]):
                if word not in list(SheetStatus):
                    hint = did_you_mean(word, SheetStatus) or f"there are: {', '.join(SheetStatus)}"
                    return Objection(f"no sheet is ever '{word[:40]}'", hint)
    return None


def _object_to_kinds(text: str, variables: Mapping[str, Any]) -> Objection | None:
    """Try each comparison with samples: what has no order has none in any round."""
    values = {
        **variables,
        "loop": _SampleLoop(),
        "job": JobValue(name="", run=1, workspace=""),
        "sheets": _SampleSheets(),
    }
    for node in comparisons(text):
        try:
            value_of(node, values)
        except TypeError as error:
            return Objection(describe_python_error(error), "a number is written without quotes")
        except Exception:  # noqa: BLE001, S112  it depends on what is not known yet
            continue
    return None


def _object_to_outputs(tree: ast.expr) -> Objection | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _PRINTED:
            return Objection(f"'{node.id}' is empty here", _ASK_A_FILE)
    return None


def _advice_for_call(node: ast.AST, language: ExpressionLanguage) -> str | None:
    """Say what to write for a call that is not possible; None: it is none, or is."""
    if not isinstance(node, ast.Call):
        return None
    one = len(node.args) == 1 and not node.keywords
    match node.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="file")) as of, attr="exists"):
            return f"write '{ast.unparse(of)}.exists', without brackets"
        case ast.Attribute(value=ast.Call(func=ast.Name(id="file")), attr=name) if language.files:
            wrong = f"'{name}' takes one text" if not one else None
            return wrong if name in OF_FILES else did_you_mean(name, OF_FILES) or _possible_calls(language)
        case ast.Name(id="file") if language.files:
            return None if one else 'file("p") takes one path'
        case ast.Attribute(value=ast.Name(id="sheets"), attr="get"):
            return None if one else "sheets.get(N) takes one number"
    return _possible_calls(language)


def _possible_calls(language: ExpressionLanguage) -> str:
    return f"what can be asked: {_MAY_BE_CALLED if language.files else 'sheets.get(3)'}"


def _advice_for_attribute(node: ast.AST, language: ExpressionLanguage) -> str | None:
    """Say what to write for an attribute that is not there; None: it is none, or is there."""
    if not isinstance(node, ast.Attribute):
        return None
    known: tuple[str, ...] = ()
    hint: str | None = None
    match node.value:
        case ast.Name(id="loop"):
            known = tuple(sorted(language.loop or ()))
            hint = _ASK_A_FILE if node.attr in _PRINTED else None
            hint = hint if known else "only stages of a loop have rounds"
        case ast.Name(id="job"):
            known = JobValue.__struct_fields__
        case ast.Call(func=ast.Name(id="file")):
            known = ("exists", *OF_FILES)
        case ast.Subscript(value=ast.Name(id="sheets")) | ast.Call(func=ast.Attribute(attr="get")):
            known = SheetValue.__struct_fields__
        case ast.Subscript(value=ast.Name(id="sheet")) as of:
            return f"write 'sheets[{ast.unparse(of.slice)}]'"
    if hint is not None or not known or node.attr in known:
        return hint
    return did_you_mean(node.attr, known) or f"there are: {', '.join(known)}"


def _without_texts(text: str) -> str:
    return re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "''", text)


class _SampleLoop(SimpleNamespace):
    """A sample `loop`: its number has any name."""

    passed = True

    def __getattr__(self, name: str) -> int:
        return 1


class _SampleSheets(dict[int, SheetValue]):
    """Sample `sheets`: each of them has ended well."""

    def __missing__(self, number: int) -> SheetValue:
        well = SheetStatus.COMPLETED
        return SheetValue(status=well, validation_passed=True, exit_code=0, attempts=1, error="")

    def get(self, number: int, default: Any = None) -> SheetValue:  # noqa: ARG002  as of a mapping
        return self[number]

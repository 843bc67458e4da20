"""`skip_when`: a small language of expressions, checked at validation and evaluated here, never by Python.

Source: docs/reference/score-format.md §14.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec


class SheetSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression sees of a sheet; `error` is why it failed."""

    status: str
    validation_passed: bool | None = None
    exit_code: int | None = None
    attempts: int = 0
    error: str | None = None


class JobSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression sees of its job."""

    name: str
    run: int
    workspace: str


class BadExpression(Exception):
    """An expression is none of this language, or has no value as things are."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name


OWN_NAMES = ("sheets", "job")
"""The names that an expression has beside those of a template."""

_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.cmpop),
    *(ast.Subscript, ast.Attribute, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple, ast.Call),
)
_MOST_CHARACTERS = 2_000
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, whole: item in whole,
    ast.NotIn: lambda item, whole: item not in whole,
    ast.Is: lambda left, right: type(left) is type(right) and left == right,
    ast.IsNot: lambda left, right: type(left) is not type(right) or left != right,
}


def expression_fault(text: str) -> str | None:
    """Say why a text is no expression of this language, or nothing."""
    try:
        _parsed(text)
    except BadExpression as fault:
        return fault.message
    return None


def names_of(text: str) -> set[str]:
    """Return the names that an expression takes from outside; none where it is no expression."""
    try:
        return {node.id for node in ast.walk(_parsed(text)) if isinstance(node, ast.Name)}
    except BadExpression:
        return set()


def sheets_of(text: str) -> set[int] | None:
    """Return the numbers of the sheets that an expression looks at; None: that depends on values."""
    numbers: set[int] = set()
    uses = found = 0
    for node in ast.walk(_parsed(text)):
        uses += isinstance(node, ast.Name) and node.id == "sheets"
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _is_sheets(node.value):
            key = node.slice
        elif isinstance(node, ast.Call) and node.args:
            key = node.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, int):
            numbers.add(key.value)
            found += 1
    return numbers if uses == found else None


def evaluate(text: str, values: Mapping[str, Any]) -> bool:
    """Tell whether an expression is true with these values by name, OWN_NAMES among them.

    Raises:
        BadExpression: it is none, or has no value: a sheet that does not exist, kinds without an order.
    """
    tree = _parsed(text)
    try:
        return bool(_value(tree.body, values))
    except BadExpression:
        raise
    except KeyError as error:
        raise BadExpression(f"there is no {error}") from None
    except Exception as error:  # noqa: BLE001  values of a score can raise whatever Python can
        raise BadExpression(str(error) or type(error).__name__) from None


def _parsed(text: str) -> ast.Expression:
    if len(text) > _MOST_CHARACTERS:
        raise BadExpression(f"longer than {_MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadExpression("cannot be parsed") from None
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise BadExpression(f"'{ast.unparse(node)[:40]}' is not possible here")
        if isinstance(node, ast.Call):
            _check_call(node)
        elif isinstance(node, ast.Attribute) and node not in called:
            _check_attribute(node)
    return tree


def _check_call(node: ast.Call) -> None:
    if ast.unparse(node.func) != "sheets.get" or len(node.args) != 1 or node.keywords:
        raise BadExpression(f"'{ast.unparse(node)[:40]}' cannot be called")


def _check_attribute(node: ast.Attribute) -> None:
    of_job = isinstance(node.value, ast.Name) and node.value.id == "job"
    of_sheet = isinstance(node.value, ast.Call) or (
        isinstance(node.value, ast.Subscript) and _is_sheets(node.value.value)
    )
    known: Collection[str] = JobSeen.__struct_fields__ if of_job else ()
    if node.attr not in (SheetSeen.__struct_fields__ if of_sheet else known):
        raise BadExpression(f"there is no attribute '{node.attr}'")


def _is_sheets(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "sheets"


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    return _VALUES[type(node)](node, values)


def _name(node: Any, values: Mapping[str, Any]) -> Any:
    if node.id not in values:
        raise BadExpression(f"unknown name '{node.id}'", node.id)
    return values[node.id]


def _either_or_both(node: Any, values: Mapping[str, Any]) -> Any:
    """Evaluate as far as it matters, like Python: the rest may have no value yet."""
    ends_at = isinstance(node.op, ast.Or)
    value: Any = None
    for part in node.values:
        value = _value(part, values)
        if bool(value) is ends_at:
            break
    return value


def _negated(node: Any, values: Mapping[str, Any]) -> Any:
    value = _value(node.operand, values)
    return not value if isinstance(node.op, ast.Not) else -value


def _comparison(node: Any, values: Mapping[str, Any]) -> bool:
    left = _value(node.left, values)
    for sign, following in zip(node.ops, node.comparators, strict=True):
        right = _value(following, values)
        if not _COMPARED[type(sign)](left, right):
            return False
        left = right
    return True


def _attribute(node: Any, values: Mapping[str, Any]) -> Any:
    value = _value(node.value, values)
    if not isinstance(value, SheetSeen | JobSeen):
        raise BadExpression(f"'{ast.unparse(node.value)}' is not a sheet")
    return getattr(value, node.attr)


_VALUES: dict[type[ast.expr], Callable[[Any, Mapping[str, Any]], Any]] = {
    ast.Constant: lambda node, _: node.value,
    ast.Name: _name,
    ast.List: lambda node, values: [_value(item, values) for item in node.elts],
    ast.Tuple: lambda node, values: tuple(_value(item, values) for item in node.elts),
    ast.BoolOp: _either_or_both,
    ast.UnaryOp: _negated,
    ast.Compare: _comparison,
    ast.Subscript: lambda node, values: _value(node.value, values)[_value(node.slice, values)],
    ast.Attribute: _attribute,
    ast.Call: lambda node, values: values["sheets"].get(_value(node.args[0], values)),
}

"""`skip_when` and `until`: a small language, checked at validation and evaluated here, never by Python.

Source: docs/reference/score-format.md §14, §29.2.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec


class SheetValue(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression sees of a sheet; `error` is why it failed."""

    status: str
    validation_passed: bool | None = None
    exit_code: int | None = None
    attempts: int = 0
    error: str | None = None


class JobValue(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression sees of its job."""

    name: str
    run: int
    workspace: str


class FileValue(Protocol):
    """What `file("p")` is in an expression: a file as it is now; one that is not there contains nothing."""

    @property
    def exists(self) -> bool:
        """Whether it is a regular file."""

    def contains(self, text: str) -> bool:
        """Whether its text contains this one."""

    def matches(self, pattern: str) -> bool:
        """Whether a regular expression is found in its text, as `content_regex` looks for it."""


class ExpressionLanguage(NamedTuple):
    """What an expression may look at beside sheets, job and variables.

    `loop`: the attributes of `loop`, empty where there is no such name, null: any; `files`: `file("p")` may
    be asked.
    """

    loop: frozenset[str] | None = frozenset()
    files: bool = False


SKIP_LANGUAGE = ExpressionLanguage()
"""The language of `skip_when` outside of loops."""

ANY_LANGUAGE = ExpressionLanguage(loop=None, files=True)
"""The language of an expression that validation has accepted: nothing in it is refused again."""


def loop_language(index: str) -> ExpressionLanguage:
    """Return the language of `skip_when` inside a loop: it knows the round, by the name `index`, too."""
    return ExpressionLanguage(loop=frozenset({"round", index}))


def until_language(index: str) -> ExpressionLanguage:
    """Return the language of a loop's `until`; `loop.passed` tells of the last stage (§29.1)."""
    return ExpressionLanguage(loop=frozenset({"round", "passed", index}), files=True)


class BadExpression(Exception):
    """A text is no expression of this language, or has no value with the present values."""

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
_COMPARATORS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
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


def expression_fault(text: str, language: ExpressionLanguage = SKIP_LANGUAGE) -> str | None:
    """Say why a text is no expression of a language, or nothing."""
    try:
        _parse(text, language)
    except BadExpression as fault:
        return fault.message
    return None


def names_of(text: str, language: ExpressionLanguage = ANY_LANGUAGE) -> set[str]:
    """Return the names that an expression takes from outside; none where it is no expression."""
    own = {*({"loop"} if language.loop != frozenset() else ()), *({"file"} if language.files else ())}
    try:
        return {node.id for node in _parse(text, language).nodes if isinstance(node, ast.Name)} - own
    except BadExpression:
        return set()


def literals_of(text: str, called: str, language: ExpressionLanguage) -> list[str]:
    """Return the texts, written as such, that an expression gives to a function or method, `file` say."""
    try:
        nodes = _parse(text, language).nodes
    except BadExpression:
        return []
    calls = [node for node in nodes if isinstance(node, ast.Call) and _called_name(node) == called]
    given = [node.args[0] for node in calls]
    return [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def sheets_of(text: str) -> set[int] | None:
    """Return the numbers of the sheets that an expression looks at; None: that depends on values."""
    numbers: set[int] = set()
    uses = found = 0
    for node in _parse(text, ANY_LANGUAGE).nodes:
        uses += isinstance(node, ast.Name) and node.id == "sheets"
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _is_sheets(node.value):
            key = node.slice
        elif isinstance(node, ast.Call) and _called_name(node) == "get":
            key = node.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, int):
            numbers.add(key.value)
            found += 1
    return numbers if uses == found else None


def required_sheets(text: str, language: ExpressionLanguage) -> set[int]:
    """Return the numbers of the sheets that must be there for an expression to have a value: `sheets[2]`."""
    try:
        nodes = _parse(text, language).nodes
    except BadExpression:
        return set()
    keys = [node.slice for node in nodes if isinstance(node, ast.Subscript) and _is_sheets(node.value)]
    return {key.value for key in keys if isinstance(key, ast.Constant) and type(key.value) is int}


def evaluate(text: str, values: Mapping[str, Any]) -> bool:
    """Tell whether an expression is true with these values by name, OWN_NAMES among them.

    In a loop `loop` is an object with its attributes, and in `until` `file` makes a FileValue of a text.

    Raises:
        BadExpression: it is none, or has no value: a sheet that does not exist, kinds without an order.
        OSError: a file can't be looked at just now.
    """
    body = _parse(text, ANY_LANGUAGE).body
    try:
        return bool(value_of(body, values))
    except (BadExpression, OSError):  # the second: the machine is short of something, and it is asked again
        raise
    except KeyError as error:
        raise BadExpression(f"there is no {error}") from None
    except Exception as error:  # noqa: BLE001  values of a score can raise whatever Python can
        raise BadExpression(describe_python_error(error)) from None


def describe_python_error(error: Exception) -> str:
    """Say what Python says of a value, with the words of scores for its classes."""
    said = str(error) or type(error).__name__
    said = said.replace(" not supported between instances of ", " is not possible between ")
    return _CLASS.sub(lambda found: _KINDS.get(found[1], found[0]), said)


_CLASS = re.compile(r"'([\w.]+)'(?: object)?")
_KINDS = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "NoneType": "nothing",
    "list": "a list",
    "dict": "a mapping",
    "SheetValue": "a sheet",
    "JobValue": "the job",
    "types.SimpleNamespace": "the loop",
    "_SampleLoop": "the loop",
    "_ExpressionFile": "a file",
}


class _ParsedExpression(NamedTuple):
    """The tree of an expression, and all of its nodes."""

    body: ast.expr
    nodes: list[ast.AST]


@lru_cache(maxsize=64)
def _parse(text: str, language: ExpressionLanguage) -> _ParsedExpression:
    """Parse an expression; cached, since several functions look at the same one in turn."""
    if len(text) > _MOST_CHARACTERS:
        raise BadExpression(f"longer than {_MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(_in_brackets(text), mode="eval")
    except SyntaxError as error:
        raise BadExpression(_syntax_message(text.strip(), error)) from None
    except (ValueError, RecursionError, MemoryError):
        raise BadExpression("cannot be parsed") from None
    nodes = list(ast.walk(tree))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    for node in nodes:
        if not isinstance(node, _ALLOWED):
            raise BadExpression(f"'{ast.unparse(node)[:40]}' is not possible here")
        if isinstance(node, ast.Call):
            _check_call(node, language)
        elif isinstance(node, ast.Attribute) and node not in called:
            _check_attribute(node, language)
    return _ParsedExpression(tree.body, nodes)


OF_FILES = ("contains", "matches")
"""What may be asked of a file, beside `exists`."""


def _in_brackets(text: str) -> str:
    """Return an expression as Python reads it: over several lines, as of a block in YAML, in brackets."""
    text = text.strip()
    return f"({text}\n)" if "\n" in text else text


def _syntax_message(text: str, error: SyntaxError) -> str:
    """Say where an expression stops being one; Python counts lines and columns from 1, 0 is its end."""
    lines = text.split("\n")
    number = error.lineno or 1
    if error.offset == 0 or number > len(lines):
        return "cannot be parsed: it ends too early"
    bracket = len(lines) > 1 and number == 1
    rest = lines[number - 1][max(0, (error.offset or 1) - 1 - bracket) :].strip()
    return f"cannot be parsed at '{rest[:20]}'" if rest else "cannot be parsed"


def parse_loosely(text: str) -> ast.expr | None:
    """Return an expression as Python parses it, whatever it uses; None: Python can't parse it."""
    try:
        return ast.parse(_in_brackets(text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def comparisons(text: str) -> list[ast.Compare]:
    """Return what an expression of this language compares."""
    return [node for node in _parse(text, ANY_LANGUAGE).nodes if isinstance(node, ast.Compare)]


def value_of(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return what a part of an expression is with these values.

    Raises:
        Exception: whatever the values raise.
    """
    return _EVALUATORS[type(node)](node, values)


def _called_name(node: ast.Call) -> str | None:
    """Return what is called, as far as it may be: get (of sheets), file, contains, matches (of a file)."""
    match node.func:
        case ast.Name(id="file"):
            return "file"
        case ast.Attribute(value=ast.Name(id="sheets"), attr="get"):
            return "get"
        case ast.Attribute(value=ast.Call() as of, attr=name) if (
            name in OF_FILES and _called_name(of) == "file"
        ):
            return name
    return None


def _check_call(node: ast.Call, language: ExpressionLanguage) -> None:
    known = ("get", "file", *OF_FILES) if language.files else ("get",)
    if _called_name(node) not in known or len(node.args) != 1 or node.keywords:
        raise BadExpression(f"'{ast.unparse(node)[:40]}' cannot be called")


def _check_attribute(node: ast.Attribute, language: ExpressionLanguage) -> None:
    known: Collection[str] | None = ()
    match node.value:
        case ast.Name(id="job"):
            known = JobValue.__struct_fields__
        case ast.Name(id="loop"):
            known = language.loop
        case ast.Call() as call:
            known = ("exists",) if _called_name(call) == "file" else SheetValue.__struct_fields__
        case ast.Subscript(value=ast.Name(id="sheets")):
            known = SheetValue.__struct_fields__
    if known is not None and node.attr not in known:
        raise BadExpression(f"there is no attribute '{node.attr}'")


def _is_sheets(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "sheets"


def _evaluate_name(node: Any, values: Mapping[str, Any]) -> Any:
    if node.id not in values:
        raise BadExpression(f"unknown name '{node.id}'", node.id)
    return values[node.id]


def _evaluate_bool_op(node: Any, values: Mapping[str, Any]) -> Any:
    """Evaluate as far as it matters, like Python: the rest may have no value yet."""
    ends_at = isinstance(node.op, ast.Or)
    value: Any = None
    for part in node.values:
        value = value_of(part, values)
        if bool(value) is ends_at:
            break
    return value


def _evaluate_unary_op(node: Any, values: Mapping[str, Any]) -> Any:
    value = value_of(node.operand, values)
    return not value if isinstance(node.op, ast.Not) else -value


def _evaluate_comparison(node: Any, values: Mapping[str, Any]) -> bool:
    left = value_of(node.left, values)
    for sign, following in zip(node.ops, node.comparators, strict=True):
        right = value_of(following, values)
        if not _COMPARATORS[type(sign)](left, right):
            return False
        left = right
    return True


def _evaluate_attribute(node: Any, values: Mapping[str, Any]) -> Any:
    value = value_of(node.value, values)
    if value is None:
        raise BadExpression(f"'{ast.unparse(node.value)}' is not a sheet")
    return getattr(value, node.attr)


def _evaluate_call(node: Any, values: Mapping[str, Any]) -> Any:
    given = value_of(node.args[0], values)
    called = _called_name(node)
    if called == "get":
        return values["sheets"].get(given)
    if not isinstance(given, str):
        raise BadExpression(f"'{ast.unparse(node)[:40]}' needs a text")
    if called == "file":
        return values["file"](given)
    file: FileValue = value_of(node.func.value, values)
    return file.contains(given) if called == "contains" else file.matches(given)


_EVALUATORS: dict[type[ast.expr], Callable[[Any, Mapping[str, Any]], Any]] = {
    ast.Constant: lambda node, _: node.value,
    ast.Name: _evaluate_name,
    ast.List: lambda node, values: [value_of(item, values) for item in node.elts],
    ast.Tuple: lambda node, values: tuple(value_of(item, values) for item in node.elts),
    ast.BoolOp: _evaluate_bool_op,
    ast.UnaryOp: _evaluate_unary_op,
    ast.Compare: _evaluate_comparison,
    ast.Subscript: lambda node, values: value_of(node.value, values)[value_of(node.slice, values)],
    ast.Attribute: _evaluate_attribute,
    ast.Call: _evaluate_call,
}

"""`skip_when` and `until`: a small language, checked at validation and evaluated here, never by Python.

Source: docs/reference/score-format.md §14, §29.2.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

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


class FileSeen(Protocol):
    """What `file("p")` is in an expression: a file as it is now; one that is not there contains nothing."""

    @property
    def exists(self) -> bool:
        """Whether it is a regular file."""

    def contains(self, text: str) -> bool:
        """Whether its text contains this one."""

    def matches(self, pattern: str) -> bool:
        """Whether a regular expression is found in its text, as `content_regex` looks for it."""


class Language(NamedTuple):
    """What an expression may look at beside sheets, job and variables.

    `loop`: the attributes of `loop`, empty where there is no such name, null: any; `files`: `file("p")` may
    be asked.
    """

    loop: frozenset[str] | None = frozenset()
    files: bool = False


SKIP = Language()
"""That of `skip_when` outside of loops."""

CHECKED = Language(loop=None, files=True)
"""That of what validation has looked at: it need not be refused again."""


def looped(index: str) -> Language:
    """Return the language of `skip_when` inside a loop: it knows the round, by the name `index`, too."""
    return Language(loop=frozenset({"round", index}))


def until(index: str) -> Language:
    """Return the language of a loop's `until`; `loop.passed` tells of the last stage (§29.1)."""
    return Language(loop=frozenset({"round", "passed", index}), files=True)


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


def expression_fault(text: str, language: Language = SKIP) -> str | None:
    """Say why a text is no expression of a language, or nothing."""
    try:
        _parsed(text, language)
    except BadExpression as fault:
        return fault.message
    return None


def names_of(text: str, language: Language = CHECKED) -> set[str]:
    """Return the names that an expression takes from outside; none where it is no expression."""
    own = {*({"loop"} if language.loop != frozenset() else ()), *({"file"} if language.files else ())}
    try:
        return {node.id for node in _parsed(text, language).nodes if isinstance(node, ast.Name)} - own
    except BadExpression:
        return set()


def literals_of(text: str, called: str, language: Language) -> list[str]:
    """Return the texts, written as such, that an expression gives to a function or method, `file` say."""
    try:
        nodes = _parsed(text, language).nodes
    except BadExpression:
        return []
    calls = [node for node in nodes if isinstance(node, ast.Call) and _called(node) == called]
    given = [node.args[0] for node in calls]
    return [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def sheets_of(text: str) -> set[int] | None:
    """Return the numbers of the sheets that an expression looks at; None: that depends on values."""
    numbers: set[int] = set()
    uses = found = 0
    for node in _parsed(text, CHECKED).nodes:
        uses += isinstance(node, ast.Name) and node.id == "sheets"
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _is_sheets(node.value):
            key = node.slice
        elif isinstance(node, ast.Call) and _called(node) == "get":
            key = node.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, int):
            numbers.add(key.value)
            found += 1
    return numbers if uses == found else None


def subscripted(text: str, language: Language) -> set[int]:
    """Return the numbers of the sheets that must be there for an expression to have a value: `sheets[2]`."""
    try:
        nodes = _parsed(text, language).nodes
    except BadExpression:
        return set()
    keys = [node.slice for node in nodes if isinstance(node, ast.Subscript) and _is_sheets(node.value)]
    return {key.value for key in keys if isinstance(key, ast.Constant) and type(key.value) is int}


def evaluate(text: str, values: Mapping[str, Any]) -> bool:
    """Tell whether an expression is true with these values by name, OWN_NAMES among them.

    In a loop `loop` is an object with its attributes, and in `until` `file` makes a FileSeen of a text.

    Raises:
        BadExpression: it is none, or has no value: a sheet that does not exist, kinds without an order.
        OSError: a file can't be looked at just now.
    """
    body = _parsed(text, CHECKED).body
    try:
        return bool(_value(body, values))
    except (BadExpression, OSError):  # the second: the machine is short of something, and it is asked again
        raise
    except KeyError as error:
        raise BadExpression(f"there is no {error}") from None
    except Exception as error:  # noqa: BLE001  values of a score can raise whatever Python can
        raise BadExpression(str(error) or type(error).__name__) from None


class _Parsed(NamedTuple):
    """An expression, and all that it is made of."""

    body: ast.expr
    nodes: list[ast.AST]


@lru_cache(maxsize=64)
def _parsed(text: str, language: Language) -> _Parsed:
    """Parse an expression; whoever asks of it for one thing asks for others right after."""
    if len(text) > _MOST_CHARACTERS:
        raise BadExpression(f"longer than {_MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(_in_brackets(text), mode="eval")
    except SyntaxError as error:
        raise BadExpression(_unparsed(text.strip(), error)) from None
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
    return _Parsed(tree.body, nodes)


OF_FILES = ("contains", "matches")
"""What may be asked of a file, beside `exists`."""


def _in_brackets(text: str) -> str:
    """Return an expression as Python reads it: over several lines, as of a block in YAML, in brackets."""
    text = text.strip()
    return f"({text}\n)" if "\n" in text else text


def _unparsed(text: str, error: SyntaxError) -> str:
    """Say where an expression stops being one; Python counts lines and columns from 1, 0 is its end."""
    lines = text.split("\n")
    number = error.lineno or 1
    if error.offset == 0 or number > len(lines):
        return "cannot be parsed: it ends too early"
    bracket = len(lines) > 1 and number == 1
    rest = lines[number - 1][max(0, (error.offset or 1) - 1 - bracket) :].strip()
    return f"cannot be parsed at '{rest[:20]}'" if rest else "cannot be parsed"


def parsed_loosely(text: str) -> ast.expr | None:
    """Return an expression as Python reads it, whatever it uses; None: it reads none."""
    try:
        return ast.parse(_in_brackets(text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def comparisons(text: str) -> list[ast.Compare]:
    """Return what an expression of this language compares."""
    return [node for node in _parsed(text, CHECKED).nodes if isinstance(node, ast.Compare)]


def value_of(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return what a part of an expression is with these values.

    Raises:
        Exception: whatever the values raise.
    """
    return _value(node, values)


def _called(node: ast.Call) -> str | None:
    """Return what is called, as far as it may be: get (of sheets), file, contains, matches (of a file)."""
    match node.func:
        case ast.Name(id="file"):
            return "file"
        case ast.Attribute(value=ast.Name(id="sheets"), attr="get"):
            return "get"
        case ast.Attribute(value=ast.Call() as of, attr=name) if name in OF_FILES and _called(of) == "file":
            return name
    return None


def _check_call(node: ast.Call, language: Language) -> None:
    known = ("get", "file", *OF_FILES) if language.files else ("get",)
    if _called(node) not in known or len(node.args) != 1 or node.keywords:
        raise BadExpression(f"'{ast.unparse(node)[:40]}' cannot be called")


def _check_attribute(node: ast.Attribute, language: Language) -> None:
    known: Collection[str] | None = ()
    match node.value:
        case ast.Name(id="job"):
            known = JobSeen.__struct_fields__
        case ast.Name(id="loop"):
            known = language.loop
        case ast.Call() as call:
            known = ("exists",) if _called(call) == "file" else SheetSeen.__struct_fields__
        case ast.Subscript(value=ast.Name(id="sheets")):
            known = SheetSeen.__struct_fields__
    if known is not None and node.attr not in known:
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
    if value is None:
        raise BadExpression(f"'{ast.unparse(node.value)}' is not a sheet")
    return getattr(value, node.attr)


def _call(node: Any, values: Mapping[str, Any]) -> Any:
    given = _value(node.args[0], values)
    called = _called(node)
    if called == "get":
        return values["sheets"].get(given)
    if not isinstance(given, str):
        raise BadExpression(f"'{ast.unparse(node)[:40]}' needs a text")
    if called == "file":
        return values["file"](given)
    file: FileSeen = _value(node.func.value, values)
    return file.contains(given) if called == "contains" else file.matches(given)


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
    ast.Call: _call,
}

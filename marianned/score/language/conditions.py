"""Conditions of validations: a small language, parsed and evaluated here.

Both sides of `and` and `or` are always evaluated, so that a wrong name is found on every sheet.
Source: docs/reference/score-format.md §13.4.
"""

import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

Values = Mapping[str, object]
Term = Callable[[Values], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?\d{1,18}(?!\d))|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\""
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign>==|!=|<=|>=|[<>\[\](),]))"
)
_EQUAL = ("==", "!=")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KEYWORDS = {"and", "or", "not", "in"}
_MOST_TOKENS = 200
_END = ("end", "")


class BadCondition(Exception):
    """The text is no condition, names what does not exist, or compares what has no order (S205)."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name


class Condition(NamedTuple):
    """A parsed condition."""

    term: Term

    def holds(self, values: Values) -> bool:
        """Evaluate it for one sheet.

        Raises:
            BadCondition: an unknown name, or an order comparison of different kinds.
        """
        return bool(self.term(values))


@lru_cache(maxsize=1024)
def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        BadCondition: it does not follow the grammar.
    """
    parser = _Parser(_tokens(text))
    term = parser.disjunction()
    if parser.next != _END:
        raise BadCondition(f"'{parser.next[1]}' is not expected there")
    return Condition(term)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        found = _TOKEN.match(stripped, position)
        if found is None:
            raise BadCondition(f"'{stripped[position:].strip()[:20]}' is not understood")
        kind = str(found.lastgroup)
        tokens.append(("string" if kind in {"single", "double"} else kind, found[kind]))
        position = found.end()
    if len(tokens) > _MOST_TOKENS:
        raise BadCondition(f"more than {_MOST_TOKENS} words")
    return [*tokens, _END]


class _Parser:
    """Recursive descent, a method a rule of the grammar."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0

    @property
    def next(self) -> tuple[str, str]:
        return self.tokens[self.position]

    def take(self, *texts: str) -> str | None:
        kind, text = self.next
        if kind in {"word", "sign"} and text in texts:
            self.position += 1
            return text
        return None

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise BadCondition(f"'{text}' is missing")

    def disjunction(self) -> Term:
        terms = [self.conjunction()]
        while self.take("or"):
            terms.append(self.conjunction())
        return terms[0] if len(terms) == 1 else lambda values: any([bool(t(values)) for t in terms])  # noqa: C419

    def conjunction(self) -> Term:
        terms = [self.negation()]
        while self.take("and"):
            terms.append(self.negation())
        return terms[0] if len(terms) == 1 else lambda values: all([bool(t(values)) for t in terms])  # noqa: C419

    def negation(self) -> Term:
        negations = 0
        while self.take("not"):
            negations += 1
        if self.take("("):
            term = self.disjunction()
            self.expect(")")
        else:
            term = self.comparison()
        return (lambda values: not term(values)) if negations % 2 else term

    def comparison(self) -> Term:
        left = self.value()
        sign = self.take(*_EQUAL, *_ORDER, "in", "not")
        if sign is None:
            raise BadCondition("a comparison is needed, like 'stage == 2'")
        if sign == "not":
            self.expect("in")
        right = self.value()
        if sign in _EQUAL:
            return lambda values: _equal(left(values), right(values)) is (sign == "==")
        if sign in _ORDER:
            return lambda values: _compare_order(sign, left(values), right(values))
        return lambda values: _contains(left(values), right(values)) is (sign == "in")

    def value(self) -> Term:
        kind, text = self.next
        if self.take("["):
            return self.value_list()
        self.position += kind != "end"
        if kind == "number":
            number = int(text)
            return lambda _: number
        if kind == "string":
            return lambda _: text
        if kind == "word" and text in {"true", "false"}:
            return lambda _: text == "true"
        if kind == "word" and text not in _KEYWORDS:
            return lambda values: _value_of_name(text, values)
        raise BadCondition(
            f"a value is needed, this is '{text}'" if text else "a value is missing at the end"
        )

    def value_list(self) -> Term:
        items = [self.value()]
        while self.take(","):
            items.append(self.value())
        self.expect("]")
        return lambda values: [item(values) for item in items]


def _value_of_name(name: str, values: Values) -> object:
    if name not in values:
        raise BadCondition(f"unknown name '{name}'", name)
    return values[name]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "other value"


def _with_kind(value: object) -> object:
    """Return a value that equals only values of its own kind: true is not 1."""
    if isinstance(value, list):
        return ("list", [_with_kind(item) for item in value])
    return (_kind(value), value)


def _equal(left: object, right: object) -> bool:
    if type(left) is type(right) is int:  # nearly all of them, a million times in a large score
        return left == right
    return _with_kind(left) == _with_kind(right)


def _compare_order(sign: str, left: Any, right: Any) -> bool:
    kinds = {_kind(left), _kind(right)}
    if len(kinds) > 1 or kinds & {"truth value", "list", "other value"}:
        raise BadCondition(f"a {_kind(left)} and a {_kind(right)} have no order")
    return _ORDER[sign](left, right)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(right, list):
        return _with_kind(left) in [_with_kind(item) for item in right]
    if isinstance(left, str) and isinstance(right, str):
        return left in right
    raise BadCondition(f"'in' needs a list or two strings, not a {_kind(left)} and a {_kind(right)}")

"""The types of the format: each reads a node into a value, or says what is wrong with it.

A rule never stops at what it finds: a wrong value is reported and replaced by a blank of its type, so
that everything else is still checked. Source: docs/reference/score-format.md §2.
"""

import keyword
import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol, get_type_hints

import msgspec

from marianned.formatting import CONTROLS, DURATION_MOST, DURATION_MOST_SAID, read_duration
from marianned.score.read.common_mistakes import KEYS, MAPPINGS
from marianned.score.read.report import ProblemReport
from marianned.yaml_tree import KeyPath, ListNode, MappingNode, Node, ScalarNode, plain_value

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_DIGITS = re.compile(r"[-+]?\d{1,18}")
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SHOWN = 40


class FieldRule(Protocol):
    """Reads a node of one type; `blank` stands for a value that could not be read."""

    @property
    def blank(self) -> Any:
        """A harmless value of the type."""

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> Any:
        """Return the value, or `blank` after reporting what is wrong."""


def _describe_node(node: Node) -> str:
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MappingNode):
        return "a mapping"
    return f"'{node.text[:_SHOWN]}'"


_CONTROL = re.compile(f"[{CONTROLS}]")


class TextRule:
    """A string; a scalar of another kind is taken as written. `filled`: it may not be empty (S020).

    `label`: people read it on terminals, so it has no control characters (S013). `pattern`: what all of it
    matches, which `wanted` says in words: they follow "this is not", for nobody has to read a pattern.
    """

    blank = ""

    def __init__(
        self,
        *,
        filled: bool = False,
        choices: Sequence[str] = (),
        pattern: str = "",
        wanted: str = "",
        label: bool = False,
    ) -> None:
        self.filled = filled
        self.label = label
        self.choices = choices
        self.pattern = pattern
        self.wanted = wanted

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> str:
        """Return the text."""
        if not isinstance(node, ScalarNode) or node.value is None:
            report.add("S012", path, f"a string is needed, this is {_describe_node(node)}")
            return self.blank
        if self.filled and not node.text.strip():
            report.add("S020", path, "this may not be empty")
        elif self.label and (found := _CONTROL.search(node.text)):
            report.add(
                "S013", path, f"there may be no control character in it, this has \\x{ord(found[0]):02x}"
            )
            return self.blank
        elif self.choices and node.text not in self.choices:
            report.add(
                "S013",
                path,
                f"'{node.text[:_SHOWN]}' is not one of {', '.join(self.choices)}",
                hint=report.nearest(node.text, self.choices),
            )
            return self.blank
        elif self.pattern and not re.fullmatch(self.pattern, node.text):
            report.add("S013", path, f"'{node.text[:_SHOWN]}' is not {self.wanted}")
        return node.text


class BoolRule:
    """A boolean, or one of the strings true, false, yes, no, on, off."""

    blank = False

    def __init__(self, *, only: bool | None = None) -> None:
        self.only = only

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> bool:
        """Return the truth value."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, str):
            value = _WORDS.get(value.lower())
        if not isinstance(value, bool):
            report.add("S012", path, f"true or false is needed, this is {_describe_node(node)}")
            return self.blank
        if self.only is not None and value is not self.only:
            report.add("S013", path, f"only {str(self.only).lower()} is possible here")
        return value


class NumberRule:
    """An integer (`whole`) or any number, in a range; `above` and `below` are not part of it."""

    def __init__(
        self,
        *,
        whole: bool = False,
        least: float | None = None,
        most: float | None = None,
        above: float | None = None,
    ) -> None:
        self.whole = whole
        self.least = least
        self.most = most
        self.above = above

    @property
    def blank(self) -> int:
        """The least number of the range, or one."""
        return int(self.least) if self.least is not None else 1

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> int | float:
        """Return the number."""
        value = read_number(node, whole=self.whole)
        if value is None:
            wanted = "an integer" if self.whole else "a number"
            report.add("S012", path, f"{wanted} is needed, this is {_describe_node(node)}")
            return self.blank
        return value if self.in_range(value, path, report) else self.blank

    def in_range(self, value: float, path: KeyPath, report: ProblemReport, unit: str = "") -> bool:
        """Whether the number is in range; S013 when it is not."""
        limit = ""
        if self.least is not None and value < self.least:
            limit = f"at least {self.least:g}{unit}"
        elif self.above is not None and value <= self.above:
            limit = f"more than {self.above:g}{unit}"
        elif self.most is not None and value > self.most:
            limit = f"at most {self.most:g}{unit}"
        if limit:
            report.add("S013", path, f"{value:g}{unit} is out of range: {limit} is possible")
        return not limit


def read_number(node: Node, *, whole: bool) -> int | float | None:
    """Read a number as §2 allows it, or nothing."""
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, str) and (_DIGITS if whole else _DECIMAL).fullmatch(value):
        value = int(value) if _DIGITS.fullmatch(value) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if whole:
        return int(value) if value == int(value) else None
    return value


class DurationRule:
    """A duration in seconds; a number counts in `unit` seconds."""

    def __init__(
        self,
        *,
        unit: float = 1.0,
        least: float | None = None,
        above: float | None = None,
        most: float | None = None,
    ) -> None:
        self.unit = unit
        self.range = NumberRule(least=least, above=above, most=most)

    @property
    def blank(self) -> float:
        """A minute."""
        return 60.0

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> float:
        """Return the seconds, an integer where they are whole."""
        value = read_number(node, whole=False)
        try:
            if value is not None:
                seconds = value * self.unit
            elif isinstance(node, ScalarNode) and isinstance(node.value, str | int | float):
                seconds = read_duration(node.text)
            else:
                report.add("S012", path, f"a duration is needed, this is {_describe_node(node)}")
                return self.blank
        except ValueError:
            seconds = -1
        if not 0 <= seconds <= DURATION_MOST:
            hint = f"write 90, 90s, 15m, 1h30m or 1d, at most {DURATION_MOST_SAID}"
            report.add("S014", path, f"{_describe_node(node)} is not a duration", hint=hint)
            return self.blank
        if not self.range.in_range(seconds, path, report, "s"):
            return self.blank
        return int(seconds) if seconds == int(seconds) else seconds


class PatternRule:
    """A regular expression; it must compile."""

    blank = ""

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> str:
        """Return its text."""
        text = TextRule(filled=True).read(node, path, report)
        fault = pattern_fault(text)
        if fault:
            report.add("S017", path, fault)
        return text


def pattern_fault(text: str) -> str | None:
    """Say what is wrong with a regular expression, and where inside it."""
    try:
        re.compile(text)
    except re.error as problem:
        return f"bad regular expression: {problem.msg} at position {problem.pos or 0}"
    except (OverflowError, RecursionError):
        return "bad regular expression: too large"
    return None


class AnyRule:
    """Any value, as the usual loaders read it; `kinds` limits it to mappings or lists."""

    blank = None

    def __init__(self, *kinds: type[Node]) -> None:
        self.kinds = kinds

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> Any:
        """Return the plain value."""
        if self.kinds and not isinstance(node, self.kinds):
            report.add("S012", path, f"a mapping or a list is needed, this is {_describe_node(node)}")
        return plain_value(node)


class NullableRule:
    """Any value, null too: a tuple with the plain value, so that null differs from a key that is left out."""

    blank = None

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> tuple[Any]:  # noqa: ARG002  a rule's
        """Return the plain value in a tuple."""
        return (plain_value(node),)


class ListRule:
    """A list of values of one type."""

    def __init__(self, item: FieldRule) -> None:
        self.item = item

    @property
    def blank(self) -> list[Any]:
        """An empty list."""
        return []

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> list[Any]:
        """Return the values, a blank for each wrong one."""
        if not isinstance(node, ListNode):
            report.add("S012", path, f"a list is needed, this is {_describe_node(node)}")
            return []
        return [self.item.read(item, (*path, index), report) for index, item in enumerate(node.items)]


class MapRule:
    """A mapping with values of one type; `numbered`: its keys are integers from 1."""

    def __init__(self, value: FieldRule, *, numbered: bool = False) -> None:
        self.value = value
        self.numbered = numbered

    @property
    def blank(self) -> dict[Any, Any]:
        """An empty mapping."""
        return {}

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> dict[Any, Any]:
        """Return the entries; one with a wrong key is left out."""
        if not isinstance(node, MappingNode):
            report.add("S012", path, f"a mapping is needed, this is {_describe_node(node)}")
            return {}
        found: dict[Any, Any] = {}
        for key, value in node.entries:
            name = self._read_key(key, (*path, key.text), report)
            if name is None:
                continue
            if name in found:
                report.add("S003", (*path, key.text), f"'{key.text}' is given twice", place=key.place)
                continue
            found[name] = self.value.read(value, (*path, key.text), report)
        return found

    def _read_key(self, key: ScalarNode, path: KeyPath, report: ProblemReport) -> str | int | None:
        if not self.numbered:
            return key.text
        value = read_number(key, whole=True)
        if value is None:
            report.add("S012", path, f"a number is needed as key, this is '{key.text[:_SHOWN]}'", key=True)
            return None
        if value < 1:
            report.add("S013", path, f"{value} is out of range: numbers count from 1", key=True)
            return None
        return int(value)


class EitherRule:
    """A value in a short form, a text, or in a longer one: a list or a mapping."""

    def __init__(self, short: FieldRule, long: FieldRule, kind: type[Node]) -> None:
        self.short = short
        self.long = long
        self.kind = kind

    @property
    def blank(self) -> Any:
        """The blank of the short form."""
        return self.short.blank

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> Any:
        """Return the value as the form that it has."""
        return (self.long if isinstance(node, self.kind) else self.short).read(node, path, report)


_OTHERS = {
    "S501": "'{}' is accepted, but not supported",
    "S511": "'{}' is control flow that is not supported",
}


class StructRule:
    """A mapping with known keys, described by a Struct whose fields are annotated with rules.

    `others`: the code for further keys, where they are no unknown keys: S501 (no effect), S511.
    """

    def __init__(self, struct: type[msgspec.Struct], *, others: str | None = None) -> None:
        self.struct = struct
        self.others = others

    @property
    def blank(self) -> Any:
        """The part with nothing given."""
        rules, defaults = field_rules(self.struct)
        return self.struct(**{key: rule.blank for key, rule in rules.items() if key not in defaults})

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> Any:
        """Return the Struct; what is wrong or missing in it has its default or a blank."""
        rules, defaults = field_rules(self.struct)
        if not isinstance(node, MappingNode):
            said = f"a mapping is needed, this is {_describe_node(node)}"
            report.add("S012", path, said, hint=MAPPINGS.get(path))
            return self.blank
        values: dict[str, Any] = {}
        for key, value in node.entries:
            rule = rules.get(_field_name(key.text))
            here = (*path, key.text)
            if rule is None and self.others:
                report.add(self.others, here, _OTHERS[self.others].format(key.text), key=True)
            elif rule is None:
                hint = KEYS.get(path, {}).get(key.text) or report.nearest(key.text, _key_names(rules))
                report.add("S010", here, f"unknown key '{key.text}'", key=True, hint=hint)
            elif isinstance(value, ScalarNode) and value.value is None and not isinstance(rule, NullableRule):
                if _field_name(key.text) not in defaults:
                    report.add("S020", here, f"'{key.text}' may not be empty")
                    values[_field_name(key.text)] = rule.blank
            else:
                values[_field_name(key.text)] = rule.read(value, here, report)
        for name in rules.keys() - defaults - values.keys():
            report.add("S011", (*path, _key_name(name)), f"'{_key_name(name)}' is missing")
            values[name] = rules[name].blank
        return self.struct(**values)


def _field_name(key: str) -> str:
    return f"{key}_" if keyword.iskeyword(key) else key


def _key_name(field: str) -> str:
    return field.removesuffix("_")


def _key_names(rules: dict[str, FieldRule]) -> list[str]:
    return [_key_name(name) for name in rules]


@cache
def field_rules(struct: type[msgspec.Struct]) -> tuple[dict[str, FieldRule], frozenset[str]]:
    """Return the rules of a part's keys, and which of them may be left out."""
    hints = get_type_hints(struct, include_extras=True)
    optional = frozenset(field.name for field in msgspec.structs.fields(struct) if not field.required)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}, optional


class SettingsRule:
    """Settings of an instrument (§8.3): known keys are typed, others are kept and get S404 later."""

    def __init__(
        self, rules: dict[str, FieldRule], *, closed: bool = False, ignored: Sequence[str] = ()
    ) -> None:
        self.rules = rules
        self.closed = closed
        self.ignored = ignored

    @property
    def blank(self) -> dict[str, Any]:
        """No settings."""
        return {}

    def read(self, node: Node, path: KeyPath, report: ProblemReport) -> dict[str, Any]:
        """Return what was set, by key."""
        if not isinstance(node, MappingNode):
            report.add("S012", path, f"a mapping is needed, this is {_describe_node(node)}")
            return {}
        found: dict[str, Any] = {}
        for key, value in node.entries:
            here = (*path, key.text)
            if isinstance(value, ScalarNode) and value.value is None:
                continue
            if key.text in self.rules:
                found[key.text] = self.rules[key.text].read(value, here, report)
            elif self.closed and key.text not in self.ignored:
                report.add(
                    "S010",
                    here,
                    f"unknown key '{key.text}'",
                    key=True,
                    hint=report.nearest(key.text, [*self.rules, *self.ignored]),
                )
            else:
                found[key.text] = plain_value(value)
        if report.wrong(*path):
            return found
        if "model" in found and found.get("cli_model", found["model"]) != found["model"]:
            report.add(
                "S015", (*path, "cli_model"), "'model' and 'cli_model' mean the same and differ", key=True
            )
        return found

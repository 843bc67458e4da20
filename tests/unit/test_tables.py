"""Every table over a closed list of words, or of kinds, has a row for each of them, or says here why not.

A word that is added to an enum is found missing here wherever a table was forgotten.
"""

import ast
import importlib
import pkgutil
import re
import types
from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

from kit import trees

import marianne_cli
import marianned
from marianned.protocol import HoldCause, statuses

PARTIAL: dict[str, str] = {
    "marianned.progress.deciding.requests._EFFECTS": "the others need the request, and stand before it",
    "marianned.progress.deciding.requests._EFFECTS_OF_ASK": "those that need the request, and nothing besides",
    "marianned.progress.views.messages.ENDED_WORDS": "those of an ended job",
    "marianned.protocol.statuses._LIFTED_BY": "a resume alone releases the others",
    "marianned.progress.views.reasons._HOOK_WAITS": "a sheet waits for the others, and the end is its own job's",
    "marianned.conductor.requests.submit._check_name": "the others have one way in common",
    "marianned.conductor.core.job._NAMES": "a request is named by its action",
    "marianned.store.writer._DELETE": "the others are told by no run, and stay",
    "marianned.instruments.output._KINDS": "a tool says three of them, `RefusalKind`, which mypy knows",
    "marianne_cli.mcp.tools._ARGUMENTS_OF_ACTION": "an agent names five actions; what tells the others apart are arguments",
    "marianne_cli.screens.jobs._HOOK_WAITS": "a sheet waits for the others",
}
"""Tables that have not all, and why; a table in a function is named by that."""
OF_PYTHON = {"__annotations__", "__builtins__", "__dict__"}
"""Mappings that each module or class has, or may have."""


@cache
def modules() -> list[types.ModuleType]:
    return [
        importlib.import_module(found.name)
        for package in (marianned, marianne_cli)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith("__main__")
    ]


@cache
def tables() -> list[tuple[str, Mapping[Any, Any]]]:
    return [*_tables()]


def _tables() -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """The mappings that modules and their classes assign to names of their own, by those names."""
    for module in modules():
        places: list[tuple[str, Any]] = [(module.__name__, module)]
        places += [
            (f"{module.__name__}.{name}", kind)
            for name, kind in vars(module).items()
            if isinstance(kind, type) and kind.__module__ == module.__name__ and not issubclass(kind, Enum)
        ]
        held = [
            (place, name, value)
            for place, holder in places
            for name, value in vars(holder).items()
            if name not in OF_PYTHON and isinstance(value, Mapping) and value
        ]
        own = assigned(module) if held else set()
        yield from ((f"{place}.{name}", value) for place, name, value in held if name in own)


@cache
def nodes(module: types.ModuleType) -> list[ast.AST]:
    """All that a module's tree consists of."""
    return [*ast.walk(trees.tree_of(Path(str(module.__file__))))]


def says(module: types.ModuleType, pattern: str) -> bool:
    """Tell whether this stands in a module's text: what can't be there need not be looked for in its tree."""
    return re.search(pattern, Path(str(module.__file__)).read_text()) is not None


def assigned(module: types.ModuleType) -> set[str]:
    """The names that a module assigns to, and does not only import."""
    return {
        node.id for node in nodes(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def missing(table: Mapping[Any, Any]) -> set[Any]:
    """The keys that a table has not, of the enum (or enums, where keys are tuples) that its keys are of."""
    keys = [key if isinstance(key, tuple) else (key,) for key in table]
    kinds = {tuple(map(type, key)) for key in keys}
    (kind, *others) = kinds
    if others or not all(issubclass(part, Enum) for part in kind):
        return set()
    return set(product(*kind)) - set(keys)


@cache
def displays() -> list[tuple[str, Mapping[Any, Any]]]:
    return [display for module in modules() for display in _displays(module)]


def _displays(module: types.ModuleType) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """The mappings that functions write down with members of one enum as keys, by the functions' names."""
    kinds = [name for name, kind in vars(module).items() if isinstance(kind, type) and issubclass(kind, Enum)]
    if not kinds or not says(module, rf"\b(?:{'|'.join(kinds)})\s*\.\s*\w+\s*:"):
        return
    for function in nodes(module):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Dict) and (found := members(module, node)):
                yield f"{module.__name__}.{function.name}", dict.fromkeys(found)


def members(module: types.ModuleType, node: ast.Dict) -> list[Enum]:
    found = []
    for key in node.keys:
        if not (isinstance(key, ast.Attribute) and isinstance(key.value, ast.Name)):
            return []
        kind = getattr(module, key.value.id, None)
        if not (isinstance(kind, type) and issubclass(kind, Enum)):
            return []
        found.append(kind[key.attr])
    return found


@cache
def words() -> dict[type[StrEnum], set[str]]:
    """The enums of words that there are, and their words."""
    kinds = {
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, StrEnum) and len(value)
    }
    return {kind: {member.value for member in kind} for kind in kinds}


def unions() -> list[frozenset[type]]:
    """The unions of classes that modules give a name to."""
    found = {
        frozenset(get_args(value))
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, types.UnionType)
    }
    return [union for union in found if all(isinstance(kind, type) for kind in union)]


def test_a_table_over_an_enum_has_all_its_members() -> None:
    found = tables() + displays()
    gaps = {name: sorted(map(str, lost)) for name, table in found if (lost := missing(table))}
    assert {name: lost for name, lost in gaps.items() if name not in PARTIAL} == {}


def test_a_table_over_the_words_of_an_enum_has_all_of_them() -> None:
    """The command line has tables over bare words: to load the enums would cost it time."""
    known = words()
    gaps = {}
    for name, table in tables():
        if len(table) > 1 and all(type(key) is str for key in table):
            over = [its for its in known.values() if set(table) <= its]
            if over and set(table) not in over:
                gaps[name] = sorted(min(over, key=len) - set(table))
    assert {name: lost for name, lost in gaps.items() if name not in PARTIAL} == {}


def test_a_table_over_the_classes_of_a_union_has_all_of_them() -> None:
    known = unions()
    gaps = {}
    for name, table in tables():
        keys = set(table)
        if len(keys) > 1 and all(isinstance(key, type) for key in keys):
            over = min((union for union in known if keys <= union), key=len, default=keys)
            gaps[name] = sorted(kind.__name__ for kind in over - keys)
    assert {name: lost for name, lost in gaps.items() if lost and name not in PARTIAL} == {}


def test_a_hold_cause_has_its_row_in_the_contract_and_a_command_where_a_resume_alone_does_not_release_it() -> (
    None
):
    control = (Path(__file__).parents[2] / "docs/design/control.md").read_text()
    section = control.partition("\n## 8. ")[2].partition("\n## ")[0]
    released_by = dict(re.findall(r"(?m)^\| `(\w+)` \|.*\| ([^|]+) \|$", section))
    assert set(released_by) == {*HoldCause}
    assert {cause for cause, how in released_by.items() if not how.startswith("resume")} == {
        *statuses._LIFTED_BY
    }


FIELDS = ("status", "waiting_for", "outcome", "cause", "next_kind", "error_category", "category", "executor")
"""Fields of rows, replies and settings that hold a word; where sheets run is named in `marianned/places.py`."""


def bare_words(module: types.ModuleType) -> Iterator[int]:
    """The lines on which one of these fields is compared with a word, or set to one, that is written out."""

    def is_bare(node: ast.expr) -> bool:
        if isinstance(node, ast.Tuple | ast.Set | ast.List):
            return any(map(is_bare, node.elts))
        return isinstance(node, ast.Constant) and isinstance(node.value, str)

    if not says(module, rf"\b(?:{'|'.join(FIELDS)})\b"):
        return
    for node in nodes(module):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            holds = any(isinstance(side, ast.Attribute) and side.attr in FIELDS for side in sides)
            if holds and any(map(is_bare, sides)):
                yield node.lineno
        elif isinstance(node, ast.keyword) and node.arg in FIELDS and is_bare(node.value):
            yield node.value.lineno
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in FIELDS and is_bare(value):
                    yield value.lineno


def test_a_word_is_written_as_a_member_of_its_enum() -> None:
    """A typing error in a bare word would be seen by nobody: mypy takes it for any text."""
    daemons = [module for module in modules() if module.__name__.startswith("marianned.")]
    found = {module.__name__: lines for module in daemons if (lines := [*bare_words(module)])}
    assert found == {}


def words_of_clients(module: types.ModuleType) -> Iterator[str]:
    """The bare words with which the command line compares one of these fields of a reply."""

    def is_field(node: ast.expr) -> bool:
        match node:
            case ast.Subscript(slice=ast.Constant(value=name)):
                return name in FIELDS
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=name), *_]):
                return name in FIELDS
        return False

    if not says(module, rf"[\"'](?:{'|'.join(FIELDS)})[\"']"):
        return
    for node in nodes(module):
        if isinstance(node, ast.Compare) and any(map(is_field, sides := [node.left, *node.comparators])):
            for side in sides:
                inner = side.elts if isinstance(side, ast.Tuple | ast.Set | ast.List) else [side]
                yield from (one.value for one in inner if isinstance(one, ast.Constant) and one.value)


def test_a_bare_word_of_the_command_line_is_one_that_there_is() -> None:
    """It loads no enum, for its speed: what it compares with has to be right all the same."""
    known = set[str]().union(*words().values())
    clients = [module for module in modules() if module.__name__.startswith("marianne_cli.")]
    found = {word for module in clients for word in words_of_clients(module)}
    assert "unavailable" in found
    assert found - known == set()


def test_every_exception_is_one() -> None:
    names = {name for name, _ in tables() + displays()}
    assert set(PARTIAL) <= names

"""The keys of `mzt top`: each does something, and `?` tells of each, and of no other."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache

from kit.tables import each
from textual.actions import parse
from textual.binding import Binding
from textual.dom import DOMNode

from marianne_cli import top
from marianne_cli.faces.actions import Offer
from marianne_cli.top.action_runner import _is_waited_for
from marianne_cli.top.app import TopApp
from marianne_cli.top.job_screen import JobScreen
from marianne_cli.top.model.keys import KEYS
from marianned.protocol import METHODS

SIGNS = {
    "slash": "/",
    "exclamation_mark": "!",
    "colon": ":",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "space": "Space",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "home": "Home",
    "end": "End",
}
"""How keys are told that Textual calls otherwise."""
UNTOLD = {
    "up": "the arrows are told together",
    "down": "the arrows are told together",
    "left": "the arrows are told together",
    "right": "the arrows are told together",
    "pageup": "does what Ctrl-U does, and everybody tries it",
    "pagedown": "does what Ctrl-D does, and everybody tries it",
    "ctrl+c": "ends every program",
}
"""Keys that `?` does not name, and why."""
NAMESPACES = {"": None, "app": TopApp, "screen": JobScreen}
"""Whose action it is, by what stands before its name; empty: the own class's."""


@cache
def bound() -> list[tuple[type[DOMNode], Binding]]:
    """What each class of `mzt top` binds itself, a key each."""
    return [*_bound()]


def _bound() -> Iterator[tuple[type[DOMNode], Binding]]:
    for found in pkgutil.walk_packages(top.__path__, f"{top.__name__}."):
        module = importlib.import_module(found.name)
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, DOMNode) and kind.__module__ == module.__name__:
                for binding in Binding.make_bindings(vars(kind).get("BINDINGS", ())):
                    yield kind, binding


def told() -> set[str]:
    """The keys that `?` names, as Textual calls them."""
    named = {sign: key for key, sign in SIGNS.items()}
    found = set()
    for _, lines in KEYS:
        for keys, meaning in lines:
            words = keys.replace("1 - 5", "1 2 3 4 5").split()
            words += re.findall(r"\b(?:Ctrl-\w|Home|End)\b", meaning)
            words += re.findall(r"also (\w)\b", meaning)
            found |= {
                named.get(word, re.sub("^Ctrl-(.)", lambda one: f"ctrl+{one[1].lower()}", word))
                for word in words
            }
    return found


def does(kind: type[DOMNode], action: str) -> bool:
    """Whether a class has an action, or each of those that are made of it."""
    kinds = kind.__subclasses__()
    return hasattr(kind, f"action_{action}") or (bool(kinds) and all(does(one, action) for one in kinds))


def test_each_key_does_something() -> None:
    dead = []
    for kind, binding in bound():
        namespace, name, _ = parse(binding.action)
        if not does(NAMESPACES[namespace] or kind, name):
            dead.append(f"{binding.key} of {kind.__name__}: {binding.action}")
    assert dead == []


def test_each_key_is_told_and_no_other() -> None:
    keys = {binding.key for _, binding in bound()}
    assert set(UNTOLD) <= keys
    assert keys - set(UNTOLD) == told()


@each("method", [name for name in METHODS if name.startswith("job.")])
def test_what_can_be_waited_for_is_waited_for(method: str) -> None:
    takes = "wait" in METHODS[method].params.__struct_fields__
    assert _is_waited_for(Offer("", "", method, {}, None)) == takes

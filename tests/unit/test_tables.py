"""Tables over a set of words have a row for each word: a new one that nobody wrote a row for is found here."""

import enum
import importlib
import pkgutil

import marianne_cli
import marianned

PARTIAL = {
    "marianned.progress.deciding.requests._EFFECTS": "the others need the request, and stand before it",
    "marianned.progress.views.messages.ENDED_WORDS": "those of an ended job",
    "marianned.progress.views.reasons._RELEASED_BY": "a resume alone releases the others",
}
"""Tables that need no row for each word, and why."""


def modules():
    for package in (marianned, marianne_cli):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def tables():
    """Yield each table of a module whose keys are words of one set: its name, its keys, the set."""
    for module in modules():
        for name, value in vars(module).items():
            kinds = {type(key) for key in value} if isinstance(value, dict) else set()
            if len(kinds) == 1 and issubclass(kind := kinds.pop(), enum.Enum):
                yield f"{module.__name__}.{name}", set(value), set(kind)


def test_each_table_has_a_row_for_each_word():
    found = {name: words - keys for name, keys, words in tables()}
    assert len(found) > 10
    assert {name: missing for name, missing in found.items() if missing and name not in PARTIAL} == {}
    assert {name for name, missing in found.items() if missing} == PARTIAL.keys()

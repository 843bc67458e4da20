"""Hints work when they are typed: a file in one goes through `formatting.typed`, wherever it is written."""

import re
import shlex
from pathlib import Path

from kit.tables import each

from marianned.formatting import typed

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r'f"mzt [^"\n]*"')
FIELD = re.compile(r"\{([^{}]*)\}")


def test_no_hint_has_a_file_as_it_is():
    loose = [
        f"{source.relative_to(ROOT)}: {hint}"
        for package in ("marianned", "marianne_cli")
        for source in (ROOT / package).rglob("*.py")
        for hint in COMMAND.findall(source.read_text())
        for field in FIELD.findall(hint)
        if re.search(r"file|path|directory", field) and not re.search(r"(typed|quote)\(", field)
    ]
    assert loose == []


@each("file", ["/s/user's folder {x} ünï/my score's.yaml", "plain.yaml", "a b", "$HOME", "-x"])
def test_what_is_typed_is_the_file(file):
    assert shlex.split(typed(file)) == [file]


def test_without_a_file_its_place_is_shown():
    assert typed(None) == "FILE"

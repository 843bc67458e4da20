"""Names of code that docstrings and pages quote are names of code: who looks for one finds it."""

import ast
import builtins
import re
import sqlite3

import anyio
import msgspec
import pages
from kit import trees

FILES = [
    file
    for package in ("marianned", "marianne_cli", "tests")
    for file in sorted((pages.ROOT / package).rglob("*.py"))
]
TEXTS = {str(file.relative_to(pages.ROOT)): file.read_text() for file in FILES}
CLASSES = set(re.findall(r"^ *class (\w+)", "\n".join(TEXTS.values()), re.MULTILINE))
UNIONS = set(re.findall(r"^([A-Z]\w+)(?:: TypeAlias)? = ", "\n".join(TEXTS.values()), re.MULTILINE))
ERRORS = {name for place in (builtins, anyio, msgspec, sqlite3) for name in dir(place)}
FOREIGN = {"NaN", "RateLimitError", "_at"}
"""What is only written like names: a number of JSON, a word that a tool prints, the end of fields of times."""

RAISES = re.compile(r"^( *)Raises:\n((?:\1 .*\n)+)", re.MULTILINE)
CLASS = re.compile(r"_?[A-Z][a-z]\w*")
MEMBER = re.compile(r"(_?[A-Z][a-z]\w*)\.(\w+)(?:\([\w, ]*\))?")
PRIVATE = re.compile(r"_[a-z]\w*")


def raised(text):
    """Yield what the sections `Raises:` of a file say is raised."""
    for indent, section in RAISES.findall(text):
        for line in section.splitlines():
            if re.match(rf"{indent}    \S", line):
                yield from line.partition(": ")[0].strip().split(", ")


def docstrings(file):
    for node in ast.walk(trees.tree_of(file)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def is_there(word, text):
    """Tell whether what a docstring of this file quotes is there, where it is written like a name."""
    if word in FOREIGN:
        return True
    if CLASS.fullmatch(word):
        return word in CLASSES | UNIONS | ERRORS
    if member := MEMBER.fullmatch(word):
        used = re.compile(rf"\b{member[2]}\b(?!`)")
        return member[1] in CLASSES and any(used.search(one) for one in TEXTS.values())
    # a private name is one of this file
    return not PRIVATE.fullmatch(word) or re.search(rf"(?<!`)\b{word}\b", text) is not None


def test_what_a_docstring_says_is_raised_is_an_exception():
    found = [(name, error) for name, text in TEXTS.items() for error in raised(text)]
    assert len(found) > 200
    known = CLASSES | ERRORS
    assert [(name, error) for name, error in found if error.rpartition(".")[2] not in known] == []


def test_what_a_docstring_quotes_as_a_class_or_a_private_function_is_there():
    quoted = [
        (str(file.relative_to(pages.ROOT)), word)
        for file in FILES
        for docstring in docstrings(file)
        for word in re.findall(r"`([^`\n]+)`", docstring)
    ]
    assert len(quoted) > 1000
    assert [(name, word) for name, word in quoted if not is_there(word, TEXTS[name])] == []

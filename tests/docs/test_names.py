"""Names of code that docstrings and pages quote are names of code: who looks for one finds it."""

import ast
import builtins
import re
import sqlite3

import anyio
import msgspec
import pages
from kit import trees
from kit.tables import each

FILES = [
    file
    for package in ("marianned", "marianne_cli", "tests")
    for file in sorted((pages.ROOT / package).rglob("*.py"))
]
TEXTS = {str(file.relative_to(pages.ROOT)): file.read_text() for file in FILES}
SOURCES = {name: text for name, text in TEXTS.items() if not name.startswith("tests/")} | {
    str(file.relative_to(pages.ROOT)): file.read_text()
    for package in ("marianned", "marianne_cli", "systemd")
    for file in (pages.ROOT / package).rglob("*")
    if file.suffix in {".sql", ".js", ".yaml", ".service", ".socket"}
}
CLASSES = set(re.findall(r"^ *class (\w+)", "\n".join(TEXTS.values()), re.MULTILINE))
UNIONS = set(re.findall(r"^([A-Z]\w+)(?:: TypeAlias)? = ", "\n".join(TEXTS.values()), re.MULTILINE))
ERRORS = {name for place in (builtins, anyio, msgspec, sqlite3) for name in dir(place)}
FOREIGN = {"NaN", "RateLimitError", "_at", "config.toml"}
"""Only written like names: a number of JSON, what a tool prints, the end of fields, a user's own file."""

RAISES = re.compile(r"^( *)Raises:\n((?:\1 .*\n)+)", re.MULTILINE)
CLASS = re.compile(r"_?[A-Z][a-z]\w*")
MEMBER = re.compile(r"(_?[A-Z][a-z]\w*)\.(\w+)(?:\([\w, ]*\))?")
PRIVATE = re.compile(r"_[a-z]\w*")
CALL = re.compile(r"(?:(\w+)\.)?(\w+)\([a-z_, ]*\)")
FILE = re.compile(r"[\w/.-]+\.(?:py|sql|toml|yml)")
PLACES = ("marianned", "marianne_cli", "systemd", "docs", "tests", ".github")
PATHS = [*pages.ROOT.glob("*.*"), *(path for place in PLACES for path in (pages.ROOT / place).rglob("*.*"))]
PICTURE = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DESIGN = [
    *sorted((pages.ROOT / "docs/design").glob("*.md")),
    pages.ROOT / "docs/how-to/add-a-cluster-engine.md",
]
"""The pages that tell of the code itself."""
ONE_NAME = {
    r"last[_ ]word\b|lastword|LastWord": "final event",  # of an agent's output
    r"\b_?wish(?:es|ed)?\b": "goal",  # of a request that waits
}
"""Other names that a thing has had, which has one now: in code and pages alike."""


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


def in_sources(pattern):
    return any(re.search(pattern, text, re.MULTILINE) for text in SOURCES.values())


def is_in_the_sources(word):
    """Tell whether what a page quotes is there, where it is written like a path, a call or a name of code.

    A path is one from any room; capital letters in it stand for something else (`VERSION.sql`).
    """
    if FILE.fullmatch(word):
        pattern = re.sub(r"[A-Z]{2,}", "*", word)
        return word in FOREIGN or any(path.match(pattern) for path in PATHS)
    if call := CALL.fullmatch(word):
        return call[1] in CLASSES | {None} and in_sources(rf"^ *(?:async )?def {call[2]}\b")
    if member := MEMBER.fullmatch(word):
        return member[1] in CLASSES and in_sources(rf"\b{member[2]}\b")
    if re.fullmatch(r"_?[A-Z]*[a-z]\w*(?:\.\w+)*", word) and re.search(r"^[A-Z]|\w_\w|\w\.\w", word):
        return all(in_sources(rf"\b{part}\b") for part in word.split("."))
    return True


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


@each("page", [str(page.relative_to(pages.ROOT)) for page in DESIGN])
def test_what_a_page_about_the_code_quotes_is_there(page):
    text = pages.text_of(page)
    drawn = [found[0] for picture in PICTURE.findall(text) for found in CALL.finditer(picture)]
    words = {*re.findall(r"`([^`\n]+)`", text), *drawn}
    assert words
    assert sorted(word for word in words if not is_in_the_sources(word)) == []


def test_what_had_several_names_has_one():
    told = {name: pages.text_of(name) for name in pages.NAMES if name != "CHANGELOG.md"}
    code = {
        name: text for name, text in SOURCES.items() if not name.startswith("marianned/store/migrations/")
    }
    found = [
        (name, old[0], new)
        for name, text in (told | code).items()
        for pattern, new in ONE_NAME.items()
        for old in re.finditer(pattern, text, re.IGNORECASE)
    ]
    assert found == [], "the third is the name that the page or the code should use"

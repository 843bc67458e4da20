"""Templates that become shell scripts: what of theirs is the shell's, what would vanish, what is not quoted.

Source: docs/reference/score-format.md §12.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Any

from jinja2 import nodes

_TOKENS = re.compile(
    r"""(?P<raw>\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\})
    | (?P<length>\$\{\#)
    | (?P<comment>\{\#.*?\#\})
    | \{%.*?%\} | \{\{.*?\}\}""",
    re.VERBOSE | re.DOTALL,
)
_LENGTH = "${{ '{#' }}"
_FROM_EARLIER = frozenset({"previous_outputs", "previous_files"})
_HARMLESS = frozenset({"sh", "length", "count", "int", "float", "round"})


def shield_lengths(source: str) -> str:
    """Return a template in which `${#`, a length in shell, opens no comment; lines stay where they are."""
    if "${#" not in source:
        return source
    return _TOKENS.sub(lambda found: _LENGTH if found["length"] else found[0], source)


def long_comments(source: str) -> list[int]:
    """Return the lines at which template comments begin that go over several lines."""
    comments = (found for found in _TOKENS.finditer(source) if found["comment"] and "\n" in found["comment"])
    return [source.count("\n", 0, found.start()) + 1 for found in comments]


def quote_for_shell(value: Any) -> str:
    """Quote a value for a shell, as the filter `sh`: a list as words, anything else as one word."""
    if isinstance(value, list | tuple):
        return shlex.join(str(item) for item in value)
    return shlex.quote(str(value))


def unquoted_outputs(tree: nodes.Template) -> list[int]:
    """Return the lines on which a template puts what earlier sheets printed into its text as it is."""
    tainted = set(_FROM_EARLIER)
    for loop in tree.find_all(nodes.For):
        if _open_names(loop.iter) & tainted:
            tainted |= {name.name for name in _names(loop.target)}
    for given in tree.find_all(nodes.Assign):
        if _open_names(given.node) & tainted:
            tainted |= {name.name for name in _names(given.target)}
    lines = [
        part.lineno
        for output in tree.find_all(nodes.Output)
        for part in output.nodes
        if _open_names(part) & tainted
    ]
    return sorted(set(lines))


def _names(node: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(node, nodes.Name):
        yield node
    yield from node.find_all(nodes.Name)


def _open_names(node: nodes.Node) -> set[str]:
    """Return the names whose values may show in what a node is, unquoted."""
    if isinstance(node, nodes.Filter) and node.name in _HARMLESS:
        return set()
    if isinstance(node, nodes.Compare | nodes.Test):
        return set()
    if isinstance(node, nodes.Name):
        return {node.name}
    return {name for child in node.iter_child_nodes() for name in _open_names(child)}

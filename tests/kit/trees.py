"""Python files as trees: each read once in a process, however many tests look into it."""

import ast
from functools import cache
from pathlib import Path

from marianned.memory import without_collecting


@cache
def tree_of(file: Path) -> ast.Module:
    """Return the tree of a file. It is shared: nobody may change it."""
    # nothing of a tree is garbage, and to look for some takes longer than to make it
    with without_collecting():
        return ast.parse(file.read_text())

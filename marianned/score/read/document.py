"""The text of a score as a document: a tree that is a score's, and not another kind of file.

Source: docs/reference/score-format.md §2.
"""

from typing import NamedTuple

from marianned import yaml_tree
from marianned.score.read.common_mistakes import KEYS
from marianned.score.read.model import Score
from marianned.score.read.rules import field_rules
from marianned.yaml_tree import (
    KeyPath,
    ListNode,
    MappingNode,
    Node,
    ScalarNode,
    SourcePosition,
    UnreadableYaml,
)

_OTHER_KINDS = {
    "fleet": "a fleet",
    "scores": "a fleet",
    "scheduler": "a daemon configuration",
    "socket": "a daemon configuration",
    "cli": "an instrument profile",
    "http": "an instrument profile",
}
_KNOWN = field_rules(Score)[0].keys() | KEYS[()].keys()
"""Keys at the top of a score, and those that people write there for them."""


class ScoreDocument(NamedTuple):
    """A parsed file: its tree, its lines, and the keys that were given twice: path and place."""

    root: MappingNode
    lines: list[str]
    duplicates: list[tuple[KeyPath, SourcePosition]]


def parse_document(data: bytes) -> ScoreDocument:
    """Read the bytes of a score.

    Raises:
        UnreadableYaml: S002, S004, S005, S006: the file can't be read, or is not a score.
    """
    tree = yaml_tree.read(data)
    score = _check_root(tree.root)
    duplicates = [((*_path_of(score, mapping), key.text), key.place) for mapping, key in tree.duplicates]
    return ScoreDocument(score, tree.lines, duplicates)


def _check_root(root: Node | None) -> MappingNode:
    if root is None or (isinstance(root, ScalarNode) and root.value is None):
        raise UnreadableYaml("S004", "the file is empty")
    if not isinstance(root, MappingNode):
        raise UnreadableYaml("S004", "a score is a mapping: keys with values", root.place)
    keys = {key.text: key for key, _ in root.entries}
    if "sheet" not in keys and "prompt" not in keys:
        if keys.keys() >= {"agents", "defaults"}:
            raise UnreadableYaml(
                "S004", "this is the input of a compiler, not a score", keys["agents"].place, ("agents",)
            )
        for key, kind in _OTHER_KINDS.items():
            if key in keys:
                raise UnreadableYaml("S004", f"this is {kind}, not a score", keys[key].place, (key,))
        if not keys.keys() & _KNOWN:  # nothing of it is quoted: it may be any file, and hold secrets
            raise UnreadableYaml("S004", "this is no score: it has no key of one", root.place)
    return root


def _path_of(node: Node, mapping: SourcePosition) -> KeyPath:
    """Return the path of the mapping that begins at a place; of the top, when there is none."""
    inner: list[tuple[str | int, Node]] = []
    if isinstance(node, MappingNode):
        inner = [(key.text, value) for key, value in node.entries]
    elif isinstance(node, ListNode):
        inner = list(enumerate(node.items))
    for step, value in inner:
        if isinstance(value, MappingNode) and value.place == mapping:
            return (step,)
        below = _path_of(value, mapping)
        if below:
            return (step, *below)
    return ()

"""YAML as a tree in which every key and value has its line and column: of scores, and of profiles.

Built from the parser's events, so that depth, size and alias expansion are bounded before anything grows;
an alias is the same node again. Source: docs/reference/score-format.md §2.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

KeyPath = tuple[str | int, ...]

MOST_BYTES = 4 * 1024 * 1024
MOST_NODES = 100_000
MOST_DEPTH = 64

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_BITS = 1000
"""Of a whole number: larger ones are no floats, and beyond 4,300 digits Python writes none."""
_OCTAL = re.compile(r"[-+]?0o[0-7]+")
_TAG = "tag:yaml.org,2002:"
_TEXT, _WHOLE = _TAG + "str", _TAG + "int"
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,17}")
_SCALAR_TAGS = frozenset(_TAG + kind for kind in ["null", "bool", "int", "float", "str", "timestamp"])


class SourcePosition(NamedTuple):
    """A position in the file; both count from 1."""

    line: int
    column: int


START = SourcePosition(1, 1)


class ScalarNode(NamedTuple):
    """A value without parts: as it was written, and as the safe loaders read it.

    `block`: a literal block, whose text begins on the line after `place`.
    """

    place: SourcePosition
    text: str
    value: Any
    block: bool = False
    size: int = 1
    height: int = 0


class ListNode(NamedTuple):
    """A list."""

    place: SourcePosition
    items: "list[Node]"
    size: int
    height: int


class MappingNode(NamedTuple):
    """A mapping, merge keys resolved; `entries` in the order of the file, `named` by the texts of keys."""

    place: SourcePosition
    entries: "list[tuple[ScalarNode, Node]]"
    named: "dict[str, tuple[ScalarNode, Node]]"
    size: int
    height: int


Node = ScalarNode | ListNode | MappingNode


class UnreadableYaml(Exception):
    """The file can't be read any further; `code` is the code of a score's problem, as `S002`."""

    def __init__(self, code: str, message: str, place: SourcePosition = START, path: KeyPath = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place
        self.path = path


class YamlTree(NamedTuple):
    """A file that was read: its root (None: it is empty), its lines, and the keys that were given twice.

    Each of these keys comes with the position of its mapping.
    """

    root: Node | None
    lines: list[str]
    duplicates: list[tuple[SourcePosition, ScalarNode]]


def read(data: bytes) -> YamlTree:
    """Read the bytes of a YAML file.

    Raises:
        UnreadableYaml: S002, S004, S005, S006: it is not YAML, or exceeds a limit.
    """
    text = _decode(data)
    builder = _Builder(_LOADER(text))
    return YamlTree(_build(builder), text.splitlines(), builder.duplicates)


def _build(builder: "_Builder") -> Node | None:
    try:
        return builder.document()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = SourcePosition(mark.line + 1, mark.column + 1) if mark else START
        raise UnreadableYaml("S002", problem.problem or "not YAML", place) from None
    except yaml.YAMLError as problem:
        raise UnreadableYaml("S002", str(problem).splitlines()[0]) from None


def _decode(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise UnreadableYaml("S005", f"the file has {len(data)} bytes, at most {MOST_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = data[: problem.start].decode("utf-8-sig")
        raise UnreadableYaml(
            "S006", f"not UTF-8: byte 0x{data[problem.start]:02x}", _position_after(before)
        ) from None
    strange = _UNPRINTABLE.search(text)
    if strange:
        raise UnreadableYaml(
            "S002",
            f"the character U+{ord(strange.group()):04X} is not allowed",
            _position_after(text[: strange.start()]),
        )
    return text


def _position_after(before: str) -> SourcePosition:
    return SourcePosition(before.count("\n") + 1, len(before) - before.rfind("\n"))


class _Builder:
    """Makes nodes from the events of one parser."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.anchors: dict[str, Node | None] = {}
        self.duplicates: list[tuple[SourcePosition, ScalarNode]] = []
        self.nodes = 0

    def document(self) -> Node | None:
        self.loader.get_event()
        if isinstance(self.loader.get_event(), yaml.StreamEndEvent):
            return None
        root = self.node(self.loader.get_event(), 0)
        self.loader.get_event()
        event = self.loader.get_event()
        if not isinstance(event, yaml.StreamEndEvent):
            raise UnreadableYaml(
                "S004", "the file holds several documents, it may hold one", _event_position(event)
            )
        return root

    def node(self, event: Any, depth: int) -> Node:
        if type(event) is yaml.ScalarEvent and event.anchor is None and depth <= MOST_DEPTH:
            self.count(1, event)
            return self.scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if depth > MOST_DEPTH:
            raise UnreadableYaml("S005", f"nested deeper than {MOST_DEPTH}", _event_position(event))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.count(1, event)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.items(event, depth)
        else:
            node = self.mapping(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def count(self, nodes: int, event: Any) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            raise UnreadableYaml(
                "S005", f"more than {MOST_NODES} values, with aliases expanded", _event_position(event)
            )

    def alias(self, event: Any, depth: int) -> Node:
        if event.anchor not in self.anchors:
            raise UnreadableYaml("S002", f"the alias '{event.anchor}' has no anchor", _event_position(event))
        node = self.anchors[event.anchor]
        if node is None:
            raise UnreadableYaml(
                "S005", f"the alias '{event.anchor}' stands inside its own value", _event_position(event)
            )
        if depth + node.height > MOST_DEPTH:
            raise UnreadableYaml("S005", f"nested deeper than {MOST_DEPTH}", _event_position(event))
        self.count(node.size, event)
        return node

    def scalar(self, event: Any) -> ScalarNode:
        tag = event.tag
        if tag is None and " " in event.value and not event.value[0].isdigit():
            tag = _TEXT  # only a time has a space
        elif tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag in {_TAG + "value", _TAG + "merge"}:
            tag = _TEXT
        if tag not in _SCALAR_TAGS:
            raise UnreadableYaml("S002", f"the tag '{tag}' is not supported", _event_position(event))
        plain = event.style is None or event.style == ""
        if plain and _OCTAL.fullmatch(event.value):
            value: Any = int(event.value, 8)
        elif tag == _TEXT:
            value = event.value  # most are, and the constructor takes its time
        elif tag == _WHOLE and _DECIMAL.fullmatch(event.value):
            value = int(event.value)
        else:
            try:
                value = self.loader.construct_object(yaml.ScalarNode(tag, event.value, event.start_mark))
            except (ValueError, KeyError, OverflowError):
                said = f"'{event.value[:40]}' is not a valid {tag.removeprefix(_TAG)}"
                raise UnreadableYaml("S002", said, _event_position(event)) from None
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise UnreadableYaml(
                "S002", f"'{event.value[:40]}…' is not a number that can be used", _event_position(event)
            )
        return ScalarNode(_event_position(event), event.value, value, block=event.style == "|")

    def items(self, event: Any, depth: int) -> ListNode:
        self.check_tag(event, "seq")
        items: list[Node] = []
        while not isinstance(following := self.loader.get_event(), yaml.SequenceEndEvent):
            items.append(self.node(following, depth + 1))
        return ListNode(_event_position(event), items, *_extent(items))

    def mapping(self, event: Any, depth: int) -> MappingNode:
        self.check_tag(event, "map")
        entries: list[tuple[ScalarNode, Node]] = []
        merged: list[tuple[ScalarNode, Node]] = []
        seen: set[Any] = set()
        while not isinstance(following := self.loader.get_event(), yaml.MappingEndEvent):
            merge = (
                isinstance(following, yaml.ScalarEvent) and following.implicit[0] and following.value == "<<"
            )
            key = self.node(following, depth + 1)
            if not isinstance(key, ScalarNode):
                raise UnreadableYaml("S002", "a key must be a scalar", key.place)
            value = self.node(self.loader.get_event(), depth + 1)
            if merge:
                merged.extend(_merge_entries(value))
                continue
            if key.value in seen:
                self.duplicates.append((_event_position(event), key))
            else:
                seen.add(key.value)
                entries.append((key, value))
        for key, value in merged:
            if key.value not in seen:
                seen.add(key.value)
                entries.append((key, value))
        named = {entry[0].text: entry for entry in reversed(entries)}
        return MappingNode(
            _event_position(event), entries, named, *_extent([part for entry in entries for part in entry])
        )

    def check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in {None, "!", _TAG + kind}:
            raise UnreadableYaml("S002", f"the tag '{event.tag}' is not supported", _event_position(event))


def _merge_entries(value: Node) -> list[tuple[ScalarNode, Node]]:
    if isinstance(value, MappingNode):
        return value.entries
    if isinstance(value, ListNode) and all(isinstance(item, MappingNode) for item in value.items):
        return [entry for item in value.items if isinstance(item, MappingNode) for entry in item.entries]
    raise UnreadableYaml("S002", "'<<' takes a mapping or a list of mappings", value.place)


def _event_position(event: Any) -> SourcePosition:
    return SourcePosition(event.start_mark.line + 1, event.start_mark.column + 1)


def _extent(parts: list[Any]) -> tuple[int, int]:
    return 1 + sum(part.size for part in parts), 1 + max((part.height for part in parts), default=0)


def plain_value(node: Node) -> Any:
    """Return a node as the usual safe loaders would: mappings, lists and scalars."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [plain_value(item) for item in node.items]
    return {key.value: plain_value(value) for key, value in node.entries}


def child(node: Node | None, step: str | int) -> "tuple[Node, Node] | None":
    """Return the key and the value (of a list: the item twice) that a step of a path leads to."""
    if isinstance(node, ListNode):
        inside = isinstance(step, int) and 0 <= step < len(node.items)
        return (node.items[int(step)], node.items[int(step)]) if inside else None
    if isinstance(node, MappingNode):
        return node.named.get(str(step))
    return None


def locate(root: Node | None, path: KeyPath) -> SourcePosition:
    """Return the place of the value at a path; where there is none, of what is nearest above it."""
    return _walk(root, path)[1].place if root else START


def locate_key(root: Node | None, path: KeyPath) -> SourcePosition:
    """Return the place of the key at a path; where there is none, of what is nearest above it."""
    return _walk(root, path)[0].place if root else START


def _walk(root: Node, path: KeyPath) -> tuple[Node, Node]:
    found: tuple[Node, Node] = (root, root)
    for step in path:
        following = child(found[1], step)
        if following is None:
            return found[1], found[1]
        found = following
    return found


def find(root: Node | None, path: KeyPath) -> Node | None:
    """Return the node at a path, or nothing."""
    for step in path:
        following = child(root, step)
        root = following[1] if following else None
    return root


def scalars(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, ScalarNode]]:
    """Yield every value that is no mapping or list, with its path."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from scalars(item, (*path, index))
    else:
        for key, value in node.entries:
            yield from scalars(value, (*path, key.text))


def place_inside(lines: list[str], scalar: ScalarNode, line: int, word: str) -> SourcePosition:
    """Return where a word stands in a line (from 1) of a text, as nearly as its style tells.

    Only literal blocks and one-line values keep their lines; elsewhere it is where the value begins.
    """
    at = scalar.place.line + line if scalar.block else scalar.place.line
    first = 0 if scalar.block else scalar.place.column - 1
    if at > len(lines) or not (scalar.block or "\n" not in scalar.text):
        return scalar.place
    found = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)").search(lines[at - 1], first) if word else None
    if found:
        return SourcePosition(at, found.start() + 1)
    text = lines[at - 1]
    return SourcePosition(at, len(text) - len(text.lstrip()) + 1) if scalar.block else scalar.place

"""YAML as a tree in which every key and value has its line and column: of scores, and of profiles.

Built from the parser's events, so that depth, size and alias expansion are bounded before anything grows;
an alias is the same node again. Source: docs/reference/score-format.md §2.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

Path = tuple[str | int, ...]

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


class Place(NamedTuple):
    """A position in the file; both count from 1."""

    line: int
    column: int


START = Place(1, 1)


class Scalar(NamedTuple):
    """A value without parts: as it was written, and as the safe loaders read it.

    `block`: a literal block, whose text begins on the line after `place`.
    """

    place: Place
    text: str
    value: Any
    block: bool = False
    size: int = 1
    height: int = 0


class Items(NamedTuple):
    """A list."""

    place: Place
    items: "list[Node]"
    size: int
    height: int


class Mapping(NamedTuple):
    """A mapping, merge keys resolved; `entries` in the order of the file, `named` by the texts of keys."""

    place: Place
    entries: "list[tuple[Scalar, Node]]"
    named: "dict[str, tuple[Scalar, Node]]"
    size: int
    height: int


Node = Scalar | Items | Mapping


class Unreadable(Exception):
    """The file is nothing that could be looked into further: the code is a score's, message, place."""

    def __init__(self, code: str, message: str, place: Place = START, path: Path = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place
        self.path = path


class Tree(NamedTuple):
    """A file that was read: its root (None: it is empty), its lines, and the keys that were given twice.

    Each of those has the place of its mapping with it.
    """

    root: Node | None
    lines: list[str]
    duplicates: list[tuple[Place, Scalar]]


def read(data: bytes) -> Tree:
    """Read the bytes of a YAML file.

    Raises:
        Unreadable: S002, S004, S005, S006: it is none, or beyond what is read.
    """
    text = _decoded(data)
    builder = _Builder(_LOADER(text))
    return Tree(_built(builder), text.splitlines(), builder.duplicates)


def _built(builder: "_Builder") -> Node | None:
    try:
        return builder.document()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else START
        raise Unreadable("S002", problem.problem or "not YAML", place) from None
    except yaml.YAMLError as problem:
        raise Unreadable("S002", str(problem).splitlines()[0]) from None


def _decoded(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise Unreadable("S005", f"the file has {len(data)} bytes, at most {MOST_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = data[: problem.start].decode("utf-8-sig")
        raise Unreadable(
            "S006", f"not UTF-8: byte 0x{data[problem.start]:02x}", _place_after(before)
        ) from None
    strange = _UNPRINTABLE.search(text)
    if strange:
        raise Unreadable(
            "S002",
            f"the character U+{ord(strange.group()):04X} is not allowed",
            _place_after(text[: strange.start()]),
        )
    return text


def _place_after(before: str) -> Place:
    return Place(before.count("\n") + 1, len(before) - before.rfind("\n"))


class _Builder:
    """Makes nodes from the events of one parser."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.anchors: dict[str, Node | None] = {}
        self.duplicates: list[tuple[Place, Scalar]] = []
        self.nodes = 0

    def document(self) -> Node | None:
        self.loader.get_event()
        if isinstance(self.loader.get_event(), yaml.StreamEndEvent):
            return None
        root = self.node(self.loader.get_event(), 0)
        self.loader.get_event()
        event = self.loader.get_event()
        if not isinstance(event, yaml.StreamEndEvent):
            raise Unreadable("S004", "the file holds several documents, it may hold one", _place(event))
        return root

    def node(self, event: Any, depth: int) -> Node:
        if type(event) is yaml.ScalarEvent and event.anchor is None and depth <= MOST_DEPTH:
            self.count(1, event)
            return self.scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if depth > MOST_DEPTH:
            raise Unreadable("S005", f"nested deeper than {MOST_DEPTH}", _place(event))
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
            raise Unreadable("S005", f"more than {MOST_NODES} values, with aliases expanded", _place(event))

    def alias(self, event: Any, depth: int) -> Node:
        if event.anchor not in self.anchors:
            raise Unreadable("S002", f"the alias '{event.anchor}' has no anchor", _place(event))
        node = self.anchors[event.anchor]
        if node is None:
            raise Unreadable("S005", f"the alias '{event.anchor}' stands inside its own value", _place(event))
        if depth + node.height > MOST_DEPTH:
            raise Unreadable("S005", f"nested deeper than {MOST_DEPTH}", _place(event))
        self.count(node.size, event)
        return node

    def scalar(self, event: Any) -> Scalar:
        tag = event.tag
        if tag is None and " " in event.value and not event.value[0].isdigit():
            tag = _TEXT  # only a time has a space
        elif tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag in {_TAG + "value", _TAG + "merge"}:
            tag = _TEXT
        if tag not in _SCALAR_TAGS:
            raise Unreadable("S002", f"the tag '{tag}' is not supported", _place(event))
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
                raise Unreadable("S002", said, _place(event)) from None
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise Unreadable("S002", f"'{event.value[:40]}…' is not a number that can be used", _place(event))
        return Scalar(_place(event), event.value, value, block=event.style == "|")

    def items(self, event: Any, depth: int) -> Items:
        self.check_tag(event, "seq")
        items: list[Node] = []
        while not isinstance(following := self.loader.get_event(), yaml.SequenceEndEvent):
            items.append(self.node(following, depth + 1))
        return Items(_place(event), items, *_extent(items))

    def mapping(self, event: Any, depth: int) -> Mapping:
        self.check_tag(event, "map")
        entries: list[tuple[Scalar, Node]] = []
        merged: list[tuple[Scalar, Node]] = []
        seen: set[Any] = set()
        while not isinstance(following := self.loader.get_event(), yaml.MappingEndEvent):
            merge = (
                isinstance(following, yaml.ScalarEvent) and following.implicit[0] and following.value == "<<"
            )
            key = self.node(following, depth + 1)
            if not isinstance(key, Scalar):
                raise Unreadable("S002", "a key must be a scalar", key.place)
            value = self.node(self.loader.get_event(), depth + 1)
            if merge:
                merged.extend(_merged(value))
                continue
            if key.value in seen:
                self.duplicates.append((_place(event), key))
            else:
                seen.add(key.value)
                entries.append((key, value))
        for key, value in merged:
            if key.value not in seen:
                seen.add(key.value)
                entries.append((key, value))
        named = {entry[0].text: entry for entry in reversed(entries)}
        return Mapping(_place(event), entries, named, *_extent([part for entry in entries for part in entry]))

    def check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in {None, "!", _TAG + kind}:
            raise Unreadable("S002", f"the tag '{event.tag}' is not supported", _place(event))


def _merged(value: Node) -> list[tuple[Scalar, Node]]:
    if isinstance(value, Mapping):
        return value.entries
    if isinstance(value, Items) and all(isinstance(item, Mapping) for item in value.items):
        return [entry for item in value.items if isinstance(item, Mapping) for entry in item.entries]
    raise Unreadable("S002", "'<<' takes a mapping or a list of mappings", value.place)


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _extent(parts: list[Any]) -> tuple[int, int]:
    return 1 + sum(part.size for part in parts), 1 + max((part.height for part in parts), default=0)


def plain(node: Node) -> Any:
    """Return a node as the usual safe loaders would: mappings, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return {key.value: plain(value) for key, value in node.entries}


def child(node: Node | None, step: str | int) -> "tuple[Node, Node] | None":
    """Return the key and the value (of a list: the item twice) that a step of a path leads to."""
    if isinstance(node, Items):
        inside = isinstance(step, int) and 0 <= step < len(node.items)
        return (node.items[int(step)], node.items[int(step)]) if inside else None
    if isinstance(node, Mapping):
        return node.named.get(str(step))
    return None


def locate(root: Node | None, path: Path) -> Place:
    """Return the place of the value at a path; where there is none, of what is nearest above it."""
    return _walk(root, path)[1].place if root else START


def locate_key(root: Node | None, path: Path) -> Place:
    """Return the place of the key at a path; where there is none, of what is nearest above it."""
    return _walk(root, path)[0].place if root else START


def _walk(root: Node, path: Path) -> tuple[Node, Node]:
    found: tuple[Node, Node] = (root, root)
    for step in path:
        following = child(found[1], step)
        if following is None:
            return found[1], found[1]
        found = following
    return found


def find(root: Node | None, path: Path) -> Node | None:
    """Return the node at a path, or nothing."""
    for step in path:
        following = child(root, step)
        root = following[1] if following else None
    return root


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Yield every value that is no mapping or list, with its path."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Items):
        for index, item in enumerate(node.items):
            yield from scalars(item, (*path, index))
    else:
        for key, value in node.entries:
            yield from scalars(value, (*path, key.text))


def place_inside(lines: list[str], scalar: Scalar, line: int, word: str) -> Place:
    """Return where a word stands in a line (from 1) of a text, as nearly as its style tells.

    Only literal blocks and one-line values keep their lines; elsewhere it is where the value begins.
    """
    at = scalar.place.line + line if scalar.block else scalar.place.line
    first = 0 if scalar.block else scalar.place.column - 1
    if at > len(lines) or not (scalar.block or "\n" not in scalar.text):
        return scalar.place
    found = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)").search(lines[at - 1], first) if word else None
    if found:
        return Place(at, found.start() + 1)
    text = lines[at - 1]
    return Place(at, len(text) - len(text.lstrip()) + 1) if scalar.block else scalar.place

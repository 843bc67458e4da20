"""The one place where it is decoded what somebody else wrote, and that there is no other."""

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from kit import trees

import marianne_cli
import marianned
from marianne_cli.commands import bug_report
from marianned import client_wire
from marianned.decoding import (
    DEPTH_MOST,
    JsonDecoder,
    MsgpackDecoder,
    Undecodable,
    check_depth,
    from_json,
    from_msgpack,
    from_toml,
)
from marianned.executors import attempt_files
from marianned.executors.base import SPEC, ExitRecord, read_spec_id

ROOMS = [Path(package.__file__).parent for package in (marianned, marianne_cli)]
DEEP = 50_000
"""More levels than the interpreter's stack has."""


class Record(msgspec.Struct):
    value: int
    more: object = None


NO_RECORDS = {
    "no JSON": (b"{", b"\xc1"),
    "cut off": (b'{"value": 1', msgspec.msgpack.encode({"value": 1})[:-1]),
    "another shape": (b'["value"]', msgspec.msgpack.encode(["value"])),
    "bytes that are no text": (b'{"value": 1, "more": "\xff"}', b"\x82\xa5value\x01\xa4more\xa1\xff"),
    "nested too deeply": (
        b'{"value": 1, "more": ' + b"[" * DEEP,
        b"\x82\xa5value\x01\xa4more" + b"\x91" * DEEP,
    ),
}


@pytest.mark.parametrize("name", NO_RECORDS)
def test_whatever_is_wrong_it_is_one_exception(name: str) -> None:
    as_json, as_msgpack = NO_RECORDS[name]
    with pytest.raises(Undecodable):
        from_json(as_json, Record)
    with pytest.raises(Undecodable):
        JsonDecoder[Record](Record).decode(as_json)
    with pytest.raises(Undecodable):
        from_msgpack(as_msgpack, Record)
    with pytest.raises(Undecodable):
        MsgpackDecoder[Record](Record).decode(as_msgpack)


def test_a_client_without_msgspec_decodes_with_one_exception_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for without in (False, True):
        if without:
            monkeypatch.delitem(sys.modules, "msgspec")
        for text in (b"{", b'"\xff"', b"[" * DEEP):
            with pytest.raises(ValueError):  # noqa: PT011  of json, of UTF-8 or our own
                client_wire.decode(text)


def test_what_is_right_comes_back() -> None:
    assert from_json(b'{"value": 1}', Record) == Record(value=1)
    assert from_json('{"a": [1]}') == {"a": [1]}
    assert from_msgpack(msgspec.msgpack.encode(Record(value=2)), Record) == Record(value=2)
    assert from_toml("[a]\nb = [[1]]\n") == {"a": {"b": [[1]]}}
    brackets = "[" * 2 * DEPTH_MOST
    assert from_toml(f'# {brackets}\na = \'{brackets}\'\nb = """\n{brackets}"""\n')["a"] == brackets


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a=" + "[" * DEEP, 1, DEPTH_MOST + 3, "nested too deeply"),
        ("a = 1\nb = 2\nb = 3\n", 3, 6, "this key has a value already"),
        ("[a]\n[a]\n", 2, 3, "cannot declare"),
        ("a = \n", 1, 5, "invalid value"),
        ("a = [\n", 2, 1, "invalid value"),
        ("b = 1\na = " + "1" * 5000, 2, 5, "too many digits"),
        (".".join("a" * 3 * DEPTH_MOST) + " = 1", None, None, "nested too deeply"),
    ],
)
def test_what_is_no_toml_has_its_place(text: str, line: int | None, column: int | None, said: str) -> None:
    with pytest.raises(Undecodable, match=said) as error:
        from_toml(text)
    assert (error.value.line, error.value.column) == (line, column)


def test_depth_is_looked_at_without_a_stack() -> None:
    value: object = 1
    for _ in range(DEPTH_MOST):
        value = [value]
    check_depth({"a": value[0]})  # type: ignore[index]
    check_depth(value)
    for _ in range(DEEP):
        value = {"a": value}
    with pytest.raises(Undecodable):
        check_depth(value)


READERS: dict[str, Callable[[Path], object]] = {
    "the record of an attempt": lambda path: attempt_files.read(path, ExitRecord),
    "its spec": lambda path: read_spec_id(path.parent),
    "a line of the log": lambda path: bug_report._concerns(path.read_text(errors="replace"), "job"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "data", [b"[" * DEEP, b'{"a": "\xff"}', b"{", b"3"], ids=["deep", "bytes", "cut", "3"]
)
def test_a_file_that_somebody_else_has_written_counts_as_none(tmp_path: Path, name: str, data: bytes) -> None:
    file = tmp_path / SPEC
    file.write_bytes(data)
    assert not READERS[name](file)


CALLS = re.compile(
    r"\b(?:(?:json|pickle|tomllib|yaml)\.loads?|(?:json|msgpack)\.decode|literal_eval|raw_decode|make_scanner"
    r"|JSONDecoder|(?:json|msgpack)\.Decoder)$"
)
IMPORTS = re.compile(
    r"^(?:from (?:json|pickle|tomllib|yaml|ast|msgspec\.\w+) import|import \w+ as (?:json|yaml)).*",
    re.MULTILINE,
)
ALLOWED = {
    "marianned/decoding.py": "the place itself",
    "marianned/client_wire.py": "clients that do without msgspec; a ValueError whatever is wrong",
    "marianned/wire.py": "the protocol tells apart what is no JSON and what is no request",
    "marianned/http_agent.py": "a program of its own without msgspec; handles ValueError and RecursionError",
    "marianned/data_checks.py": "JSON or YAML, in a worker; handles the errors of both, and RecursionError",
    "marianned/instruments/json_path.py": "a second reading, of what is almost JSON; handles both errors",
    "marianned/instruments/printed_json.py": "JSON with other text around it; handles both errors",
    "marianned/executors/final_event.py": "imports nothing of ours; handles whatever is raised",
    "marianned/executors/shim.py": "imports nothing of ours; handles whatever is raised",
    "marianned/nursery.py": "pickles of the daemon's own processes",
    "marianned/worker_pool.py": "pickles of the daemon's own processes, and arguments it has written itself",
    "marianne_cli/mcp/stdio.py": "the id of a message that is no JSON for msgspec; handles both errors",
    "marianne_cli/web/statics.py": "a file shipped with the program",
}


def decoders_in(file: Path) -> list[str]:
    """Return what decodes something itself in a module."""
    text = file.read_text()
    found = IMPORTS.findall(text)
    if not re.search(CALLS.pattern.replace("$", r"\b"), text):
        return found  # what is not named is not called
    named = [node for node in ast.walk(trees.tree_of(file)) if isinstance(node, ast.Attribute)]
    return found + [ast.unparse(node) for node in named if CALLS.search(ast.unparse(node))]


def test_nothing_else_decodes_what_somebody_else_wrote() -> None:
    found = {
        f"{room.name}/{file.relative_to(room)}": decoders
        for room in ROOMS
        for file in sorted(room.rglob("*.py"))
        if (decoders := decoders_in(file))
    }
    assert {name: calls for name, calls in found.items() if name not in ALLOWED} == {}
    assert sorted(ALLOWED.keys() - found) == []

"""Rows lie in the tables as they are, and every block of SQL has its use."""

import re
import sqlite3
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marianned import rows, store
from marianned.clock import Instant
from marianned.errors import Problem
from marianned.protocol import Caller, CheckReport
from marianned.store.opening import migrations
from marianned.store.sql import SQL, Columns, blocks

PUTS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "put_run": ("runs", rows.RunRow),
    "put_sheet": ("sheets", rows.SheetRow),
    "put_attempt": ("attempts", rows.AttemptRow),
    "put_hold": ("holds", rows.HoldRow),
    "put_revision": ("revisions", rows.RevisionRow),
    "put_request": ("requests", rows.RequestRow),
    "put_event": ("events", rows.EventRow),
}
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: INTEGERS,
    int | None: st.none() | INTEGERS,
    float: FLOATS,
    float | None: st.none() | FLOATS,
}


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    fields = {name: VALUES[hint] if hint in VALUES else st.from_type(hint) for name, hint in hints.items()}
    return st.builds(kind, **fields)


for nested in (Caller, Instant, CheckReport, Problem):
    st.register_type_strategy(nested, structs(nested))


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for _, text in migrations():
        connection.executescript(text)
    return connection


@pytest.mark.parametrize("name", PUTS)
def test_a_put_names_exactly_the_fields_of_its_row(name: str) -> None:
    _, kind = PUTS[name]
    inserted, values = re.findall(r"\(\n(.*?)\n\)", SQL[name], re.DOTALL)
    fields = set(kind.__struct_fields__)
    assert set(re.findall(r"\w+", inserted)) == fields
    assert set(re.findall(r":(\w+)", values)) == fields
    if name != "put_event":
        (key,) = re.findall(r"ON CONFLICT \((.*?)\)", SQL[name])
        updated = re.findall(r"(\w+) = excluded\.(\w+)", SQL[name])
        assert all(left == right for left, right in updated)
        assert {left for left, _ in updated} == fields - set(re.findall(r"\w+", key))


@pytest.mark.parametrize("name", PUTS)
def test_every_row_comes_back_as_it_was_put(name: str) -> None:
    table, kind = PUTS[name]
    columns = Columns(kind)
    connection = database()
    connection.row_factory = sqlite3.Row

    @given(structs(kind))
    def comes_back(row: msgspec.Struct) -> None:
        connection.execute(f"DELETE FROM {table}")
        connection.execute(SQL[name], columns.values(row))
        (found,) = connection.execute(f"SELECT * FROM {table}")
        assert columns.struct(found) == row

    try:
        comes_back()
    finally:
        connection.close()


def test_every_block_is_used() -> None:
    code = "".join(file.read_text() for file in Path(str(store.__path__[0])).glob("*.py"))
    named = set(re.findall(r'"(\w+)"', code)) | {"history_total", "history_of_sheets_total"}
    assert set(SQL) <= named


def test_every_block_is_sql_of_this_schema() -> None:
    connection = database()
    for statement in SQL.values():
        names = dict.fromkeys(re.findall(r":(\w+)", statement))
        connection.execute(f"EXPLAIN {statement}", names).close()
    connection.close()


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        blocks("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")

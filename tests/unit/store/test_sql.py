"""Rows lie in the tables as they are, and every block of SQL has its use."""

import re
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.tables import each

from marianned import rows, store
from marianned.clock import Instant
from marianned.errors import Problem
from marianned.protocol import Caller, CheckReport, Hold, WaitingFor
from marianned.store.opening import migrations
from marianned.store.sql import SQL, Columns, blocks, delete, put

INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: INTEGERS,
    int | None: st.none() | INTEGERS,
    float: FLOATS,
    float | None: st.none() | FLOATS,
    list[int]: st.lists(INTEGERS),
    dict[str, Any]: st.dictionaries(st.text(), st.text() | st.integers(-9, 9) | st.none()),
}


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    fields = {name: VALUES[hint] if hint in VALUES else st.from_type(hint) for name, hint in hints.items()}
    return st.builds(kind, **fields)


for nested in (
    Caller,
    Instant,
    CheckReport,
    Hold,
    Problem,
    rows.EventFacts,
    rows.HookRow,
    rows.PastHook,
    rows.SheetRow,
):
    st.register_type_strategy(nested, structs)  # made when it is drawn from: it costs all who collect tests


@cache
def migrated() -> bytes:
    connection = sqlite3.connect(":memory:")
    for _, text in migrations():
        connection.executescript(text)
    try:
        return connection.serialize()
    finally:
        connection.close()


def database() -> sqlite3.Connection:
    """A new database, migrated once for all."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(migrated())
    return connection


@each("kind", rows.TABLES)
def test_every_row_comes_back_as_it_was_put_and_is_replaced_by_its_key(kind: type[msgspec.Struct]) -> None:
    table, key = rows.TABLES[kind]
    columns = Columns(kind)
    connection = database()
    connection.row_factory = sqlite3.Row

    @settings(max_examples=6)
    @given(structs(kind), structs(kind))
    def comes_back(row: msgspec.Struct, other: msgspec.Struct) -> None:
        connection.execute(f"DELETE FROM {table}")
        same = {name: getattr(row, name) for name in key}
        for one in (row, msgspec.structs.replace(other, **same)):
            if not key:
                connection.execute(f"DELETE FROM {table}")
            connection.execute(put(kind), columns.values(one))
            (found,) = connection.execute(f"SELECT * FROM {table}")
            assert columns.struct(found) == one

    try:
        comes_back()
    finally:
        connection.close()


def test_a_word_lies_in_its_column_as_it_is_and_one_of_a_later_daemon_comes_back_as_it_stands() -> None:
    connection = database()
    connection.row_factory = sqlite3.Row
    columns = Columns(rows.SheetRow)
    row = rows.SheetRow(run_id=1, uid=1, sheet=1, waiting_for=WaitingFor.RATE_LIMIT)
    connection.execute(put(rows.SheetRow), columns.values(row))
    found = connection.execute("SELECT status, waiting_for, next_kind FROM sheets").fetchone()
    assert tuple(found) == ("pending", "rate_limit", "first")
    connection.execute("UPDATE sheets SET status = 'dreaming'")
    (later,) = map(columns.struct, connection.execute("SELECT * FROM sheets"))
    assert (later.status, later.waiting_for) == ("dreaming", WaitingFor.RATE_LIMIT)
    assert columns.values(later)["status"] == "dreaming"
    connection.close()


def test_every_kind_of_row_has_its_table_and_the_key_that_the_schema_has() -> None:
    assert set(rows.TABLES) == {*get_args(rows.Row), rows.EventRow}
    connection = database()
    for kind, (table, key) in rows.TABLES.items():
        columns = connection.execute("SELECT name, pk FROM pragma_table_info(?)", [table]).fetchall()
        assert {name for name, _ in columns} - {"event"} == set(kind.__struct_fields__) - {"event"}
        primary = [name for name, place in sorted(columns, key=lambda column: column[1]) if place]
        assert primary == (list(key) or ["event"])
    connection.close()


@each("kind", rows.TABLES)
def test_every_row_of_a_run_is_deleted_by_its_key(kind: type[msgspec.Struct]) -> None:
    if not rows.TABLES[kind].is_deleted_by_run:
        with pytest.raises(ValueError, match="its run"):
            delete(kind)
        return
    connection = database()
    gone = rows.Deleted(kind=kind, run_id=1, key=2)
    connection.execute(delete(kind), gone.key_values)
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


def test_what_each_status_counts_is_found_without_a_look_at_all_attempts() -> None:
    plan = database().execute(f"EXPLAIN QUERY PLAN {SQL['unbegun']}", {"run_id": 1}).fetchall()
    assert [row[3] for row in plan] == ["SEARCH attempts USING INDEX attempts_unbegun (run_id=?)"]

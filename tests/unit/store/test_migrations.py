"""A database of an older daemon comes over: each row is what it was, in the words of today."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from store_rows import attempt_row, request_row, run_row

from marianned.protocol import HookStatus
from marianned.rows import HookRow, PastHook, SkipRow
from marianned.store import opening
from marianned.store.opening import connect_writer, migrations
from marianned.store.sql import Columns
from marianned.store.writer import open_store

OF_0_1_0 = 1
"""The last migration that 0.1.0 had."""
RENAMED = {
    "attempt_ids": "flights",
    "cooldown_done": "cooled",
    "pause_passed": "passed",
    "term_sent": "told",
    "pending_revision": "kept",
    "awaits": "wish",
    "since_hold": "hold",
    "created_revision": "brought",
    "next_hook_attempt": "next_flight",
}
"""Columns by what they were called before 11."""


def older(database: Path, version: int) -> sqlite3.Connection:
    """Make a database as the daemon of that version made it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(opening, "migrations", lambda: migrations()[:version])
        return connect_writer(database)


def put(connection: sqlite3.Connection, table: str, row: msgspec.Struct, **then: Any) -> None:
    """Put a row in the columns that the table had then; `then` are those of other names or values."""
    known = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    values = Columns(type(row)).values(row)
    values |= {old: values[now] for now, old in RENAMED.items() if now in values}
    values |= then
    columns = [name for name in known if name in values]
    marks = ", ".join("?" for _ in columns)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", [values[name] for name in columns]
    )


@pytest.mark.parametrize("version", [OF_0_1_0, 9])
@pytest.mark.anyio
async def test_skip_rules_that_were_attempt_0_are_asked_again(database: Path, version: int) -> None:
    old = older(database, version)
    put(old, "runs", run_row())
    put(old, "attempts", attempt_row(1), outcome="succeeded", ended_at=3)
    put(old, "attempts", attempt_row(2), attempt=0, kind="skip", model="big", incarnation=7)
    old.close()
    async with open_store(database) as store:
        whole = await store.records.stored_run("notes")
        assert whole is not None
        asked = SkipRow(
            run_id=1,
            uid=2,
            sheet=2,
            stage=2,
            instance=1,
            revision=1,
            instrument="sh",
            model="big",
            started_at=1,
            time_limit_at=2,
            incarnation=7 if version > OF_0_1_0 else 0,
        )
        assert (whole.skips, whole.open_attempts) == ([asked], [])
        assert [row.attempt for row in await store.records.attempts(1)] == [1]


HOOK = HookRow(
    run_id=1,
    hook=2,
    status=HookStatus.RUNNING,
    attempt_ids=[3, 5],
    cooldown_done=True,
    term_sent=True,
    pending_revision=b"a score",
    error_message='it said "told":true and "flights":[9]',
)


@pytest.mark.parametrize("version", [OF_0_1_0, 10])
@pytest.mark.anyio
async def test_hooks_and_requests_are_what_they_were_under_their_new_words(
    database: Path, version: int
) -> None:
    old = older(database, version)
    asked = request_row("one", awaits="pause", since_hold=4, created_revision=True)
    put(old, "runs", run_row(next_hook_attempt=6))
    put(old, "hooks", HOOK)
    put(old, "requests", asked, **{"asked_at": 7} if version == OF_0_1_0 else {})
    old.close()
    async with open_store(database) as store:
        whole = await store.records.stored_run("notes")
        assert whole is not None
        assert whole.hooks == [HOOK]
        (request,) = whole.requests
        assert (request.awaits, request.since_hold, request.created_revision) == ("pause", 4, True)
        assert whole.run.next_hook_attempt == 6


@pytest.mark.anyio
async def test_hooks_of_the_past_come_over_with_the_run_that_has_them(database: Path) -> None:
    old = older(database, 10)
    row = msgspec.to_builtins(HOOK)
    for now, old_name in RENAMED.items():
        if now in row:
            row[old_name] = row.pop(now)
    past = msgspec.json.encode([{"essence": "of a hook", "row": row}]).decode()
    put(old, "runs", run_row(), past_hooks=past)
    put(old, "runs", run_row(2, run=2))
    old.close()
    async with open_store(database) as store:
        first, second = await store.records.runs("notes")
        assert first.past_hooks == [PastHook(essence="of a hook", row=HOOK)]
        assert second.past_hooks == []

"""Databases of each release are brought up to date, and lie beside the new one as they were."""

import logging
import sqlite3
import stat
from pathlib import Path

import pytest

from marianned.store import copies, opening
from marianned.store.opening import DatabaseRefused, connect_reader, connect_writer, migrations
from marianned.store.writer import open_store

RELEASED = sorted((Path(__file__).parents[2] / "databases").glob("*.sql"))
NEWEST = migrations()[-1][0]


def put(database: Path, dump: Path) -> None:
    """Make a database of a release: `sqlite3 marianne.db .dump`, and its version behind it."""
    database.parent.mkdir(mode=0o700)
    connection = sqlite3.connect(database)
    connection.executescript(dump.read_text())
    connection.close()


def rows(database: Path, table: str) -> list[tuple[object, ...]]:
    connection = connect_reader(database)
    try:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    finally:
        connection.close()


def version(database: Path) -> int:
    connection = connect_reader(database)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


@pytest.fixture(params=RELEASED, ids=lambda dump: dump.stem)
def released(request: pytest.FixtureRequest, database: Path) -> Path:
    put(database, request.param)
    return database


@pytest.mark.anyio
async def test_what_a_release_knew_of_its_jobs_is_known(released: Path) -> None:
    before = version(released)
    jobs = [(run[1], run[2]) for run in rows(released, "runs")]
    events = [(event[0], event[2]) for event in rows(released, "events")]
    async with open_store(released) as store:
        for name, number in jobs:
            whole = await store.records.stored_run(name, number)
            assert whole is not None
            assert (whole.run.job_name, whole.run.run) == (name, number)
            assert whole.sheets
        told = await store.records.events(0, None, 1000)
        assert [(event.event, event.type) for event in told][: len(events)] == events
        assert store.restored is None
    assert version(released) == NEWEST
    kept = released.with_name(f"marianne.db.{before}.backup")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert version(kept) == before


@pytest.mark.anyio
async def test_a_copy_that_is_put_back_is_noticed(released: Path) -> None:
    before = version(released)
    async with open_store(released):
        pass
    kept = released.with_name(f"marianne.db.{before}.backup")
    for name in ("marianne.db-wal", "marianne.db-shm"):
        released.with_name(name).unlink(missing_ok=True)
    kept.replace(released)
    async with open_store(released) as store:
        assert store.restored == f"'{released}' is a backup that was put back"


def test_the_log_says_where_the_copy_is(
    released: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = version(released)
    with caplog.at_level(logging.INFO):
        connect_writer(released).close()
    kept = f"{released}.{before}.backup"
    assert caplog.messages == [
        f"'{released}' goes from version {before} to {NEWEST}; as it was it is '{kept}'"
    ]


def test_a_new_database_and_one_of_today_are_not_copied(database: Path) -> None:
    connect_writer(database).close()
    connect_writer(database).close()
    assert not list(database.parent.glob("*.backup"))


def test_without_a_copy_nothing_is_changed(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    before = version(released)
    monkeypatch.setattr(copies, "mark_copy", full)
    with pytest.raises(
        DatabaseRefused, match=r"can't be copied before it is brought up to date: .* full; see"
    ):
        connect_writer(released)
    assert version(released) == before
    monkeypatch.undo()
    connect_writer(released).close()
    assert version(released) == NEWEST


def test_where_a_step_fails_none_is_taken_and_the_next_start_copies_again(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version(released)
    broken = [*migrations(), (9000, "CREATE TABLE half (x) STRICT;")]
    monkeypatch.setattr(opening, "migrations", lambda: broken)
    for _ in range(2):
        with pytest.raises(DatabaseRefused):
            connect_writer(released)
        assert version(released) == before, "the release can go on with it"
    assert [path.name for path in released.parent.glob("*.backup")] == [f"marianne.db.{before}.backup"]

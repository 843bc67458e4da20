"""A database is opened only when it is ours, whole and not newer; else it stays as it was."""

import shutil
import stat
from pathlib import Path

import pytest
from store_rows import event_row, run_row

from marianned.rows import Changes
from marianned.store import opening
from marianned.store.opening import (
    DatabaseBroken,
    DatabaseRefused,
    DatabaseTooNew,
    connect_writer,
    migrations,
)
from marianned.store.writer import open_store


def test_a_new_database_is_private_and_durable(database: Path) -> None:
    connection = connect_writer(database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert connection.execute("PRAGMA user_version").fetchone() == (migrations()[-1][0],)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in database.parent.iterdir()}
    assert modes == {"marianne.db": 0o600, "marianne.db-wal": 0o600, "marianne.db-shm": 0o600}
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
    connection.close()


def test_a_database_others_could_read_is_made_private(database: Path) -> None:
    connect_writer(database).close()
    database.chmod(0o644)
    connect_writer(database).close()
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_a_newer_database_is_refused_untouched(database: Path) -> None:
    connection = connect_writer(database)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    before = database.read_bytes()
    with pytest.raises(DatabaseTooNew, match=r"version 9999.*start the newer version") as refused:
        connect_writer(database)
    assert refused.value.hint
    assert database.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_untouched(database: Path) -> None:
    database.parent.mkdir()
    database.write_text("my diary")
    with pytest.raises(DatabaseBroken, match="is not a database; move it away"):
        connect_writer(database)
    assert database.read_text() == "my diary"


@pytest.mark.parametrize("damage", ["zeroed page", "cut off", "only the first bytes"])
def test_a_damaged_database_is_refused_untouched(database: Path, damage: str) -> None:
    connect_writer(database).close()
    whole = database.read_bytes()
    damaged = {
        "zeroed page": whole[:4096] + bytes(4096) + whole[8192:],
        "cut off": whole[: len(whole) // 2],
        "only the first bytes": whole[:40],
    }[damage]
    database.write_bytes(damaged)
    with pytest.raises(DatabaseBroken, match="move it away"):
        connect_writer(database)
    assert database.read_bytes() == damaged


def test_what_belongs_to_a_database_alone_is_moved_away_with_it(database: Path) -> None:
    """A log that is left there would be played into the copy that is put back."""
    database.parent.mkdir()
    database.write_text("notes")
    log = database.with_name(f"{database.name}-wal")
    log.write_text("left")
    with pytest.raises(DatabaseBroken) as refused:
        connect_writer(database)
    away = f"'mv {database} {database}.broken; mv {log} {database}.broken-wal'"
    assert str(refused.value).endswith(f"or put a copy back: {away}")


def test_one_that_can_not_be_read_now_is_not_called_damaged(database: Path) -> None:
    connect_writer(database).close()
    database.with_name("marianne.db-shm").mkdir()
    with pytest.raises(DatabaseRefused, match="-shm' is a directory, not a file; type: rmdir ") as refused:
        connect_writer(database)
    assert not isinstance(refused.value, DatabaseBroken)


def test_an_empty_file_is_a_new_database(database: Path) -> None:
    database.parent.mkdir()
    database.touch()
    connect_writer(database).close()
    assert database.stat().st_size > 0


def test_a_migration_that_fails_leaves_the_version_before_it(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_writer(database).close()
    broken = [*migrations(), (9000, "CREATE TABLE half (x) STRICT; CREATE TABLE half (x INTEGER) STRICT;")]
    monkeypatch.setattr(opening, "migrations", lambda: broken)
    with pytest.raises(DatabaseRefused, match="can't be opened"):
        connect_writer(database)
    monkeypatch.undo()
    connection = connect_writer(database)
    assert connection.execute("PRAGMA user_version").fetchone() == (migrations()[-1][0],)
    assert connection.execute("SELECT * FROM sqlite_schema WHERE name = 'half'").fetchall() == []
    connection.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.anyio
async def test_what_a_killed_daemon_left_in_its_log_is_there(database: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    async with open_store(database) as store:
        await store.commit(Changes(rows=[run_row()], events=[event_row("kept")]))
        left.mkdir()
        for name in ("marianne.db", "marianne.db-wal"):
            shutil.copy(database.with_name(name), left / name)
    async with open_store(left / "marianne.db") as store:
        assert await store.records.run("notes") == run_row()
        assert [event.text for event in await store.records.events(0, None, 10)] == ["kept"]


@pytest.mark.anyio
async def test_the_daemon_id_is_made_once(database: Path, tmp_path: Path) -> None:
    async with open_store(database) as store:
        first = store.daemon_id
    async with open_store(database) as store:
        assert store.daemon_id == first
    async with open_store(tmp_path / "other" / "marianne.db") as store:
        assert store.daemon_id != first
    assert len(first) == 8


def test_the_numbers_that_0_1_0_gave_its_runs_are_known_after_an_upgrade(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(opening, "migrations", lambda: migrations()[:1])
        old = connect_writer(database)
    put = "INSERT INTO events (recorded_at, type, job_name, run, text) VALUES (1, ?, ?, ?, '')"
    old.executemany(
        put, [("job.removed", "gone", 4), ("job.removed", "gone", 2), ("daemon.started", None, None)]
    )
    old.close()
    connection = connect_writer(database)
    assert connection.execute("SELECT * FROM numbers").fetchall() == [("gone", 4)]
    connection.close()

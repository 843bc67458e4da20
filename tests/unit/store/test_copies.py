"""What the database has does not get where it does not belong: into others' files, or out of a removal."""

import os
import sqlite3
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from store_rows import run_row

from marianned.rows import Changes, Deleted, RunRow
from marianned.store.writer import Store, open_store

pytestmark = pytest.mark.anyio


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to others")
async def test_a_file_that_waits_in_the_place_of_the_copy_gets_nothing(store: Store, tmp_path: Path) -> None:
    waiting = tmp_path / ".copy.db.part"
    waiting.touch(0o666)
    os.chown(waiting, 4001, 4001)
    with pytest.raises(FileExistsError):
        await store.records.copy(tmp_path / "copy.db")
    assert waiting.read_bytes() == b""
    assert not (tmp_path / "copy.db").exists()


async def test_of_a_removed_run_no_variable_is_left_in_any_file(database: Path, anyio_backend: str) -> None:
    secret = "zebra-4711-of-a-run"
    async with open_store(database) as store:
        await store.commit(Changes(rows=[run_row(1, env={"KEY": secret})]))
        assert secret.encode() in b"".join(file.read_bytes() for file in database.parent.iterdir())
        await store.commit(Changes(deleted=[Deleted(kind=RunRow, run_id=1, key=0)]))
    with sqlite3.connect(database) as reader:
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    reader.close()
    assert secret.encode() not in b"".join(file.read_bytes() for file in database.parent.iterdir())


async def test_a_copy_is_made_of_a_database_that_is_gone_while_all_its_readers_read(
    store: Store, database: Path, tmp_path: Path
) -> None:
    """No more can be opened, but what is open still has it: one of them is waited for."""
    reads, goes_on = threading.Event(), threading.Event()

    def read(connection: sqlite3.Connection) -> None:
        reads.set()
        assert goes_on.wait(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.records._read, read)
        await anyio.to_thread.run_sync(reads.wait, 10)
        await anyio.to_thread.run_sync(database.unlink)
        tasks.start_soon(store.records.copy, tmp_path / "copy.db")
        await anyio.sleep(0.2)  # the copy waits by then, or has failed
        goes_on.set()
    assert (tmp_path / "copy.db").stat().st_size > 0

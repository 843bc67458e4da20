"""The power goes: a database and its log as far as they had got; it opens, with all that was promised."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from store_rows import event_row, run_row

from marianned.rows import Changes
from marianned.store.writer import open_store

pytestmark = pytest.mark.anyio
COMMITS = 12
CUTS = 16
SEED = 1


async def promised(database: Path, image: Path) -> list[int]:
    """Commit one event after the other; return how long the log was at each acknowledgement."""
    log = database.with_name("marianne.db-wal")
    lengths = []
    async with open_store(database) as store:
        await store.commit(Changes(rows=[run_row()]))
        for number in range(COMMITS):
            await store.commit(Changes(events=[event_row(f"{number} " + "x" * 50 * number)]))
            lengths.append(log.stat().st_size)
        for file in (database, log):
            shutil.copy(file, image / file.name)
    return lengths


@pytest.mark.parametrize("rest", ["cut off", "zeros", "noise"])
async def test_cut_anywhere_it_opens_and_holds_what_was_acknowledged(tmp_path: Path, rest: str) -> None:
    image = tmp_path / "image"
    image.mkdir()
    lengths = await promised(tmp_path / "state" / "marianne.db", image)
    whole = (image / "marianne.db-wal").read_bytes()
    chance = random.Random(f"{SEED} {rest}")
    cuts = [
        *lengths,
        *(length - 1 for length in lengths),
        0,
        *(chance.randrange(len(whole)) for _ in range(CUTS)),
    ]
    for number, cut in enumerate(cuts):
        unsynced = len(whole) - cut
        after = {"cut off": b"", "zeros": bytes(unsynced), "noise": chance.randbytes(unsynced)}[rest]
        left = left_behind(image, tmp_path / str(number), whole[:cut] + after)
        async with open_store(left) as store:
            texts = [event.text for event in await store.records.events(0, None, 100)]
        kept = [int(text.split()[0]) for text in texts]
        assert kept == list(range(len(kept))), f"cut at {cut}"
        assert len(kept) >= sum(length <= cut for length in lengths), f"cut at {cut}"
        opened = sqlite3.connect(left)
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        opened.close()


def left_behind(image: Path, directory: Path, log: bytes) -> Path:
    """Lay out what the power cut left; return the database's path."""
    directory.mkdir()
    shutil.copy(image / "marianne.db", directory)
    (directory / "marianne.db-wal").write_bytes(log)
    return directory / "marianne.db"

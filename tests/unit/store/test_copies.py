"""A copy of the database is written into no file that somebody else has made before."""

import os
from pathlib import Path

import pytest

from marianned.store.writer import Store

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

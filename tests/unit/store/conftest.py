"""A store on a real file, and the rows that tests put into it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marianned.store.writer import Store, open_store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "marianne.db"


@pytest.fixture
async def store(database: Path, anyio_backend: str) -> AsyncIterator[Store]:
    async with open_store(database) as opened:
        yield opened

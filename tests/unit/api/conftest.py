"""A server in this process, of which only what a test needs is there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from peers import Services

from marianned.store.writer import open_store


@pytest.fixture
async def house(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Services]:
    async with open_store(tmp_path / "state" / "marianne.db") as store:
        yield Services(store)

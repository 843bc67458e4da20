"""A submission that is refused has given back all that it held, once its answer is there."""

import pytest
from kit.conducting import conducting
from kit.memory import MemoryExecutor

from marianned.errors import Unavailable

pytestmark = pytest.mark.anyio

SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "true"}
"""


async def test_who_is_refused_finds_no_slot_taken(tmp_path, monkeypatch):
    executor = MemoryExecutor()
    async with conducting(tmp_path, executor) as house:

        async def refuse(_changes):
            raise Unavailable("the database can't be written")

        with monkeypatch.context() as refusing:
            refusing.setattr(house.store, "commit", refuse)
            with pytest.raises(Unavailable):
                await house.submit(SCORE)
            conductor = house.conductor
            assert (conductor.jobs, conductor.flights(), conductor.services.scheduler.used) == ({}, [], 0)
        await house.submit(SCORE)
        executor.finish(await executor.started(1))
        await house.until("a", "completed")

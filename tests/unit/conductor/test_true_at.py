"""A job tells of itself the number it is true at: none of a commit that its state does not have yet."""

import pytest
from kit.conducting import conducting
from kit.memory import MemoryExecutor

pytestmark = pytest.mark.anyio

SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 2}
prompt: {template: "true"}
"""


async def test_while_a_commit_is_told_its_job_is_still_true_at_an_earlier_number(tmp_path):
    executor, told = MemoryExecutor(), []
    async with conducting(tmp_path, executor) as house:

        def look(events):
            job = house.conductor.jobs.get("a")
            if job is not None and events:
                told.append((job.true_at, events[0].event, house.store.last_event))

        await house.submit(SCORE)
        first = await executor.started(1)
        job = house.conductor.jobs["a"]
        assert job.true_at == house.store.last_event
        house.store.on_commit(look)
        executor.finish(first)
        executor.finish(await executor.started(2))
        await house.until("a", "completed")
    assert told
    assert all(true_at < first_of_commit <= last for true_at, first_of_commit, last in told)
    assert job.true_at == house.store.last_event

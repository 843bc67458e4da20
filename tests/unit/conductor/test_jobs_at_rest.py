"""What one job does costs the same however many others rest in memory: none of them is looked at."""

import pytest
from kit.conducting import conducting
from kit.memory import MemoryExecutor

from marianned.conductor.core.job import JobActor
from marianned.protocol import Obstacle

pytestmark = pytest.mark.anyio

SCORE = """\
name: NAME
workspace: ./NAME
instrument: cli
sheet: {size: 1, total_items: 2}
prompt: {template: "true"}
"""


@pytest.fixture
def looked_at(monkeypatch):
    """The jobs, by the numbers of their runs, whose state somebody has looked at."""
    found = set()

    def get(job):
        found.add(job.__dict__["run_id"])
        return job.__dict__["state"]

    def put(job, state):
        job.__dict__["state"], job.__dict__["run_id"] = state, state.run.run_id

    monkeypatch.setattr(JobActor, "state", property(get, put), raising=False)
    return found


async def test_neither_a_submission_nor_a_sheet_looks_at_jobs_that_rest(tmp_path, looked_at):
    executor = MemoryExecutor()
    async with conducting(tmp_path, executor) as house:
        for number in range(3):
            await house.submit(SCORE.replace("NAME", f"rests-{number}"), before="1")
            await house.until(f"rests-{number}", "paused")
        resting = {job.run_id for job in house.conductor.jobs.values()}
        assert resting <= looked_at
        looked_at.clear()
        await house.submit(SCORE.replace("NAME", "runs"))
        for number in (1, 2):
            executor.finish(await executor.started(number))
        await house.until("runs", "completed")
        assert looked_at
        assert not looked_at & resting


async def test_only_what_is_queued_counts_against_the_most_that_may_be(tmp_path):
    async with conducting(tmp_path, MemoryExecutor()) as house:
        queued = house.conductor.job_index.queued
        await house.submit(SCORE.replace("NAME", "rests"), before="1")
        await house.until("rests", "paused")
        assert queued() == []
        house.scheduler.close(Obstacle.DRAINING)
        await house.submit(SCORE.replace("NAME", "waits"))
        assert [job.state.run.job_name for job in queued()] == ["waits"]

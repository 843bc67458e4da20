"""Slots over several jobs: never more than there are, and each comes back, whatever becomes of a decision."""

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from kit.conducting import DEADLINE, ENDED, ME, conducting
from kit.logged import REFUSED, STORE, logged
from kit.memory import MemoryExecutor

from marianned.config import Settings
from marianned.progress.state.triggers import Supersede
from marianned.protocol import Cancel, Pause, Resume

SCORE = """\
name: NAME
workspace: ./NAME
instrument: cli
retry: {max_retries: 0}
sheet: {size: 1, total_items: 4, dependencies: {1: [], 2: [], 3: [], 4: []}}
parallel: {enabled: true, max_concurrent: 4}
prompt: {template: "true {{ sheet_num }}"}
"""
SUPERSEDE = Supersede(caller=ME, reason=None, fresh=True)


def named(name):
    return SCORE.replace("NAME", name)


class Counting(MemoryExecutor):
    """Knows how many ran at once at most."""

    def __init__(self):
        super().__init__(self._started)
        self.most = 0

    def _started(self, _spec):
        self.most = max(self.most, len(self.running_now()))


async def finish_all(house, *names):
    """Let whatever runs end well, one after the other, until these jobs have ended."""
    async with anyio.create_task_group() as tasks:

        async def play():
            while True:
                if running := house.executor.running_now():
                    house.executor.finish(running[0])
                    await anyio.lowlevel.checkpoint()
                else:
                    await house.executor.news()

        tasks.start_soon(play)
        for name in names:
            await house.until(name, *ENDED)
        tasks.cancel_scope.cancel()


def test_jobs_side_by_side_never_have_more_in_flight_than_there_are_slots(loop, tmp_path):
    async def play():
        async with conducting(tmp_path, Counting(), settings=Settings(max_attempts=3)) as house:
            for name in "abc":
                await house.submit(named(name))
            await house.control.pause(ME, Pause(job_id="b"))
            await house.control.cancel(ME, Cancel(job_id="c"))
            await house.until("c", "cancelled")
            await house.control.resume(ME, Resume(job_id="b"))
            while len(house.executor.running_now()) < 3:
                await house.executor.news()
            await finish_all(house, "a", "b")
            return house.executor.most, house.scheduler.used

    assert loop.call(play) == (3, 0)


def test_a_run_that_is_let_go_before_the_commit_gives_back_what_was_taken_for_its_decision(loop, tmp_path):
    async def play():
        async with conducting(tmp_path, MemoryExecutor(), settings=Settings(max_attempts=3)) as house:
            house.executor.outcome = lambda _spec: 3
            await house.submit(named("a"))
            await house.until("a", "failed")
            job = await house.conductor.job("a")
            part = job.prepare(SUPERSEDE)
            await part.decision()
            during = house.scheduler.used
            part.settle(None)
            await part.over()
            house.executor.outcome = lambda _spec: 0
            await house.control.resume(ME, Resume(job_id="a"))
            await house.until("a", "completed")
            return during, house.scheduler.used

    assert loop.call(play) == (3, 0)


@pytest.mark.parametrize("name", ["a", "b"])
def test_an_end_that_the_disk_refuses_keeps_its_slot_until_it_is_on_disk(loop, tmp_path, name):
    """Else the next would start beside one whose end a crash would bring back."""

    async def play():
        async with conducting(tmp_path, Counting(), settings=Settings(max_attempts=1)) as house:
            for one in sorted({"a", name}):
                await house.submit(named(one))
            entry = await house.executor.started(1)
            database, away = tmp_path / "marianne.db", tmp_path / "away.db"
            database.rename(away)
            with logged(STORE, REFUSED) as refused:
                house.executor.finish(entry)
                assert await anyio.to_thread.run_sync(refused.seen.wait, DEADLINE)
            used, running = house.scheduler.used, len(house.executor.running_now())
            away.rename(database)
            await finish_all(house, *sorted({"a", name}))
            return used, running, house.executor.most, house.scheduler.used

    assert loop.call(play) == (1, 0, 1, 0)

"""The nursery goes when nothing is to be done, and another is made of what it has handed over."""

import os
import re
from pathlib import Path

import anyio
import pytest

from marianned import worker_pool, workers
from marianned.score.read.reader import ScoreSource
from marianned.workers import WorkerLimit, call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatient")]
WITHOUT_END = re.search, "(a+)+$", "a" * 40 + "b"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(workers, "LIMIT_SECONDS", 0.5)
    monkeypatch.setattr(worker_pool, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(worker_pool, "REST_SECONDS", 0.05)


async def handed_over():
    """Return the nursery, once it has handed over what another can be made of."""
    nursery = await call(os.getppid)
    await anyio.wait_readable(worker_pool.pool()._nursery[0]._control)
    return nursery


def lives(pid):
    return Path(f"/proc/{pid}").exists()


async def until_gone(pid):
    with anyio.fail_after(20):
        while lives(pid):  # noqa: ASYNC110  another process's end sets no Event of ours
            await anyio.sleep(0.01)


@pytest.mark.usefixtures("from_files")
async def test_one_without_work_is_let_go_of_and_the_next_call_has_another():
    async with workers.running():
        first = await handed_over()
        assert await call(os.getppid) == first
        await until_gone(first)
        second = await call(os.getppid)
        assert second != first
        await until_gone(second)
        assert await workers.known_profiles(None)


@pytest.mark.parametrize(("template", "codes"), [("{{ nope }}", ["S202"]), ("{{ lipsum(1) }}", [])])
async def test_another_has_what_the_template_engine_loads_when_it_first_needs_it(template, codes):
    text = f"name: n\nworkspace: /none/n\ninstrument: cli\nsheet: {{size: 1, total_items: 1}}\nprompt: {{template: '{template}'}}"
    source = ScoreSource(text=text.encode(), file="/none/n.yaml", directory="/none", submit_directory="/none")
    async with workers.running():
        first = await handed_over()
        assert await call(os.getppid) == first
        await until_gone(first)
        compiled = await workers.compile_score(source)
        assert [one.code for one in compiled.problems if one.severity == "error"] == codes


async def test_it_stays_until_it_has_handed_over_what_another_can_be_made_of(monkeypatch):
    asked = anyio.Event()
    monkeypatch.setattr(worker_pool._NurseryHandle, "receive_image", lambda _: asked.set() or [])
    async with workers.running():
        first = await call(os.getppid)
        await asked.wait()
        assert await call(os.getppid) == first


async def test_it_stays_while_a_worker_is_at_work_and_goes_when_that_was_killed():
    async with workers.running():
        first = await handed_over()
        with pytest.raises(WorkerLimit, match=r"it takes over 0\.5 s"):
            await call(*WITHOUT_END)
        assert lives(first)
        await until_gone(first)


async def test_where_none_can_be_made_of_that_one_is_made_of_the_files():
    async with workers.running():
        first = await handed_over()
        assert await call(os.getppid) == first
        await until_gone(first)
        (held,) = worker_pool.pool()._images
        os.ftruncate(held._files[0], 0)
        assert await workers.known_profiles(None)

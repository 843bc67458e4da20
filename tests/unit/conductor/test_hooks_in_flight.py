"""A hook in flight is remembered by its process, and is watched where its job can't be read."""

import sqlite3

import anyio
from kit.conducting import ME, conducting
from kit.memory import MemoryExecutor

from marianned.conductor.run import process
from marianned.protocol import Cancel
from marianned.rows import HookRow

SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "true"}
on_success:
  - {type: run_command, command: first}
  - {type: run_command, command: second}
"""


async def second_hook(house, executor):
    """Bring a job to its second hook; return the process of that."""
    await house.submit(SCORE)
    executor.finish(await executor.started(1))
    first = await executor.started("")
    executor.finish(first)
    while (entry := await executor.started("")) is first:
        await anyio.lowlevel.checkpoint()
    return entry


async def hook(house, number, until):
    """Return the row of a hook, as it is on disk, once it is so."""
    while True:
        whole = await house.store.records.stored_run("a")
        row = next((row for row in whole.hooks if row.hook == number), HookRow(run_id=1, hook=number))
        if until(row):
            return row
        await anyio.sleep(0.01)


def damage(path):
    with sqlite3.connect(path / "marianne.db") as database:
        database.execute("UPDATE revisions SET expanded = x'00', text = '['")
    database.close()


async def forgotten(path):
    executor = MemoryExecutor()
    async with conducting(path, executor) as house:
        entry = await second_hook(house, executor)
        assert (await hook(house, 2, lambda row: row.pid)).status == "running"
    executor.entries.pop(entry.spec.id)
    executor._claimed.remove(entry.spec.id)
    async with conducting(path, executor) as house:
        await house.until("a", "paused")  # whether it was done nobody knows: a person decides
        row = await hook(house, 2, lambda row: row.status != "running")
    return row.outcome, executor.starts[""]


def test_a_hook_of_which_nothing_is_left_was_started_all_the_same(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_A_WHILE_SECONDS", 0)
    assert loop.call(forgotten, tmp_path) == ("lost", 2)


async def damaged(path, how):
    executor = MemoryExecutor()
    async with conducting(path, executor) as house:
        entry = await second_hook(house, executor)
    damage(path)
    async with conducting(path, executor) as house:
        assert house.conductor.in_flight() == 1
        if how == "cancelled":
            told = await house.control.cancel(ME, Cancel(job_id="a", wait=True))
            assert told.status == "cancelled"
        else:
            executor.finish(entry)
        row = await hook(house, 2, lambda row: row.status != "running")
    return row.status, entry.runs, executor.starts[""]


def test_a_hook_of_a_damaged_job_is_ended_by_a_cancel(loop, tmp_path):
    assert loop.call(damaged, tmp_path, "cancelled") == ("cancelled", False, 2)


def test_a_hook_of_a_damaged_job_is_judged_when_it_ends(loop, tmp_path):
    assert loop.call(damaged, tmp_path, "ended") == ("completed", False, 2)

"""What the record of a process says is in the row of its flight, and in what is told of it: nothing is dropped."""

import msgspec
import pytest
from kit.conducting import ME, conducting
from kit.memory import MemoryExecutor

from marianned.conductor.queries.jobs import JobQueries
from marianned.protocol import GetJob
from marianned.rows import Exit

SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "true"}
on_success: [{type: run_command, command: "true"}]
"""
HOOK = ""


async def ended(path):
    """Play a sheet and a hook that print; return the rows of their ends, and what is told of them."""
    executor = MemoryExecutor()
    async with conducting(path, executor) as house:
        await house.submit(SCORE)
        for sheet in (1, HOOK):
            entry = await executor.started(sheet)
            (entry.directory / "stdout").write_text("said")
            (entry.directory / "stderr").write_text("sworn")
            executor.finish(entry, max_rss_kib=4096)
        run = await house.until("a", "completed")
        (attempt,) = await house.store.records.attempts(run.run_id)
        (hook,) = (await house.store.records.stored_run("a")).hooks
        told = await JobQueries(house.conductor, 0).job_status(ME, GetJob(job_id="a", sheets="1"))
    return {"attempt": (attempt, told.sheets[0].attempts[0]), "hook": (hook, told.hooks[0])}


@pytest.fixture(scope="module")
def ends(loop, tmp_path_factory):
    return loop.call(ended, tmp_path_factory.mktemp("house"))


@pytest.mark.parametrize("flight", ["attempt", "hook"])
def test_every_field_of_an_exit_comes_from_the_record_to_the_row_and_to_who_asks(ends, flight) -> None:
    row, told = ends[flight]
    nothing = msgspec.structs.asdict(Exit())
    empty = [name for name, value in nothing.items() if getattr(row, name) == value]
    assert empty == ["signal"], "Process.exit_of fills them all, and who ended by itself has no signal"
    assert {name: getattr(told, name) for name in nothing} == {name: getattr(row, name) for name in nothing}

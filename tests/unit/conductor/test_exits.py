"""What the record of a process says is in the row of its flight, and in what is told of it: nothing is dropped."""

import msgspec
import pytest
from kit.conducting import ME, conducting
from kit.memory import MemoryExecutor

from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.run.ends import measured_exit
from marianned.instruments.result import ParsedOutput
from marianned.protocol import GetJob
from marianned.rows import AttemptExit, Exit

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


def test_all_that_a_tool_says_of_an_attempt_is_in_its_row() -> None:
    """A field of `AttemptExit` has a default: `measured_exit` could forget it, and mypy would be silent."""
    amounts = dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens"), 7)
    reading = ParsedOutput(result="said", session_id="s", **amounts)
    told = measured_exit(Exit(), reading, cost=1.0)
    own = {*AttemptExit.__struct_fields__} - {*Exit.__struct_fields__}
    assert {name for name in own if getattr(told, name) is None} == set()

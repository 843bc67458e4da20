"""What touches every sheet of a large job is decided beside the event loop, and is what is then committed."""

import threading

import pytest
from kit.conducting import ME, conducting
from kit.memory import MemoryExecutor

from marianned.conductor.core import job
from marianned.config import Settings
from marianned.progress.state.run import RunState
from marianned.protocol import Cancel, Modify
from marianned.score import matching

SHEETS = 600
SCORE = f"""\
name: a
workspace: ./out
instrument: cli
sheet: {{size: 1, total_items: {SHEETS}, dependencies: {{2: [1]}}}}
prompt: {{template: "true {{{{ sheet_num }}}}"}}
"""


async def played(path, monkeypatch):
    """Change a job while a sheet runs, let that end, cancel; return what was decided beside the loop, and where not."""
    loop, beside, within = threading.get_ident(), [], []

    def decide(state, trigger, *given):
        (within if threading.get_ident() == loop else beside).append(type(trigger).__name__)
        return job_decide(state, trigger, *given)

    job_decide = job.decide
    monkeypatch.setattr(job, "decide", decide)
    executor = MemoryExecutor()
    async with conducting(path, executor) as house:
        await house.submit(SCORE)
        first = await executor.started(1)
        new = Modify(job_id="a", text=SCORE.replace("true", "true new"), directory=str(path), resume=True)
        assert (await house.control.modify(ME, new)).plan_total == SHEETS
        executor.finish(first)
        second = await executor.started(2)
        assert "new" in (second.directory / "prompt").read_text()
        await house.control.cancel(ME, Cancel(job_id="a", wait=True))
        whole = await house.store.records.stored_run("a")
    return beside, within, [row.status for row in whole.sheets], whole.run.revision


def test_a_modify_of_many_sheets_holds_nobody_up(loop, tmp_path, monkeypatch):
    beside, within, statuses, revision = loop.call(played, tmp_path, monkeypatch)
    assert beside.count("JobRequest") == 2
    assert "AttemptEnded" in beside, "its end brings the new revision into force"
    assert "JobRequest" not in within
    assert (revision, statuses) == (2, ["completed", *["cancelled"] * (SHEETS - 1)])


WIDE = 100
AT_ONCE = f"""\
name: a
workspace: ./out
instrument: cli
sheet: {{size: 1, total_items: 1, fan_out: {{1: {WIDE}}}}}
parallel: {{enabled: true, max_concurrent: {WIDE}}}
prompt: {{template: "true {{{{ sheet_num }}}}"}}
"""


async def all_run_and_end(path, monkeypatch):
    """Let many sheets run at once, then end; return how often it was asked in all whose account they use."""
    asked = []
    account = RunState.account
    monkeypatch.setattr(
        RunState, "account", lambda state, sheet: asked.append(sheet) or account(state, sheet)
    )
    executor = MemoryExecutor()
    settings = Settings(max_attempts=WIDE)
    async with conducting(path, executor, settings=settings) as house:
        house.uncounted()
        await house.submit(AT_ONCE)
        for sheet in range(1, WIDE + 1):
            await executor.started(sheet)
        for entry in executor.running_now():
            executor.finish(entry)
        await house.until("a", "completed")
    return len(asked)


def test_a_step_asks_nothing_of_the_sheets_in_flight_that_it_does_not_touch(loop, tmp_path, monkeypatch):
    assert loop.call(all_run_and_end, tmp_path, monkeypatch) < WIDE * WIDE / 2


@pytest.mark.parametrize("again", [1, 2])
def test_two_scores_are_matched_once(monkeypatch, again):
    found = []
    monkeypatch.setattr(matching, "_match_revisions", lambda old, new: found.append((old, new)) or len(found))
    old, new = (type("Score", (), {})() for _ in range(2))
    assert [matching.match_revisions(old, new) for _ in range(again)] == [1] * again
    assert matching.match_revisions(new, old) == 2

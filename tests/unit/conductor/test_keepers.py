"""What the database is told of who looks after attempts: their pids, many with one commit."""

import anyio
import pytest
from kit.conducting import conducting
from kit.memory import MemoryExecutor

from marianned.rows import AttemptRow

pytestmark = pytest.mark.anyio

SHEETS = 12
SCORE = f"""\
name: wide
workspace: ./out
instrument: cli
sheet: {{size: 1, total_items: 1, fan_out: {{1: {SHEETS}}}}}
parallel: {{enabled: true, max_concurrent: {SHEETS}}}
prompt: {{template: "true"}}
"""


async def test_attempts_that_begin_together_are_remembered_together(tmp_path, monkeypatch):
    executor, remembered, all_of_them = MemoryExecutor(), [], anyio.Event()
    async with conducting(tmp_path, executor) as house:
        commit = house.store.commit

        async def watched(changes):
            done = await commit(changes)
            remembered.append(
                [row for row in changes.rows if isinstance(row, AttemptRow) and row.pid and not row.outcome]
            )
            if sum(map(len, remembered)) == SHEETS:
                all_of_them.set()
            return done

        monkeypatch.setattr(house.store, "commit", watched)
        await house.submit(SCORE)
        await all_of_them.wait()
        run_id = (await house.run("wide")).run_id
        rows = [
            row for uid in range(1, SHEETS + 1) for row in await house.store.records.attempts(run_id, uid)
        ]
        assert len(rows) == SHEETS
        assert all(row.pid for row in rows)
        told = [rows for rows in remembered if rows]
        assert sum(map(len, told)) == SHEETS
        assert len(told) < SHEETS / 2
        executor.play()
        for entry in executor.running_now():
            executor.finish(entry)
        await house.until("wide", "completed")

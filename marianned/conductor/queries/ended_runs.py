"""Runs that have ended, as they were read last: who looks at one looks again.

A run that is in no memory changes only by a commit that moves its row; so its row, which is one query, tells
whether what was read still holds. Few are kept, and none for long: a large one takes tens of megabytes.
"""

from collections import OrderedDict

import anyio
from anyio.abc import TaskGroup

from marianned.conductor.core.loading import load_state
from marianned.progress.state.run import RunState
from marianned.store.writer import Store

_SHEETS_MOST = 20_000
"""Sheets of all runs that are kept."""
_SECONDS = 30.0
"""How long one is kept that nobody looks at."""


class EndedRunCache:
    """Reads runs from the disk, and keeps the last few that have ended."""

    def __init__(self, store: Store, tasks: TaskGroup) -> None:
        self._store = store
        self._tasks = tasks
        self._known: OrderedDict[int, tuple[RunState, float]] = OrderedDict()
        self._expiring = False

    async def state(self, name: str, number: int | None) -> RunState | None:
        """Return the state of a run, as it is on disk; null: there is none."""
        row = await self._store.records.run(name, number) if self._known else None
        if row is not None and row.run_id in self._known:
            state, _ = self._known.pop(row.run_id)
            if state.run == row:
                self._keep(state)
                return state
        found = await load_state(self._store, name, number)
        if found is not None and found.run.ended is not None and not (found.failing or found.damaged):
            self._keep(found)
        return found

    def _keep(self, state: RunState) -> None:
        self._known[state.run.run_id] = (state, anyio.current_time() + _SECONDS)
        while len(self._known) > 1 and self._sheets() > _SHEETS_MOST:
            self._known.popitem(last=False)
        if not self._expiring:
            self._expiring = True
            self._tasks.start_soon(self._expire)

    def _sheets(self) -> int:
        return sum(len(state.sheets) for state, _ in self._known.values())

    async def _expire(self) -> None:
        """Forget what nobody has looked at for long, until nothing is kept."""
        while self._known:
            (_, until), *_ = self._known.values()
            await anyio.sleep(max(0.0, until - anyio.current_time()))
            while self._known and next(iter(self._known.values()))[1] <= anyio.current_time():
                self._known.popitem(last=False)
        self._expiring = False

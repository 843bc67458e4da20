"""The question whether a loop goes on: its `until`, asked in a worker.

It leaves nothing behind, and may be asked again after a crash. Source: docs/reference/score-format.md §29.
"""

import anyio

from marianned import faults, workers
from marianned.accidents import FlightAbandoned, HelperWait
from marianned.conductor.services import Services, mask_of
from marianned.executors.base import Presence
from marianned.progress.deciding.rounds import ends_well
from marianned.progress.deciding.skipping import seen_sheets
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import UntilJudged
from marianned.rows import LoopRow
from marianned.score.language.expressions import BadExpression, JobValue
from marianned.score.render.prompt_inputs import RenderError


class UntilQuestion:
    """Asks the `until` of a loop once; `state` is looked at only here, at the start."""

    def __init__(self, services: Services, state: RunState, row: LoopRow) -> None:
        self._services = services
        self._run = state.run
        self._revision = state.current.row
        self._row = row
        loops = [one.loop for one in state.loops]
        mine = next((n for n, one in enumerate(state.loops) if one.row.uid == row.uid), None)
        self._place = mine
        self._loop = None if mine is None else loops[mine]
        if self._loop is not None:
            until = self._loop.until
            self._passed = ends_well(state, self._loop)
            self._sheets = {} if until is None else seen_sheets(state, until)
        self._mask = mask_of(services, state.run)
        self._scope = anyio.CancelScope()
        self.interrupted = False
        self.helper_wait = HelperWait()
        self.pid: int | None = None

    async def run(self, presence: Presence | None = None) -> UntilJudged:  # noqa: ARG002  it is asked anew
        """Ask it; return the answer."""
        faults.point("until.asking")
        said = UntilJudged(uid=self._row.uid, round=self._row.round, holds=None)
        with self._scope:
            said = await self._answer()
        faults.point("until.asked")
        return said

    async def _answer(self) -> UntilJudged:
        holds, fault = None, None
        try:
            if self._loop is not None and self._place is not None:
                holds = self._passed if self._loop.until is None else await self._ask(self._place)
        except (BadExpression, RenderError, workers.WorkerLimit) as error:
            fault = self._mask.text(error.message)
        except FlightAbandoned:
            pass
        return UntilJudged(uid=self._row.uid, round=self._row.round, holds=holds, fault=fault)

    async def _ask(self, place: int) -> bool:
        key = self._services.revision_key(self._revision)
        job = JobValue(name=self._run.job_name, run=self._run.run, workspace=self._run.workspace)
        expanded, number = self._revision.expanded, self._row.round
        return await workers.until(key, expanded, place, number, self._sheets, self._passed, job)

    def abandon(self) -> None:
        """Don't ask it any more: its job may not go on."""
        self.interrupted = True
        self._scope.cancel()
        self.helper_wait.abandon()

    async def interrupt(self, *, drop: bool = False) -> None:  # noqa: ARG002  that is a sheet's affair
        """Give it up; it is asked again later."""
        self.abandon()

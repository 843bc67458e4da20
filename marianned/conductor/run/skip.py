"""The skip rules of one sheet, asked: the expression in a worker, then the command under a shim.

They may be asked again after a crash: what was running of them is ended first, so that nothing ever runs
twice at once. Source: docs/reference/score-format.md §14, docs/design/durability.md
"One supervisor for whatever runs".
"""

from collections.abc import Callable

from anyio import to_thread

from marianned import faults, workers
from marianned.accidents import FlightAbandoned, HelperWait
from marianned.conductor.run.attempt_spec import environment_of, variables_of
from marianned.conductor.run.checks import CheckRunner
from marianned.conductor.run.context import gather_upstream
from marianned.conductor.run.process import PreparationFailed, check_directory
from marianned.conductor.services import Services, mask_of
from marianned.executors.base import Presence
from marianned.progress.deciding.skipping import seen_sheets
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import SkipEvaluated, SkipWarned
from marianned.rows import SkipRow
from marianned.score.expanded import SkipRules
from marianned.score.language.expressions import BadExpression, JobValue, names_of
from marianned.score.render.prompt_inputs import CROSS_SHEET, RenderError, UpstreamOutputs
from marianned.validations import CommandResult


class SkipEvaluation:
    """Asks the skip rules of a sheet once; `state` is looked at only here, at the start."""

    def __init__(
        self, services: Services, state: RunState, row: SkipRow, tell: Callable[[SkipWarned], None]
    ) -> None:
        self._services = services
        self._run = state.run
        self._revision = state.current.row
        self._score = state.score
        self._row = row
        self._tell = tell
        self._round = state.round_of(state.number_of(row))
        self._rules = state.score.sheets[row.sheet - 1].skip or SkipRules()
        self._sheets = seen_sheets(state, self._rules.when) if self._rules.when is not None else {}
        sheet = state.score.sheets[row.sheet - 1]
        directory = services.directory(row)
        profile = state.score.profiles[sheet.instrument]
        environ = environment_of(services, profile, sheet.settings, state.run, directory)
        variables = variables_of(services, state.run, row)
        self._mask = mask_of(services, state.run)
        self._checking = CheckRunner(
            services,
            state.run,
            row,
            directory,
            environ | variables,
            self._mask,
            profile,
            self._report_hindrance,
        )
        self.interrupted = False
        self.helper_wait = HelperWait()
        self.pid: int | None = None

    async def run(self, presence: Presence | None = None) -> SkipEvaluated:
        """Ask the rules, from the first whatever `presence` says of an earlier asking; return the answer."""
        if presence is not None:
            await self._checking.end_leftovers()
        faults.point("skip.asking")
        rules = self._rules
        fault: str | None = None
        try:
            if rules.when is not None and await self._is_true(rules.when):
                return self._answer(skip=True, reason=f"skip_when: {' '.join(rules.when.split())}")
        except (BadExpression, RenderError, workers.WorkerLimit) as error:
            fault = f"skip_when: {error.message}"
        except FlightAbandoned:
            return self._answer(skip=None)
        faults.point("skip.evaluated")
        if rules.command is None:
            return self._answer(skip=None if self.interrupted else False, fault=fault)
        try:
            found = await self._command(rules.command, rules.timeout_seconds)
        except PreparationFailed as gone:
            return self._answer(skip=False, unasked=gone.message)
        faults.point("skip.ended")
        if found is None:
            return self._answer(skip=None)
        why = found.error or (f"killed by {found.signal}" if found.signal and not found.timed_out else None)
        if why is not None:
            fault = "; ".join(filter(None, [fault, f"skip_when_command: {why}"]))
        return self._answer(skip=_is_yes(found), reason=rules.description or _YES, fault=fault)

    async def _command(self, command: str, seconds: float) -> CommandResult | None:
        """Run the command of the rules in the workspace; None: it was interrupted.

        Raises:
            PreparationFailed: the workspace is gone, before or when it was to start.
        """
        cwd = self._run.workspace
        await to_thread.run_sync(check_directory, cwd, self._run.job_name)
        found = await self._checking.run_one("skip", command, cwd, seconds)
        if found is not None and found.error is not None:
            await to_thread.run_sync(check_directory, cwd, self._run.job_name)
        return found

    def abandon(self) -> None:
        """Don't ask: its job may not start anything any more."""
        self.interrupted = True
        self._checking.interrupt()
        self.helper_wait.abandon()

    async def interrupt(self, *, drop: bool = False) -> None:  # noqa: ARG002  that is a sheet's affair
        """End the command that is running; the rules are asked again later."""
        self.abandon()

    def _report_hindrance(self, text: str) -> None:
        said = f"skip_when_command: {text}"
        self._tell(SkipWarned(uid=self._row.uid, texts=[self._mask.text(said)]))

    def _answer(
        self,
        *,
        skip: bool | None,
        reason: str | None = None,
        fault: str | None = None,
        unasked: str | None = None,
    ) -> SkipEvaluated:
        fault = None if fault is None else self._mask.text(fault)
        reason = reason if skip else None
        return SkipEvaluated(uid=self._row.uid, skip=skip, reason=reason, fault=fault, unasked=unasked)

    async def _is_true(self, expression: str) -> bool:
        previous = UpstreamOutputs()
        if names_of(expression) & CROSS_SHEET or self._round is not None:
            previous, _ = await gather_upstream(
                self._services.store, self._run, self._score, self._row.sheet, self._round
            )
        key = self._services.revision_key(self._revision)
        job = JobValue(name=self._run.job_name, run=self._run.run, workspace=self._run.workspace)
        return await workers.skip_when(
            key, self._revision.expanded, self._row.sheet, previous, self._sheets, job
        )


_YES = "skip_when_command exited with 0"


def _is_yes(found: CommandResult) -> bool:
    return found.error is None and not found.timed_out and found.exit_code == 0

"""One attempt of a hook, from its committed row to how it ended: a command under the shim, or a job.

It may be picked up at any point by another daemon. A command is never started twice: its claim is the
fence, and one that left no record is lost. A job is submitted by a transaction, and so once.
Source: docs/reference/score-format.md §20, docs/design/durability.md "One supervisor for whatever runs".
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import faults
from marianned.accidents import HelperWait, runs_short
from marianned.conductor.run import walls
from marianned.conductor.run.attempt_spec import environment_of, variables_of
from marianned.conductor.run.process import (
    FlightProcess,
    PreparationFailed,
    PreparedProcess,
    check_directory,
    leftover_warnings,
    output_sizes,
    shell_script,
)
from marianned.conductor.services import Services, mask_of
from marianned.errors import MarianneError
from marianned.executors.base import ExitRecord, Presence, Spec, describe_loss
from marianned.paths import make_private_directory
from marianned.progress.state.triggers import HookEnded, HookWarned
from marianned.protocol import ErrorCategory, Outcome
from marianned.rows import Exit, HookRow, RunRow
from marianned.score.expanded import Concert, ExpandedScore, HookDefinition

_SHELL = ["bash", "-c"]
_NO_PROCESS = Exit()
"""What is known where none has run."""


class HookContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook works with: the run, its row, what the score says of it, and the score."""

    run: RunRow
    row: HookRow
    hook: HookDefinition
    concert: Concert
    score: ExpandedScore


Chain = Callable[[HookContext], Awaitable[HookEnded | None]]
"""Checks and submits the job of a hook; None: the job's own loop knows already how that ended."""


class HookRunner:
    """Runs one attempt of a hook; what ended by itself before an `interrupt` counts as it ended."""

    def __init__(
        self, services: Services, given: HookContext, chain: Chain, tell: Callable[[HookWarned], None]
    ) -> None:
        self._services = services
        self._given = given
        self._chain = chain
        self._tell = tell
        self._process = FlightProcess(services, given.row, self._report_hindrance, self._keeper_known)
        self._scope = anyio.CancelScope()
        self.helper_wait = HelperWait()

    @property
    def pid(self) -> int | None:
        """Its keeper's; a job has none."""
        return self._process.pid

    async def run(self, presence: Presence | None = None) -> HookEnded | None:
        """Run it, or pick it up where `presence` says it stands; return its end, if that is not known yet."""
        if not self._given.hook.starts_job:
            return await self._run_command(presence)
        with self._scope:
            if self._process.interrupted:
                self._scope.cancel()
            await anyio.lowlevel.checkpoint()
            try:
                return await self._chain(self._given)
            except MarianneError as error:
                return self._end(Outcome.FAILED, error.message)
        return self._end(Outcome.INTERRUPTED, None)

    @property
    def interrupted(self) -> bool:
        """Tell whether it is to end."""
        return self._process.interrupted

    def abandon(self) -> None:
        """Don't start it: its job may not start anything any more. What has started is ended."""
        self._process.abandon()
        self.helper_wait.abandon()

    async def interrupt(self, *, drop: bool = False) -> None:  # noqa: ARG002  that is a sheet's affair
        """End it: a command by TERM, grace, KILL; a job that is not submitted yet is not."""
        self._scope.cancel()
        self.abandon()
        if not self._given.hook.starts_job:
            await self._process.interrupt()

    def _report_hindrance(self, text: str) -> None:
        self.helper_wait.note(text)
        row = self._given.row
        self._tell(HookWarned(hook=row.hook, flight=row.flight, texts=[text]))

    def _keeper_known(self, pid: int) -> None:
        row = self._given.row
        if row.pid is None:
            self._tell(HookWarned(hook=row.hook, flight=row.flight, pid=pid))

    # --- a command -----------------------------------------------------------------------------------

    async def _run_command(self, presence: Presence | None) -> HookEnded:
        try:
            if not await self._process.start(self._prepare, presence):
                return self._end(Outcome.INTERRUPTED, None)
        except PreparationFailed as why:
            return self._end(Outcome.FAILED, why.message)
        faults.point("hook.started")
        record = await self._process.wait_for_end()
        self.helper_wait.note(None)
        faults.point("hook.exited")
        if record is None:
            return self._end(Outcome.LOST, _lost_message(await self._process.describe_loss()))
        return await self._judge(record)

    async def _prepare(self) -> PreparedProcess:
        given = self._given
        cwd = given.hook.working_directory
        argv = await to_thread.run_sync(self._argv, cwd)
        faults.point("hook.starting")
        spec = Spec(
            id=self._services.attempt_id(given.row),
            argv=argv,
            cwd=cwd,
            env={**self._environ(), **variables_of(self._services, given.run, given.row), "PWD": cwd},
            umask=given.run.umask,
            timeout_seconds=given.hook.timeout_seconds,
            grace_seconds=self._services.settings.kill_grace,
            output_cap=self._services.settings.output_cap,
            drain_seconds=self._services.settings.attempts.drain,
        )
        profile = given.score.profiles[given.score.sheets[0].instrument]
        try:
            return PreparedProcess(
                await walls.behind_wall(self._services, profile, spec, self._process.directory)
            )
        except walls.WallUnavailable as why:
            raise PreparationFailed(ErrorCategory.UNAVAILABLE, str(why)) from None

    def _argv(self, cwd: str) -> list[str]:
        """Make its directory; return its words, a script as the file that is there."""
        check_directory(cwd, self._given.run.job_name)
        make_private_directory(self._process.directory, self._process.place.root)
        hook = self._given.hook
        if list(hook.argv[:2]) == _SHELL:
            return shell_script(self._process.directory, *hook.argv[2:])
        script = next((file for file in hook.files if Path(file).is_file()), hook.argv[0])
        return [script, *hook.argv[1:]]

    def _environ(self) -> dict[str, str]:
        """Return what a check of the score's first sheet would get."""
        given = self._given
        first = given.score.sheets[0]
        profile = given.score.profiles[first.instrument]
        return environment_of(self._services, profile, first.settings, given.run, self._process.directory)

    async def _judge(self, record: ExitRecord) -> HookEnded:
        printed = await to_thread.run_sync(output_sizes, self._process.directory)
        ended = self._process.exit_of(record, printed)
        return self._end(*self._outcome(record), ended, leftover_warnings(record), asked=record.asked)

    def _outcome(self, record: ExitRecord) -> tuple[Outcome, str | None]:
        """Return how a command has ended by its record, and what is said of that."""
        if record.error is not None:
            return Outcome.INTERRUPTED if runs_short(record.error) else Outcome.FAILED, record.error
        if record.output_exceeded:
            return Outcome.FAILED, "its output exceeded the setting output_cap"
        if record.timed_out:
            row = self._given.row  # a damaged job knows no more of its hook
            seconds = ((row.time_limit_at or 0) - (row.started_at or 0)) / 1000
            return Outcome.TIMED_OUT, f"timed out after {seconds:g}s"
        if record.asked and self._process.interrupted:
            return Outcome.INTERRUPTED, None
        if (why := describe_loss(record)) is not None:
            return Outcome.LOST, _lost_message(why)
        ended = f"exit {record.exit_code}" if record.signal is None else f"ended by {record.signal_name}"
        return (Outcome.SUCCEEDED, None) if record.exit_code == 0 else (Outcome.FAILED, ended)

    def _end(
        self,
        outcome: Outcome,
        message: str | None,
        ended: Exit = _NO_PROCESS,
        warnings: Sequence[str] = (),
        *,
        asked: bool = False,
    ) -> HookEnded:
        row = self._given.row
        return HookEnded(
            hook=row.hook,
            flight=row.flight,
            outcome=outcome,
            message=None if message is None else mask_of(self._services, self._given.run).text(message),
            asked=asked,
            exit=ended,
            warnings=[*warnings],
        )


def _lost_message(why: str) -> str:
    return f"lost, so whether it did its work is not known: {why}"

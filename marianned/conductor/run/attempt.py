"""One attempt, from its committed row to how it ended: prompt, process, output, validations.

It may be picked up at any point by another daemon: whatever it needs lies in the attempt's directory and
in the database, and every step either has happened or is done again.
Source: docs/reference/score-format.md §15.1,
docs/design/durability.md "One writer".
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import faults, files, workers
from marianned.accidents import Accident, FlightAbandoned, HelperWait
from marianned.code_images import interpreter
from marianned.conductor.run import ends, handoff, sessions, walls
from marianned.conductor.run.attempt_spec import (
    environment_of,
    final_of,
    may_have_final_output,
    node_check_resources,
    shell_text,
    silence_of,
    spec_for_node,
    stop_of,
    variables_of,
)
from marianned.conductor.run.checks import CheckRunner, count_failed_checks, evidence_of, seconds_of
from marianned.conductor.run.context import gather_upstream, previous_attempt
from marianned.conductor.run.process import (
    STDERR,
    STDOUT,
    FlightProcess,
    PreparationFailed,
    PreparedProcess,
    check_directory,
    ended_by_us,
    leftover_warnings,
    output_sizes,
    plausible_end,
    plausible_start,
)
from marianned.conductor.services import Services, is_away, mask_of
from marianned.conductor.workspace.worktrees import WorktreeUnavailable
from marianned.decoding import Undecodable, from_json
from marianned.executors.base import (
    AttemptWithdrawn,
    ExitRecord,
    Fate,
    Presence,
    Spec,
    WaitReason,
    Whereabouts,
    may_be_foreign,
)
from marianned.instruments import command_line, costs
from marianned.instruments.command_line import effective_output_format
from marianned.instruments.profile import Profile
from marianned.instruments.result import ParsedOutput, Verdict
from marianned.paths import make_private_directory
from marianned.progress.state.triggers import AttemptEnded, AttemptParked, AttemptWarned, Keeper
from marianned.protocol import CheckReport, CheckResult, ErrorCategory, Outcome
from marianned.rows import AttemptExit, AttemptRow, RevisionRow, RunRow
from marianned.score.expanded import ExpandedScore, SheetDefinition
from marianned.score.render.plain import plain_body
from marianned.score.render.prompt_inputs import RenderError, UpstreamOutputs

PROMPT = "prompt"
_ASKING_NAME = "http_agent.py"
PREVIOUS = "previous"
"""The directory of an attempt with the results of earlier sheets."""
_ASKING = (Path(__file__).parents[2] / _ASKING_NAME).read_text(encoding="utf-8")
"""Asks a model over HTTP. Attempts get a copy: the package may be another one by then, or gone."""
_WARNINGS = "warnings.json"
_NOT_ITS_FORM = (
    "its output is not in the form that its profile names: all of it counts as its answer, "
    "and no tokens or cost are known; look at it, it may be an error"
)
_NO_PROCESS = AttemptExit()
"""What is known where none has run."""


class AttemptContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt works with: the run, the revision in force, its sheet's number there.

    `fallback` is the one of the sheet's that it plays on; 0 is none.
    """

    run: RunRow
    revision: RevisionRow
    score: ExpandedScore
    sheet: int
    fallback: int
    attempt: AttemptRow

    @property
    def definition(self) -> SheetDefinition:
        """What the score says of the sheet, on the instrument it has come to."""
        return self.score.sheets[self.sheet - 1].on_fallback(self.fallback)

    @property
    def profile(self) -> Profile:
        """The profile of that instrument."""
        return self.score.profiles[self.definition.instrument]


class AttemptRunner:
    """Runs one attempt. `interrupt` may come at any time; what ended by itself before it counts."""

    def __init__(
        self,
        services: Services,
        given: AttemptContext,
        tell: Callable[[AttemptWarned], None],
        report_keeper: Callable[[Keeper], None],
    ) -> None:
        self._services = services
        self._given = given
        self._tell = tell
        self._report_keeper = report_keeper
        self.helper_wait = HelperWait()
        self._making = anyio.CancelScope()
        self._warnings: list[str] = []
        self._dropped = False
        self._ended_at: int | None = None
        self._began_at: int | None = None
        self._fate: Fate | None = None
        self.away = is_away(given.attempt)
        self._process = FlightProcess(
            services, given.attempt, self._report_hindrance, self._keeper_known, self._report_place
        )
        self._directory = self._process.directory
        definition = given.definition
        numbers = {"sheet": definition.sheet, "stage": definition.stage, "instance": definition.instance}
        named = msgspec.structs.replace(given.attempt, **numbers)  # by the numbers of today
        self._variables = variables_of(services, given.run, named)
        environ = environment_of(
            services,
            given.profile,
            definition.settings,
            given.run,
            self._directory,
        )
        self._mask = mask_of(services, given.run)
        self._on_node = node_check_resources(services, given.attempt, definition)
        self._checking = CheckRunner(
            services,
            given.run,
            given.attempt,
            self._directory,
            environ | self._variables,
            self._mask,
            given.profile,
            self._report_hindrance,
            self._on_node,
        )

    @property
    def pid(self) -> int | None:
        """Its keeper's."""
        return self._process.pid

    async def run(self, presence: Presence | None = None) -> AttemptEnded | AttemptParked:
        """Make the attempt, or pick it up where `presence` says it stands; return how it ended.

        An attempt whose process has ended is parked when it is interrupted in its checks, or while its
        outputs can't be read: the record is on disk, it is judged later.
        """
        self._checking.untouched = presence is None
        if presence not in (None, Presence.NEVER_STARTED):
            self._warnings = await to_thread.run_sync(_read_warnings, self._directory)
        try:
            if not await self._process.start(self._prepare, presence):
                return self._end(Outcome.INTERRUPTED, None, "given up before it started")
        except PreparationFailed as why:
            return self._end(Outcome.FAILED, why.category, why.message)
        self._report_warnings()
        faults.point("attempt.started")
        try:
            record = await self._process.wait_for_end()
        except AttemptWithdrawn as why:
            self._fate = why.fate
            return self._end(Outcome.INTERRUPTED, None, str(why))
        self.helper_wait.note(None)
        faults.point("attempt.exited")
        if record is None:
            definition = self._given.definition
            session = await sessions.printed_session(self._process, self._given.profile, definition)
            self._fate = await self._process.fate()
            how = ends.end_without_record(self._fate, await self._process.describe_loss())
            return self._end(*how, AttemptExit(session_id=session))
        judged: AttemptEnded | AttemptParked
        try:
            async with nullcontext() if self._on_node or not self.away else self._services.judging:
                judged = await self._judge(record)
        except FlightAbandoned:
            judged = AttemptParked(uid=self._given.attempt.uid, attempt=self._given.attempt.attempt)
        if self._on_node is not None:
            await self._process.dismiss()
        return judged

    async def withdraw(self) -> None:
        """Take it back if it waits in a cluster's queue: it has not begun."""
        await self._process.withdraw()

    def queue_wait(self) -> WaitReason | None:
        """Say what it waits for at a cluster; null: nothing."""
        return self._process.queue_wait()

    @property
    def interrupted(self) -> bool:
        """Tell whether it is to end."""
        return self._process.interrupted

    def abandon(self) -> None:
        """Don't start it: its job may not start anything any more. What has started is ended."""
        self._process.abandon()
        self.helper_wait.abandon()

    async def interrupt(self, *, drop: bool = False) -> None:
        """End it: TERM, grace, KILL by its supervisors; a check that is running too.

        `drop`: its job is cancelled, and does not even ask whether its final event had come.
        """
        self._dropped = self._dropped or drop
        self._process.abandon()
        self._checking.interrupt()
        self._making.cancel()
        self.helper_wait.abandon()
        await self._process.interrupt(drop=self._dropped)

    # --- before the process --------------------------------------------------------------------------

    async def _prepare(self) -> PreparedProcess:
        """Render the prompt; return how the process starts, and what writes its files."""
        given = self._given
        definition = given.definition
        profile = given.profile
        if profile.unusable_reason is not None:
            raise PreparationFailed(ErrorCategory.UNAVAILABLE, profile.unusable_reason)
        self._wait_for_stranger()
        faults.point("attempt.preparing")
        cwd = await self._working_directory()
        session = await sessions.session_to_resume(self._services.store, profile, given.attempt)
        prompt = await self._prompt(in_session=session is not None)
        await self._place_for_stop(profile)
        faults.point("attempt.rendered")
        system_file = definition.settings.get("system_prompt_file")
        invocation = command_line.build_command_line(
            profile,
            definition.settings,
            shell_text(prompt, definition.settings) if profile.script == "shell" else prompt,
            timeout_seconds=given.attempt.limit_seconds,
            cwd=cwd,
            directory=str(self._directory),
            environ=self._services.environ,
            extra_env=given.run.env,
            marianne=self._variables,
            system_prompt=given.revision.files.get(str(system_file)) if system_file else None,
            helper=(interpreter(), "-I", "-S", str(self._directory / _ASKING_NAME)),
            session=session,
        )
        await self._checking.remember(definition.checks)
        spec = Spec(
            id=self._services.attempt_id(given.attempt),
            argv=invocation.argv,
            cwd=cwd,
            env=invocation.env,
            umask=given.run.umask,
            stdin=PROMPT if invocation.stdin is not None else None,
            timeout_seconds=given.attempt.limit_seconds,
            grace_seconds=self._services.settings.kill_grace,
            output_cap=self._services.settings.output_cap,
            silence=silence_of(given.score, given.run, cwd),
            final=final_of(profile, definition.settings),
            stop=stop_of(profile),
            drain_seconds=self._services.settings.attempts.drain,
            resources=definition.resources,
            stays=None if self._on_node is None else seconds_of(definition.checks),
        )
        write = partial(self._write, invocation, prompt, cwd)
        if self.away:
            return PreparedProcess(spec_for_node(self._services, profile, spec), write)
        if not walls.is_wanted(self._services, profile):
            return PreparedProcess(spec, write)
        await to_thread.run_sync(write)  # the wall is put up in a directory that is there
        try:
            return PreparedProcess(await walls.behind_wall(self._services, profile, spec, self._directory))
        except walls.WallUnavailable as why:
            raise PreparationFailed(ErrorCategory.UNAVAILABLE, str(why)) from None

    async def _working_directory(self) -> str:
        """Return the place of its process (§5); before the first sheet the run's worktree is made."""
        definition = self._given.definition
        worktree: str | None = None
        elsewhere = "working_directory" in definition.settings
        with anyio.CancelScope() as self._making:
            try:
                worktree = await self._services.worktrees.ensure(self._given.run, for_sheet=not elsewhere)
            except WorktreeUnavailable as why:
                raise PreparationFailed(ErrorCategory.CONFIG, str(why)) from None
        if self._making.cancelled_caught:
            await self._services.worktrees.end_git(self._given.run)
            raise FlightAbandoned
        return definition.working_directory if worktree is None or elsewhere else worktree

    async def _place_for_stop(self, profile: Profile) -> None:
        """Make the place of the file that asks a tool to stop, and tell the tool of it."""
        told = profile.cli.stop if profile.cli else None
        if told is not None and told.file is not None:
            note = await to_thread.run_sync(handoff.place, self._directory, self._process.place.root)
            self._variables["MARIANNE_STOP"] = str(note.with_name(told.file))

    async def _prompt(self, *, in_session: bool) -> str:
        given = self._given
        raw = given.profile.raw_prompt
        plain = plain_body(given.score) if raw else None
        try:
            previous, left_out = await gather_upstream(
                self._services.store, given.run, given.score, given.sheet, given.attempt.round
            )
            rendered = (
                workers.RenderedPrompt(plain, plain, [])
                if plain is not None
                else await self._render(previous, in_session=in_session)
            )
        except (RenderError, workers.WorkerLimit) as error:
            raise PreparationFailed(
                ErrorCategory.CONFIG, f"the prompt can't be built: {error.message}"
            ) from None
        if given.score.cross_sheet.auto_capture_stdout:
            await to_thread.run_sync(self._write_previous, previous.outputs)
        self._warnings = [self._mask.text(text) for text in (*left_out, *rendered.missing)]
        return rendered.body if raw else rendered.prompt + await self._handoff_section()

    async def _render(self, previous: UpstreamOutputs, *, in_session: bool) -> workers.RenderedPrompt:
        given = self._given
        return await workers.render_prompt(
            self._services.revision_key(given.revision),
            given.revision.expanded,
            given.sheet,
            previous,
            await previous_attempt(self._services, given.attempt, self._mask, in_session=in_session),
            given.fallback,
        )

    async def _handoff_section(self) -> str:
        """Make the place for a note to the next attempt; return what the one before has left."""
        attempt = self._given.attempt
        note = await to_thread.run_sync(handoff.place, self._directory, self._process.place.root)
        self._variables[handoff.VARIABLE] = str(note)
        rows = await self._services.store.records.attempts(attempt.run_id, attempt.uid)
        before = handoff.unfinished_before(rows, attempt.attempt)
        if before is None:
            return ""
        return await to_thread.run_sync(handoff.section, self._services.directory(before), self._mask)

    def _wait_for_stranger(self) -> None:
        """Let no process of this sheet run beside one that the database does not know.

        Raises:
            Accident: one runs.
        """
        run, sheet = self._given.run, self._given.attempt.sheet
        for one in self._services.strangers:
            if (one.job_id, one.run, one.sheet) == (run.job_name, run.run, sheet):
                raise Accident(
                    "it runs already, which the database does not know; it starts when that has ended; "
                    f"to end it, type: kill {one.pid}"
                )

    def _report_hindrance(self, text: str) -> None:
        self.helper_wait.note(text)
        attempt = self._given.attempt
        said = f"attempt {attempt.attempt}: {text}"
        self._tell(AttemptWarned(uid=attempt.uid, attempt=attempt.attempt, texts=[said]))

    def _keeper_known(self, pid: int) -> None:
        attempt = self._given.attempt
        if attempt.pid is None:
            self._report_keeper(Keeper(attempt.uid, attempt.attempt, pid))

    def _write_previous(self, outputs: Mapping[int, str]) -> None:
        """Write what earlier sheets printed into files, by their numbers, where a script can read it."""
        place = self._directory / PREVIOUS
        make_private_directory(place, self._process.place.root)
        for number, text in outputs.items():
            files.write_private(place / str(number), text.encode(errors="surrogateescape"))
        self._variables["MARIANNE_PREVIOUS"] = str(place)

    def _report_place(self, where: Whereabouts, pid: int | None) -> None:
        uid, attempt = self._given.attempt.uid, self._given.attempt.attempt
        began_at = None if where.began_at is None else plausible_end(where.began_at, self._given.attempt)
        told = AttemptWarned(uid=uid, attempt=attempt, pid=pid, node=where.node, cluster_job=where.job)
        self._tell(msgspec.structs.replace(told, began_at=began_at))

    def _report_warnings(self) -> None:
        if self._warnings:
            attempt = self._given.attempt
            self._tell(AttemptWarned(uid=attempt.uid, attempt=attempt.attempt, texts=self._warnings))

    def _write(self, invocation: command_line.CommandLine, prompt: str, cwd: str) -> None:
        check_directory(cwd, self._given.run.job_name)
        make_private_directory(self._directory, self._process.place.root)
        if invocation.make_tmp:
            (self._directory / command_line.TMP_NAME).mkdir(mode=0o700, exist_ok=True)
        shown = prompt.encode(errors="surrogateescape")
        files.write_private(self._directory / PROMPT, shown if invocation.stdin is None else invocation.stdin)
        if self._warnings:
            files.write_private(self._directory / _WARNINGS, msgspec.json.encode(self._warnings))
        profile = self._given.profile
        helpers = {} if profile.http is None else {_ASKING_NAME: _ASKING}
        for name, text in {**invocation.files, **helpers}.items():
            files.write_private(self._directory / name, text.encode())
        faults.point("attempt.written")

    # --- after the process ---------------------------------------------------------------------------

    async def _judge(self, record: ExitRecord) -> AttemptEnded | AttemptParked:
        self._ended_at = plausible_end(record.ended_at, self._given.attempt)
        self._began_at = plausible_start(record, self._ended_at, self._given.attempt)
        warnings = leftover_warnings(record)
        early = ends.ended_early(record, interrupted=self._process.interrupted)
        if early[0] is Outcome.LOST if early is not None else self.away and may_be_foreign(record):
            self._fate = await self._process.fate()
            early, record = ends.end_by_fate(self._fate, early, record)
        profile = self._given.profile
        printed, plain = await to_thread.run_sync(self._read_plain, record, profile, early)
        ended = self._process.exit_of(record, printed)
        if early is not None and not may_have_final_output(profile, early):
            return self._end(*early, AttemptExit().overlaid(ended), warnings=warnings)
        reading, verdict = plain if plain is not None else await self._read_output(record)
        if early is not None and reading.final is None:
            seen = AttemptExit(session_id=reading.session_id).overlaid(ended)
        else:
            reading = await self._own_tokens(profile, reading)
            seen = ends.measured_exit(ended, reading, self._cost(profile, reading))
        if early is not None and (reading.final != "success" or self._dropped):
            return self._end(*early, seen, warnings=warnings)  # its final event said what it cost
        warnings = [*warnings, *reading.unread]
        if verdict.outcome is not Outcome.SUCCEEDED and not verdict.doubt:
            return self._end(
                verdict.outcome,
                verdict.category,
                verdict.message + ends.limit_note(record, self._given.attempt, self._fate),
                seen,
                warnings=warnings,
                resets_in=verdict.resets_in,
                quota=verdict.quota,
            )
        if not reading.parsed:
            warnings.append(_NOT_ITS_FORM)
        faults.point("attempt.read")
        reports = await self._checking.run(self._given.definition.checks)
        faults.point("attempt.checked")
        if reports is None:
            attempt = self._given.attempt
            return AttemptParked(uid=attempt.uid, attempt=attempt.attempt, cancelled=self._checking.cancelled)
        if early is not None and _may_have_stopped(record, profile) and not ends.all_passed(reports):
            return self._end(*early, seen, warnings=warnings)
        return self._judge_checks(reports, verdict, seen, warnings)

    def _read_plain(
        self, record: ExitRecord, profile: Profile, early: ends.EarlyEnd | None
    ) -> tuple[tuple[int, int], tuple[ParsedOutput, Verdict] | None]:
        """Return how much was printed, and what that means where no worker is needed to tell; blocks."""
        printed = output_sizes(self._directory)
        if early is not None or record.timed_out or ended_by_us(record) is not None:
            return printed, None
        return printed, workers.read_plain_end(
            profile,
            self._given.definition.settings,
            stdout=str(self._directory / STDOUT),
            stderr=str(self._directory / STDERR),
            exit_code=record.exit_code,
        )

    async def _read_output(self, record: ExitRecord) -> tuple[ParsedOutput, Verdict]:
        """Read what it has printed; say how it has ended by that."""
        definition, silence = self._given.definition, self._given.score.silence
        own = self._given.attempt.limit_seconds
        limit = silence.idle_timeout_seconds if record.stale and silence else own
        limit = limit if record.limit_seconds is None else record.limit_seconds
        return await workers.read_end(
            self._given.profile,
            definition.settings,
            stdout=str(self._directory / STDOUT),
            stderr=str(self._directory / STDERR),
            exit_code=record.exit_code,
            signal_name=record.signal_name,
            timed_out=record.timed_out,
            timeout_seconds=limit,
            detection_patterns=self._given.score.rate_limit.detection_patterns,
            ended=ended_by_us(record),
            ended_at=self._ended_at,
        )

    def _judge_checks(
        self, reports: list[CheckReport], verdict: Verdict, seen: AttemptExit, warnings: list[str]
    ) -> AttemptEnded:
        failed = [report for report in reports if report.result != CheckResult.PASSED]
        if verdict.doubt and (failed or not reports):
            by = ErrorCategory.EXIT
            return self._end(
                Outcome.FAILED, by, verdict.message, seen, warnings=warnings, validations=reports
            )
        if not failed:
            warnings = [*warnings, *([verdict.warning] if verdict.warning else [])]
            return self._end(Outcome.SUCCEEDED, None, None, seen, warnings=warnings, validations=reports)
        return self._end(
            Outcome.FAILED,
            ErrorCategory.VALIDATION,
            count_failed_checks(reports),
            seen,
            warnings=warnings,
            evidence=evidence_of(failed[0], self._given.run.workspace),
            validations=reports,
        )

    async def _own_tokens(self, profile: Profile, reading: ParsedOutput) -> ParsedOutput:
        """Return the reading with the tokens of this attempt alone; some tools count their session's."""
        of_session = effective_output_format(profile, self._given.definition.settings).tokens_of_session
        if not of_session or reading.session_id is None:
            return reading
        attempt = self._given.attempt
        rows = await self._services.store.records.attempts(attempt.run_id, attempt.uid)
        return costs.subtract_earlier(reading, [row for row in rows if row.attempt < attempt.attempt])

    def _cost(self, profile: Profile, reading: ParsedOutput) -> float | None:
        """Return what the attempt has cost in USD (§16.4); None: unknown."""
        if profile.raw_prompt:
            return 0.0
        model = next((known for known in profile.models if known.name == self._given.attempt.model), None)
        output = effective_output_format(profile, self._given.definition.settings)
        return costs.cost_of(output, reading, model, self._given.score.cost_limits)

    def _end(
        self,
        outcome: Outcome,
        category: ErrorCategory | None,
        message: str | None,
        seen: AttemptExit = _NO_PROCESS,
        *,
        warnings: Sequence[str] = (),
        evidence: str | None = None,
        validations: Sequence[CheckReport] = (),
        resets_in: float | None = None,
        quota: bool = False,
    ) -> AttemptEnded:
        attempt = self._given.attempt
        raw = self._given.profile.raw_prompt
        if raw and seen.cost_usd is None:  # a script costs nothing, however it ends
            seen = msgspec.structs.replace(seen, cost_usd=0.0)
        chance = int.from_bytes(os.urandom(2)) / 0xFFFF
        where = self._process.where
        return AttemptEnded(
            uid=attempt.uid,
            attempt=attempt.attempt,
            outcome=outcome,
            category=category,
            message=None if message is None else self._mask.text(message),
            chance=chance,
            ended_at=self._ended_at,
            evidence=evidence,
            exit=seen,
            validations=[*validations],
            resets_in=resets_in,
            quota=quota,
            warnings=[*warnings],
            node=None if where is None else where.node,
            cluster_job=None if where is None else where.job,
            began_at=self._began_at,
            cancelled=outcome is Outcome.INTERRUPTED and ends.is_cancelled(self._fate),
        )


def _may_have_stopped(record: ExitRecord, profile: Profile) -> bool:
    """Tell whether its final event may say that it stops as it was asked to, and not that it is done."""
    return stop_of(profile) is not None and not record.spoken


def _read_warnings(directory: Path) -> list[str]:
    try:
        return from_json(files.read(directory / _WARNINGS, files.RECORD_MOST), list[str])
    except (OSError, Undecodable):
        return []

"""The validations of an attempt, each command under a shim of its own: here, or on the attempt's node.

A check that was running when the daemon died or an interrupt came is ended before the checks run again
from the first: nothing ever runs twice at once.
Source: docs/design/control.md §2, docs/reference/score-format.md §13.
"""

import os
import re
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio
import msgspec
from anyio import to_thread

from marianned import faults, files
from marianned.accidents import Accident, FlightAbandoned, LossCounter, runs_short, until_it_works
from marianned.conductor.run import walls
from marianned.conductor.run.attempt_spec import spec_for_node
from marianned.conductor.run.ends import is_cancelled, outside_cause
from marianned.conductor.run.process import PreparationFailed, shell_script
from marianned.conductor.services import Services, is_away
from marianned.decoding import Undecodable, from_json
from marianned.executors.base import (
    AlreadyClaimed,
    AttemptPlace,
    AttemptWithdrawn,
    CannotStart,
    Executor,
    ExitRecord,
    Fate,
    Presence,
    Spec,
    StartFailed,
    describe_loss,
    may_be_foreign,
    read_spec_id,
)
from marianned.executors.output import quote_tail
from marianned.formatting import duration, plural
from marianned.instruments.profile import Profile
from marianned.masks import Mask
from marianned.paths import make_private_directory
from marianned.protocol import CheckReport, CheckResult
from marianned.rows import AttemptRow, RunRow, SheetFlight
from marianned.score.expanded import Check, Resources
from marianned.validations import CommandResult, FileIdentities, run_checks, snapshot

_CHECKS, _ON_NODES = "checks", "checks-on-nodes"
_SNAPSHOT = "snapshot.json"
_TAIL_BYTES = 4_096
_GRACE_SECONDS = 5.0
T = TypeVar("T")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]")


_KILLED = 128 + signal.SIGKILL
"""What bash exits with where the program that ran last was killed."""


class CheckRunner:
    """Runs the checks of an attempt or a skip command below its directory; `tell` hears of each lost one.

    `on_node`: what its commands get on the cluster where the attempt has run; null: they run on this host.
    """

    def __init__(
        self,
        services: Services,
        run: RunRow,
        flight: SheetFlight,
        directory: Path,
        environ: Mapping[str, str],
        mask: Mask,
        profile: Profile,
        tell: Callable[[str], None],
        on_node: Resources | None = None,
    ) -> None:
        self._services = services
        self._run = run
        self._uid = flight.uid
        self._attempt = directory
        self._on_node = on_node
        self._places = {_CHECKS: services.executors.host}
        if is_away(flight):
            self._places[_ON_NODES] = services.executors.of(flight)
        self._own = _CHECKS if on_node is None else _ON_NODES
        self._root = services.place(flight).root
        self._roots = {_CHECKS: None, _ON_NODES: self._root}
        self._incarnation_directory = services.incarnation_directory
        self._snapshot = directory / _SNAPSHOT
        self._environ = environ
        self._mask = mask
        self._profile = profile
        self._tell = tell
        self._scope: anyio.CancelScope | None = None
        self._interrupted = False
        self._fate: Fate | None = None
        anew = flight.incarnation != services.store.incarnation.number
        self._picked_up = {*self._places} if anew else set[str]()
        self._running: AttemptPlace | None = None
        self._over = set[str]()
        """Commands whose end was waited for: a cluster that was to say it again would take its time again."""
        self.untouched = False
        """The attempt began with this: nobody before it can have left a check running."""
        self._ids = f"{services.attempt_id(flight)}-check-"

    async def remember(self, checks: Sequence[Check]) -> None:
        """Note, before the sheet's first attempt of this run, what `file_modified` checks find."""
        if await self._snapshot_path(checks) is None and _look_at_files(checks):
            found = await snapshot(checks)
            data = msgspec.json.encode(found)
            await to_thread.run_sync(_write_once, self._snapshot, data, self._root)

    async def _snapshot_path(self, checks: Sequence[Check]) -> Path | None:
        """Return what was noted, in the directory of whichever attempt of this round came first to it."""
        if not _look_at_files(checks):
            return None
        rows = await self._services.store.records.attempts(self._run.run_id, self._uid)
        for row in _of_this_round(rows):
            directory = self._services.directory(row)
            of_0_1_0 = [] if row.incarnation else [directory.parent / f"{self._uid}-{_SNAPSHOT}"]
            for path in (directory / _SNAPSHOT, *of_0_1_0):
                if path.exists():
                    return path
        return None

    def interrupt(self) -> None:
        """End the check that is running; `run` answers None."""
        self._interrupted = True
        if self._scope is not None:
            self._scope.cancel()

    async def run(self, checks: Sequence[Check]) -> list[CheckReport] | None:
        """Run the checks from the first; None: they were interrupted or `cancelled`, nothing of them runs."""
        if self.untouched and not checks:
            return []
        await self.end_leftovers()
        before: FileIdentities = {}
        if (noted := await self._snapshot_path(checks)) is not None:
            before = await to_thread.run_sync(_snapshot_of, noted)
        if not checks:
            return []  # what has ended counts as it ended, whatever came meanwhile
        checks = self._limited_to_job(checks)
        return await self._unless_interrupted(lambda: run_checks(checks, self._run_until_it_ends, before))

    def _limited_to_job(self, checks: Sequence[Check]) -> Sequence[Check]:
        """Return them with the time that a job of their own has on the cluster, or they are lost for ever."""
        most = None if self._on_node is None else self._on_node.most_seconds(_GRACE_SECONDS)
        if most is None:
            return checks
        limits = (min(check.timeout_seconds, most) for check in checks)
        return [
            msgspec.structs.replace(check, timeout_seconds=limit)
            for check, limit in zip(checks, limits, strict=True)
        ]

    async def run_one(self, name: str, command: str, cwd: str, seconds: float) -> CommandResult | None:
        """Run a single command, from its beginning; None: it was interrupted, nothing of it runs."""
        await self.end_leftovers()
        return await self._unless_interrupted(lambda: self._run_until_it_ends(name, command, cwd, seconds))

    async def _unless_interrupted(self, run: Callable[[], Awaitable[T]]) -> T | None:
        found: T | None = None
        with anyio.CancelScope() as self._scope:
            if self._interrupted:
                return None
            with suppress(FlightAbandoned):
                found = await run()
        if found is None and self._running is not None:
            with anyio.CancelScope(shield=True):
                await self._executor.end(self._running)
                await self._wait_for_end(self._running)
        return found

    @property
    def _executor(self) -> Executor:
        return self._places[self._own]

    async def _wait_for_end(self, place: AttemptPlace) -> ExitRecord | None:
        self._fate = None
        try:
            return await self._executor.wait(place)
        except AttemptWithdrawn as why:
            self._fate = why.fate
            return None

    async def _foreign_end(self, place: AttemptPlace, record: ExitRecord | None) -> str | None:
        """Say how the end of a command was not its own; None: it was, or we have ended it.

        Raises:
            FlightAbandoned: somebody has cancelled its job on the cluster, and it is not begun again unasked.
        """
        why = describe_loss(record)
        if self._interrupted or (why is None and not (self._on_node is not None and may_be_foreign(record))):
            return None
        self._fate = self._fate or await self._executor.fate(place)
        if is_cancelled(self._fate):
            raise FlightAbandoned
        return outside_cause(self._fate, why)

    @property
    def cancelled(self) -> str | None:
        """How somebody has cancelled it on the cluster, where `run` has answered None for that."""
        return self._fate.text if self._fate is not None and is_cancelled(self._fate) else None

    async def end_leftovers(self) -> None:
        """End what an earlier daemon has left running of these, and forget it.

        What it has left is there by its process: of that the files may be gone.
        """
        for name, executor in self._places.items():
            await self._end_left(executor, name)

    async def _end_left(self, executor: Executor, below: str) -> None:
        directory = self._attempt / below
        left = await to_thread.run_sync(
            _clear_leftovers, directory, below in self._picked_up, self._roots[below]
        )
        if left is None:
            return
        if below in self._picked_up:
            found = await executor.leftovers(self._ids)
            left += [AttemptPlace(directory / name, name) for name in found - {place.id for place in left}]
            self._picked_up.discard(below)
        for place in left:
            if place.id in self._over or not place.id.startswith(self._ids):
                continue
            if await executor.presence(place) is Presence.RUNNING:
                await executor.end(place)
                with suppress(AttemptWithdrawn):
                    await executor.wait(place)
        await to_thread.run_sync(files.remove_tree_if_there, directory)

    async def _run_until_it_ends(
        self, name: str, command: str, cwd: str, timeout_seconds: float
    ) -> CommandResult:
        """Run a command to an end of its own; what is lost, or can't be started, runs again.

        Where bash says that a program in it was killed, it runs once more: a kernel short of memory takes the
        program, not bash. Said twice, that is the command's own end.
        """
        losses = LossCounter()
        doubted = False

        async def once() -> CommandResult:
            nonlocal doubted
            await self.end_leftovers()
            found, why = await self._run_once(name, command, cwd, timeout_seconds)
            if found.exit_code == _KILLED and not (doubted or found.timed_out or self._interrupted):
                doubted, why = True, "a program in it was ended by SIGKILL, which nobody here sent"
            if runs_short(found.error):
                raise Accident(f"'{name}' can't be started: {found.error}")
            if why is None:
                return found
            losses.add()
            if losses.is_reported:
                self._tell(f"'{name}' was lost: {why}; it runs again (loss {losses.count})")
            raise Accident(self._waiting_text(name, why, losses), pause=losses.pause)

        return await until_it_works(once)

    def _waiting_text(self, name: str, why: str, losses: LossCounter) -> str:
        """Say what is waited for, and what to do about a command that may be ending itself."""
        said = f"'{name}' was lost: {why}; it runs again {duration(losses.pause)} after that"
        if not losses.many:
            return said
        job = self._run.job_name
        way_out = f"mzt pause {job} --now, then change it with mzt modify {job} -c FILE -r"
        return f"{said} (lost {losses.count} times); where it ends itself: {way_out}"

    async def _run_once(
        self, name: str, command: str, cwd: str, timeout_seconds: float
    ) -> tuple[CommandResult, str | None]:
        """Run a command once: its result, and what of it was lost.

        Raises:
            Accident: it could not be started.
        """
        directory = self._attempt / self._own / _UNSAFE.sub("-", name)
        place = AttemptPlace(directory, f"{self._ids}{os.urandom(4).hex()}", self._roots[self._own])
        try:
            argv = await to_thread.run_sync(self._write_script, directory, name, command)
        except OSError as error:
            return CommandResult(error=f"its files can't be written: {error.strerror}"), None
        spec = Spec(
            id=place.id,
            argv=argv,
            cwd=cwd,
            env={**self._environ, "PWD": cwd},
            umask=self._run.umask,
            timeout_seconds=timeout_seconds,
            grace_seconds=_GRACE_SECONDS,
            output_cap=self._services.settings.output_cap,
        )
        try:
            if self._on_node is None:
                spec = await walls.behind_wall(self._services, self._profile, spec, self._attempt)
            else:
                spec = spec_for_node(self._services, self._profile, self._spec_for(self._on_node, spec))
        except (walls.WallUnavailable, PreparationFailed) as why:
            return CommandResult(error=str(why)), None
        except OSError as error:
            return CommandResult(error=f"its files can't be written: {error.strerror}"), None
        self._running = place
        faults.point("check.starting")
        try:
            await self._executor.start(directory, spec, root=self._root)
        except StartFailed:
            self._running = None
            raise
        except (CannotStart, AlreadyClaimed) as error:
            return CommandResult(error=str(error)), None
        faults.point("check.started")
        record = await self._wait_for_end(place)
        self._over.add(place.id)
        faults.point("check.ended")
        self._running = None
        tail = await to_thread.run_sync(_output_tail, directory, self._mask)
        foreign = await self._foreign_end(place, record)
        if record is None or record.asked or (record.exit_code is None and record.signal is None):
            return CommandResult(
                error=(record and record.error) or f"lost: {foreign}", output_tail=tail
            ), foreign
        found = CommandResult(
            exit_code=record.exit_code,
            signal=record.signal_name,
            timed_out=record.timed_out,
            output_tail=tail,
            error=record.error,
        )
        return found, foreign

    def _write_script(self, directory: Path, name: str, command: str) -> list[str]:
        """Make its directory, with its script; blocks.

        Raises:
            Accident: all attempts are away.
        """
        if (
            self._root is not None
            and (why := self._incarnation_directory.why_missing(self._root)) is not None
        ):
            raise Accident(f"'{name}' can't be started: {why}")
        make_private_directory(directory, self._root)
        return shell_script(directory, command)

    def _spec_for(self, resources: Resources, spec: Spec) -> Spec:
        return msgspec.structs.replace(spec, resources=resources, beside=str(self._attempt))


def seconds_of(checks: Sequence[Check]) -> float:
    """Return how long the commands of checks can take in all."""
    each = (check for check in checks if check.type == "command_succeeds")
    return sum(
        (check.retry_count + 1) * (check.timeout_seconds + _GRACE_SECONDS + check.retry_delay_seconds)
        for check in each
    )


def _of_this_round(rows: Sequence[AttemptRow]) -> list[AttemptRow]:
    """Return the last of a sheet's attempts, as far back as they are of one round of its loop."""
    start = len(rows)
    while start > 0 and rows[start - 1].round == rows[-1].round:
        start -= 1
    return list(rows[start:])


def _clear_leftovers(directory: Path, anew: bool, root: Path | None) -> list[AttemptPlace] | None:  # noqa: FBT001  a thread takes no names
    """Return what may run there; where nothing can, and it is not looked at `anew`, clear it away: None."""
    left = _places_below(directory, root)
    if left or anew:
        return left
    files.remove_tree_if_there(directory)
    return None


def _places_below(directory: Path, root: Path | None) -> list[AttemptPlace]:
    try:
        found = [(path, read_spec_id(path)) for path in directory.iterdir() if path.is_dir()]
    except OSError:
        return []
    return [AttemptPlace(path, attempt, root) for path, attempt in found if attempt is not None]


def _output_tail(directory: Path, mask: Mask) -> str:
    printed = "".join(quote_tail(directory / name, _TAIL_BYTES, mask) for name in ("stdout", "stderr"))
    return printed[-_TAIL_BYTES:]


def _write_once(path: Path, data: bytes, root: Path | None) -> None:
    make_private_directory(path.parent, root)
    files.write_private(path, data)


def _look_at_files(checks: Sequence[Check]) -> bool:
    return any(check.type == "file_modified" for check in checks)


def _snapshot_of(path: Path) -> FileIdentities:
    """Return what was noted; what can't be read was not: the checks then find all files modified."""
    try:
        return from_json(files.read(path, files.RECORD_MOST), FileIdentities)
    except (OSError, Undecodable):
        return {}


def evidence_of(report: CheckReport, workspace: str) -> str:
    """Say in a line what a check has found wrong; a file of the workspace is named from there on."""
    if report.type == "command_succeeds":
        return f"{report.description or report.target}: {report.reason}"
    reason, name = report.reason or "failed", report.target.removeprefix(f"{workspace.rstrip('/')}/")
    quoting = reason.startswith("'")  # of what was looked for: `content_regex '^DONE$' finds nothing in a.md`
    return f"{report.type} {reason} in {name}" if quoting else f"{report.type}: {reason}: {name}"


def count_failed_checks(reports: Sequence[CheckReport]) -> str:
    """Say how many of the checks have failed, and how many were not run behind one that did."""
    not_run = sum(report.result == CheckResult.NOT_RUN for report in reports)
    failed = sum(report.result not in (CheckResult.PASSED, CheckResult.NOT_RUN) for report in reports)
    said = f"{failed} of {plural(len(reports), 'validation')} failed"
    return f"{said}, {not_run} not run" if not_run else said

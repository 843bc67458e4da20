"""The jobs that hooks start: checked when the hook runs, submitted with its outcome in one transaction.

A detached one is kept with its parent and submitted by the transaction that ends it, so that a score can
chain to itself; that of a failure is submitted at once, for its parent has ended. The registry lock is
held from the look at a name until the commit.
Source: docs/reference/score-format.md §20.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import faults, files, formatting
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.job import JobActor
from marianned.conductor.core.messages import parse_job_id
from marianned.conductor.requests.new_run import RunOrigin, ValidScore, compile_valid
from marianned.conductor.requests.submit import PreparedRun, Submissions
from marianned.conductor.run.hook import HookContext
from marianned.decoding import Undecodable, from_msgpack
from marianned.errors import BadRequest, MarianneError, NameTaken, Unavailable, WrongStatus
from marianned.progress.state.hook_queue import is_kept
from marianned.progress.state.run import ScoreVersion
from marianned.progress.state.triggers import ChainedJobsReady, HookEnded
from marianned.protocol import ENDED, Caller, JobStatus, Outcome
from marianned.rows import Changes, RevisionRow, RunRow
from marianned.score.expanded import Concert, ExpandedScore, describe_differences, file_digests
from marianned.score.read.reader import ScoreSource

_AGAIN_SECONDS = 1.0
"""How long after a transaction that the disk refused it is tried again."""
ChainEntry = PreparedRun | MarianneError
"""A job that may be submitted, or why it is refused."""


async def chain(conductor: Conductor, job: JobActor, given: HookContext) -> HookEnded | None:
    """Check a hook's job; submit it, or keep it for the end; at the end submit all that were kept.

    Returns:
        How it ended, or that its job is kept; None: `job` was told.

    Raises:
        MarianneError: it is refused.
    """
    return await _JobChainer(conductor, job, given).chain()


class _JobChainer:
    """Checks and submits the jobs of one hook in flight."""

    def __init__(self, conductor: Conductor, job: JobActor, given: HookContext) -> None:
        self._conductor = conductor
        self._submissions = Submissions(conductor)
        self._job = job
        self._given = given
        self._at_end = given.row.pending_revision is not None

    async def chain(self) -> HookEnded | None:
        """Check, then submit or keep; at the end submit all that were kept."""
        given, row = self._given, self._given.row
        if self._at_end:
            rows = [row, *(other for other in self._job.state.hooks if is_kept(other))]
            await self._submit({kept.hook: _decode_kept(kept.pending_revision or b"") for kept in rows})
            return None
        if row.chained is not None and not given.hook.detached:
            status = await self._status_of(row.chained)
            if status is JobStatus.COMPLETED:
                said = f"{row.chained} has completed"
                return HookEnded(hook=row.hook, flight=row.flight, outcome=Outcome.SUCCEEDED, message=said)
            if status is not None and status not in ENDED:
                await self._conductor.transact(
                    Changes(), chain=(self._job, self._jobs_ready({row.hook: row.chained}))
                )
                return None
        depth = given.run.depth
        if depth >= given.concert.max_chain_depth:
            if given.concert.ends_at_depth and await self._would_repeat():
                said = f"the chain ends here: max_chain_depth is {given.concert.max_chain_depth}"
                return HookEnded(hook=row.hook, flight=row.flight, outcome=Outcome.SUCCEEDED, message=said)
            raise BadRequest(f"the chain is {depth} deep; max_chain_depth is {given.concert.max_chain_depth}")
        version = await self._compile()
        faults.point("chain.checked")
        if given.hook.detached and not row.after_failure:
            return HookEnded(
                hook=row.hook,
                flight=row.flight,
                outcome=Outcome.SUCCEEDED,
                pending_revision=msgspec.msgpack.encode(version.row),
            )
        await self._submit({row.hook: version})
        return None

    async def _status_of(self, address: str) -> JobStatus | None:
        """Return how a run stands that the hook has submitted before; None: it is not known any more."""
        name, number = parse_job_id(address)
        row = await self._conductor.services.store.records.run(name, number)
        return None if row is None else row.ended or row.status

    async def _would_repeat(self) -> bool:
        """Tell whether the hook would start its own job once more."""
        try:
            return (await self._compile()).score.name == self._given.run.job_name
        except MarianneError:
            return False

    def _jobs_ready(self, started: dict[int, str], refused: dict[int, str] | None = None) -> ChainedJobsReady:
        row = self._given.row
        return ChainedJobsReady(hook=row.hook, flight=row.flight, started=started, refused=refused or {})

    async def _compile(self) -> ScoreVersion:
        hook, run = self._given.hook, self._given.run
        named, path, text = await to_thread.run_sync(_read_score, hook.files)
        inherited = run.workspace if self._given.concert.inherit_workspace else None
        source = ScoreSource(
            text=text,
            file=str(path),
            directory=str(path.parent),
            submit_directory=run.submit_directory,
            workspace=hook.job_workspace or inherited,
        )
        valid = await compile_valid(source, path.name, "")
        return _with_pins(self._given.concert, named, source, valid)

    async def _submit(self, versions: Mapping[int, ScoreVersion | MarianneError]) -> None:
        """Bring new runs to the disk with the outcome of their hooks; while the disk refuses, again.

        Raises:
            MarianneError: a job whose end would be awaited is refused.
        """
        while True:
            async with self._conductor.registry_lock:
                faults.point("chain.locked")
                entries = await self._entries(versions)
                made = {hook: entry for hook, entry in entries.items() if isinstance(entry, PreparedRun)}
                refused = {hook: e.message for hook, e in entries.items() if isinstance(e, MarianneError)}
                started = {hook: _address(entry.state.run) for hook, entry in made.items()}
                try:
                    await self._transact(self._jobs_ready(started, refused), list(made.values()))
                except Unavailable:
                    pass  # no event tells of room on a disk
                else:
                    break
                finally:
                    for entry in made.values():
                        await self._submissions.finish(entry)
            await anyio.sleep(_AGAIN_SECONDS)
        faults.point("chain.done")

    async def _transact(self, trigger: ChainedJobsReady, made: Sequence[PreparedRun]) -> None:
        new = Changes()
        for entry in made:
            new = new.then(entry.changes)
        runs = [entry.state for entry in made]
        rooms = [room for entry in made for room in entry.supersedes]
        await self._conductor.transact(new, runs, rooms, (self._job, trigger))

    async def _entries(self, versions: Mapping[int, ScoreVersion | MarianneError]) -> dict[int, ChainEntry]:
        """Make each ready for the disk, as far as it may be.

        Raises:
            MarianneError: a job whose end would be awaited is refused.
        """
        entries: dict[int, ChainEntry] = {}
        names: set[str] = set()
        for hook, version in versions.items():
            if isinstance(version, MarianneError):
                entries[hook] = version
            elif version.score.name in names:
                entries[hook] = NameTaken(f"'{version.score.name}' is started by another hook already")
            else:
                names.add(version.score.name)
                entries[hook] = await self._entry(hook, version)
            entry = entries[hook]
            if isinstance(entry, MarianneError) and not self._at_end:
                raise entry
        return entries

    async def _entry(self, hook: int, version: ScoreVersion) -> ChainEntry:
        run, state = self._job.state.run, self._job.state
        fresh = state.hook_definition(hook).fresh
        origin = RunOrigin(
            caller=Caller(uid=os.getuid(), name=f"hook {hook} of {_address(run)}"),
            reason=None,
            submit_directory=run.submit_directory,
            umask=run.umask,
            env=run.env,
            auto_resume=run.auto_resume,
            executor=run.executor,
            depth=run.depth + 1,
            unlike=await self._difference_note(version),
        )
        newest = await self._conductor.services.store.records.newest(version.score.name)
        if newest.row is not None and newest.row.run_id == run.run_id and self._at_end:
            ending = JobStatus.FAILED if state.settling_context.failed else JobStatus.COMPLETED
            newest = newest._replace(row=msgspec.structs.replace(newest.row, status=ending))
        try:
            detached = self._at_end or self._given.row.after_failure
            leaves = run.run_id if detached else None
            return await self._submissions.prepare(
                version, newest, origin, fresh=fresh, ending=leaves, awaited=not detached
            )
        except MarianneError as error:
            return error

    async def _difference_note(self, version: ScoreVersion) -> str | None:
        """Say what of a chained score differs from the run before: an agent may have written it."""
        records = self._conductor.services.store.records
        before = await records.run(version.score.name)
        last = None if before is None else await records.revision(before.run_id, before.revision)
        if before is None or last is None:
            return None
        told = describe_differences(_digests(last), _digests(version.row))
        return f"unlike in {_address(before)}, {formatting.listing(told)}" if told else None


def _address(run: RunRow) -> str:
    return f"{run.job_name}@{run.run}"


def _digests(row: RevisionRow) -> dict[str, str]:
    return file_digests(row.config_file or "the score", row.text.encode(), row.files)


def _with_pins(concert: Concert, named: str, source: ScoreSource, valid: ValidScore) -> ScoreVersion:
    """Return a chained score: of a pinned chain with the pins of the first, so that they hold to its end.

    Raises:
        BadRequest: it is not what was pinned.
    """
    version = valid.version
    if concert.pins is None:
        return version
    told = describe_differences(
        concert.pins.get(named, {}), file_digests(source.file, source.text, valid.compiled.files)
    )
    if told:
        raise BadRequest(f"concert.pinned: {formatting.listing(told)} since the submission")
    passed_on = msgspec.structs.replace(version.score.concert, pins=concert.pins)
    score = msgspec.structs.replace(version.score, concert=passed_on)
    row = msgspec.structs.replace(version.row, expanded=msgspec.msgpack.encode(score))
    return ScoreVersion(row=row, score=score)


def _read_score(places: Sequence[str]) -> tuple[str, Path, bytes]:
    """Return the score file that is there, as it is named and as it is, and its text.

    Raises:
        BadRequest: none is, or it can't be read.
    """
    named = next((file for file in places if Path(file).is_file()), None)
    if named is None:
        raise BadRequest(f"there is no score '{places[0]}'")
    path = Path(named).resolve()
    try:
        return named, path, files.read(path, files.TEXT_MOST)
    except OSError as error:
        raise BadRequest(f"'{path}' can't be read: {error.strerror}") from None


def _decode_kept(kept: bytes) -> ScoreVersion | MarianneError:
    """Return what was kept; another version of this program may have written it."""
    try:
        row = from_msgpack(kept, RevisionRow)
        return ScoreVersion(row=row, score=from_msgpack(row.expanded, ExpandedScore))
    except Undecodable:
        return WrongStatus("another version of this program kept it, which this one can't read")

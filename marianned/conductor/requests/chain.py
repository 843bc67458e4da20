"""The jobs that hooks start: checked when the hook runs, submitted with its outcome in one transaction.

A detached one is kept with its parent and submitted by the transaction that ends it, so that a score can
chain to itself. The registry is held from the look at a name until the commit.
Source: docs/reference/score-format.md §20.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import faults, files, formatting
from marianned.conductor.core.job import Job
from marianned.conductor.core.messages import parse_job_id
from marianned.conductor.core.registry import Conductor
from marianned.conductor.requests.new_run import Submission, ValidScore, compile_valid
from marianned.conductor.requests.submit import PreparedRun, Submissions
from marianned.conductor.run.hook import HookContext
from marianned.errors import BadRequest, MarianneError, NameTaken, Unavailable, WrongStatus
from marianned.progress.state.hook_queue import is_kept
from marianned.progress.state.job import JobState, Version
from marianned.progress.state.triggers import Chained, HookEnded, Supersede
from marianned.protocol import ENDED, Caller, JobStatus, Outcome
from marianned.rows import Changes, RevisionRow, RunRow
from marianned.score.expanded import Concert, Expanded, differences, digests
from marianned.score.read.reader import ScoreSource

_AGAIN_SECONDS = 1.0
"""How long after a transaction that the disk refused it is tried again."""
_SHIELDED_SECONDS = 5.0
"""How long an interrupt, or the daemon's stop, waits for a submission that is being committed."""
Entry = PreparedRun | MarianneError
"""A job that may be submitted, or why it is refused."""


class Chaining:
    """Checks and submits the jobs of hooks, over a conductor."""

    def __init__(self, conductor: Conductor, submissions: Submissions) -> None:
        self._conductor = conductor
        self._submissions = submissions

    async def chain(self, job: Job, given: HookContext) -> HookEnded | None:
        """Check a hook's job; submit it, or keep it for the end; at the end submit all that were kept.

        Returns:
            How it ended, or that its job is kept; None: `job` was told.

        Raises:
            MarianneError: it is refused.
        """
        row = given.row
        if row.kept is not None:
            rows = [row, *(other for other in job.state.hooks if is_kept(other))]
            await self._submit(job, given, {kept.hook: _decoded(kept.kept or b"") for kept in rows})
            return None
        if row.chained is not None and not given.hook.detached:
            status = await self._status_of(row.chained)
            if status is JobStatus.COMPLETED:
                said = f"{row.chained} has completed"
                return HookEnded(hook=row.hook, flight=row.flight, outcome=Outcome.SUCCEEDED, message=said)
            if status is not None and status not in ENDED:
                await self._wait_on(job, given, row.chained)
                return None
        depth = given.run.depth
        if depth >= given.concert.max_chain_depth:
            raise BadRequest(f"the chain is {depth} deep; max_chain_depth is {given.concert.max_chain_depth}")
        version = await self._checked(given)
        faults.point("chain.checked")
        if given.hook.detached:
            return HookEnded(
                hook=row.hook,
                flight=row.flight,
                outcome=Outcome.SUCCEEDED,
                kept=msgspec.msgpack.encode(version.row),
            )
        await self._submit(job, given, {row.hook: version})
        return None

    async def _status_of(self, address: str) -> JobStatus | None:
        """Return how a run stands that a hook has submitted before; None: it is not known any more."""
        name, number = parse_job_id(address)
        row = await self._conductor.services.store.records.run(name, number)
        return None if row is None else JobStatus(row.ended or row.status)

    async def _wait_on(self, job: Job, given: HookContext, address: str) -> None:
        """Let the hook go on waiting for the run that it has submitted before."""

        async def commit(changes: Changes) -> int:
            return (await self._conductor.services.store.commit(changes)).event

        trigger = Chained(
            request=f"chain {job.run_id} {given.row.flight}",
            hook=given.row.hook,
            flight=given.row.flight,
            started={given.row.hook: address},
            refused={},
            also=Changes(),
        )
        await job.chain(trigger, commit)

    async def _checked(self, given: HookContext) -> Version:
        hook, run = given.hook, given.run
        named, path, text = await to_thread.run_sync(_read, hook.files)
        inherited = run.workspace if given.concert.inherit_workspace else None
        source = ScoreSource(
            text=text,
            file=str(path),
            directory=str(path.parent),
            submit_directory=run.submit_directory,
            workspace=hook.job_workspace or inherited,
        )
        valid = await compile_valid(source, path.name, "")
        return _pinned(given.concert, named, source, valid)

    async def _submit(
        self, job: Job, given: HookContext, versions: Mapping[int, Version | MarianneError]
    ) -> None:
        """Bring new runs to the disk with the outcome of their hooks, and take them up.

        Raises:
            MarianneError: a job whose end would be awaited is refused.
        """
        # No event tells of room on a disk.
        while isinstance(await self._try_to_submit(job, given, versions), Unavailable):  # noqa: ASYNC110  see above
            await anyio.sleep(_AGAIN_SECONDS)

    async def _try_to_submit(
        self, job: Job, given: HookContext, versions: Mapping[int, Version | MarianneError]
    ) -> object:
        async with self._conductor.registry:
            faults.point("chain.locked")
            entries = await self._entries(job, versions, at_end=given.row.kept is not None)
            made = {hook: entry for hook, entry in entries.items() if isinstance(entry, PreparedRun)}
            refused = {hook: e.message for hook, e in entries.items() if isinstance(e, MarianneError)}
            trigger = Chained(
                request=f"chain {job.run_id} {given.row.flight}",
                hook=given.row.hook,
                flight=given.row.flight,
                started={hook: _address(entry.state.run) for hook, entry in made.items()},
                refused=refused,
                also=_merged(entry.changes for entry in made.values()),
            )
            # An interrupt that comes now comes too late: what is handed over may be on the disk already.
            try:
                with anyio.fail_after(_SHIELDED_SECONDS, shield=True):
                    answer = await job.chain(
                        trigger, partial(self._commit, list(made.values()), _rooms(job, made))
                    )
            finally:
                for entry in made.values():
                    await self._submissions.finish(entry)
        faults.point("chain.done")
        if isinstance(answer, MarianneError) and not isinstance(answer, WrongStatus | Unavailable):
            raise answer
        return answer

    async def _entries(
        self, job: Job, versions: Mapping[int, Version | MarianneError], *, at_end: bool
    ) -> dict[int, Entry]:
        """Make each ready for the disk, as far as it may be.

        Raises:
            MarianneError: a job whose end would be awaited is refused.
        """
        entries: dict[int, Entry] = {}
        names: set[str] = set()
        for hook, version in versions.items():
            if isinstance(version, MarianneError):
                entries[hook] = version
            elif version.score.name in names:
                entries[hook] = NameTaken(f"'{version.score.name}' is started by another hook already")
            else:
                names.add(version.score.name)
                entries[hook] = await self._entry(job, hook, version, at_end=at_end)
            entry = entries[hook]
            if isinstance(entry, MarianneError) and not at_end:
                raise entry
        return entries

    async def _entry(self, job: Job, hook: int, version: Version, *, at_end: bool) -> Entry:
        run = job.state.run
        fresh = job.state.hook_definition(hook).fresh
        origin = Submission(
            caller=Caller(uid=os.getuid(), name=f"hook {hook} of {_address(run)}"),
            reason=None,
            submit_directory=run.submit_directory,
            umask=run.umask,
            env=run.env,
            auto_resume=run.auto_resume,
            depth=run.depth + 1,
            unlike=await self._unlike(version),
        )
        newest = await self._conductor.services.store.records.run(version.score.name)
        if newest is not None and newest.run_id == run.run_id and at_end:
            ending = JobStatus.FAILED if job.state.outlook.failed else JobStatus.COMPLETED
            newest = msgspec.structs.replace(newest, status=ending)
        try:
            leaves = run.run_id if at_end else None
            return await self._submissions.prepare(
                version, newest, origin, fresh=fresh, ending=leaves, awaited=not at_end
            )
        except MarianneError as error:
            return error

    async def _unlike(self, version: Version) -> str | None:
        """Say what of a chained score differs from the run before: an agent may have written it."""
        records = self._conductor.services.store.records
        before = await records.run(version.score.name)
        last = None if before is None else await records.revision(before.run_id, before.revision)
        if before is None or last is None:
            return None
        told = differences(_digests(last), _digests(version.row))
        return f"unlike in {_address(before)}, {formatting.listing(told)}" if told else None

    async def _commit(
        self, made: Sequence[PreparedRun], rooms: Sequence[tuple[RunRow, Supersede]], changes: Changes
    ) -> int:
        """Commit in the loops of the runs that make room, where nothing can come between; take the new up."""
        if not rooms:
            event = (await self._conductor.services.store.commit(changes)).event
            faults.point("chain.committed")
            for entry in made if _among(made, changes) else ():
                self._conductor.load(entry.state, {})
            return event
        (newest, room), *others = rooms
        give_up = msgspec.structs.replace(room, also=changes)
        return await self._conductor.make_room(newest, give_up, partial(self._commit, made, others))

    def state_of(self, address: str) -> JobState | None:
        """Return the state of a run that has not ended, which is in memory; None: it has, or is not known."""
        name, number = parse_job_id(address)
        job = self._conductor.jobs.get(name)
        here = job is not None and job.state.run.run == number and job.state.run.ended is None
        return job.state if job is not None and here else None

    async def end_of(self, address: str) -> JobStatus | None:
        """Wait for the end of a run; None: it is not known any more."""
        name, number = parse_job_id(address)
        row = await self._conductor.services.store.records.run(name, number)
        if row is None:
            return None
        if row.ended is not None:
            return JobStatus(row.ended)
        job = await self._conductor.job(name)
        ended = anyio.Event()
        found: list[JobStatus] = []

        def look(status: JobStatus, _event: int) -> None:
            if status in ENDED:
                found.append(status)
                ended.set()

        leave = job.watch(look)
        try:
            look(job.status, 0)
            await ended.wait()
        finally:
            leave()
        return found[0]


def _among(made: Sequence[PreparedRun], changes: Changes) -> bool:
    """Tell whether the new runs are in the transaction: the decision may have turned them down."""
    runs = {row.run_id for row in changes.rows if isinstance(row, RunRow)}
    return all(entry.state.run.run_id in runs for entry in made)


def _rooms(job: Job, made: Mapping[int, PreparedRun]) -> list[tuple[RunRow, Supersede]]:
    """Return the runs that the new ones take the place of; this one makes room by its end."""
    return [
        (entry.newest, entry.give_up)
        for entry in made.values()
        if entry.newest is not None and entry.newest.run_id != job.run_id
    ]


def _merged(parts: Iterable[Changes]) -> Changes:
    whole = Changes(rows=[], deleted=[], events=[])
    for part in parts:
        whole.rows.extend(part.rows)
        whole.deleted.extend(part.deleted)
        whole.events.extend(part.events)
    return whole


def _address(run: RunRow) -> str:
    return f"{run.job_name}@{run.run}"


def _digests(row: RevisionRow) -> dict[str, str]:
    return digests(row.config_file or "the score", row.text.encode(), row.files)


def _pinned(concert: Concert, named: str, source: ScoreSource, valid: ValidScore) -> Version:
    """Return a chained score: of a pinned chain with the pins of the first, so that they hold to its end.

    Raises:
        BadRequest: it is not what was pinned.
    """
    version = valid.version
    if concert.pins is None:
        return version
    told = differences(concert.pins.get(named, {}), digests(source.file, source.text, valid.compiled.files))
    if told:
        raise BadRequest(f"concert.pinned: {formatting.listing(told)} since the submission")
    passed_on = msgspec.structs.replace(version.score.concert, pins=concert.pins)
    score = msgspec.structs.replace(version.score, concert=passed_on)
    row = msgspec.structs.replace(version.row, expanded=msgspec.msgpack.encode(score))
    return Version(row=row, score=score)


def _read(places: Sequence[str]) -> tuple[str, Path, bytes]:
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


def _decoded(kept: bytes) -> Version | MarianneError:
    """Return what was kept; another version of this program may have written it."""
    try:
        row = msgspec.msgpack.decode(kept, type=RevisionRow)
        return Version(row=row, score=msgspec.msgpack.decode(row.expanded, type=Expanded))
    except msgspec.DecodeError:
        return WrongStatus("another version of this program kept it, which this one can't read")

"""From what the disk says to a state in memory: after a start, and for runs that have ended."""

import itertools
from collections.abc import Sequence

import msgspec
from anyio import to_thread

from marianned import workers
from marianned.conductor.services import Services
from marianned.executors.base import Presence
from marianned.progress.state.job import JobState, Version
from marianned.protocol import Cost, PlanLine
from marianned.rows import Flight, RevisionRow, Row, RunRow
from marianned.score.expanded import Expanded
from marianned.score.read.reader import ScoreSource
from marianned.store.records import Whole
from marianned.store.writer import Store

_SMALL_BYTES = 32 * 1024
"""An expanded score that is decoded in less time than a thread takes."""


class LostRevision(Exception):
    """A revision of an unfinished run is not in the database, or nothing reads it any more."""


async def load_state(store: Store, job_name: str, run: int | None = None) -> JobState | None:
    """Read the state of a run, as it is at one moment; the newest without a number, None: there is none.

    Raises:
        LostRevision: its score is not there, or can't be expanded any more.
    """
    found = await store.records.whole(job_name, run)
    return None if found is None else await _state(found)


async def _state(found: Whole) -> JobState:
    run, spent = found.run, found.costs
    current = await _version(run, found.revisions.get(run.revision), run.revision)
    cost = Cost(
        usd=spent.usd, known=spent.known, input_tokens=spent.input_tokens, output_tokens=spent.output_tokens
    )
    state = JobState(run, current, found.sheets, cost)
    if run.staged_revision is not None:
        staged = found.revisions.get(run.staged_revision)
        state.stage(await _version(run, staged, run.staged_revision))
    parts: tuple[Sequence[Row], ...] = (
        found.hooks,
        found.holds,
        found.breakpoints,
        found.open_attempts,
        found.requests,
    )
    for row in itertools.chain(*parts):
        state.put(row)
    return state


async def load_version(store: Store, run: RunRow, number: int) -> Version:
    """Read a revision and what it expands to.

    Raises:
        LostRevision: it is not there, or can't be expanded any more.
    """
    return await _version(run, await store.records.revision(run.run_id, number), number)


async def _version(run: RunRow, row: RevisionRow | None, number: int) -> Version:
    if row is None:
        raise LostRevision(f"revision {number} of '{run.job_name}' is not in the database")
    plan = msgspec.json.decode(row.plan, type=list[PlanLine]) if row.plan else []
    return Version(row=row, score=await _expanded(run, row), plan=plan)


async def _expanded(run: RunRow, row: RevisionRow) -> Expanded:
    try:
        if len(row.expanded) < _SMALL_BYTES:
            return _decode(row.expanded)
        return await to_thread.run_sync(_decode, row.expanded)
    except msgspec.DecodeError:
        pass  # another version of this program wrote it: its text and files say the same
    source = ScoreSource(
        text=row.text.encode(),
        file=row.config_file or "score",
        directory=row.directory,
        submit_directory=run.submit_directory,
        workspace=run.workspace,
    )
    compiled = await workers.compile_stored(source, row.files)
    if compiled.expanded is None:
        raise LostRevision(f"revision {row.revision} of '{run.job_name}' is no longer a valid score")
    return compiled.expanded


def _decode(data: bytes) -> Expanded:
    return msgspec.msgpack.decode(data, type=Expanded)


async def presences(services: Services, state: JobState) -> dict[str, Presence]:
    """Tell where each flight stands, by its id, that was there when the daemon was last there."""
    return {services.attempt_id(flight): await _presence(services, flight) for flight in state.flights}


async def _presence(services: Services, flight: Flight) -> Presence:
    """Tell where a flight stands; after a reboot, one without a claim may have lost it with the power.

    So has one of which the database knows the process: its files were taken away.
    """
    place = services.place(flight)
    found = await services.executor.presence(place)
    if found is not Presence.NEVER_STARTED:
        return found
    if flight.pid is not None or services.store.rebooted:
        await services.executor.claim(place)
        return Presence.LOST
    return found

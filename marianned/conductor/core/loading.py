"""From what the disk says to a state in memory: after a start, and for runs that have ended."""

import itertools
import logging
from collections.abc import Sequence

import msgspec
from anyio import to_thread

from marianned import memory, workers
from marianned.conductor.services import Services, is_away
from marianned.decoding import Undecodable, from_json
from marianned.errors import Unavailable
from marianned.executors.base import Presence
from marianned.progress.state.run import RunState, ScoreVersion
from marianned.protocol import Cost, HoldCause, HookStatus, PlanLine, RevisionStatus
from marianned.rows import Flight, HoldRow, LoopRow, RevisionRow, Row, RunRow, SheetFlight, SheetRow, SkipRow
from marianned.score.expanded import ExpandedScore
from marianned.score.read.reader import ScoreSource
from marianned.store.records import StoredRun
from marianned.store.writer import Store

_logger = logging.getLogger(__name__)


class UnreadableRevision(Exception):
    """A revision of an unfinished run is not in the database, or nothing reads it any more."""


async def load_state(store: Store, job_name: str, run: int | None = None) -> RunState | None:
    """Read the state of a run, as it is at one moment; the newest without a number, None: there is none.

    One that can't be read is `damaged`: it has what is left of its rows, and a score that stands in.

    Raises:
        Unavailable: nothing can be read at the moment.
    """
    try:
        found = await store.records.stored_run(job_name, run)
        return None if found is None else await _state(found)
    except Unavailable:
        raise
    except Exception as error:
        _logger.exception("'%s' can't be read; it is told as damaged", job_name)
        return await _damaged_state(store, job_name, run, str(error) or type(error).__name__)


async def _damaged_state(store: Store, job_name: str, number: int | None, why: str) -> RunState | None:
    """Return what is left of a run that can't be read: held, so that nothing starts or ends it.

    The hold is not on disk: a daemon that can read the run goes on with it. What is in flight is watched
    to its end, hooks too: the stand-in has as many of both, and none of its own ever starts.
    """
    found = await store.records.stored_run(job_name, number, damaged=True)
    if found is None:
        return None
    run = msgspec.structs.replace(found.run, staged_revision=None, rewind=[])
    sheets, known = {row.sheet for row in found.sheets}, {row.uid for row in found.sheets}
    flights: list[SheetFlight] = [*found.open_attempts, *found.skips]
    strays = {row.sheet: row.uid for row in flights if row.uid not in known}
    count = max([1, *sheets, *strays])
    missing = [number for number in range(1, count + 1) if number not in sheets]
    made = [SheetRow(run_id=run.run_id, uid=strays.get(n, run.next_uid + n), sheet=n) for n in missing]
    rows = [*found.sheets, *made]
    hooks = [row for row in found.hooks if row.status != HookStatus.RUNNING or row.attempt_ids]
    commands = ", ".join(max((row.hook for row in hooks), default=0) * [_STAND_IN_HOOK])
    source = ScoreSource(
        text=_STAND_IN.format(count=count, hooks=commands).encode(),
        file="score",
        directory="/",
        submit_directory="/",
        workspace=run.workspace,
    )
    score = (await workers.compile_stored(source, {})).expanded
    assert score is not None, "the score that stands in is valid"
    row = found.revisions.get(run.revision) or _stand_in_revision(run)
    state = RunState(run, ScoreVersion(row=row, score=score), sorted(rows, key=lambda one: one.sheet))
    state.damaged = " ".join(why.split())
    uids = {one.uid for one in rows}
    kept: list[Row] = [*found.requests, *hooks, *(one for one in flights if one.uid in uids)]
    if run.ended is None:
        kept += [
            HoldRow(run_id=run.run_id, hold=0, cause=HoldCause.FAILURE, owner=None, reason=None, held_at=0)
        ]
    for one in kept:
        state.put(one)
    return state


_STAND_IN = """
name: damaged
workspace: /
instrument: cli
sheet: {{size: 1, total_items: {count}}}
prompt: {{template: "exit 1"}}
on_success: [{hooks}]
"""
_STAND_IN_HOOK = "{type: run_command, command: exit 1}"


def _stand_in_revision(run: RunRow) -> RevisionRow:
    return RevisionRow(
        run_id=run.run_id,
        revision=run.revision,
        status=RevisionStatus.CURRENT,
        text="",
        directory="/",
        config_file=None,
        files={},
        sha256="",
        expanded=b"",
        plan=b"[]",
        caller=None,
        reason=None,
        created_at=run.created_at,
    )


_MANY_SHEETS = 500
"""From so many on, a state is made in a thread: it takes over ten milliseconds."""


async def _state(found: StoredRun) -> RunState:
    run = found.run
    current = await _version_of(run, found.revisions.get(run.revision), run.revision)
    many = len(found.sheets) >= _MANY_SHEETS
    state = await to_thread.run_sync(_build_state, found, current) if many else _build_state(found, current)
    if run.staged_revision is not None:
        staged = found.revisions.get(run.staged_revision)
        state.stage(await _version_of(run, staged, run.staged_revision))
    parts: tuple[Sequence[Row], ...] = (
        found.past_sheets,
        found.left_scores,
        found.hooks,
        found.holds,
        found.breakpoints,
        found.loops,
        found.open_attempts,
        found.skips,
        found.requests,
    )
    for row in itertools.chain(*parts):
        state.put(row)
    return state


def _build_state(found: StoredRun, current: ScoreVersion) -> RunState:
    spent = found.costs
    cost = Cost(
        usd=spent.usd, known=spent.known, input_tokens=spent.input_tokens, output_tokens=spent.output_tokens
    )
    with memory.without_collecting():
        return RunState(found.run, current, found.sheets, cost)


async def load_version(store: Store, run: RunRow, number: int) -> ScoreVersion:
    """Read a revision and what it expands to.

    Raises:
        UnreadableRevision: it is not there, or can't be expanded any more.
    """
    return await _version_of(run, await store.records.revision(run.run_id, number), number)


async def _version_of(run: RunRow, row: RevisionRow | None, number: int) -> ScoreVersion:
    if row is None:
        raise UnreadableRevision(f"revision {number} of '{run.job_name}' is not in the database")
    plan = from_json(row.plan, list[PlanLine]) if row.plan else []
    score = await _unpack(row)
    if score is None:
        score, packed = await _expand_again(run, row)
        row = msgspec.structs.replace(row, expanded=packed)  # workers read it, too
    return ScoreVersion(row=row, score=score, plan=plan)


async def _unpack(row: RevisionRow) -> ExpandedScore | None:
    """Return what is stored; None: another version of this program wrote it."""
    try:
        return await workers.unpack(row.expanded)
    except Undecodable:
        return None


async def _expand_again(run: RunRow, row: RevisionRow) -> tuple[ExpandedScore, bytes]:
    """Expand a revision from its text and files, which say the same in every version of this program."""
    source = ScoreSource(
        text=row.text.encode(),
        file=row.config_file or "score",
        directory=row.directory,
        submit_directory=run.submit_directory,
        workspace=run.workspace,
        kept=row.variables,
    )
    compiled = await workers.compile_stored(source, row.files)
    if compiled.expanded is None:
        raise UnreadableRevision(f"revision {row.revision} of '{run.job_name}' is no longer a valid score")
    return compiled.expanded, compiled.packed


async def presences(services: Services, state: RunState) -> dict[str, Presence]:
    """Tell where each flight stands, by its id, that was there when the daemon was last there."""
    return {services.attempt_id(flight): await _presence(services, flight) for flight in state.flights}


async def _presence(services: Services, flight: Flight) -> Presence:
    """Tell where a flight stands; after a reboot, one without a claim may have lost it with the power.

    So has one of which the database knows the process: its files were taken away. Skip rules are asked again
    in any case, and what still runs of them is ended first.
    """
    if isinstance(flight, SkipRow | LoopRow):
        return Presence.NEVER_STARTED
    place = services.place(flight)
    executor = services.executors.of(flight)
    found = await executor.presence(place)
    if found is not Presence.NEVER_STARTED:
        return found
    had_begun = flight.pid is not None
    if is_away(
        flight
    ):  # no node was rebooted with this host; it is claimed once the list lacks it for a while
        return Presence.LOST if had_begun else found
    if had_begun or services.store.rebooted:
        await executor.claim(place)
        return Presence.LOST
    return found

"""Why a job does not move, or why it failed: since when, and who or what unblocks it.

Source: docs/design/control.md §8, docs/design/cli.md §2.3.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from marianned import formatting, lifecycle
from marianned.clock import Instant, timestamp
from marianned.formatting import sheet_list
from marianned.progress.state.run import DONE, RunState
from marianned.progress.views import messages
from marianned.progress.views.job import HOLDS_MOST, latest_end
from marianned.progress.views.start_blockers import FAILURE_HOOKS, start_blockers
from marianned.protocol import HoldCause, JobStatus, Obstacle, Reason, Stranger, WaitingFor, lifted_by
from marianned.rows import AttemptRow, Flight, HoldRow, HookRow, LoopRow, SheetRow

_HOOK_WAITS = {
    WaitingFor.COOLDOWN: ("out its cool-down", "time"),
    WaitingFor.JOB: ("for the end of {job}", "job"),
}
_COMMANDS_MOST = 3
"""How many commands are told, where each sheet that waits needs one of its own."""
_JOBS_MOST = 100
"""How many jobs of a cluster one command names, of those that it would take."""
_PLACES_MOST = 5
"""Of how many sheets it is told on which node each runs."""
_CHANGED_BY = {
    "score": ("mzt modify {job} -c FILE -r",),
    "config": ("mzt pause {job} --wait", "mzt restart", "mzt resume {job}"),
}
"""What a person types where what waits at a cluster never begins as it is, by whose wants those are."""
_OBSTACLES = {
    Obstacle.STOPPING: "the daemon stops",
    Obstacle.DRAINING: "the daemon drains",
    Obstacle.DISK: "the disk is nearly full",
    Obstacle.AWAY: "a directory of the daemon's is not there, or can't be looked at; mzt doctor says which",
    Obstacle.STARTING: "the daemon has just been started, and takes up its jobs",
}


def reasons(
    state: RunState,
    now: Instant,
    obstacle: Obstacle | None,
    logins: Mapping[int, str],
    unbegun: Collection[int] = (),
) -> list[Reason]:
    """Return what the job waits for; never empty, but where all of it is `unbegun`.

    `obstacle` is why the daemon grants no slots; `logins` are the names of users by their uid. `unbegun` are
    the uids of sheets that wait at a cluster, or are taken out of its queue: `cluster_reasons` says so.
    """
    if state.damaged is not None:
        hints = messages.hints(state, lifecycle.status(state.facts))
        return [_reason(state, "damaged", f"it can't be read: {state.damaged}", "caller", hints=hints)]
    found = [
        *_end_reasons(state),
        *(_hold_reason(state, hold, logins) for hold in islice(state.holds.values(), HOLDS_MOST)),
        *_more_holds_reason(state),
        *_nothing_left_reason(state),
        *_flight_reasons(state, unbegun),
        *_wait_reasons(state),
        *_blocked_start_reasons(state),
        *awaited_hold_reasons(state, logins),
        *_limit_reasons(state, now),
        *_slot_reasons(state, now, obstacle),
    ]
    return found if found or unbegun else [_reason(state, "needs", "it goes on in a moment", "daemon")]


def accident_reasons(state: RunState, waits: Iterable[tuple[Flight, str]]) -> list[Reason]:
    """Return what of the daemon's own fails, so that flights have to wait for it, once for all of them.

    Where somebody has to type something first, the text ends with that: `type: COMMAND`.
    """
    found: dict[str, list[Flight]] = {}
    for flight, why in waits:
        found.setdefault(why, []).append(flight)
    told = []
    for why, flights in found.items():
        _, _, typed = why.partition(messages.TYPED)
        said = f" {'waits' if len(flights) == 1 else 'wait'}: {why}"
        by, hints = "caller" if typed else "daemon", [typed or "mzt doctor"]
        told.append(_flights_reason(state, "accident", flights, said, by, hints))
    return told


class ClusterWait(Protocol):
    """What an attempt waits for at a cluster (`WaitReason` of executors/base.py)."""

    @property
    def text(self) -> str:
        """What it is."""

    @property
    def of_many(self) -> str | None:
        """What it is of several; null: the same."""

    @property
    def typed(self) -> str | None:
        """What a person types where one has to act; null: it passes by itself."""

    @property
    def change(self) -> str | None:
        """What has to be changed first, "score" or "config"; null: it passes as it is."""

    @property
    def shows(self) -> str | None:
        """What is typed to see more of it; null: nothing shows more."""

    @property
    def own(self) -> tuple[str, str] | None:
        """The job that `typed` ends with, and its array; null: it is typed for each by itself."""

    @property
    def queued(self) -> bool:
        """Whether the job takes it back where nothing may begin; it is told as that then."""


def cluster_reasons(state: RunState, waits: Iterable[tuple[Flight, ClusterWait]]) -> list[Reason]:
    """Return what attempts wait for at a cluster: those that wait for the same together."""
    found: dict[str, list[Flight]] = {}
    changes: dict[str, list[str]] = {}
    typing: dict[str, list[ClusterWait]] = {}
    shown: dict[str, list[str]] = {}
    plural = dict[str, str]()
    back = []
    for flight, wait in waits:
        if wait.queued and state.takes_back:
            back.append(flight)
            continue
        why = wait.text
        found.setdefault(why, []).append(flight)
        plural[why] = wait.of_many or why
        changes[why] = [one.format(job=state.run.job_name) for one in _CHANGED_BY.get(wait.change or "", ())]
        typing.setdefault(why, []).append(wait)
        shown.setdefault(why, []).extend([] if wait.shows is None else [wait.shows])
    told = []
    for why, flights in found.items():
        typed = [*changes[why], *_merged_commands(typing[why])]
        by = "caller" if typed else "cluster"
        hints = [*dict.fromkeys([*typed, *shown[why]])][:_COMMANDS_MOST]
        said = f": {why if len(flights) == 1 else plural[why]}"
        told.append(_flights_reason(state, WaitingFor.SLURM, flights, said, by, hints))
    if back and (len(back) < state.flight_count or not state.holds):
        said = f" {'is' if len(back) == 1 else 'are'} taken out of the queue"
        told.append(_flights_reason(state, WaitingFor.SLURM, back, said, "cluster", []))
    return told


def _merged_commands(waits: Iterable[ClusterWait]) -> list[str]:
    """Return what is typed for these: what takes several jobs once for all of them, of an array by that."""
    found: dict[str, dict[str, set[str]]] = {}
    for wait in waits:
        if wait.typed is not None and wait.own is not None:
            job, array = wait.own
            found.setdefault(wait.typed.removesuffix(job), {}).setdefault(array, set()).add(job)
        elif wait.typed is not None:
            found.setdefault(wait.typed, {})
    told = []
    for command, arrays in found.items():
        jobs = [array if len(of) > 1 else min(of) for array, of in arrays.items()]
        jobs.sort(key=lambda one: (len(one), one))
        some = range(0, max(1, len(jobs)), _JOBS_MOST)
        told += [f"{command}{','.join(jobs[first : first + _JOBS_MOST])}" for first in some]
    return told


def _flights_reason(
    state: RunState, code: str, flights: list[Flight], said: str, by: str, hints: list[str]
) -> Reason:
    """Return a reason of what is in flight, all of it named together."""
    sheets = sorted(state.number_of(one) for one in flights if not isinstance(one, HookRow | LoopRow))
    names = [messages.sheet_names(state, sheets)] if sheets else []
    names += [messages.flight_name(state, one) for one in flights if isinstance(one, HookRow | LoopRow)]
    since = min(flight.started_at or 0 for flight in flights)
    text = f"{formatting.listing(names)}{said}"
    return _reason(state, code, text, by, sheets=sheets, since=since, hints=hints)


def hooks_before_reasons(state: RunState, before: str | None) -> list[Reason]:
    """Return that a run waits for the hooks of the failure of the run before it, `before`."""
    if before is None:
        return []
    text = f"waits for the on_failure hooks of {before}"
    return [_reason(state, "hooks_before", text, "hook", hints=[f"mzt status {before}"])]


def degraded_reasons(state: RunState, why: str | None, hints: list[str] | None) -> list[Reason]:
    """Return what keeps the daemon from writing, and so each job that has not ended from going on.

    `hints` are the way out where it does not pass by itself once there is room.
    """
    if why is None or state.run.ended is not None:
        return []
    return [_reason(state, "degraded", f"degraded: {why}", "caller", hints=hints or ["mzt doctor"])]


def away_reason(state: RunState, why: str, look: str) -> Reason:
    """Return which directory of the daemon is away, so that nothing starts; `look` shows what is there."""
    return _reason(state, Obstacle.AWAY, f"nothing starts: {why}", "caller", hints=[look])


def stranger_reasons(state: RunState, alive: Iterable[Stranger]) -> list[Reason]:
    """Return what runs for this job and is not known to the database."""
    return [_stranger_reason(state, one) for one in alive if one.job_id == state.run.job_name]


def restored_reasons(state: RunState, uids: Collection[int]) -> list[Reason]:
    """Return which sheets ran after the copy of the database was made that was put back: they do so again."""
    numbers = [row.sheet for row in state.sheets.values() if row.uid in uids and row.status not in DONE]
    if not numbers:
        return []
    again = "it runs" if len(numbers) == 1 else "they run"
    text = f"{sheet_list(numbers)} ran after the backup was made that was put back, and {again} again"
    return [_reason(state, "restored", text, "nobody", sheets=numbers)]


def _stranger_reason(state: RunState, one: Stranger) -> Reason:
    what = "a hook" if one.sheet is None else f"sheet {one.sheet}"
    text = (
        f"{what} of {one.job_id}@{one.run} runs that the database does not know (pid {one.pid}); "
        f"wait for its end, or type: kill {one.pid}"
    )
    return _reason(state, "stranger", text, "caller", hints=[f"kill {one.pid}"])


def _reason(
    state: RunState,
    code: str,
    text: str,
    unblocked_by: str,
    *,
    sheets: list[int] | None = None,
    since: int | None = None,
    until: int | None = None,
    hints: list[str] | None = None,
) -> Reason:
    return Reason(
        code=code,
        text=text,
        sheets=sheets or [],
        since_at=timestamp(state.run.status_since if since is None else since),
        until_at=timestamp(until),
        unblocked_by=unblocked_by,
        hints=hints or [],
    )


def _end_reasons(state: RunState) -> Iterator[Reason]:
    resume = [messages.command_to_go_on(state, state.run.job_name)]
    match lifecycle.status(state.facts):
        case JobStatus.FAILED:
            failed = [row.sheet for row in state.failed_sheets()]
            text = messages.failure_text(state) or "a revision came after it had failed; a resume runs it"
            yield _reason(state, "failed", text, "caller", sheets=failed, hints=resume)
        case JobStatus.COMPLETED:
            yield _reason(state, "ended", "it has completed; nothing is left to do", "nobody")
        case JobStatus.CANCELLED:
            yield _reason(state, "ended", "it was cancelled", "caller", hints=resume)
        case _:
            pass


def _hold_reason(state: RunState, hold: HoldRow, logins: Mapping[int, str]) -> Reason:
    owner = f" by {logins.get(hold.owner.uid, hold.owner.name)}" if hold.owner is not None else ""
    why = f' "{hold.reason}"' if hold.reason else ""
    until = hold.ends.at if hold.ends is not None else None
    return _reason(
        state,
        f"hold:{hold.cause}",
        f"paused{messages.HELD[hold.cause]}{owner}{why}",
        "time" if until is not None else "caller",
        since=hold.held_at,
        until=until,
        hints=[_release_command(state, hold.cause)],
    )


def _release_command(state: RunState, cause: str) -> str:
    """Return what lets a job go that is held for this: what a failure needs first may be another change."""
    if cause == HoldCause.FAILURE:
        return messages.command_to_go_on(state, state.run.job_name)
    return lifted_by([cause], state.run.job_name)


def awaited_hold_reasons(state: RunState, logins: Mapping[int, str] | None = None) -> Iterator[Reason]:
    """Say what holds the jobs whose end is awaited, and who can let them go: that does not hold this one."""
    for child in state.awaited:
        for hold in islice(child.holds.values(), HOLDS_MOST):
            reason = _hold_reason(child, hold, logins or {})
            reason.text = f"{messages.run_address(child)} is {reason.text}"
            yield reason


def _more_holds_reason(state: RunState) -> Iterator[Reason]:
    """Say how many holds are not listed: one is enough to hold a job, and a resume releases all."""
    more = len(state.holds) - HOLDS_MOST
    if more > 0:
        text = f"{formatting.plural(more, 'more hold')}, {len(state.holds)} in all"
        last = next(reversed(state.holds.values()))
        hints = [messages.command_to_go_on(state, state.run.job_name)]
        yield _reason(state, f"hold:{last.cause}", text, "caller", since=last.held_at, hints=hints)


def _nothing_left_reason(state: RunState) -> Iterator[Reason]:
    if state.nothing_left:
        hints = [f"mzt resume {state.run.job_name}", f"mzt cancel {state.run.job_name}"]
        yield _reason(state, "nothing_left", messages.rest_text(state) or "", "caller", hints=hints)


def _flight_reasons(state: RunState, unbegun: Collection[int]) -> Iterator[Reason]:
    flights = [row for row in state.flights if not (isinstance(row, AttemptRow) and row.uid in unbegun)]
    if not flights:
        return
    sheets = sorted(state.number_of(row) for row in flights if not isinstance(row, HookRow | LoopRow))
    names = messages.flights_text(state) if not unbegun else formatting.sheet_list(sheets)
    bound = any(isinstance(row, AttemptRow) and row.limit_is_clusters for row in flights)
    yield _reason(
        state,
        "in_flight",
        f"{names} {'is' if len(flights) == 1 else 'are'} in flight{_nodes_text(state, flights)}"
        + (", with the time_limit of an executor" if bound else ""),
        "sheet" if sheets else "hook",
        sheets=sheets,
        since=min(flight.started_at or 0 for flight in flights),
        until=state.limit_of_flights(flights) if unbegun else latest_end(state),
        hints=[f"mzt logs {state.run.job_name} -F"],
    )


def _nodes_text(state: RunState, flights: Sequence[Flight]) -> str:
    """Say on which nodes of a cluster they run, if they are few: ` (sheet 1 on n2, job 17; sheet 3 …)`."""
    found = sorted(
        (
            state.number_of(row),
            f"on {row.node}, job {row.cluster_job}" if row.node else f"job {row.cluster_job}",
        )
        for row in flights
        if isinstance(row, AttemptRow) and row.cluster_job is not None
    )
    if not found or len(found) > _PLACES_MOST:
        return ""
    named = len(flights) > 1
    return f" ({'; '.join(f'sheet {sheet} {where}' if named else where for sheet, where in found)})"


def _wait_reasons(state: RunState) -> Iterator[Reason]:
    for row in state.waiting_sheets():
        yield _reason(
            state,
            row.waiting_for or WaitingFor.RETRY,
            f"{messages.sheet_name(state, row.sheet)} waits, then attempt {row.attempts + 1}"
            + _cause_text(state, row),
            "time",
            sheets=[row.sheet],
            until=row.until.at if row.until is not None else None,
            hints=_wait_hints(state, row),
        )
    yield from _hook_wait_reasons(state)


def _blocked_start_reasons(state: RunState) -> Iterator[Reason]:
    """Say what sheets wait for though all they need is done: the end of a loop, hooks of a failure."""
    found: dict[str, list[int]] = {}
    for sheet, kept in start_blockers(state, state.sheets).items():
        found.setdefault(kept, []).append(sheet)
    for kept, sheets in found.items():
        text = f"{messages.sheet_names(state, sheets)} {'waits' if len(sheets) == 1 else 'wait'} for {kept}"
        yield _reason(state, "kept_back", text, "hook" if kept == FAILURE_HOOKS else "sheet", sheets=sheets)


def _hook_wait_reasons(state: RunState) -> Iterator[Reason]:
    row = state.hook_queue.current
    if row is None or row.waiting_for is None or row.waiting_for not in _HOOK_WAITS:
        return
    said, unblocked_by = _HOOK_WAITS[row.waiting_for]
    text = f"{messages.hook_name(state, row.hook)} waits {said.format(job=row.chained)}"
    until = row.until.at if row.until is not None else None
    hints = [f"mzt status {row.chained}"] if row.chained else []
    yield _reason(state, row.waiting_for, text, unblocked_by, until=until, hints=hints)


def _wait_hints(state: RunState, row: SheetRow) -> list[str]:
    if row.waiting_for == WaitingFor.RATE_LIMIT:
        return [f"mzt clear-rate-limits {state.account(row.sheet).instrument}"]
    return [f"mzt retry {state.run.job_name} {row.sheet}"]


def _cause_text(state: RunState, row: SheetRow) -> str:
    met = state.limits.get(state.account(row.sheet)) if row.waiting_for == WaitingFor.RATE_LIMIT else None
    why = met.message if met is not None else row.error_message
    return f"; {why}" if why else ""


def _limit_reasons(state: RunState, now: Instant) -> Iterator[Reason]:
    if not lifecycle.may_start(state.facts):
        return
    limited = state.limited(now)
    for account, first in state.ready_accounts().items():
        limit_met = state.limits.get(account)
        if account in limited and limit_met is not None and limit_met.until is not None:
            said = f"; {limit_met.message}" if limit_met.message else ""
            yield _reason(
                state,
                "rate_limit",
                f"{messages.sheet_name(state, first.sheet)} waits for the rate limit of {account}{said}",
                "time",
                sheets=[first.sheet],
                since=limit_met.since,
                until=limit_met.until.at,
                hints=[f"mzt clear-rate-limits {account.instrument}"],
            )


def _slot_reasons(state: RunState, now: Instant, obstacle: Obstacle | None) -> Iterator[Reason]:
    hook = state.hook_queue.startable
    if hook is not None and lifecycle.may_start_hook(state.facts):
        yield _slot_reason(state, messages.hook_name(state, hook.hook), [], obstacle)
        return
    due = state.due_loops
    if due and lifecycle.may_start(state.facts):
        yield _slot_reason(state, messages.judgement_name(state, due[0].row), [], obstacle)
        return
    ready = state.next_ready(state.limited(now))
    if ready is None or not lifecycle.may_start(state.facts):
        return
    if len(state.sheet_flights) >= state.score.parallel.max_concurrent:
        return
    sheet = messages.sheet_name(state, ready.sheet)
    not_before = state.run.not_before
    if not_before is not None and not now.reached(not_before):
        yield _reason(
            state,
            "slot",
            f"{sheet} waits: starts are paced",
            "time",
            sheets=[ready.sheet],
            until=not_before.at,
        )
    else:
        yield _slot_reason(state, sheet, [ready.sheet], obstacle)


def _slot_reason(state: RunState, name: str, sheets: list[int], obstacle: Obstacle | None) -> Reason:
    if obstacle is None:
        return _reason(state, "slot", f"{name} waits for a slot", "daemon", sheets=sheets)
    text = f"{name} may not start: {_OBSTACLES[obstacle]}"
    return _reason(state, obstacle, text, "daemon", sheets=sheets)

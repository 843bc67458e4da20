"""A decision in the making: the rows, events and actions that one trigger leads to.

Everything is put into a copy of the state, and its rows are noted here as they go in; the job becomes that
copy when they are committed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from marianned import lifecycle
from marianned.clock import Instant
from marianned.errors import MarianneError, Problem
from marianned.lifecycle import StatusFacts
from marianned.progress.state.run import RunState, ScoreVersion
from marianned.progress.views import messages
from marianned.progress.views.job import hold_view, job_view, view_shape
from marianned.protocol import (
    ENDED,
    Caller,
    HoldCause,
    HookLine,
    HookStatus,
    JobStatus,
    Outcome,
    PlanLine,
    Reply,
    RevisionStatus,
    SheetStatus,
)
from marianned.rows import (
    Account,
    AttemptRow,
    Changes,
    Deleted,
    EventFacts,
    EventRow,
    HoldRow,
    HookRow,
    LimitRow,
    LoopRow,
    RequestRow,
    Row,
    SheetFlight,
    SheetRow,
    SummaryRow,
    event_of,
    key_of,
)


class Decision(msgspec.Struct, kw_only=True):
    """What one trigger leads to: one transaction, the state after it, then actions, then answers.

    `extended` are attempts in flight whose time limit it raises, told to their supervisors before the commit;
    `starts` are new attempts, or skip rules to be asked, after the commit; `checks` are attempts whose
    process has succeeded and whose checks run again; `asks` are loops whose `until` is asked; `interrupts` is
    what is to be ended, `hook` one to be started, `hook_interrupt` one to be ended, `hooks_ended` those that
    have just ended; `declines`: the new runs that hooks of this job submit are not taken over, and may not go
    into its transaction; `wake` is when time itself is the next trigger; `answers` are by request.
    """

    state: RunState
    changes: Changes
    starts: list[SheetFlight]
    checks: list[AttemptRow]
    asks: list[LoopRow]
    interrupts: list[SheetFlight | LoopRow]
    wake: Instant | None
    answers: dict[str, Reply | MarianneError]
    hook: HookRow | None = None
    hook_interrupt: HookRow | None = None
    hooks_ended: list[HookRow] = []
    extended: list[AttemptRow] = []
    declines: bool = False


class DecisionDraft:
    """Writes a decision down while it is made. `slots` is how many attempts may be started.

    `rooms` is how many of each account at most; one that is not named has room for all.

    `asked` is the request that it carries out, `plan` what that does to sheets, `rounds` to
    rounds of loops, `hook_plan` to hooks,
    `problems` the warnings of the score it came with, all for its reply; `declines`: as in Decision;
    `rewind_dropped`: sheets that were to run again no longer are, which whoever waits for that is told;
    `retried`: those whose wait it has ended.
    """

    def __init__(
        self, state: RunState, now: Instant, slots: int, rooms: Mapping[Account, int] | None = None
    ) -> None:
        self.state = state
        self.now = now
        self.slots = slots
        self.rooms = dict(rooms or {})
        self._rows: dict[tuple[object, ...], Row] = {}
        self._deleted: dict[tuple[object, ...], Deleted] = {}
        self._changed = False
        self.events: list[EventRow] = []
        self.starts: list[SheetFlight] = []
        self.checks: list[AttemptRow] = []
        self.asks: list[LoopRow] = []
        self.interrupts: list[SheetFlight | LoopRow] = []
        self.hook_start: HookRow | None = None
        self.hook_interrupt: HookRow | None = None
        self.hooks_ended: list[HookRow] = []
        self.extended: list[AttemptRow] = []
        self.declines = False
        self.asked: str | None = None
        self.plan: list[PlanLine] = []
        self.rounds: list[str] = []
        self.hook_plan: list[HookLine] = []
        self.problems: list[Problem] = []
        self.request_event: int | None = None
        self.rewind_dropped = False
        self.retried: list[int] = []
        self.unpersisted: set[str] = set()
        self._before = lifecycle.status(state.facts)

    @property
    def facts(self) -> StatusFacts:
        """The facts as they are by now."""
        return self.state.facts

    @property
    def status(self) -> JobStatus:
        """The status as it is by now."""
        return lifecycle.status(self.state.facts)

    @property
    def had_ended(self) -> bool:
        """Whether the job had ended before this decision."""
        return self._before in ENDED

    @property
    def slots_used(self) -> int:
        """How many of its slots it has used by now."""
        return len(self.starts) + len(self.checks) + len(self.asks)

    # --- writing down ------------------------------------------------------------------------------

    def put(self, row: Row) -> None:
        """Put a row."""
        self.state.put(row)
        self._rows[key_of(row)] = row
        self._changed = True

    def rate_limit(self, account: Account) -> LimitRow | None:
        """Return the rate limit of an account as it is by now; the state has them as committed."""
        put = self._rows.get((LimitRow, *account))
        return put if isinstance(put, LimitRow) else self.state.limits.get(account)

    def update_run(self, **changed: Any) -> None:
        """Put the run's row with some facts changed."""
        self.put(msgspec.structs.replace(self.state.run, **changed))

    def replace(self, row: HoldRow, **changed: Any) -> None:
        """Put a hold's row with some fields changed."""
        self.put(msgspec.structs.replace(row, **changed))

    def update_sheet(self, row: SheetRow, **changed: Any) -> SheetRow:
        """Put a sheet's row with some fields changed; return it."""
        replaced = msgspec.structs.replace(row, **changed)
        self.put(replaced)
        return replaced

    def update_hook(self, row: HookRow, **changed: Any) -> HookRow:
        """Put a hook's row with some fields changed; return it."""
        replaced = msgspec.structs.replace(row, **changed)
        self.put(replaced)
        return replaced

    def delete(self, gone: Deleted) -> None:
        """Take a row out."""
        self.state.remove(gone)
        key = (gone.kind, *gone.key_values)
        self._rows.pop(key, None)
        self._deleted[key] = gone
        self._changed = True

    def adopt(self, version: ScoreVersion, sheets: list[SheetRow]) -> None:
        """Make a version the one in force."""
        self.state.adopt(version, sheets)
        self._rows |= {key_of(row): row for row in sheets}
        self._changed = True

    def stage(self, version: ScoreVersion | None) -> None:
        """Let a version wait to be applied, or none."""
        self.state.stage(version)
        self._changed = True

    def note(self, kind: str, text: str, /, **fields: Any) -> None:
        """Write a line of the journal."""
        self.events.append(event_of(self.state.run, kind, text, self.now.at, **fields))

    def note_sheet(self, kind: str, sheet: int, text: str, /, **fields: Any) -> None:
        """Write a line of the journal about a sheet of the score in force."""
        definition = self.state.definition(sheet)
        said = f"{messages.sheet_name(self.state, sheet)}: {text}"
        self.note(kind, said, sheet=sheet, stage=definition.stage, instance=definition.instance, **fields)

    def note_hook(self, kind: str, row: HookRow, text: str, **fields: Any) -> None:
        """Write a line of the journal about a hook."""
        said = f"{messages.hook_name(self.state, row.hook)}: {text}"
        self.note(kind, said, hook=row.hook, attempt=row.attempts or None, **fields)

    def note_wait(self, row: HookRow, text: str) -> None:
        """Write the line of a hook that waits."""
        until_at = row.until.at if row.until is not None else None
        self.note_hook("hook.waiting", row, text, waiting_for=row.waiting_for, until_at=until_at)

    def note_hold(self, text: str, row: HoldRow, **fields: Any) -> None:
        """Write the line of a hold that was added."""
        self.note("hold.added", text, cause=row.cause, hold=hold_view(row), **fields)

    def note_request(
        self, kind: str, text: str, caller: Caller, reason: str | None, cause: str | None
    ) -> None:
        """Write the line of the request; when it changes the status, its type becomes `job.STATUS`."""
        self.request_event = len(self.events)
        self.note(kind, text, caller=caller, reason=reason, cause=cause)

    def note_hold_in_request(self, row: HoldRow) -> None:
        """Tell the hold that the request has brought in the request's own line."""
        assert self.request_event is not None
        event = self.events[self.request_event]
        facts = msgspec.structs.replace(event.facts or EventFacts(), hold=hold_view(row))
        self.events[self.request_event] = msgspec.structs.replace(event, facts=facts)

    # --- parts that several triggers share -----------------------------------------------------------

    def add_hold(
        self,
        cause: HoldCause,
        owner: Caller | None,
        reason: str | None,
        lasts: int | None = None,
        deadline: Instant | None = None,
        stands_before: Sequence[int] = (),
    ) -> HoldRow:
        """Put a hold; return it. `lasts` is in milliseconds, `stands_before` are uids of sheets."""
        number = self.state.run.next_hold
        self.update_run(next_hold=number + 1)
        row = HoldRow(
            run_id=self.state.run.run_id,
            hold=number,
            cause=cause,
            owner=owner,
            reason=reason,
            held_at=self.now.at,
            lasts=lasts,
            deadline=deadline,
            stands_before=list(stands_before),
        )
        self.put(row)
        return row

    def interrupt_all(self) -> None:
        """Let everything in flight be ended; what ended by itself first counts as it ended."""
        self.interrupts = [*self.state.sheet_flights, *self.state.loops.asking]
        for row in self.state.hooks:
            if row.status == HookStatus.RUNNING:
                self.hook_interrupt = row if row.term_sent else self.update_hook(row, term_sent=True)

    def close_parked(self, uids: Iterable[int]) -> None:
        """Give up attempts whose checks were to run again."""
        for uid in list(uids):
            attempt = self.state.parked.get(uid)
            if attempt is not None:
                closed = {"outcome": Outcome.INTERRUPTED, "parked": False, "ended_at": self.now.at}
                self.put(msgspec.structs.replace(attempt, **closed))

    def release_holds(self, holds: Sequence[int]) -> None:
        """Delete holds."""
        for number in holds:
            if number in self.state.holds:
                self.delete(Deleted(kind=HoldRow, run_id=self.state.run.run_id, key=number))

    def drop_staged(self, why: str | None = None) -> None:
        """Take back what waits to be applied, with the hold that its modify brought; a number stays used.

        `why` stands in the journal, for whoever was told that it would be applied; null: the request's own
        line says it.
        """
        staged = self.state.staged
        if staged is None and not self.state.run.rewind:
            return
        self.rewind_dropped = bool(self.state.run.rewind)
        if staged is not None:
            self.put(msgspec.structs.replace(staged.row, status=RevisionStatus.DROPPED))
            self.stage(None)
            if why is not None:
                self.note("revision.dropped", f"revision {staged.row.revision} was dropped: {why}")
        if self.state.run.staged_hold is not None:
            self.release_holds([self.state.run.staged_hold])
        self.update_run(staged_revision=None, staged_hold=None, rewind=[])

    # --- the end -----------------------------------------------------------------------------------

    def finish(self) -> None:
        """Bring the run's own row up to date and make sure that a change of status is in the journal."""
        if not self._changed:
            self.events = [msgspec.structs.replace(event, status=self.status) for event in self.events]
            return
        after = self.status
        changed = after != self._before
        self.update_run(
            status=after,
            updated_at=self.now.at,
            **({"status_since": self.now.at} if changed else {}),
            **({"paused_at": self.now} if changed and after is JobStatus.PAUSED else {}),
            **self._counted(),
        )
        if changed and self.request_event is not None:
            event = self.events[self.request_event]
            self.events[self.request_event] = msgspec.structs.replace(event, type=f"job.{after}")
        elif changed:
            by_hook = after is JobStatus.FAILED and not self.state.counts[SheetStatus.FAILED]
            self.note(f"job.{after}", after, reason="hook" if by_hook else None)
        self.events = [msgspec.structs.replace(event, status=after) for event in self.events]
        if after in ENDED:
            job = msgspec.json.encode(job_view(self.state, self.now))
            summary = SummaryRow(run_id=self.state.run.run_id, shape=view_shape(), job=job)
            self._rows[key_of(summary)] = summary

    def _counted(self) -> dict[str, Any]:
        """Return what changes where the run begins to run, or stops: its time counts only meanwhile."""
        runs = lifecycle.takes_time(self.facts)
        if runs == (self.state.run.counting_since is not None):
            return {}
        if runs:
            return {"counting_since": self.now}
        return {"wall_milliseconds": self.state.milliseconds_run(self.now), "counting_since": None}

    def changes(self) -> Changes:
        """Return the transaction: each row once, as it is in the end."""
        rows = [
            row
            for row in self._rows.values()
            if not (isinstance(row, RequestRow) and row.request in self.unpersisted)
        ]
        return Changes(rows=rows, deleted=[*self._deleted.values()], events=self.events)

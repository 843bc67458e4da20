"""The state of one run in memory: its rows, and the counts that make each step cheap.

One task owns a RunState. Rows go in by `put` and out by `remove`, nothing else changes it. The counts
(unmet needs, failed sheets above, ready sheets) follow each row as it comes, so no event ever scans all
sheets. `copy` is a state of its own over the same rows, which never change: that is how `decide` can
look at what would be and change nothing, and `become` takes that over when it is committed.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from marianned.clock import Instant
from marianned.lifecycle import SettlingContext, StatusFacts, may_start
from marianned.places import LOCAL
from marianned.progress.state.copy_on_write import BitSet, NumberMap, Vector
from marianned.progress.state.graph import SheetGraph
from marianned.progress.state.hook_queue import HookQueue, failure_queue, has_failed, hook_queue, is_lost
from marianned.progress.state.loops import LoopTracker, TrackedLoop
from marianned.protocol import Cost, HoldCause, HookStatus, Obstacle, PlanLine, SheetStatus, WaitingFor
from marianned.rows import (
    Account,
    AttemptRow,
    BreakpointRow,
    Deleted,
    Flight,
    HoldRow,
    HookRow,
    LeftScoreRow,
    LimitRow,
    LoopRow,
    PastSheetRow,
    Placed,
    RequestRow,
    RevisionRow,
    Row,
    RunRow,
    SheetFlight,
    SheetRow,
    SkipRow,
)
from marianned.score.expanded import ExpandedScore, HookDefinition
from marianned.score.expanded import SheetDefinition as Definition

DONE = frozenset({SheetStatus.COMPLETED, SheetStatus.SKIPPED})
OPEN = frozenset({SheetStatus.PENDING, SheetStatus.WAITING})
ALL_HOOKS = 0
"""Among the uids that are to run again: the hooks, where they are named alone; no sheet has this one."""
_COPIED = (dict, set, list, NumberMap, Vector, LoopTracker)
"""What a copy of a state has of its own: all else in it never changes. The last two are for sheets, of which
there may be thousands."""
OUTLASTS_THE_END = {
    HoldCause.USER: False,  # it stops what would begin next
    HoldCause.BREAKPOINT: True,  # it pauses for what stands before the end
    HoldCause.FAILURE: True,  # it pauses for the end itself
    HoldCause.AUTH: False,  # what would begin next would be refused
    HoldCause.RATE_LIMIT: False,  # what would begin next would meet the limit
    HoldCause.BUDGET: False,  # what would begin next would cost
    HoldCause.TIME: False,  # what would begin next would take time
    HoldCause.CLUSTER: False,  # what would begin next would be submitted again
}
"""Whether no end of the job overtakes a hold; the others only stop what begins next, and there is nothing."""


class ScoreVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A revision as a decision needs it: its row, what it expands to, and its plan."""

    row: RevisionRow
    score: ExpandedScore
    plan: list[PlanLine] = []


class RunState:
    """One run: `run` and the rows below it, and the revision in force.

    `sheets` is by sheet number, `hook_rows` by hook number; by sheet uid `attempts` holds those in flight,
    `skips` the skip rules that are being asked, `parked` the attempts whose checks are to run again,
    `breakpoints` the sheets that may not start, `passed` those that may in this round,
    `past_sheets` those that were done and are in no score any more, `left_scores` the scores
    that were in force, by their shape.
    `damaged` is why it can't be read: then its score is a stand-in, and it is only watched and cancelled.
    `requests` are those that wait; `cost` is that of all attempts that have ended. `limits` are the rate
    limits that all jobs share, `unusable` the instruments that are not usable here, `incarnation` is the
    daemon's, and `find` returns the state of a run that has not ended by its address (name@run): they are
    not this state's, it only looks at them. `endless` tells whether something in flight waits for what has no
    time limit, `closed_for` why the daemon grants no slots. `overtime_milliseconds`: how long an attempt may
    take from its time limit to its end, for its output to come and what it has left behind to go.
    `executor` is where sheets run of which nobody has said so; `grace_seconds` is how long what is ended has
    to go.
    """

    def __init__(
        self, run: RunRow, current: ScoreVersion, sheets: Sequence[SheetRow] = (), cost: Cost | None = None
    ) -> None:
        self.run = run
        self.cost = cost or Cost()
        self.current = current
        self.staged: ScoreVersion | None = None
        self.holds: dict[int, HoldRow] = {}
        self.hook_rows: dict[int, HookRow] = {}
        self.attempts: dict[int, AttemptRow] = {}
        self.skips: dict[int, SkipRow] = {}
        self.parked: dict[int, AttemptRow] = {}
        self.breakpoints: dict[int, BreakpointRow] = {}
        self.passed: dict[int, BreakpointRow] = {}
        self.loops = LoopTracker()
        self.past_sheets: dict[int, PastSheetRow] = {}
        self.left_scores: dict[str, LeftScoreRow] = {}
        self.requests: dict[str, RequestRow] = {}
        self.limits: Mapping[Account, LimitRow] = {}
        self.unusable: frozenset[str] = frozenset()
        self.overtime_milliseconds = 0
        self.executor: str = LOCAL
        self.grace_seconds = 0.0
        self.incarnation = 0
        self.damaged: str | None = None
        self.find: Callable[[str], RunState | None] = _find_nothing
        self.endless: Callable[[], bool] = bool
        self.closed_for: Callable[[], Obstacle | None] = _nothing_closed
        self.adopt(current, sheets)

    # --- what it says ------------------------------------------------------------------------------

    @property
    def score(self) -> ExpandedScore:
        """The score in force."""
        return self.current.score

    @property
    def newest(self) -> ScoreVersion:
        """The newest revision, staged or in force."""
        return self.staged or self.current

    @property
    def facts(self) -> StatusFacts:
        """The six facts that the status follows from."""
        return StatusFacts(
            ended=self.run.ended,
            cancelling=self.run.cancelling,
            held=bool(self.holds),
            staged=self.staged is not None or bool(self.run.rewind),
            in_flight=self.has_flights,
            begun=self.run.begun,
            failing=self.failing,
        )

    @property
    def settling_context(self) -> SettlingContext:
        """What settling must know beside the facts."""
        turns = self.hook_queue
        hook = turns.current
        due = bool(self.due_loops)
        free = due or (hook is not None and not turns.pauses_before(hook))
        return SettlingContext(
            could_start=due or hook is not None or self.has_open_sheets,
            could_start_free=free or (self._open_free > 0 and not self.failed_fast),
            failed=self.counts[SheetStatus.FAILED] > 0 or any(map(has_failed, self.success_hooks)),
            pause_on_failure=self.score.on_failure == "pause" or any(map(is_lost, self.success_hooks)),
            held_for_failure=any(hold.cause == HoldCause.FAILURE for hold in self.holds.values()),
            keeps=any(OUTLASTS_THE_END[hold.cause] for hold in self.holds.values()),
        )

    @property
    def has_open_sheets(self) -> bool:
        """Whether a sheet could still start, now or after its wait, even without holds and breakpoints."""
        return self._open > 0 and not self.failed_fast

    @property
    def nothing_left(self) -> bool:
        """Whether the job is held and has nothing left to start; a resume ends it, or begins anew."""
        return bool(self.holds) and not self.facts.in_flight and not self.settling_context.could_start

    def milliseconds_run(self, now: Instant) -> int:
        """Return how long the run has run by now, in milliseconds: what its time limit counts."""
        since = self.run.counting_since
        return self.run.wall_milliseconds + (0 if since is None else max(0, since.until(now)))

    def over_cost(self, score: ExpandedScore, added: float = 0.0) -> bool:
        """Tell whether the run has cost more than this score, and what was added to it, lets it."""
        most = score.cost_limits.max_cost_per_job if score.cost_limits is not None else None
        return most is not None and self.cost.usd > most + self.run.over_budget + added

    def time_left(self, now: Instant) -> int | None:
        """Return how long the run may still run, in milliseconds; None: it runs not, or without a limit."""
        limit = self.newest.score.max_wall_seconds
        if limit is None or self.run.counting_since is None:
            return None
        return max(0, round(limit * 1000) - self.milliseconds_run(now))

    @property
    def done(self) -> int:
        """How many sheets are completed or skipped."""
        return self.counts[SheetStatus.COMPLETED] + self.counts[SheetStatus.SKIPPED]

    @property
    def sheet_flights(self) -> list[SheetFlight]:
        """What is in flight of sheets, one of each at most: its attempt, or its skip rules."""
        return [*self.attempts.values(), *self.skips.values()]

    @property
    def flights(self) -> list[Flight]:
        """What is in flight: of sheets, a hook, or the question whether a loop goes on."""
        hooks = [row for row in self.hook_rows.values() if row.status == HookStatus.RUNNING]
        return [*self.sheet_flights, *hooks, *self.loops.asking]

    @property
    def flight_count(self) -> int:
        """How many `flights` there are: each decision asks, and there may be thousands."""
        hooks = sum(row.status == HookStatus.RUNNING for row in self.hook_rows.values())
        return len(self.attempts) + len(self.skips) + hooks + len(self.loops.asking)

    @property
    def has_flights(self) -> bool:
        """Whether anything is in flight: each decision asks many times."""
        if self.attempts or self.skips or self.loops.asking:
            return True
        return any(row.status == HookStatus.RUNNING for row in self.hook_rows.values())

    @property
    def with_process(self) -> list[Placed]:
        """What is in flight with a process of its own."""
        return [flight for flight in self.flights if not isinstance(flight, LoopRow)]

    @property
    def due_loops(self) -> list[TrackedLoop]:
        """The loops whose round is to be judged now; none where a failure lets nothing else start."""
        return [] if self.failed_fast else self.loops.due

    @property
    def awaited(self) -> list["RunState"]:
        """The runs whose end this one waits for, to any depth, the nearest first; detached ones are not."""
        return list(_awaited_runs(self, {self.run.run_id}))

    @property
    def hooks(self) -> list[HookRow]:
        """The hooks of the score in force, by their numbers: those of a success, then those of a failure."""
        return [
            self.hook_rows.get(number)
            or HookRow(run_id=self.run.run_id, hook=number, after_failure=hook.after_failure)
            for number, hook in enumerate(self.score.all_hooks, 1)
        ]

    @property
    def success_hooks(self) -> list[HookRow]:
        """Those of `on_success`."""
        return self.hooks[: len(self.score.hooks)]

    @property
    def failure_hooks(self) -> list[HookRow]:
        """Those of `on_failure`."""
        return self.hooks[len(self.score.hooks) :]

    @property
    def failing(self) -> bool:
        """Whether hooks of a failure are still to run, or one runs: nothing else starts before."""
        if self.run.failing or not self.hook_rows:
            return self.run.failing
        return any(row.after_failure and row.status == HookStatus.RUNNING for row in self.hook_rows.values())

    @property
    def hook_queue(self) -> HookQueue:
        """Where the hooks stand whose time it is: those of the failure, as long as there are some to run."""
        return failure_queue(self.score, self.hooks, self.run.depth) if self.failing else self.success_queue

    @property
    def success_queue(self) -> HookQueue:
        """Where the hooks of a success stand."""
        rows = self.hooks
        done = -1 if not rows or self.loops.undecided else self.done
        return hook_queue(self.score, rows, self.sheets.values(), self.run.depth, done=done)

    def hook_definition(self, hook: int) -> HookDefinition:
        """Return what the score in force says of a hook."""
        return self.score.all_hooks[hook - 1]

    def definition(self, sheet: int) -> Definition:
        """Return what the score in force says of a sheet, on the instrument it has come to."""
        return self.definition_of(self.sheets[sheet])

    def definition_of(self, row: SheetRow) -> Definition:
        """Return the same by the sheet's row."""
        return self.score.sheets[row.sheet - 1].on_fallback(row.fallback)

    def executor_of(self, definition: Definition) -> str:
        """Return where a sheet runs: as its stage or instrument says, or run, score, setting."""
        own = definition.resources.executor
        return own or self.run.executor or self.score.executor or self.executor

    def cluster_seconds_of(self, definition: Definition) -> float | None:
        """Return how long a sheet may take where it runs, by `time_limit` of its executor; None: no limit."""
        away = self.executor_of(definition) != LOCAL
        return definition.resources.most_seconds(self.grace_seconds) if away else None

    def sheet_of(self, uid: int) -> SheetRow | None:
        """Return the sheet with this uid, if the score in force still has it."""
        number = self._graph.numbers.get(uid)
        return None if number is None else self.sheets[number]

    def number_of(self, flight: SheetFlight) -> int:
        """Return the number that a flight's sheet has now; its row has that of the flight's revision."""
        return self._graph.numbers.get(flight.uid, flight.sheet)

    @property
    def failed_fast(self) -> bool:
        """Whether a sheet has failed and nothing else is to start therefore."""
        return self.counts[SheetStatus.FAILED] > 0 and self.score.parallel.fail_fast

    @property
    def takes_back(self) -> bool:
        """Whether what has not begun is taken back, for nothing may begin now."""
        return not may_start(self.facts) or self.failed_fast

    def next_ready(self, closed: Collection[Account] = ()) -> SheetRow | None:
        """Return the first ready sheet, if any may start (docs/reference/score-format.md §17).

        Those of the accounts in `closed` may not.
        """
        firsts = [number for account, number in self._first_ready() if account not in closed]
        return self.sheets[min(firsts)] if firsts else None

    def ready_accounts(self) -> dict[Account, SheetRow]:
        """Return the first ready sheet of each account that has one."""
        return {account: self.sheets[number] for account, number in self._first_ready()}

    def waiting_accounts(self) -> set[Account]:
        """Return the accounts whose rate limit a sheet has met and waits for."""
        rows = self.waiting_sheets()
        return {self.account(row.sheet) for row in rows if row.waiting_for == WaitingFor.RATE_LIMIT}

    def waiting_for(self, account: Account) -> int:
        """Count the sheets that the rate limit of an account keeps from starting."""
        rows = self.waiting_sheets()
        waits = sum(r.waiting_for == WaitingFor.RATE_LIMIT and self.account(r.sheet) == account for r in rows)
        return waits + len(self.ready_of(account))

    def limited(self, now: Instant) -> set[Account]:
        """Return the accounts of this score whose rate limit is not over yet."""
        known = ((account, self.limits.get(account)) for account in self._ready)
        return {account for account, row in known if row and row.until and not now.reached(row.until)}

    def limit_holding_back(self, sheet: int) -> LimitRow | None:
        """Return the rate limit in force that keeps a ready sheet from starting."""
        row = self.limits.get(self.account(sheet)) if self._is_ready(sheet) else None
        return row if row is not None and row.until is not None else None

    def account(self, sheet: int) -> Account:
        """Return who is asked for the next attempt of a sheet."""
        return self._graph.accounts[sheet][self.sheets[sheet].fallback]

    def next_fallback(self, sheet: int, now: Instant) -> int | None:
        """Return the next fallback of a sheet (from 1) that can be used and is not limited, if it has one."""
        limited = self.limited(now)
        behind = list(enumerate(self._graph.accounts[sheet]))[self.sheets[sheet].fallback + 1 :]
        return next(
            (n for n, who in behind if who not in limited and who.instrument not in self.unusable), None
        )

    def ready_of(self, account: Account) -> list[SheetRow]:
        """Return the ready sheets of an account, ascending."""
        numbers = self._ready.get(account, BitSet())
        return [self.sheets[number] for number in numbers if self._is_candidate(number, account)]

    def most(self, account: Account) -> int | None:
        """Return how many attempts of an account may be in flight over all jobs; None: any number.

        That is the profile's `max_concurrent` of the model, where one is named. Source:
        docs/reference/score-format.md §17.
        """
        profile = self.score.profiles.get(account.instrument)
        models = profile.models if profile is not None else ()
        return next((known.max_concurrent for known in models if known.name == account.model), None)

    def accounts(self) -> list[Account]:
        """Return the accounts that the score's sheets ask."""
        return list(self._ready)

    def waiting_sheets(self) -> list[SheetRow]:
        """Return the sheets that wait between two attempts, ascending."""
        return self.sheets.at(self._waiting)

    def next_wait(self, now: Instant) -> Instant | None:
        """Return when the first of the waits ends."""
        due = [row.until for row in self.waiting_sheets() if row.until is not None]
        return min(due, key=now.until, default=None)

    def failed_sheets(self) -> list[SheetRow]:
        """Return the failed sheets, ascending."""
        return self.sheets.at(self._failed)

    def warned_sheets(self) -> list[SheetRow]:
        """Return the sheets of whose newest attempt people should know something, ascending."""
        return self.sheets.at(self._warned)

    def at_breakpoints(self) -> list[SheetRow]:
        """Return the sheets that only their breakpoint keeps from starting, ascending."""
        numbers = self._graph.numbers
        rows = [self.sheets[numbers[uid]] for uid in self.breakpoints if uid in numbers]
        found = [row for row in rows if row.status in OPEN and self._is_free(row.sheet)]
        return sorted(found, key=lambda row: row.sheet)

    def stands_before(self, row: SheetRow) -> bool:
        """Tell whether a breakpoint has paused the job before a sheet, which would start else."""
        held = any(row.uid in hold.stands_before for hold in self.holds.values())
        return held and row.status in OPEN and self._is_free(row.sheet)

    def blocked(self, sheet: int) -> bool:
        """Tell whether a failed sheet is above this one."""
        return self._failed_upstream[sheet] > 0

    def behind_breakpoint(self, sheet: int) -> bool:
        """Tell whether a breakpoint stands before this sheet, or before one above it."""
        return self._breakpoints_upstream[sheet] > 0

    def next_in_line(self) -> Iterator[SheetRow]:
        """Yield the pending sheets that wait for nothing but ends of what is in flight, ascending."""
        running = self.counts[SheetStatus.RUNNING]
        of_group: dict[int, int] = {}  # how many of what the sheets of each group need runs
        for row in self.sheets.values():
            if row.status != SheetStatus.PENDING or (unmet := self._unmet[row.sheet]) > running:
                continue
            group = self._graph.group_of(row.sheet)
            if unmet and group not in of_group:
                needs = (self.sheets[need] for need in self._graph.waits_for(row.sheet))
                of_group[group] = sum(need.status == SheetStatus.RUNNING for need in needs)
            if unmet == of_group.get(group, 0):
                yield row

    def group_of(self, sheet: int) -> int:
        """Return what sheets have in common that need the same ones."""
        return self._graph.group_of(sheet)

    def waits_for(self, sheet: int) -> tuple[int, ...]:
        """Return the sheets that one waits for: those it needs, and the end of a loop it needs a part of."""
        return self._graph.waits_for(sheet)

    def failed_above(self, sheets: Collection[int]) -> dict[int, list[int]]:
        """Return for each sheet the failed ones that it needs, directly or not, ascending."""
        return self._graph.above(sheets, [row.sheet for row in self.failed_sheets()] if sheets else [])

    def round_of(self, sheet: int) -> int | None:
        """Return the round that a sheet is played in; None: its stage is in no loop."""
        one = self.loops.of(sheet)
        return None if one is None else one.row.round

    # --- what changes it ---------------------------------------------------------------------------

    def put(self, row: Row) -> None:
        """Put a row in the place of the one it replaces.

        A RevisionRow is passed over, for a version comes by `stage` and `adopt`; so is a LimitRow, of which
        those of all jobs are kept together.
        """
        match row:
            case SheetRow():
                self._replace_sheet(row.sheet, self.sheets.get(row.sheet), row)
            case AttemptRow():
                if row.outcome is not None and (row.uid in self.attempts or row.uid in self.parked):
                    self._add_cost(row)
                is_open = row.outcome is None
                _assign(self.attempts, row.uid, row if is_open and not row.parked else None)
                _assign(self.parked, row.uid, row if is_open and row.parked else None)
            case SkipRow() | HookRow() | HoldRow() | PastSheetRow() | LeftScoreRow():
                self._put_other(row)
            case BreakpointRow():
                self._set_breakpoint(row.uid, None if row.passed else row)
                _assign(self.passed, row.uid, row if row.passed else None)
            case LoopRow():
                self._decide_loop(row)
            case RequestRow():
                waits = row.reply is None and row.refusal is None
                _assign(self.requests, row.request, row if waits else None)
            case RunRow():
                self.run = row

    def _put_other(self, row: SkipRow | HookRow | HoldRow | PastSheetRow | LeftScoreRow) -> None:
        match row:
            case SkipRow():
                self.skips[row.uid] = row
            case HookRow():
                self.hook_rows[row.hook] = row
            case HoldRow():
                self.holds[row.hold] = row
            case PastSheetRow():
                self.past_sheets[row.uid] = row
            case LeftScoreRow():
                self.left_scores[row.shape] = row

    def remove(self, gone: Deleted) -> None:
        """Take a hold, a hook, an asking or a breakpoint out; sheets that are gone leave by `adopt`."""
        if gone.kind is HoldRow:
            self.holds.pop(gone.key, None)
        elif gone.kind is HookRow:
            self.hook_rows.pop(gone.key, None)
        elif gone.kind is SkipRow:
            self.skips.pop(gone.key, None)
        elif gone.kind is BreakpointRow:
            self._set_breakpoint(gone.key, None)
            self.passed.pop(gone.key, None)
        elif gone.kind is PastSheetRow:
            self.past_sheets.pop(gone.key, None)

    def stage(self, version: ScoreVersion | None) -> None:
        """Set the revision that waits to be applied, or none."""
        self.staged = version

    def adopt(self, version: ScoreVersion, sheets: Sequence[SheetRow]) -> None:
        """Make a version the one in force, with its sheets."""
        self.current = version
        definitions = version.score.sheets
        self._graph = SheetGraph(version.score, sheets)
        self.sheets: NumberMap[SheetRow] = NumberMap(len(definitions))
        self.counts: Counter[SheetStatus] = Counter()
        self.loops.adopt(version.score, self.run.run_id, sorted(sheets, key=lambda row: row.sheet))
        rows = sorted(sheets, key=lambda row: row.sheet)
        for row in rows:
            self.sheets[row.sheet] = row
            self.counts[row.status] += 1
        done = [row.sheet for row in rows if row.status in DONE]
        for sheet in done:
            self.loops.count_done(sheet, 1)
        self._count_upstream(rows, done)
        self._waiting = self._failed = self._warned = BitSet()
        self._ready = {account: BitSet() for chain in self._graph.accounts[1:] for account in chain}
        for row in rows:
            self._classify(row)
            if self._is_ready(row.sheet):
                self._push_ready(row.sheet)

    def _count_upstream(self, rows: Sequence[SheetRow], done: Sequence[int]) -> None:
        """Count for each sheet what lies above it, all at once; each later change adds its difference."""
        unmet = [all_ - met for all_, met in zip(self._graph.unmet, self._graph.met(done), strict=True)]
        for one, behind in zip(self.loops, self.loops.behind, strict=True):
            for sheet in behind if one.is_open else ():
                unmet[sheet] += 1
        failed = self._graph.counted_above([r.sheet for r in rows if r.status == SheetStatus.FAILED])
        stops = [self._graph.numbers[uid] for uid in self.breakpoints if uid in self._graph.numbers]
        stopped = self._graph.counted_above(stops)
        for sheet in stops:
            stopped[sheet] += 1
        free = [row.sheet for row in rows if row.status in OPEN and not failed[row.sheet]]
        self._open = len(free)
        self._open_free = sum(not stopped[sheet] for sheet in free)
        self._unmet, self._failed_upstream = Vector(unmet), Vector(failed)
        self._breakpoints_upstream = Vector(stopped)

    def limit_of_flights(self, flights: Iterable[Flight]) -> int | None:
        """Return when the last of these ends at the latest (UTC milliseconds); None: nothing limits it."""
        limits = [flight.time_limit_at or 0 for flight in flights]
        return max(limits) + self.overtime_milliseconds if limits and not self.endless() else None

    def copy(self) -> "RunState":
        """Return a state of its own over the same rows."""
        other = RunState.__new__(RunState)
        for name, value in vars(self).items():
            setattr(other, name, value.copy() if isinstance(value, _COPIED) else value)
        other.limits = self.limits  # those are not its own: they are looked at, and change
        return other

    def become(self, copy: "RunState") -> None:
        """Take over what a copy of this state has become; the copy is not to be used any more."""
        vars(self).update(vars(copy))

    # --- how it is kept ----------------------------------------------------------------------------

    def _first_ready(self) -> Iterator[tuple[Account, int]]:
        """Yield the lowest ready sheet of each account that has one."""
        if self.failed_fast:
            return
        for account, numbers in self._ready.items():
            while numbers and not self._is_candidate(numbers.first, account):
                numbers = numbers.minus(numbers.first)  # noqa: PLW2901  what is not ready any more is forgotten
            self._ready[account] = numbers
            if numbers:
                yield account, numbers.first

    def _push_ready(self, number: int) -> None:
        account = self.account(number)
        self._ready[account] = self._ready[account].plus(number)

    def _is_candidate(self, number: int, account: Account) -> bool:
        return self._is_ready(number) and self.account(number) == account

    def _add_cost(self, row: AttemptRow) -> None:
        old = self.cost
        self.cost = Cost(
            usd=old.usd + (row.cost_usd or 0.0),
            known=old.known and row.cost_usd is not None,
            input_tokens=old.input_tokens + (row.input_tokens or 0),
            output_tokens=old.output_tokens + (row.output_tokens or 0),
        )

    def _replace_sheet(self, number: int, old: SheetRow | None, new: SheetRow) -> None:
        """Replace a sheet's row and bring every count along.

        All counts that other questions are answered from are kept by difference: what the sheet contributed
        under its old status is taken off, what it contributes under the new one is added, so that a change
        costs the sheet's dependents and not the score. Done or not done counts in the dependents' `_unmet`
        only; failed or not failed counts in everything below it. At last it is put among the ready ones if
        it has become ready; one that no longer is stays among them and is passed over when it comes up.
        """
        before = old.status if old else None
        after = new.status
        if before is not None:
            self.counts[before] -= 1
        self.counts[after] += 1
        self.sheets[number] = new
        if not self._failed_upstream[number]:
            opened = (after in OPEN) - (before in OPEN)
            self._open += opened
            self._open_free += opened if not self._breakpoints_upstream[number] else 0
        self._classify(new)
        if (after in DONE) != (before in DONE):
            self.loops.count_done(number, 1 if after in DONE else -1)
            self._change_unmet(number, -1 if after in DONE else 1)
        if (after == SheetStatus.FAILED) != (before == SheetStatus.FAILED):
            self._propagate_failure(number, 1 if after == SheetStatus.FAILED else -1)
        if self._is_ready(number):
            self._push_ready(number)

    def _classify(self, row: SheetRow) -> None:
        """Put a sheet among those that are told together, or take it out: no look scans all sheets."""
        self._waiting = self._waiting.having(row.sheet, present=row.status == SheetStatus.WAITING)
        self._failed = self._failed.having(row.sheet, present=row.status == SheetStatus.FAILED)
        self._warned = self._warned.having(row.sheet, present=bool(row.warnings))

    def _change_unmet(self, number: int, change: int) -> None:
        for dependent in self._graph.dependents(number):
            self._unmet[dependent] += change
            if self._is_ready(dependent):
                self._push_ready(dependent)

    def _decide_loop(self, row: LoopRow) -> None:
        """Put a loop's row; what stands behind the loop waits until it is closed."""
        put = self.loops.put(row)
        if put is None or not put[1]:
            return
        place, more = put
        for sheet in self.loops.behind[place]:
            self._unmet[sheet] += more
            if self._is_ready(sheet):
                self._push_ready(sheet)

    def _propagate_failure(self, number: int, change: int) -> None:
        """Count a failed sheet above all that need it, directly or not; only a failure pays for this.

        `_failed_upstream` of a sheet is how many failed sheets are above it, each once, whichever way the
        needs lead. A sheet that leaves 0 is blocked, and not open any more; one that comes back to 0 is
        open again and may be ready. `_open` and `_open_free` (open, and no breakpoint above it either)
        follow in the same step.
        """
        for dependent in self._graph.below(number):
            was_free = not self._failed_upstream[dependent]
            self._failed_upstream[dependent] += change
            freed = (not self._failed_upstream[dependent]) - was_free
            row = self.sheets.get(dependent)
            if row is not None and row.status in OPEN:
                self._open += freed
                self._open_free += freed if not self._breakpoints_upstream[dependent] else 0
            if self._is_ready(dependent):
                self._push_ready(dependent)

    def _set_breakpoint(self, uid: int, row: BreakpointRow | None) -> None:
        old = self.breakpoints.get(uid)
        if (old is None) == (row is None):
            return
        _assign(self.breakpoints, uid, row)
        if uid in self._graph.numbers:
            self._propagate_count(self._graph.numbers[uid], 1 if row is not None else -1)

    def _propagate_count(self, number: int, change: int) -> None:
        """Count a breakpoint before its sheet and all that need it, directly or not."""
        for sheet in (number, *self._graph.below(number)):
            was_free = not self._breakpoints_upstream[sheet]
            self._breakpoints_upstream[sheet] += change
            row = self.sheets.get(sheet)
            if row is not None and row.status in OPEN and not self._failed_upstream[sheet]:
                self._open_free += (not self._breakpoints_upstream[sheet]) - was_free
        if self._is_ready(number):
            self._push_ready(number)

    def _is_free(self, number: int) -> bool:
        return self._unmet[number] == 0 and self._failed_upstream[number] == 0

    def _is_ready(self, number: int) -> bool:
        row = self.sheets.get(number)
        if row is None or row.status != SheetStatus.PENDING or row.uid in self.breakpoints:
            return False
        return self._is_free(number)


def _nothing_closed() -> Obstacle | None:
    return None


def _find_nothing(_address: str) -> None:
    """A state that stands alone knows no other."""


def _awaited_runs(state: RunState, seen: set[int]) -> Iterator[RunState]:
    for row in state.hook_rows.values():
        child = (
            state.find(row.chained) if row.waiting_for == WaitingFor.JOB and row.chained is not None else None
        )
        if child is not None and child.run.run_id not in seen:
            seen.add(child.run.run_id)
            yield child
            yield from _awaited_runs(child, seen)


def _assign(rows: dict[Any, Any], key: Any, row: Any) -> None:
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row

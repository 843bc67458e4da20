"""Scores without a parser, and a bench on which a job is decided step by step, memory against disk.

Every step on a Bench checks besides that `decide` left the state as it was, that a state read anew from the
rows says the same as the one in memory, and the invariants of a job.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from kit.invariants import invariants, same_as_disk, snapshot
from marianned import lifecycle
from marianned.clock import Instant
from marianned.errors import MarianneError, Problem
from marianned.instruments.profile import Profile
from marianned.lifecycle import Action
from marianned.progress.deciding.decide import decide
from marianned.progress.deciding.draft import Decision
from marianned.progress.state.run import RunState, ScoreVersion
from marianned.progress.state.triggers import (
    AttemptEnded,
    AttemptParked,
    JobRequest,
    PauseFileFound,
    Proposal,
    SlotFree,
    Supersede,
    TimeReached,
    Trigger,
    UntilJudged,
)
from marianned.protocol import Caller, CheckReport, Cost, JobStatus, Outcome, PlanLine, Reply
from marianned.rows import (
    AttemptExit,
    AttemptRow,
    BreakpointRow,
    Changes,
    EventRow,
    HoldRow,
    HookRow,
    LeftScoreRow,
    LimitRow,
    LoopRow,
    PastSheetRow,
    RequestRow,
    RevisionRow,
    RunRow,
    SheetRow,
    SkipRow,
    SummaryRow,
)
from marianned.score.expanded import (
    CrossSheetSettings,
    ExpandedScore,
    Parallelism,
    PromptDefinition,
    RetryPolicy,
    SheetDefinition,
)

NOON = 1_795_521_600_000
"""2026-11-24T12:00:00Z in milliseconds."""
ANN = Caller(uid=1000, pid=4211, name="mzt 1.2.0")
PROFILES = {
    "claude-code": Profile(name="claude-code", kind="cli"),
    "shell": Profile(name="shell", kind="cli", raw_prompt=True),
}


def stage(
    needs: Sequence[int] = (), *, count: int = 1, prompt: str = "same", name: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A stage: the stages it needs, how many instances it has, and what its definition is told by."""
    return {"needs": needs, "count": count, "prompt": prompt, "name": name, "fields": fields}


def score(*stages: dict[str, Any], at_once: int = 1, fail_fast: bool = True, **fields: Any) -> ExpandedScore:
    """A score of these stages; `at_once` sheets may be in flight; other fields are an ExpandedScore's."""
    numbers: dict[int, list[int]] = {}
    sheets: list[SheetDefinition] = []
    last = 0
    for number, made in enumerate(stages, 1):
        numbers[number] = list(range(last + 1, last + 1 + made["count"]))
        last += made["count"]
    for number, made in enumerate(stages, 1):
        for instance, sheet in enumerate(numbers[number], 1):
            given: dict[str, Any] = {
                "label": None,
                "instrument": "claude-code",
                "settings": {},
                "timeout_seconds": 900.0,
                "digests": {"prompt": made["prompt"], "validations": made["prompt"]},
            }
            sheets.append(
                SheetDefinition(
                    sheet=sheet,
                    stage=number,
                    instance=instance,
                    fan_count=made["count"],
                    start_item=sheet,
                    end_item=sheet,
                    movement=made["name"],
                    needs=tuple(need for below in made["needs"] for need in numbers[below]),
                    fallbacks=(),
                    working_directory="/home/ann/rel/out",
                    checks=(),
                    **given | made["fields"],
                )
            )
    shared: dict[str, Any] = {
        "name": "release-notes",
        "description": None,
        "workspace": "/home/ann/rel/out",
        "prompt": PromptDefinition(template=None, variables={}),
        "retry": RetryPolicy(jitter=False),
        "parallel": Parallelism(max_concurrent=at_once, fail_fast=fail_fast),
        "cross_sheet": CrossSheetSettings(),
        "profiles": PROFILES,
    }
    return ExpandedScore(total_stages=len(stages), sheets=tuple(sheets), **shared | fields)


def chain(length: int, **fields: Any) -> ExpandedScore:
    """A score whose sheets run one after another."""
    return score(*(stage([number] if number else []) for number in range(length)), **fields)


def row_of(expanded: ExpandedScore, revision: int = 0, **fields: Any) -> RevisionRow:
    """The row of a revision; equal scores have equal digests."""
    encoded = msgspec.msgpack.encode(expanded)
    given: dict[str, Any] = {
        "status": "staged",
        "text": "",
        "directory": "/home/ann/rel",
        "config_file": "/home/ann/rel/release-notes.yaml",
        "files": {},
        "sha256": str(hash(encoded)),
        "plan": b"[]",
        "caller": None,
        "reason": None,
        "created_at": 0,
    }
    return RevisionRow(run_id=1, revision=revision, expanded=encoded, **given | fields)


def report(result: str, index: int = 1) -> CheckReport:
    """One validation's report."""
    return CheckReport(
        index=index,
        type="file_exists",
        description=None,
        target="/home/ann/rel/out/x",
        result=result,
        reason=None,
        duration_seconds=0.1,
    )


class Disk:
    """The rows as a store would keep them: the last one put of each key."""

    def __init__(self) -> None:
        self.rows: dict[tuple[object, ...], Any] = {}
        self.events: list[EventRow] = []

    def commit(self, changes: Changes) -> None:
        for gone in changes.deleted:
            self.rows.pop((gone.kind, gone.key), None)
        for row in changes.rows:
            self.rows[_key(row)] = row
        self.events += changes.events

    def of(self, kind: type[Any]) -> list[Any]:
        return [row for key, row in self.rows.items() if key[0] is kind]

    def state(self) -> RunState:
        """Read the state anew, as it is read when the daemon starts."""
        run: RunRow = self.rows[RunRow,]
        attempts: list[AttemptRow] = self.of(AttemptRow)
        ended = [row for row in attempts if row.outcome is not None]
        cost = Cost(
            usd=sum((row.cost_usd or 0.0 for row in ended), 0.0),
            known=all(row.cost_usd is not None for row in ended),
            input_tokens=sum(row.input_tokens or 0 for row in ended),
            output_tokens=sum(row.output_tokens or 0 for row in ended),
        )
        state = RunState(run, self._version(run.revision), self.of(SheetRow), cost)
        if run.staged_revision is not None:
            state.stage(self._version(run.staged_revision))
        for hook in self.of(HookRow):
            state.put(hook)
        for hold in sorted(self.of(HoldRow), key=lambda row: row.hold):
            state.put(hold)
        for row in attempts:
            if row.outcome is None:
                state.put(row)
        for asked in self.of(SkipRow):
            state.put(asked)
        for loop in self.of(LoopRow):
            state.put(loop)
        for stands in self.of(BreakpointRow):
            state.put(stands)
        for past in (*self.of(PastSheetRow), *self.of(LeftScoreRow)):
            state.put(past)
        for request in self.of(RequestRow):
            state.put(request)
        return state

    def _version(self, revision: int) -> ScoreVersion:
        row: RevisionRow = self.rows[RevisionRow, revision]
        return ScoreVersion(
            row=row, score=_decoded(row.expanded), plan=msgspec.json.decode(row.plan, type=list[PlanLine])
        )


_scores: dict[bytes, ExpandedScore] = {}


def _decoded(encoded: bytes) -> ExpandedScore:
    if encoded not in _scores:
        _scores[encoded] = msgspec.msgpack.decode(encoded, type=ExpandedScore)
    return _scores[encoded]


def _key(row: Any) -> tuple[object, ...]:
    names = {
        RunRow: (),
        SheetRow: ("uid",),
        AttemptRow: ("uid", "attempt"),
        SkipRow: ("uid",),
        HookRow: ("hook",),
        HoldRow: ("hold",),
        BreakpointRow: ("uid",),
        LoopRow: ("uid",),
        PastSheetRow: ("uid",),
        SummaryRow: (),
        LeftScoreRow: ("shape",),
        RevisionRow: ("revision",),
        RequestRow: ("request",),
        LimitRow: ("account",),
    }
    return (type(row), *(getattr(row, name) for name in names[type(row)]))


class Bench:
    """A job on a bench: its state, its rows on disk, a clock that only moves when it is told to."""

    def __init__(
        self, expanded: ExpandedScore, *, slots: int = 16, checked: bool = True, at: int = NOON
    ) -> None:
        self.now = Instant(at, "boot-1", 1_000_000)
        self.slots = slots
        self.checked = checked
        self.answers: dict[str, Reply | MarianneError] = {}
        self.asked = 0
        self.disk = Disk()
        revision = row_of(expanded, 1, status="current", created_at=at, applied_at=at, caller=ANN)
        run = RunRow(
            run_id=1,
            job_name=expanded.name,
            run=1,
            description=expanded.description,
            workspace=expanded.workspace,
            submit_directory="/home/ann/rel",
            umask=0o022,
            env={},
            config_file=revision.config_file,
            created_at=at,
            updated_at=at,
            status="queued",
            status_since=at,
            revision=1,
            last_revision=1,
            next_uid=len(expanded.sheets) + 1,
        )
        sheets = [SheetRow(run_id=1, uid=sheet.sheet, sheet=sheet.sheet) for sheet in expanded.sheets]
        self.disk.commit(Changes(rows=[run, revision, *sheets]))
        self.state = self.disk.state()
        self.last: Decision | None = None

    # --- looking -------------------------------------------------------------------------------------

    @property
    def status(self) -> JobStatus:
        return lifecycle.status(self.state.facts)

    @property
    def flying(self) -> list[int]:
        return sorted(attempt.sheet for attempt in self.state.sheet_flights)

    def sheet(self, number: int) -> SheetRow:
        return self.state.sheets[number]

    @property
    def sheets(self) -> list[str]:
        return [self.state.sheets[number].status for number in sorted(self.state.sheets)]

    def answer(self, request: str) -> Any:
        """The answer of a request; it must have one."""
        return self.answers[request]

    def waits(self, request: str) -> bool:
        return request not in self.answers

    # --- doing ---------------------------------------------------------------------------------------

    def after(self, seconds: float) -> "Bench":
        """Let time pass."""
        self.now = self.now.plus(round(seconds * 1000))
        return self

    def step(self, trigger: Trigger, slots: int | None = None) -> Decision:
        """Decide, commit, become that; a refusal is raised, and nothing has changed then."""
        before = snapshot(self.state) if self.checked else None
        try:
            decision = decide(self.state, trigger, self.now, self.slots if slots is None else slots)
        finally:
            if self.checked:
                assert snapshot(self.state) == before, "decide changed the state"
        self.disk.commit(decision.changes)
        self.state.become(decision.state)
        for request, answer in decision.answers.items():
            assert request not in self.answers, f"{request} was answered twice"
            self.answers[request] = answer
        self.last = decision
        if self.checked:
            invariants(self.state)
            same_as_disk(self)
        return decision

    def go(self, slots: int | None = None) -> list[int]:
        """A slot may be had; return the sheets that start."""
        return [attempt.sheet for attempt in self.step(SlotFree(), slots).starts]

    def tick(self, seconds: float) -> list[int]:
        """Time passes and wakes the job; return the sheets that start."""
        self.after(seconds)
        return [attempt.sheet for attempt in self.step(TimeReached()).starts]

    def end(self, sheet: int, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> Decision:
        """The attempt in flight of a sheet ends."""
        attempt = next(row for row in self.state.attempts.values() if row.sheet == sheet)
        seen = AttemptExit(
            **{name: fields.pop(name) for name in AttemptExit.__struct_fields__ if name in fields}
        )
        return self.step(
            AttemptEnded(uid=attempt.uid, attempt=attempt.attempt, outcome=outcome, exit=seen, **fields)
        )

    def park(self, sheet: int) -> Decision:
        """The checks of the attempt in flight of a sheet are ended; its process has succeeded."""
        attempt = next(row for row in self.state.attempts.values() if row.sheet == sheet)
        return self.step(AttemptParked(uid=attempt.uid, attempt=attempt.attempt))

    def fail(self, sheet: int, category: str = "config") -> Decision:
        """The sheet fails for good, as what no retry can mend."""
        return self.end(sheet, Outcome.FAILED, category=category, message=f"{category} of {sheet}")

    def ask(
        self,
        action: Action,
        to: ExpandedScore | None = None,
        *,
        wait: bool = False,
        key: str | None = None,
        caller: Caller = ANN,
        problems: list[Problem] | None = None,
        **fields: Any,
    ) -> str:
        """Ask for something; return the request's name, under which it is answered."""
        self.asked += 1
        name = key or f"request {self.asked}"
        request = RequestRow(
            request=name,
            uid=caller.uid,
            method=f"job.{action}",
            key=key,
            params="",
            run_id=1,
            awaits=None,
            since_hold=None,
            revision=None,
            caller=caller,
            asked=self.now,
        )
        row = None if to is None else row_of(to, problems=problems or [])
        proposal = None if to is None or row is None else Proposal(version=ScoreVersion(row=row, score=to))
        self.step(JobRequest(action=action, row=request, wait=wait, proposal=proposal, **fields))
        return name

    def file(self, reason: str | None = None) -> Decision:
        """A pause file is found."""
        return self.step(PauseFileFound(reason))

    def judged(self, holds: bool | None = None, fault: str | None = None) -> Decision:
        """The `until` of the loop that is asked has its answer."""
        (row,) = self.state.loops.asking
        return self.step(UntilJudged(uid=row.uid, round=row.round, holds=holds, fault=fault))

    def give_up(self) -> Decision:
        """A fresh run takes this one's place."""
        return self.step(Supersede(caller=ANN, reason=None, fresh=True))

    def crash(self) -> None:
        """The daemon dies and reads everything anew; whoever waited without a key is gone."""
        self.state = self.disk.state()
        if self.checked:
            invariants(self.state)

    def play(self, most: int = 1_000) -> list[int]:
        """Let all go well until nothing is in flight; return the sheets in the order they ended."""
        order: list[int] = []
        self.go()
        while self.flying and len(order) < most:
            order.append(self.flying[0])
            self.end(self.flying[0])
        return order

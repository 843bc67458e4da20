"""The state as rows: the values that `progress` computes with and the store keeps.

A row is replaced, never changed: a decision is a list of new rows and of events, so memory and disk are
brought from one to the next by the same list. No status of a job is stored beside the facts it follows
from; `RunRow.status` is a column for queries, written by the same function in the same transaction.
Times are UTC milliseconds; moments that outlive a process are Instants (clock.py). Rows of which a run has
thousands are no affair of the garbage collector (gc=False): they are in no cycle (memory.py).
"""

from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from marianned.clock import Instant
from marianned.errors import Problem
from marianned.places import LOCAL
from marianned.protocol import (
    AttemptKind,
    Caller,
    CheckReport,
    ErrorCategory,
    Hold,
    HoldCause,
    HookStatus,
    JobStatus,
    LoopState,
    Outcome,
    RevisionStatus,
    SheetStatus,
    WaitingFor,
    Word,
)


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job: the facts its status follows from, and what belongs to the run for good."""

    run_id: int
    """Number of the run, over all jobs; never used again."""
    job_name: str
    """Name of the job."""
    run: int
    """Number of the run of this job, from 1; never used again."""
    description: str | None
    """What the score in force says of itself; null: nothing."""
    labels: list[str] = []
    """What it is found by: those it was given, and those of the score in force."""
    given_labels: list[str] = []
    """Labels that were given with the submission."""
    workspace: str
    """Directory it works in; it belongs to the run."""
    submit_directory: str
    """The submitter's working directory."""
    umask: int
    """What new files are masked with."""
    env: dict[str, str]
    """Variables that were given with the submission, or replaced by a resume."""
    config_file: str | None
    """Path of the score file of the revision in force; null: it came without one."""
    created_at: int
    """When it was accepted."""
    started_at: int | None = None
    """When its first slot was granted; null: not yet."""
    updated_at: int
    """When it last changed."""
    ended_at: int | None = None
    """When it ended; null: it has not."""
    status: JobStatus
    """Its status, for queries; it follows from the other facts."""
    status_since: int
    """When it came to this status."""
    paused_at: Instant | None = None
    """When it last became paused; null: it never was."""
    ended: JobStatus | None = None
    """How it ended: `completed`, `failed` or `cancelled`; null: it has not."""
    cancelling: bool = False
    """A cancel is in force."""
    failing: bool = False
    """It has ended failed, and hooks of that failure are still to run."""
    begun: bool = False
    """A slot was granted since it was accepted or let go on."""
    revision: int
    """Revision in force."""
    last_revision: int
    """Newest revision, of whatever status; numbers are never used again."""
    staged_revision: int | None = None
    """Revision that waits to be applied; null: none."""
    staged_hold: int | None = None
    """Number of the hold that the modify of that revision brought; null: none."""
    rewind: list[int] = []
    """Uids of the sheets that run again once nothing is in flight."""
    not_before: Instant | None = None
    """When pacing lets the next attempt start; null: at any time."""
    auto_resume: bool = True
    """A rate limit is waited for; false: it brings a hold."""
    executor: str | None = None
    """Where its sheets run, unless their stage or instrument says so: as it was given with the submission;
    null: as the score says, or the setting `executor`."""
    wall_milliseconds: int = 0
    """How long it has run until it last stopped to, which its time limit counts."""
    counting_since: Instant | None = None
    """Since when it runs, beside that; null: it does not run now."""
    over_budget: float = 0.0
    """USD that were added to the score's cost limit."""
    next_uid: int = 1
    """The uid that the next new sheet gets."""
    next_hold: int = 1
    """The number that the next hold gets."""
    next_hook_attempt: int = 1
    """The number that the next attempt of a hook gets."""
    depth: int = 0
    """How many hooks led to this run, from one job to the next."""
    past_hooks: list["PastHook"] = []
    """Hooks that did something and are in no score any more."""


class BriefRunRow(msgspec.Struct, frozen=True, kw_only=True):
    """Of a run what a list of thousands needs; the fields are those of RunRow."""

    job_name: str
    """Name of the job."""
    run: int
    """Number of the run of this job."""
    status: JobStatus
    """Its status."""
    labels: list[str]
    """What it is found by."""
    revision: int
    """Revision in force."""
    description: str | None
    """What the score in force says of itself; null: nothing."""
    config_file: str | None
    """Path of the score file of that revision; null: it came without one."""
    status_since: int
    """When it came to this status."""
    created_at: int
    """When it was accepted."""
    started_at: int | None
    """When its first slot was granted; null: not yet."""
    updated_at: int
    """When it last changed."""
    ended_at: int | None
    """When it ended; null: it has not."""


class SheetPlace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a sheet stands in a score, beside its definition: by its stage's name, else by its number."""

    sheet: int
    """Its number."""
    instance: int
    """Which of its stage it is."""
    name: str | None = None
    """Its stage's name; null: it has none."""


class SheetRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sheet of the revision in force."""

    run_id: int
    """The run it belongs to."""
    uid: int
    """What names it within the run; it stays with it through modifies."""
    sheet: int
    """Its number in the revision in force."""
    status: SheetStatus = SheetStatus.PENDING
    """Its `SheetStatus`."""
    waiting_for: WaitingFor | None = None
    """What it waits for between two attempts: `retry` or `rate_limit`; null: it does not wait."""
    until: Instant | None = None
    """When that wait ends; null: it does not wait."""
    attempts: int = 0
    """How many attempts were made, ever."""
    tries: int = 0
    """How many tries of its instrument are used."""
    completions: int = 0
    """How many completion attempts this try has had."""
    lost: int = 0
    """How many attempts in a row were lost."""
    waits: int = 0
    """How many times in a row it has waited for a rate limit."""
    fallback: int = 0
    """Which of its fallbacks it has come to; 0: none."""
    next_kind: AttemptKind = AttemptKind.FIRST
    """The kind of its next attempt."""
    revision: int | None = None
    """Revision of its newest attempt; null: none was made."""
    definition: str | None = None
    """Hash of the definition it completed under; null: it has not completed."""
    validation_passed: bool | None = None
    """Whether its newest validations passed; null: none were run."""
    error_category: ErrorCategory | None = None
    """What kind of failure its newest attempt was, an `ErrorCategory`; null: none."""
    error_message: str | None = None
    """The same for people; null: none."""
    started_at: int | None = None
    """When its first attempt was started; null: not yet."""
    ended_at: int | None = None
    """When it was completed, failed, skipped or cancelled; null: not yet."""
    cost_usd: float | None = None
    """Cost in USD of all its attempts; null: not known."""
    warnings: list[str] = []
    """What its newest attempt had to do without."""
    judged: bool = False
    """Its skip rules have been asked."""
    skip_reason: str | None = None
    """Why they skipped it; null: they did not."""
    exit_code: int | None = None
    """Exit code of its newest attempt; null: there is none."""
    cost_before: float = 0.0
    """Cost in USD of its attempts before it last began anew: by a resume, a rewind, a round of its loop."""
    paused_after: bool = False
    """The job has paused after its stage, as the score asks."""
    word: Word | None = None
    """Who said that it is done, or skipped, and why; null: nobody did."""
    place: SheetPlace | None = None
    """Where it stood when it completed; null: it has not."""
    needed: list[int] | None = None
    """Uids of the sheets it needed when it completed; null: it has not, or those that it needs now."""


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How the process of a flight ended, as far as that is kept: from its record to the row of the flight.

    The rows of attempts and hooks are Exits too. A field that is added here is a column of both tables, and
    is filled by `FlightProcess.exit_of`; nothing on the way there names the fields.
    """

    exit_code: int | None = None
    """Exit code of the process; null: a signal ended it, or it has not ended."""
    signal: str | None = None
    """The signal that ended the process, as `SIGKILL`; null: none."""
    pid: int | None = None
    """Process of its keeper; null: not known."""
    stdout_bytes: int = 0
    """Bytes it printed on stdout."""
    stderr_bytes: int = 0
    """Bytes it printed on stderr."""
    max_rss_kib: int | None = None
    """The most memory, in KiB, that one of its processes had at a time; null: not known."""

    def overlaid(self, known: "Exit") -> Self:
        """Return it with all that another one knows; what that does not know stays."""
        told = {name: value for name, value in msgspec.structs.asdict(known).items() if value is not None}
        return msgspec.structs.replace(self, **told)


class AttemptExit(Exit, frozen=True, kw_only=True):
    """How an attempt's process ended, and what its tool says of the attempt."""

    session_id: str | None = None
    """The tool's own session; null: it has none."""
    input_tokens: int | None = None
    """Tokens sent to the model; null: not known."""
    output_tokens: int | None = None
    """Tokens received from the model; null: not known."""
    cached_tokens: int | None = None
    """Those of the input tokens that came from the service's cache; null: not known."""
    cost_usd: float | None = None
    """Cost in USD; null: not known."""
    result: str | None = None
    """The result text (docs/reference/score-format.md §23.4), kept for later sheets; null: none."""


class AttemptRow(AttemptExit, frozen=True, kw_only=True, gc=False):
    """One start of a sheet's command, with the checks behind it; open while `outcome` is null."""

    run_id: int
    """The run it belongs to."""
    uid: int
    """The sheet it is of."""
    attempt: int
    """Number of the attempt of that sheet, from 1."""
    sheet: int
    """The number that the sheet had when it was started."""
    stage: int
    """The stage's number then."""
    instance: int
    """The number of the instance in its stage then."""
    kind: AttemptKind
    """Its `AttemptKind`."""
    round: int | None = None
    """The round of its loop that it was made in; null: its stage is in none."""
    revision: int
    """Revision of the score it runs under."""
    instrument: str
    """The instrument it uses."""
    model: str | None = None
    """The model it uses; null: not known."""
    started_at: int
    """When it was started."""
    time_limit_at: int
    """When its time limit ends it."""
    silence_seconds: float | None = None
    """After how long without a sign of life it is ended; null: never."""
    ended_at: int | None = None
    """When its process had ended; null: it is in flight."""
    outcome: Outcome | None = None
    """Its `Outcome`; null: it is in flight, or parked."""
    parked: bool = False
    """Its process has succeeded, and its checks were ended by an interrupt: they run again, from the first,
    when the job goes on."""
    error_category: ErrorCategory | None = None
    """What kind of failure it was, an `ErrorCategory`; null: none."""
    error_message: str | None = None
    """The same for people; null: none."""
    validations: list[CheckReport] = []
    """Results of its checks."""
    incarnation: int = 0
    """Number of the incarnation that started it, which names its directory; 0: the daemon knew of none."""
    executor: str = LOCAL
    """Where it runs: `local`, on the daemon's host, or `slurm`."""
    node: str | None = None
    """The node of the cluster that it runs on; null: none, or not known."""
    cluster_job: str | None = None
    """Its number in the cluster's queue, as people look for it; null: none, or not known."""
    cluster_seconds: float | None = None
    """How long it may take at most by the `time_limit` of its executor; null: that has none."""

    @property
    def unbegun(self) -> bool:
        """Whether, in flight, it may wait in a cluster's queue: nobody has seen it begin."""
        return self.executor != LOCAL and self.cluster_job is None

    @property
    def limit_is_clusters(self) -> bool:
        """Whether its time limit is that of its executor, so that nobody can raise it while it runs."""
        return self.cluster_seconds is not None and self.limit_seconds >= self.cluster_seconds

    def within(self, seconds: float) -> float:
        """Return a time limit of its sheet, cut to what the `time_limit` of its executor allows; seconds."""
        return seconds if self.cluster_seconds is None else min(seconds, self.cluster_seconds)

    @property
    def name(self) -> str:
        """What names it within its run."""
        return f"{self.uid}-{self.attempt}"

    @property
    def limit_seconds(self) -> float:
        """Its time limit; a later revision may have raised it."""
        return (self.time_limit_at - self.started_at) / 1000

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers that its command is told, by the names of their variables."""
        return {"SHEET": self.sheet, "STAGE": self.stage, "INSTANCE": self.instance, "ATTEMPT": self.attempt}


class SkipRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A sheet's skip rules are being asked, before its first attempt; the row goes with the answer.

    It takes a slot, and room at the instrument, as the attempt does that may follow.
    """

    run_id: int
    """The run it belongs to."""
    uid: int
    """The sheet whose rules they are."""
    sheet: int
    """The number that the sheet had when they were asked."""
    stage: int
    """The stage's number then."""
    instance: int
    """The number of the instance in its stage then."""
    revision: int
    """Revision of the score they are of."""
    instrument: str
    """The instrument of the attempt that may follow."""
    model: str | None = None
    """The model of that; null: not known."""
    started_at: int
    """When they were asked."""
    time_limit_at: int
    """When the time limit of the skip command ends it."""
    incarnation: int = 0
    """Number of the incarnation that asks them, which names its directory; 0: the daemon knew of none."""

    @property
    def name(self) -> str:
        """What names it within its run; no attempt has the number 0."""
        return f"{self.uid}-0"

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers that the skip command is told, by the names of their variables."""
        return {"SHEET": self.sheet, "STAGE": self.stage, "INSTANCE": self.instance, "ATTEMPT": 0}


class HookRow(Exit, frozen=True, kw_only=True):
    """Where one hook stands; without a row it is pending."""

    run_id: int
    """The run it belongs to."""
    hook: int
    """Number of the hook in the score in force."""
    after_failure: bool = False
    """It is one of `on_failure`, and runs in a job that has failed."""
    status: HookStatus = HookStatus.PENDING
    """Its `HookStatus`."""
    waiting_for: WaitingFor | None = None
    """`cooldown`, `job` (the end of `chained`) or `end` (of its own job); null: it does not wait."""
    until: Instant | None = None
    """When that wait ends at the latest; null: not known."""
    attempt_ids: list[int] = []
    """Numbers of its attempts, in order; they count the attempts of all hooks of the run."""
    cooldown_done: bool = False
    """Its cool-down is over."""
    pause_passed: bool = False
    """The job has paused before it."""
    term_sent: bool = False
    """It was sent TERM by a decision."""
    outcome: Outcome | None = None
    """How its last attempt ended; null: none has ended."""
    error_message: str | None = None
    """Why it ended so; null: nothing is to be said."""
    chained: str | None = None
    """The job it started, as `name@run`; null: none."""
    revision: int | None = None
    """Revision of the score its last attempt ran under; null: none was started."""
    started_at: int | None = None
    """When its last attempt was started; null: none was."""
    time_limit_at: int | None = None
    """When its time limit ends that attempt; null: none was started."""
    ended_at: int | None = None
    """When that attempt ended; null: it has not."""
    pending_revision: bytes | None = None
    """The RevisionRow, encoded, of the score that is submitted at the end of the job; null: none."""
    incarnations: list[int] = []
    """Who started each of `attempt_ids`; shorter where an older daemon did."""

    @property
    def incarnation(self) -> int:
        """The incarnation that started its last attempt; 0: it was a daemon that knew of none."""
        known = len(self.incarnations) >= len(self.attempt_ids) > 0
        return self.incarnations[len(self.attempt_ids) - 1] if known else 0

    def with_attempt(self, flight: int, incarnation: int) -> "HookRow":
        """Return it with another attempt, as that incarnation starts it; how that ends is not known yet."""
        unknown = [0] * (len(self.attempt_ids) - len(self.incarnations))
        return msgspec.structs.replace(
            self,
            attempt_ids=[*self.attempt_ids, flight],
            incarnations=[*self.incarnations, *unknown, incarnation],
            **msgspec.structs.asdict(Exit()),
        )

    @property
    def attempts(self) -> int:
        """How many attempts were made."""
        return len(self.attempt_ids)

    @property
    def flight(self) -> int:
        """What names its last attempt among those of all hooks of this run; 0: there was none."""
        return self.attempt_ids[-1] if self.attempt_ids else 0

    @property
    def name(self) -> str:
        """What names its last attempt within its run."""
        return f"hook-{self.flight}"

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers that its command is told, by the names of their variables."""
        return {"HOOK": self.hook, "ATTEMPT": self.attempts}


class PastHook(msgspec.Struct, frozen=True, kw_only=True):
    """A hook that a revision took out."""

    essence: str
    """Hash of what the hook does."""
    row: HookRow
    """Where it stood."""


class PastSheetRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A sheet that was done when a revision took it out: where a later one has it, it is not done again."""

    run_id: int
    """The run it belongs to."""
    uid: int
    """What names it within the run; it has it again when it comes back."""
    definition: str
    """Hash of the definition it was done under."""
    needs: list[int]
    """Uids of the sheets it needed, when it was done and when it was taken out; and, each with a minus, of
    all sheets of the loop it stood in: their next round would have played it, too."""
    row: SheetRow
    """Its row."""
    stood_as: str | None = None
    """Hash of the definition it had when it was taken out; null: an older daemon did that."""
    place: SheetPlace | None = None
    """Where it stood then; null: an older daemon took it out."""


class LeftScoreRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A score that was in force, and which of its sheets were done when another took its place."""

    run_id: int
    """The run it belongs to."""
    shape: str
    """Hash of all its sheets: names, stages, definitions, needs."""
    done: list[int]
    """Uids of its sheets in ascending number; 0: that one was not done."""
    loops: dict[int, int] = {}
    """Uids, by number, of those of its sheets that were not done and told a loop, then or before."""


class HoldRow(msgspec.Struct, frozen=True, kw_only=True):
    """A reason why the job is paused; the row is deleted when it is let go, the journal keeps it."""

    run_id: int
    """The run that it holds."""
    hold: int
    """Number of the hold in this run, in the order they came."""
    cause: HoldCause
    """Its `HoldCause`."""
    owner: Caller | None
    """Who paused the job; null: the daemon did."""
    reason: str | None
    """What the owner gave as the reason; null: nothing."""
    held_at: int
    """When it was added."""
    ends: Instant | None = None
    """When it ends by itself; null: only a request ends it, or the job is not paused yet."""
    lasts: int | None = None
    """How many milliseconds after the job was paused it ends; null: it does not."""
    deadline: Instant | None = None
    """When what is in flight is interrupted; null: it is waited for."""
    stands_before: list[int] = []
    """Of a breakpoint: the sheets (uids) it has paused before."""

    @property
    def interrupts_at_once(self) -> bool:
        """Whether what was in flight when it came is interrupted, and had no time left."""
        return self.deadline is not None and self.deadline.at <= self.held_at


class BreakpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sheet that may not start; the row is deleted when the job has paused before it."""

    run_id: int
    """The run it belongs to."""
    uid: int
    """The sheet that may not start."""
    passed: bool = False
    """The job has paused before it in this round of its loop, and does so again in the next."""


_ASKED_MOST = 60_000
"""Milliseconds that asking an `until` takes at most."""


class LoopRow(msgspec.Struct, frozen=True, kw_only=True):
    """A loop of stages, told by the first sheet of its last one; without a row it is open, in round 1.

    While its `until` is asked it is in flight; asking takes a slot and leaves nothing behind.
    """

    run_id: int
    """The run it belongs to."""
    uid: int
    """The first sheet of its last stage."""
    round: int = 1
    """Number of the present round."""
    state: LoopState = LoopState.OPEN
    """Its `LoopState`."""
    asking: bool = False
    """Its `until` is being asked."""
    revision: int = 0
    """Revision whose `until` that is; 0: it was never asked."""
    started_at: int = 0
    """When it was asked last."""
    needs: list[int] = []
    """Of a loop that has left: uids of the sheets that lead to the end of its last stage."""

    @property
    def name(self) -> str:
        """What names its asking within the run."""
        return f"loop-{self.uid}"

    @property
    def time_limit_at(self) -> int:
        """When its asking ends at the latest, where no accident of ours comes between."""
        return self.started_at + _ASKED_MOST


class RevisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a job's score with its files."""

    run_id: int
    """The run it belongs to."""
    revision: int
    """Number of the revision, from 1."""
    status: RevisionStatus
    """`current`, `staged`, `past` or `dropped`."""
    text: str
    """The score."""
    directory: str
    """Directory that its relative paths start at."""
    config_file: str | None
    """Path of the score file; null: it came without one."""
    edited: bool = False
    """It was not what that file said: it came from an editor."""
    files: dict[str, str]
    """The files that were read with it: absolute path, text."""
    sha256: str
    """SHA-256 of text, files and values, in hexadecimal."""
    expanded: bytes
    """The sheets and hooks that it makes, encoded."""
    plan: bytes
    """The lines of its plan, encoded."""
    caller: Caller | None
    """Who brought it; null: not known."""
    reason: str | None
    """What the caller gave as the reason; null: nothing."""
    created_at: int
    """When it was accepted."""
    applied_at: int | None = None
    """When it took effect; null: it has not."""
    problems: list[Problem] = []
    """The warnings of the score."""
    variables: dict[str, Any] = {}
    """The values the run was given until then, for variables of the score."""


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits, or one that a key makes repeatable."""

    request: str
    """What names the request."""
    uid: int
    """The caller's user number: a key counts for one user."""
    method: str
    """Its method: a key counts for one method."""
    key: str | None
    """What makes it repeatable; null: it waits, and is forgotten when it is answered."""
    params: str
    """Hash of its params: the same key with others is refused."""
    run_id: int | None
    """The run it acts on; null: none. An answered one outlives its run."""
    awaits: str | None
    """What it waits for: the name of its action, with ` now` behind it where it does not wait; null: nothing
    of a job."""
    since_hold: int | None
    """The hold it added, or else the first that came after it; null: it acts on no job."""
    revision: int | None
    """The revision it is about; null: it acts on no job."""
    created_revision: bool = False
    """It created that revision."""
    caller: Caller
    """Who asked."""
    asked: Instant
    """When."""
    reply: bytes | None = None
    """The reply, encoded; null: it waits, or was refused."""
    refusal: bytes | None = None
    """The refusal, encoded; null: it waits, or was accepted."""
    event: int | None = None
    """The journal position that the reply is true at; null: it waits."""


class Account(NamedTuple):
    """Who is asked for an attempt: an instrument, the model (empty: the tool's own choice), and its `env`.

    `env` stands for the setting of that name (docs/reference/score-format.md §8.3), whose variables choose
    whose account of the service it is: their names and a mark of their values. Empty: the setting has none.
    """

    instrument: str
    model: str = ""
    env: str = ""

    def __str__(self) -> str:
        """Name it for people: `claude-code`, `claude-code (sonnet)`, `claude-code (CODEX_HOME 3fa9c1d2)`."""
        more = ", ".join(filter(None, (self.model, self.env)))
        return f"{self.instrument} ({more})" if more else self.instrument

    @property
    def of_model(self) -> "Account":
        """The instrument and the model alone: what `max_concurrent` of a model counts."""
        return Account(self.instrument, self.model)


class LimitRow(msgspec.Struct, frozen=True, kw_only=True):
    """The rate limit of an account, shared by all jobs: until then none of its sheets starts."""

    instrument: str
    """The instrument whose limit it is."""
    model: str = ""
    """The model; empty: the tool's own choice."""
    env: str = ""
    """What stands for the setting `env` that it was asked with; empty: it has none."""
    until: Instant | None
    """When it is over; null: it was lifted, and the row stays for those who still wait for it."""
    since: int
    """When it was met."""
    message: str | None = None
    """What the tool said; null: nothing."""
    run_id: int = 0
    """The run that heard it."""
    said: Instant | None = None
    """When it is over by what that run heard; a run alone is believed for an hour. Null: nothing was said."""

    @property
    def account(self) -> Account:
        """Whose limit it is."""
        return Account(self.instrument, self.model, self.env)


class WorktreeStatus(StrEnum):
    """Where the worktree of an isolated run stands."""

    WANTED = "wanted"
    PLANNED = "planned"
    MADE = "made"
    KEPT = "kept"
    REMOVED = "removed"
    REFUSED = "refused"
    GONE = "gone"


class WorktreeRow(msgspec.Struct, frozen=True, kw_only=True):
    """The worktree of an isolated run, as it was submitted (docs/reference/score-format.md §18)."""

    run_id: int
    """The run whose worktree it is."""
    isolation: bytes
    """What the score says of it, encoded."""
    status: WorktreeStatus = WorktreeStatus.WANTED
    """Its `WorktreeStatus`: `wanted`; `planned`, once the names are chosen; `made`; at the end of the run
    `kept` or `removed`; `refused`, if it can't be made and the run goes on without; `gone`, where
    somebody else has removed it and the run goes on: it is made again."""
    repository: str = ""
    """Path of the repository; empty: not chosen yet."""
    path: str = ""
    """Path of the worktree; empty: not chosen yet."""
    branch: str = ""
    """Its branch; empty: not chosen yet."""
    source: str = ""
    """The commit it began at; empty: not chosen yet."""


class ArchiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh start moves out of a workspace; the row goes when the run is there.

    Source: docs/reference/score-format.md §19.
    """

    run_id: int
    """The new run, which the workspace is cleared for."""
    workspace: str
    """The workspace."""
    directory: str
    """The archive."""
    entries: bytes
    """Names of what is moved, NUL between them."""


class ArchivedRow(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that a fresh start has made; it outlives the run."""

    run_id: int
    """The run it was made for."""
    job_name: str
    """The job, which may delete it."""
    workspace: str
    """The workspace it came from."""
    directory: str
    """The archive."""


class EventFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event tells to programs beside its text, by its type; what is null is not stored."""

    kind: AttemptKind | None = None
    """Kind of an attempt that starts."""
    instrument: str | None = None
    """The instrument of an attempt."""
    model: str | None = None
    """The model of an attempt; null: not known."""
    time_limit_at: int | None = None
    """When the time limit ends what starts."""
    outcome: Outcome | None = None
    """How an attempt or hook has ended."""
    exit_code: int | None = None
    """Exit code of its process; null: a signal ended it, or it was not started."""
    signal: str | None = None
    """The signal that ended its process, as `SIGKILL`; null: none."""
    error_category: ErrorCategory | None = None
    """What kind of failure it was, an `ErrorCategory`; null: none."""
    cost_usd: float | None = None
    """Cost in USD of an attempt; null: not known."""
    input_tokens: int | None = None
    """Tokens sent to the model; null: not known."""
    output_tokens: int | None = None
    """Tokens received from the model; null: not known."""
    duration_seconds: float | None = None
    """How long the process ran."""
    waiting_for: WaitingFor | None = None
    """What a sheet or hook waits for."""
    until_at: int | None = None
    """When that wait ends at the latest; null: not known."""
    hold: Hold | None = None
    """The hold that was added, or has come to its end."""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal; its number, the key `event`, is given when it is written, and only grows."""

    recorded_at: int
    """When it was recorded."""
    type: str
    """Its type (docs/reference/events.md)."""
    run_id: int | None = None
    """The run it is about; null: none."""
    job_name: str | None = None
    """Name of the job; null: it is of none."""
    run: int | None = None
    """Number of the run of this job; null: it is of none."""
    sheet: int | None = None
    """Number of the sheet at that time; null: it is of none."""
    stage: int | None = None
    """Number of its stage; null: it is of no sheet."""
    instance: int | None = None
    """Number of the instance in its stage; null: it is of no sheet."""
    hook: int | None = None
    """Number of the hook; null: it is of none."""
    attempt: int | None = None
    """Number of the attempt; null: it is of none."""
    status: JobStatus | None = None
    """The job's status after it; null: it is of no job."""
    revision: int | None = None
    """Revision of the score that it is about; null: none."""
    caller: Caller | None = None
    """Who asked; null: nobody did."""
    reason: str | None = None
    """Why, in the caller's words or as a word for scripts; null: nothing."""
    cause: str | None = None
    """The cause of a hold, or the category of a failure; null: neither."""
    text: str = ""
    """The same for people."""
    facts: EventFacts | None = None
    """What it tells to programs beside that; null: nothing."""


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has ended, as it is told: a list shows it without the run's rows, however many there are."""

    run_id: int
    """The run."""
    shape: str
    """Which form of the JOB keys it has: another version of this program may have written it."""
    job: bytes
    """The JOB keys, as JSON; `event` is 0."""


def facts_of_end(row: AttemptRow | HookRow) -> dict[str, Any]:
    """Return what the line of the journal tells of the end of an attempt or hook, by `EventFacts`."""
    began, ended = row.started_at, row.ended_at
    return {
        "outcome": row.outcome,
        "exit_code": row.exit_code,
        "signal": row.signal,
        "duration_seconds": None if began is None or ended is None else max(0, ended - began) / 1000,
    }


def event_of(run: RunRow, type: str, text: str, at: int, **more: Any) -> EventRow:  # noqa: A002  the field
    """Return a line of the journal about a run, as it is now; `more` are its fields, or its facts."""
    facts = {name: more.pop(name) for name in EventFacts.__struct_fields__ if name in more}
    if facts:
        more["facts"] = EventFacts(**facts)
    fields: dict[str, Any] = {
        "run_id": run.run_id,
        "job_name": run.job_name,
        "run": run.run,
        "revision": run.revision,
        "status": run.status,
    }
    return EventRow(recorded_at=at, type=type, text=text, **fields | more)


SheetFlight = AttemptRow | SkipRow
"""What is in flight of a sheet: an attempt, whose command or checks run, or its skip rules."""
Placed = SheetFlight | HookRow
"""What is in flight with a process, which has a place: a directory and an id."""
Flight = Placed | LoopRow
"""What is in flight from the commit of its row to that of its outcome.

All have `run_id`, `revision`, `started_at`, `time_limit_at` and a `name` within their run; those with a
process, `Placed`, have `incarnation` too, and the `numbers` that their command is told; what only some
have, as an attempt its number, is asked by kind.
"""
Row = (
    RunRow
    | SheetRow
    | PastSheetRow
    | LeftScoreRow
    | AttemptRow
    | SkipRow
    | HookRow
    | HoldRow
    | BreakpointRow
    | LoopRow
    | RevisionRow
    | RequestRow
    | LimitRow
    | WorktreeRow
    | ArchiveRow
    | ArchivedRow
    | SummaryRow
)


class Table(NamedTuple):
    """Where the rows of one kind lie: the table, and what tells one from another there (empty: nothing)."""

    name: str
    key: tuple[str, ...]

    @property
    def is_deleted_by_run(self) -> bool:
        """Whether a `Deleted` names a row of it: by its run, and one number where a run has several."""
        return self.key[:1] == ("run_id",) and self.key[2:] == ()


TABLES: dict[type[msgspec.Struct], Table] = {
    RunRow: Table("runs", ("run_id",)),
    SheetRow: Table("sheets", ("run_id", "uid")),
    PastSheetRow: Table("past_sheets", ("run_id", "uid")),
    LeftScoreRow: Table("left_scores", ("run_id", "shape")),
    AttemptRow: Table("attempts", ("run_id", "uid", "attempt")),
    SkipRow: Table("skips", ("run_id", "uid")),
    HookRow: Table("hooks", ("run_id", "hook")),
    HoldRow: Table("holds", ("run_id", "hold")),
    BreakpointRow: Table("breakpoints", ("run_id", "uid")),
    LoopRow: Table("loops", ("run_id", "uid")),
    RevisionRow: Table("revisions", ("run_id", "revision")),
    RequestRow: Table("requests", ("request",)),
    LimitRow: Table("limits", ("instrument", "model", "env")),
    WorktreeRow: Table("worktrees", ("run_id",)),
    ArchiveRow: Table("archives", ("run_id",)),
    ArchivedRow: Table("archived", ("run_id",)),
    SummaryRow: Table("summaries", ("run_id",)),
    EventRow: Table("events", ()),
}
"""Every kind of row: the SQL that puts and deletes it, and its identity in a decision, are made from this."""


T = TypeVar("T", bound=msgspec.Struct)


def shown(row: msgspec.Struct, kind: type[T], **computed: object) -> T:
    """Return a row as a reply shows it: fields of the same names as they are, others and times as computed.

    Raises:
        msgspec.ValidationError: a field is missing, or of another type there: it has to be computed.
    """
    return msgspec.convert({**msgspec.structs.asdict(row), **computed}, kind)


def key_of(row: Row) -> tuple[object, ...]:
    """Return what tells a row from all others: its kind, and the values of its key."""
    return (type(row), *(getattr(row, column) for column in TABLES[type(row)].key))


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is gone."""

    kind: type[Row]
    """The kind of row."""
    run_id: int
    """The run it belonged to."""
    key: int
    """Uid of a sheet, breakpoint or asking of skip rules, number of a hold or hook, 0 for a run."""

    @property
    def key_values(self) -> tuple[int, ...]:
        """The values of the row's key: its run, then `key` where the key has a second column."""
        return (self.run_id, self.key)[: len(TABLES[self.kind].key)]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction: all of it or nothing.

    A RequestRow with a reply gets the number of the last event of this transaction (of the journal,
    when it brings none) as its `event`.
    """

    rows: list[Row] = []
    """Rows to put, each in the place of the one with its key."""
    deleted: list[Deleted] = []
    """Rows that are gone."""
    events: list[EventRow] = []
    """Lines of the journal, in their order."""
    notes: dict[str, str] = {}
    """What the daemon keeps for itself, by name."""

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.rows or self.deleted or self.events or self.notes)

    def then(self, also: "Changes") -> "Changes":
        """Return both as one transaction, `also` after these: what that deletes is not put before."""
        gone = {(one.kind, *one.key_values) for one in also.deleted}
        rows = [row for row in self.rows if key_of(row) not in gone] if gone else self.rows
        return Changes(
            rows=rows + also.rows,
            deleted=self.deleted + also.deleted,
            events=self.events + also.events,
            notes=self.notes | also.notes,
        )

"""The state as rows: the values that `progress` computes with and the store keeps.

A row is replaced, never changed: a decision is a list of new rows and of events, so memory and disk are
brought from one to the next by the same list. No status of a job is stored beside the facts it follows
from; `RunRow.status` is a column for queries, written by the same function in the same transaction.
Times are UTC milliseconds; moments that outlive a process are Instants (clock.py).
"""

from typing import NamedTuple, Self, TypeVar

import msgspec

from marianned.clock import Instant
from marianned.errors import Problem
from marianned.protocol import Caller, CheckReport


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job: the facts its status follows from, and what belongs to the run for good.

    `paused_at` is when it became paused; `ended` is null, completed, failed or cancelled; `begun`: a slot
    was granted since it was accepted or let go on; `staged_revision` waits to be applied, `staged_hold` is
    the hold that its modify brought; `rewind` are the uids of sheets that run again once nothing is in
    flight; `not_before` is the pacing limit of the next start; `auto_resume`: a rate limit is waited for,
    else it brings a hold; `over_budget` (USD) is what was added to the score's limit.
    `next_uid` and `next_hold` number sheets and holds of this run, never again the same; `next_flight`
    numbers the attempts of its hooks; `depth` counts the hooks that led to it from one job to the next;
    `past_hooks` are those that did something and are in no score any more.
    """

    run_id: int
    job_name: str
    run: int
    description: str | None
    workspace: str
    submit_directory: str
    umask: int
    env: dict[str, str]
    config_file: str | None
    created_at: int
    started_at: int | None = None
    updated_at: int
    ended_at: int | None = None
    status: str
    status_since: int
    paused_at: Instant | None = None
    ended: str | None = None
    cancelling: bool = False
    begun: bool = False
    revision: int
    last_revision: int
    staged_revision: int | None = None
    staged_hold: int | None = None
    rewind: list[int] = []
    not_before: Instant | None = None
    auto_resume: bool = True
    over_budget: float = 0.0
    next_uid: int = 1
    next_hold: int = 1
    next_flight: int = 1
    depth: int = 0
    past_hooks: list["PastHook"] = []


class SheetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sheet of the revision in force. `uid` stays with it through modifies, its number may not.

    `tries` counts used tries of the instrument, `completions` the completion attempts of this try,
    `lost` the lost attempts in a row, `waits` those for a rate limit, `attempts` all attempts ever made;
    `fallback`: which of its fallbacks it has come to (0: none), for as long as the run lasts;
    `next_kind` is the kind of the next attempt; `until` is when a wait (`waiting_for`) ends. `definition` is
    the hash of what it completed under (`progress.revisions.fingerprint`), null before that. `warnings` says
    what its newest attempt had to do without. `judged`: its skip rules have been asked; `skip_reason` is why
    they skipped it; `exit_code` is that of its newest attempt.
    """

    run_id: int
    uid: int
    sheet: int
    status: str = "pending"
    waiting_for: str | None = None
    until: Instant | None = None
    attempts: int = 0
    tries: int = 0
    completions: int = 0
    lost: int = 0
    waits: int = 0
    fallback: int = 0
    next_kind: str = "first"
    revision: int | None = None
    definition: str | None = None
    validation_passed: bool | None = None
    error_category: str | None = None
    error_message: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    cost_usd: float | None = None
    warnings: list[str] = []
    judged: bool = False
    skip_reason: str | None = None
    exit_code: int | None = None


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How the process of a flight ended, as far as that is kept: from its record to the row of the flight.

    The rows of attempts and hooks are Exits too. A field that is added here is a column of both tables, and
    is filled by `Process.exit_of`; nothing on the way there names the fields.
    """

    exit_code: int | None = None
    signal: str | None = None
    pid: int | None = None
    """Of its keeper."""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    max_rss_kib: int | None = None
    """The most memory that one of its processes had at a time."""

    def overlaid(self, known: "Exit") -> Self:
        """Return it with all that another one knows; what that does not know stays."""
        told = {name: value for name, value in msgspec.structs.asdict(known).items() if value is not None}
        return msgspec.structs.replace(self, **told)


class AttemptExit(Exit, frozen=True, kw_only=True):
    """How an attempt's process ended, and what its tool says of the attempt."""

    session_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    """What it has cost; null: nobody knows."""
    result: str | None = None
    """The result text (§23.4), kept for later sheets."""


class AttemptRow(AttemptExit, frozen=True, kw_only=True):
    """One start of a sheet's command. `sheet` is the number it had then; open while `outcome` is null.

    Of the kind `skip`, with the number 0, it is no attempt: the sheet's skip rules are being asked, which is
    in flight in the same way, and the row goes with the answer.

    `parked`: its process has succeeded and its checks were ended by an interrupt; they run again, from the
    first, when the job goes on.
    `incarnation` (store/incarnations.py) is that of the daemon that started it: it names its directory.
    """

    run_id: int
    uid: int
    attempt: int
    sheet: int
    stage: int
    instance: int
    kind: str
    revision: int
    instrument: str
    model: str | None = None
    started_at: int
    time_limit_at: int
    ended_at: int | None = None
    outcome: str | None = None
    parked: bool = False
    error_category: str | None = None
    error_message: str | None = None
    validations: list[CheckReport] = []
    incarnation: int = 0


class HookRow(Exit, frozen=True, kw_only=True):
    """Where one hook stands, by its number in the score in force; without a row it is pending.

    `status`: pending waiting running completed failed cancelled; it waits for `cooldown`, for the end of a
    `job` (`chained`, NAME@RUN), or for the `end` of its own, which then submits what is `kept`: the encoded
    RevisionRow of the score as it was validated. `cooled` and `passed` say that its cool-down is over and
    that the job has paused before it; `flights` names its attempts, `incarnations` who started each;
    `told`: it was sent TERM by a decision; `outcome` is how it last ended.
    """

    run_id: int
    hook: int
    status: str = "pending"
    waiting_for: str | None = None
    until: Instant | None = None
    flights: list[int] = []
    cooled: bool = False
    passed: bool = False
    told: bool = False
    outcome: str | None = None
    error_message: str | None = None
    chained: str | None = None
    revision: int | None = None
    started_at: int | None = None
    time_limit_at: int | None = None
    ended_at: int | None = None
    kept: bytes | None = None
    incarnations: list[int] = []

    @property
    def incarnation(self) -> int:
        """The incarnation that started its last attempt; 0: it was a daemon that knew of none."""
        known = len(self.incarnations) >= len(self.flights) > 0
        return self.incarnations[len(self.flights) - 1] if known else 0

    def flown(self, flight: int, incarnation: int) -> "HookRow":
        """Return it with another attempt, as that incarnation starts it; how that ends is not known yet."""
        unknown = [0] * (len(self.flights) - len(self.incarnations))
        return msgspec.structs.replace(
            self,
            flights=[*self.flights, flight],
            incarnations=[*self.incarnations, *unknown, incarnation],
            **msgspec.structs.asdict(Exit()),
        )

    @property
    def attempts(self) -> int:
        """How many attempts were made."""
        return len(self.flights)

    @property
    def flight(self) -> int:
        """What names its last attempt among those of all hooks of this run; 0: there was none."""
        return self.flights[-1] if self.flights else 0


class PastHook(msgspec.Struct, frozen=True, kw_only=True):
    """A hook that a revision took out: what it does (a hash of `Hook.essence`), and where it stood."""

    essence: str
    row: HookRow


class HoldRow(msgspec.Struct, frozen=True, kw_only=True):
    """A reason why the job is paused; the row is deleted when it is let go, the journal keeps it.

    `lasts` (milliseconds) counts from the moment of `paused`, when it becomes `ends`; at `deadline` what
    is in flight is interrupted.
    """

    run_id: int
    hold: int
    cause: str
    owner: Caller | None
    reason: str | None
    held_at: int
    ends: Instant | None = None
    lasts: int | None = None
    deadline: Instant | None = None


class BreakpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sheet (its uid) that may not start; the row is deleted when the job has paused before it."""

    run_id: int
    uid: int


class RevisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a job's score with its files. `status`: current staged past dropped.

    `text` is the score, `files` the files read with it (absolute path → text), `expanded` the encoded
    Expanded that runs, `plan` the encoded lines of its plan, `problems` the warnings of its score.
    """

    run_id: int
    revision: int
    status: str
    text: str
    directory: str
    config_file: str | None
    files: dict[str, str]
    sha256: str
    expanded: bytes
    plan: bytes
    caller: Caller | None
    reason: str | None
    created_at: int
    applied_at: int | None = None
    problems: list[Problem] = []


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits, or one that a key makes repeatable; `reply` is null while it waits.

    `wish` is what a waiting request waits for, `hold` and `revision` the effects of its own that it
    stands on; `brought` tells whether that revision came with it. `params` is a hash of its params: the same
    key with others is refused. `run_id` is null where it is of no run; an answered one outlives its run.
    """

    request: str
    uid: int
    method: str
    key: str | None
    params: str
    run_id: int | None
    wish: str | None
    hold: int | None
    revision: int | None
    brought: bool = False
    caller: Caller
    asked: Instant
    reply: bytes | None = None
    refusal: bytes | None = None
    event: int | None = None


class Account(NamedTuple):
    """Who is asked for an attempt: an instrument, and the model (empty: the tool's own choice)."""

    instrument: str
    model: str = ""

    def __str__(self) -> str:
        """Name it for people: `claude-code`, `claude-code (sonnet)`."""
        return f"{self.instrument} ({self.model})" if self.model else self.instrument


class LimitRow(msgspec.Struct, frozen=True, kw_only=True):
    """The rate limit of an account, shared by all jobs: until then none of its sheets starts.

    `until` is null when it is lifted: the row stays, so that whoever still waits for it knows. `since`
    is when it was met, `message` what the tool said, `run_id` the run that heard it, `said` until when it is
    by that; a run alone is believed for an hour.
    """

    instrument: str
    model: str = ""
    until: Instant | None
    since: int
    message: str | None = None
    run_id: int = 0
    said: Instant | None = None

    @property
    def account(self) -> Account:
        """Whose limit it is."""
        return Account(self.instrument, self.model)


class WorktreeRow(msgspec.Struct, frozen=True, kw_only=True):
    """The worktree of an isolated run, as it was submitted (docs/reference/score-format.md §18).

    `status`: wanted; planned, once the names are chosen; made; at the end of the run kept or removed;
    refused where it can't be made and the run goes on without. `isolation` is the encoded
    Isolation, `source` the commit it began at.
    """

    run_id: int
    isolation: bytes
    status: str = "wanted"
    repository: str = ""
    path: str = ""
    branch: str = ""
    source: str = ""


class ArchiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh start moves out of a workspace; the row goes when the run is there.

    `run_id` is that of the new run, `directory` the archive, `entries` are the names, NUL between them.
    Source: docs/reference/score-format.md §19.
    """

    run_id: int
    workspace: str
    directory: str
    entries: bytes


class ArchivedRow(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was made for the run `run_id` of a job, which may delete it. It outlives the run."""

    run_id: int
    job_name: str
    workspace: str
    directory: str


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal, before it has its number."""

    recorded_at: int
    type: str
    run_id: int | None = None
    job_name: str | None = None
    run: int | None = None
    sheet: int | None = None
    stage: int | None = None
    instance: int | None = None
    hook: int | None = None
    attempt: int | None = None
    status: str | None = None
    revision: int | None = None
    caller: Caller | None = None
    reason: str | None = None
    cause: str | None = None
    text: str = ""


Flight = AttemptRow | HookRow
"""What is in flight from the commit of its row to that of its outcome."""
Row = (
    RunRow
    | SheetRow
    | AttemptRow
    | HookRow
    | HoldRow
    | BreakpointRow
    | RevisionRow
    | RequestRow
    | LimitRow
    | WorktreeRow
    | ArchiveRow
    | ArchivedRow
)


class Table(NamedTuple):
    """Where the rows of one kind lie: the table, and what tells one from another there (empty: nothing)."""

    name: str
    key: tuple[str, ...]


TABLES: dict[type[msgspec.Struct], Table] = {
    RunRow: Table("runs", ("run_id",)),
    SheetRow: Table("sheets", ("run_id", "uid")),
    AttemptRow: Table("attempts", ("run_id", "uid", "attempt")),
    HookRow: Table("hooks", ("run_id", "hook")),
    HoldRow: Table("holds", ("run_id", "hold")),
    BreakpointRow: Table("breakpoints", ("run_id", "uid")),
    RevisionRow: Table("revisions", ("run_id", "revision")),
    RequestRow: Table("requests", ("request",)),
    LimitRow: Table("limits", ("instrument", "model")),
    WorktreeRow: Table("worktrees", ("run_id",)),
    ArchiveRow: Table("archives", ("run_id",)),
    ArchivedRow: Table("archived", ("run_id",)),
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
    """A row that is gone: a sheet or breakpoint (`key`: its uid), a hold or hook (its number), a run (0).

    Of an AttemptRow it is the asking of a sheet's skip rules (its uid), the attempt 0.
    """

    kind: type[Row]
    run_id: int
    key: int

    @property
    def key_values(self) -> tuple[int, ...]:
        """The values of the row's key: its run, then `key`, then 0, as far as the key has columns."""
        return (self.run_id, self.key, 0)[: len(TABLES[self.kind].key)]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction: rows to put, rows that are gone, lines of the journal; all or nothing.

    A RequestRow with a reply gets the number of the last event of this transaction (of the journal,
    when it brings none) as its `event`. `notes` are what the daemon keeps for itself, by name.
    """

    rows: list[Row] = []
    deleted: list[Deleted] = []
    events: list[EventRow] = []
    notes: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.rows or self.deleted or self.events or self.notes)

    def then(self, also: "Changes") -> "Changes":
        """Return both as one transaction, `also` after these."""
        return Changes(
            rows=self.rows + also.rows,
            deleted=self.deleted + also.deleted,
            events=self.events + also.events,
            notes=self.notes | also.notes,
        )

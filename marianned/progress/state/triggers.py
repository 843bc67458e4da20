"""What can happen to a job: the triggers of a decision. Clock and chance come in as values."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from marianned.clock import Instant
from marianned.lifecycle import Action
from marianned.progress.state.run import ScoreVersion
from marianned.protocol import Caller, CheckReport, ErrorCategory, JobStatus, Outcome
from marianned.rows import AttemptExit, Exit, RequestRow


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended, validations included.

    `message` is one line about the attempt, `evidence` one about the sheet (the first failed check);
    `chance` (0 to 1) moves the retry delay; `resets_in` is in how many seconds the tool says that its rate
    limit is over, counted from `ended_at`; `quota` whether it calls it a quota. `warnings` tell what people
    should know of it, however it ended. `exit` is what is known of its process and by its tool, nothing
    where that did not run. `ended_at` is when its process ended (UTC milliseconds), which may be long ago,
    for the daemon was down; null: now. `cluster_job`: it had begun, on that `node` of a cluster, at
    `began_at` (null: not known), which may not have been told before. `cancelled`: somebody has cancelled its
    job there, as `message` says.
    """

    uid: int
    attempt: int
    outcome: Outcome
    category: ErrorCategory | None = None
    message: str | None = None
    evidence: str | None = None
    exit: AttemptExit = AttemptExit()
    validations: list[CheckReport] = []
    chance: float = 0.5
    ended_at: int | None = None
    resets_in: float | None = None
    quota: bool = False
    warnings: list[str] = []
    node: str | None = None
    cluster_job: str | None = None
    began_at: int | None = None
    cancelled: bool = False


class AttemptParked(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt whose process has succeeded was interrupted in its checks; they run again later.

    `cancelled` says how somebody has done that on its cluster; null: nobody has.
    """

    uid: int
    attempt: int
    cancelled: str | None = None


class HookEnded(msgspec.Struct, frozen=True, kw_only=True):
    """How a hook ended. `asked`: its keeper was asked to end it, by a daemon that may have died meanwhile.

    `pending_revision` is the encoded RevisionRow of a detached job's score, which is valid and waits for the
    end; `exit` and `warnings` as in AttemptEnded.
    """

    hook: int
    flight: int
    outcome: Outcome
    message: str | None = None
    asked: bool = False
    exit: Exit = Exit()
    pending_revision: bytes | None = None
    warnings: list[str] = []


class ChainedJobsReady(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs are ready to be submitted by hooks: one whose end will be awaited, or all that were kept.

    `started` is, by hook, how the new run is addressed, `refused` why it is none. The decision may decline
    them; else it goes into one transaction with the rows of the new runs.
    """

    hook: int
    flight: int
    started: dict[int, str]
    refused: dict[int, str]


class ChainedJobEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a hook waits for has ended so; null: it is not known any more."""

    hook: int
    chained: str
    status: JobStatus | None


class Keeper(NamedTuple):
    """Who looks after an attempt of a sheet."""

    uid: int
    attempt: int
    pid: int


class KeepersReported(msgspec.Struct, frozen=True):
    """Attempts have run for a while: the pids of their keepers are to be remembered, all of them at once."""

    keepers: Sequence[Keeper]


class AttemptWarned(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an attempt while it runs: `pid` is its keeper's, where that is told with the rest.

    `texts` says what it goes on without that the score asks for, or what hinders it, in a line each.
    `cluster_job`: it has begun, on that `node` of a cluster, where it had waited in the queue until
    `began_at` (UTC milliseconds; null: now).
    """

    uid: int
    attempt: int
    texts: list[str] = []
    pid: int | None = None
    node: str | None = None
    cluster_job: str | None = None
    began_at: int | None = None


class HookWarned(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a hook while it runs; `texts` as in AttemptWarned, `pid` of its keeper."""

    hook: int
    flight: int
    texts: list[str] = []
    pid: int | None = None


class SkipWarned(msgspec.Struct, frozen=True, kw_only=True):
    """What hinders the skip rules of a sheet from being asked, in a line each."""

    uid: int
    texts: list[str]


class SkipEvaluated(msgspec.Struct, frozen=True, kw_only=True):
    """The skip rules of a sheet have been asked: whether it is skipped, and why; None: they were interrupted.

    `fault` says why a rule had no answer; it counts as a no. `unasked`: why they can't be asked at all, and
    the sheet can't be done either.
    """

    uid: int
    skip: bool | None
    reason: str | None = None
    fault: str | None = None
    unasked: str | None = None


class UntilJudged(msgspec.Struct, frozen=True, kw_only=True):
    """The `until` of a loop has been asked in this round: whether it holds; None: it has no answer.

    `fault` says why it has none by the score's own fault; without one the asking was given up.
    """

    uid: int
    round: int
    holds: bool | None
    fault: str | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A score that passed validation and may become the next revision."""

    version: ScoreVersion
    """Its row has the number 0 until it is accepted."""


NOBODY = RequestRow(
    request="",
    uid=-1,
    method="",
    key=None,
    params="",
    run_id=None,
    awaits=None,
    since_hold=None,
    revision=None,
    caller=Caller(uid=-1),
    asked=Instant(0, "", 0),
)
"""Stands in a request until it is known who asks."""


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's request. `wait`: the answer comes when the goal is reached; `plan`: nothing is changed.

    `sheets` are those that run again (with `alone`, without what depends on them), or that get a breakpoint
    (with `clear`, lose it), as the caller wrote them; `skip` and `accept` are those that a person's word is
    about; `deadline` and `lasts` are those of a pause, in milliseconds; `over_budget` is in USD; `options`
    are those of a modify but for its sheets, as they are typed, each behind a blank.
    """

    action: Action
    row: RequestRow = NOBODY
    reason: str | None = None
    wait: bool = False
    plan: bool = False
    proposal: Proposal | None = None
    expect: int | None = None
    env: dict[str, str] = {}
    sheets: str | None = None
    alone: bool = False
    clear: bool = False
    skip: str | None = None
    accept: str | None = None
    deadline: int | None = None
    lasts: int | None = None
    over_budget: float | None = None
    options: str = ""


class PauseFileFound(msgspec.Struct, frozen=True):
    """A pause file lies in the workspace; `reason` is its first line, or `unreadable`."""

    reason: str | None


class SlotFree(msgspec.Struct, frozen=True):
    """A slot may be had now, or the job has just been loaded."""


class TimeReached(msgspec.Struct, frozen=True):
    """A moment has come that the last decision wanted to be woken for."""


class Supersede(msgspec.Struct, frozen=True, kw_only=True):
    """This run is superseded by the next one of its name, or removed.

    `fresh`: the next one may come over a paused or failed one; `forget`: this one must have ended.
    What is decided goes into the transaction that makes the next one, or removes this one; nothing is asked
    of this run any more.
    """

    caller: Caller
    reason: str | None
    fresh: bool = False
    forget: bool = False


Trigger = (
    JobRequest
    | Supersede
    | AttemptParked
    | KeepersReported
    | AttemptWarned
    | SkipWarned
    | SkipEvaluated
    | UntilJudged
    | AttemptEnded
    | HookEnded
    | HookWarned
    | ChainedJobsReady
    | ChainedJobEnded
    | PauseFileFound
    | SlotFree
    | TimeReached
)

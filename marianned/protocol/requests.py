"""What may be asked: one Struct for each method's params; unknown fields are refused."""

from typing import Annotated, ClassVar, Generic, Literal, TypeVar

import msgspec

from marianned.formatting import CONTROLS
from marianned.protocol.replies import (
    BackedUp,
    Cancelled,
    Cleared,
    DaemonStatus,
    Events,
    Hello,
    History,
    Instruments,
    JobDetails,
    JobList,
    Modified,
    Output,
    Paused,
    Reloaded,
    Removed,
    Reply,
    Resumed,
    Revisions,
    Stopping,
    StreamCancelled,
    StreamStarted,
    Submitted,
    Validated,
    Waited,
    Why,
)

PROTOCOL = 1
PAGE_LIMIT = 1_000
"""The most items a page of a reply holds."""
READ_LIMIT = 256 * 1024
"""The most bytes one `log.read` answers."""
REQUEST_LIMIT = 8 * 1024 * 1024
"""The most bytes one request may have."""

JobId = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number that counts something; JSON readers everywhere, SQLite and files can hold it."""
Place = Annotated[str, msgspec.Meta(max_length=4_096, pattern=r"^[^\u0000]*$")]
"""A path: no call of the system takes a zero byte."""
_WORDS = f"^[^{CONTROLS}]*$"
"""Texts of people, that others will read on a terminal."""
_Name = Annotated[str, msgspec.Meta(pattern=r"^[^=\s\u0000]+$")]
Env = dict[_Name, Annotated[str, msgspec.Meta(max_length=131_000, pattern=r"^[^\u0000]*$")]]
"""Variables of the environment; the system takes no name with blanks, and no value longer than this."""
SheetNumber = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


Answer_co = TypeVar("Answer_co", bound=Reply, covariant=True)


class Query(msgspec.Struct, Generic[Answer_co], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A read-only request. Each request names its `method`, and the type of its reply in its base."""

    method: ClassVar[str]


class Command(Query[Answer_co], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that changes something: why, and a key that makes it repeatable for a day."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000, pattern=_WORDS)] | None = None
    key: Key | None = None


class JobAsk(Query[Answer_co], frozen=True, forbid_unknown_fields=True):
    """A look at one job: `name` for its newest run, `name@run` for any."""

    job_id: JobId


class JobChange(Command[Answer_co], frozen=True, forbid_unknown_fields=True):
    """A change of one job: `name` for its newest run, `name@run` for any."""

    job_id: JobId


class SayHello(Query[Hello], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Introduce the client; the answer says who the daemon is. `name` is journalled with each request."""

    method: ClassVar[str] = "daemon.hello"

    name: Annotated[str, msgspec.Meta(max_length=200, pattern=_WORDS)] = ""
    protocol: int = PROTOCOL


class GetDaemon(Query[DaemonStatus], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return the state of the daemon; with `metrics` also counts and latencies."""

    method: ClassVar[str] = "daemon.status"

    metrics: bool = False


class Stop(Command[Stopping], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop the daemon. `detach` leaves what is in flight running without it.

    `drain` grants nothing more and waits until nothing is in flight, `kill` interrupts first; `stay` gives a
    drain up.
    """

    method: ClassVar[str] = "daemon.stop"

    mode: Literal["detach", "drain", "kill", "stay"] = "detach"


class Reload(Command[Reloaded], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read config.toml again. An invalid file is refused and leaves the settings as they are."""

    method: ClassVar[str] = "daemon.reload"


class Submit(Command[Submitted], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Start a run of a score.

    `text` is the score, `directory` the absolute directory its relative paths count from, `file` its
    absolute path (shown, never read); `submit_directory` is the caller's working directory; `workspace`
    replaces the score's; `env` is kept with the run and masked everywhere; `umask` applies to new files.
    `before` sets breakpoints; without `auto_resume` a rate limit pauses the job instead of being waited for.
    """

    method: ClassVar[str] = "job.submit"

    text: str
    directory: Place
    file: Place | None = None
    submit_directory: Place
    workspace: Place | None = None
    env: Env = {}
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o022
    fresh: bool = False
    before: str | None = None
    auto_resume: bool = True


class GetJob(JobAsk[JobDetails], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return one job with its sheets; with `sheets` (`2,5-7,2.1,3.all`) only these, with their attempts."""

    method: ClassVar[str] = "job.status"

    sheets: str | None = None
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class ListJobs(Query[JobList], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the jobs: active, held, ended within a day; with `runs` every run of every job.

    `statuses` keeps only these; the words `active`, `held`, `ended` stand for several.
    """

    method: ClassVar[str] = "job.list"

    runs: bool = False
    statuses: list[str] = []
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class WaitFor(JobAsk[Waited], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wait until the job reaches one of the words (a status, or `ended`).

    What is so already counts; with `after`, only if it came later than that event. `timeout` in
    seconds, null for none.
    """

    method: ClassVar[str] = "job.wait"

    words: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["ended"])
    after: Number | None = None
    timeout: Seconds | None = None


class Pause(JobChange[Paused], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pause a job at its next sheet boundary; with `wait`, answer when it is paused; `force` is a cancel.

    `now` interrupts what is in flight, `deadline` (seconds) does so if the boundary has not come by then;
    `for` (seconds from the moment of paused) lets the pause end by itself. `before` (`4`, `3.all`) sets
    breakpoints instead of pausing; with `clear` it drops them, alone it drops all.
    """

    method: ClassVar[str] = "job.pause"

    wait: bool = False
    timeout: Seconds = 60.0
    force: bool = False
    now: bool = False
    before: str | None = None
    clear: bool = False
    deadline: Seconds | None = None
    for_: Seconds | None = msgspec.field(default=None, name="for")


class Resume(JobChange[Resumed], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Continue a paused, failed or cancelled job. `env` replaces variables given at submission.

    `from` names completed sheets that run again, with all that depend on them; `plan` only shows that;
    `over_budget` (USD) is added to the score's cost limit. `offset` and `limit` choose the lines of the plan.
    """

    method: ClassVar[str] = "job.resume"

    wait: bool = False
    timeout: Seconds = 60.0
    from_: str | None = msgspec.field(default=None, name="from")
    plan: bool = False
    over_budget: Annotated[float, msgspec.Meta(gt=0)] | None = None
    env: Env = {}
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class Modify(JobChange[Modified], frozen=True, forbid_unknown_fields=True):
    """Give a job a new score, or take a staged one back (`discard`).

    `text`, `directory` and `file` as for a submission; instead `revision` takes that one's text again.
    `rerun` (sheets, or `changed`) lets completed sheets run again, alone or beside either. `resume` lets
    the job go on under it, `plan` only shows what would be done, `expect` is the newest revision the
    caller knows. `offset` and `limit` choose the lines of the plan.
    """

    method: ClassVar[str] = "job.modify"

    text: str | None = None
    directory: Place | None = None
    file: Place | None = None
    revision: Annotated[int, msgspec.Meta(ge=1)] | None = None
    rerun: str | None = None
    resume: bool = False
    wait: bool = False
    timeout: Seconds = 60.0
    plan: bool = False
    expect: Number | None = None
    discard: bool = False
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class Cancel(JobChange[Cancelled], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a job now: what is in flight is ended, detached processes included."""

    method: ClassVar[str] = "job.cancel"

    wait: bool = False
    timeout: Seconds = 60.0


class ReadHistory(JobAsk[History], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return the newest `limit` entries of a job's journal; `since` is an RFC 3339 time.

    `offset` skips that many of the newest, for the page before.
    """

    method: ClassVar[str] = "job.history"

    sheets: str | None = None
    since: str | None = None
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = 50


class ExplainJob(JobAsk[Why], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say why a job does not move, or why it failed; `sheets` restricts the answer to these."""

    method: ClassVar[str] = "job.why"

    sheets: str | None = None


class ReadRevisions(JobAsk[Revisions], frozen=True, forbid_unknown_fields=True):
    """List the versions of a job's score; with `revision` return the text of that one.

    `offset` and `limit` choose the lines of their plans.
    """

    method: ClassVar[str] = "job.revisions"

    revision: Annotated[int, msgspec.Meta(ge=1)] | None = None
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class Remove(Command[Removed], frozen=True, forbid_unknown_fields=True):
    """Remove an ended run with its history and output, or all that ended `older_than` seconds ago."""

    method: ClassVar[str] = "job.remove"

    job_id: JobId | None = None
    older_than: Seconds | None = None


class WriteBackup(Query[BackedUp], frozen=True, forbid_unknown_fields=True):
    """Write an online copy of the database to a file that does not exist yet (absolute path)."""

    method: ClassVar[str] = "backup.write"

    file: Place


class ReadOutput(JobAsk[Output], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what an attempt of a sheet or hook printed (newest attempt: null), from a byte offset.

    With `reads`, also return how the lines of an agent's output are to be read.
    """

    method: ClassVar[str] = "log.read"

    sheet: SheetNumber | None = None
    hook: SheetNumber | None = None
    attempt: Number | None = None
    stream: Literal["stdout", "stderr", "prompt", "result"] = "stdout"
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=READ_LIMIT)] = READ_LIMIT
    reads: bool = False


class Validate(Query[Validated], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check a score without running it; `explain` returns a page of its sheets, `prompts` their prompts."""

    method: ClassVar[str] = "score.validate"

    text: str
    directory: Place
    file: Place | None = None
    submit_directory: Place
    workspace: Place | None = None
    explain: bool = False
    prompts: bool = False
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class ListInstruments(Query[Instruments], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the tools that play sheets, or return one with its whole profile.

    `directory` is that of a score: profiles beside it count too.
    """

    method: ClassVar[str] = "instrument.list"

    name: str | None = None
    directory: Place | None = None


class CheckInstruments(Query[Instruments], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check whether the tools, or one of them, can be started: each is asked for its version."""

    method: ClassVar[str] = "instrument.check"

    name: str | None = None
    directory: Place | None = None


class ClearLimits(Command[Cleared], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End the rate limits of one instrument, or of all, for all jobs: waiting sheets try at once."""

    method: ClassVar[str] = "instrument.clear_limits"

    instrument: str | None = None


class ReadEvents(Query[Events], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the journal after a number, for one job or all."""

    method: ClassVar[str] = "events.read"

    job_id: JobId | None = None
    after: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class SubscribeEvents(Query[StreamStarted], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a stream of the journal after a number (null: from now; 0: all of it), for one job or all.

    With `snapshot` the present state comes first, as one [Snapshot](#snapshot) or, over 1,000 jobs,
    several; the events after its number follow.
    """

    method: ClassVar[str] = "events.subscribe"

    job_id: JobId | None = None
    after: Number | None = None
    snapshot: bool = False


class FollowOutput(JobAsk[StreamStarted], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a live stream of what one attempt prints, from a byte offset; it ends with the attempt."""

    method: ClassVar[str] = "log.follow"

    sheet: SheetNumber | None = None
    hook: SheetNumber | None = None
    attempt: Number | None = None
    stream: Literal["stdout", "stderr"] = "stdout"
    offset: Number = 0


class CancelStream(Query[StreamCancelled], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Close a stream of this connection."""

    method: ClassVar[str] = "stream.cancel"

    stream: Number

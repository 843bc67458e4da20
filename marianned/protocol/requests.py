"""What may be asked: one Struct for each method's params; unknown fields are refused."""

from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from marianned.formatting import CONTROLS, DURATION_MOST
from marianned.places import Cluster, ExecutorName
from marianned.protocol.replies import (
    Attempts,
    BackedUp,
    Cancelled,
    Cleared,
    DaemonStatus,
    Events,
    Graph,
    Hello,
    History,
    Instruments,
    JobDetails,
    JobList,
    Matches,
    Modified,
    Output,
    Paused,
    Reloaded,
    Removed,
    Reply,
    Resumed,
    Retried,
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
Seconds = Annotated[float, msgspec.Meta(ge=0, le=DURATION_MOST)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number that counts something; JSON readers everywhere, SQLite and files can hold it."""
Offset = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""A place in a file, in bytes; below 0: from its end."""
Place = Annotated[str, msgspec.Meta(max_length=4_096, pattern=r"^[^\u0000]*$")]
"""A path: no call of the system takes a zero byte."""
_WORDS = f"^[^{CONTROLS}]*$"
"""Texts of people, that others will read on a terminal."""
_Name = Annotated[str, msgspec.Meta(pattern=r"^[^=\s\u0000]+$")]
Env = dict[_Name, Annotated[str, msgspec.Meta(max_length=131_000, pattern=r"^[^\u0000]*$")]]
"""Variables of the environment; the system takes no name with blanks, and no value longer than this."""
Variables = dict[Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=_WORDS)], Any]
"""Values for the parameters and variables of a score; a text is read as what the default is."""
SheetNumber = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


Answer_co = TypeVar("Answer_co", bound=Reply, covariant=True)


Names = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=120)]], msgspec.Meta(max_length=PAGE_LIMIT)
]
"""Names of keys, types or jobs."""
Fields = Names | None
Label = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._=/:-]{0,62}$(?!\n)")]
"""A label of a job: a word that needs no quotes in a shell."""


class Query(msgspec.Struct, Generic[Answer_co], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A read-only request. Each request names its `method`, and the type of its reply in its base."""

    method: ClassVar[str]
    acts: ClassVar[bool] = False
    """Whether it writes a file or starts programs, though it changes nothing that a key would count."""


class Command(Query[Answer_co], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that changes something."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000, pattern=_WORDS)] | None = None
    """Why it is asked, for people: kept in the journal; null: nothing."""
    key: Key | None = None
    """What makes it repeatable: the same key and params within a day get the first answer and change nothing;
    null: each request counts."""


class JobQuery(Query[Answer_co], frozen=True, forbid_unknown_fields=True):
    """A question about one job."""

    job_id: JobId
    """The job: `name` for its newest run, `name@run` for any."""


class JobCommand(Command[Answer_co], frozen=True, forbid_unknown_fields=True):
    """A change of one job."""

    job_id: JobId
    """The job: `name` for its newest run, `name@run` for any."""


class SayHello(Query[Hello], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Introduce the client; the answer says who the daemon is."""

    method: ClassVar[str] = "daemon.hello"

    name: Annotated[str, msgspec.Meta(max_length=200, pattern=_WORDS)] = ""
    """What the client calls itself, with its version; it is kept in the journal with each request."""
    protocol: int = PROTOCOL
    """Version of the protocol that the client speaks."""
    read_only: bool = False
    """Take questions only on this connection, from now until its end: a change is refused (E509)."""


class GetDaemon(Query[DaemonStatus], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return the state of the daemon."""

    method: ClassVar[str] = "daemon.status"

    metrics: bool = False
    """Return counts and latencies, too."""


class Stop(Command[Stopping], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop the daemon."""

    method: ClassVar[str] = "daemon.stop"

    mode: Literal["detach", "drain", "kill", "stay"] = "detach"
    """`detach` leaves what is in flight running without the daemon; `drain` starts nothing more and waits
    until nothing is in flight; `kill` interrupts what is in flight first; `stay` calls a drain off."""
    wait: bool = False
    """With `drain`: begin none, answer when it has been called off (E513, by whom) or after `timeout` (E504);
    the daemon's end ends the connection."""
    timeout: Seconds = 60.0
    """How many seconds to wait at the most."""
    lose_jobs: bool = False
    """Stop also where the database is gone, and what the daemon holds would be lost: else E508."""


class Reload(Command[Reloaded], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read config.toml again. An invalid file is refused and leaves the settings as they are."""

    method: ClassVar[str] = "daemon.reload"


class Submit(Command[Submitted], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Start a run of a score."""

    method: ClassVar[str] = "job.submit"

    text: str
    """The score."""
    directory: Place
    """Absolute path of the directory that the score's relative paths start at."""
    file: Place | None = None
    """Absolute path of the score, to be shown; it is never read. Null: it has none."""
    submit_directory: Place
    """Absolute path of the caller's working directory."""
    workspace: Place | None = None
    """Directory to work in instead of the score's; null: the score's."""
    env: Env = {}
    """Variables for all that the run starts; they are kept with it, and masked wherever they would be
    shown."""
    variables: Variables = {}
    """Values for parameters and variables of the score, by name; they are kept with the run."""
    labels: list[Label] = []
    """Labels for this run, beside those of the score."""
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o022
    """What new files are masked with: 18 is what a shell shows as 0022."""
    fresh: bool = False
    """Give up a paused or failed run of that name, and start the next one."""
    before: str | None = None
    """Sheets to pause before, as `4` or `3.all`; null: none."""
    auto_resume: bool = True
    """Wait for rate limits; false: a rate limit pauses the job."""
    executor: ExecutorName | None = None
    """Where sheets run whose stage and instrument do not say so; null: as the score says, or the setting."""


class GetJob(JobQuery[JobDetails], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return one job with its sheets and hooks."""

    method: ClassVar[str] = "job.status"

    sheets: str | None = None
    """Return these sheets only, with their attempts: `2,5-7,2.1,3.all`; null: all, without attempts."""
    names: bool = False
    """Return the names of stages that `sheets` takes, too, in `stage_names`."""
    fields: Fields = None
    """Return these keys only, as `status`, or of its sheets as `sheets.status`; `job_id` and `event` come
    always. Null: all. What is not told is not looked up."""
    without: Names = []
    """Return all but these keys, named likewise: `drift`, which asks about the workspace, `sheets.needs`."""
    newer_than: Number | None = None
    """An event: if nothing of the job has changed since, return `unchanged` alone. Null: return all."""
    offset: Number = 0
    """How many of the sheets to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most sheets of the page."""


class ReadGraph(JobQuery[Graph], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return what needs what in a job, by stages: the needs of all sheets would be thousands of numbers."""

    method: ClassVar[str] = "job.graph"

    offset: Number = 0
    """How many of the sheets with needs of their own to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most such sheets of the page."""


class ListJobs(Query[JobList], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the jobs."""

    method: ClassVar[str] = "job.list"

    runs: bool = False
    """Return every run of every job; false: of each job the newest, if it is active, held or ended within a
    day."""
    statuses: list[str] = []
    """Return only those of these statuses; `active`, `held` and `ended` stand for several. Empty: all."""
    labels: list[Label] = []
    """Return only those that have all these labels."""
    prefix: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    """Return only those whose names begin so; null: all."""
    since: str | None = None
    """Return only those that have changed at this time or later, in RFC 3339; null: all."""
    newest_first: bool = False
    """Return the newest change first; false: last."""
    brief: bool = False
    """Return the page in short, in `brief`, and none in `jobs`."""
    counts: bool = False
    """Return how many there are of each status, too."""
    names: bool = False
    """Return the names of all, in `names`, and no page of jobs; without `runs` also of those long ended."""
    offset: Number = 0
    """How many of the jobs to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most jobs of the page."""


class WaitFor(JobQuery[Waited], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wait until the job reaches one of the words."""

    method: ClassVar[str] = "job.wait"

    words: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["ended"])
    """What is waited for: statuses, or `ended`, `active`, `held`; one of them is enough."""
    after: Number | None = None
    """Count only what came later than this event; null: what is so already counts."""
    timeout: Seconds | None = None
    """How many seconds to wait at the most; null: without end."""


class Pause(JobCommand[Paused], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pause a job at its next sheet boundary, or before sheets it comes to."""

    method: ClassVar[str] = "job.pause"

    wait: bool = False
    """Answer when the job is paused; false: when the request is on disk."""
    timeout: Seconds = 60.0
    """How many seconds to wait at the most; the request then stays in force."""
    force: bool = False
    """Cancel the job instead."""
    now: bool = False
    """Interrupt what is in flight."""
    before: str | None = None
    """Pause before these sheets, as `4` or `3.all`; null: at the next boundary."""
    clear: bool = False
    """Drop the breakpoints of `before`; without it all of them."""
    deadline: Seconds | None = None
    """After how many seconds to interrupt what is still in flight; null: never."""
    for_: Seconds | None = msgspec.field(default=None, name="for")
    """How many seconds after it was reached the pause ends by itself; null: never."""


class Resume(JobCommand[Resumed], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Continue a paused, failed or cancelled job."""

    method: ClassVar[str] = "job.resume"

    wait: bool = False
    """Answer when the job goes on; false: when the request is on disk."""
    timeout: Seconds = 60.0
    """How many seconds to wait at the most; the request then stays in force."""
    from_: str | None = msgspec.field(default=None, name="from")
    """Completed sheets that run again, as `2,5-7`, with all that depend on them; null: none."""
    only: str | None = None
    """Sheets that run again, as `2,5-7`, without what depends on them; null: none."""
    skip: str | None = None
    """Sheets that count as skipped from now on, as `2,5-7`: a person's word; null: none."""
    accept: str | None = None
    """Sheets that count as completed from now on, their checks as passed; null: none."""
    plan: bool = False
    """Only return what would become of each sheet."""
    over_budget: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """USD to be added to the score's cost limit; null: none."""
    env: Env = {}
    """Variables that replace those of the submission."""
    expect_clean: bool = False
    """Refuse it if files of the workspace were changed since the job came to rest, or this is not known."""
    offset: Number = 0
    """How many lines of the plan to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most lines of the page."""


class Modify(JobCommand[Modified], frozen=True, forbid_unknown_fields=True):
    """Give a job a new score, or take a staged one back.

    One of `text`, `revision` and `discard` says which; `rerun` and `variables` may stand alone, or beside a
    score.
    """

    method: ClassVar[str] = "job.modify"

    text: str | None = None
    """The new score; null: `revision` or the score as it is."""
    directory: Place | None = None
    """Absolute path of the directory that the score's relative paths start at; null: `/`."""
    file: Place | None = None
    """Absolute path of the score, to be shown; null: it has none."""
    revision: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Number of the revision whose text is taken again; null: none."""
    variables: Variables = {}
    """Values that replace those the run was given; it keeps the others."""
    rerun: str | None = None
    """Sheets that run again, as `2,5-7` (numbers of the new score, where one comes), `changed` or `hooks`;
    null: none."""
    resume: bool = False
    """Let the job go on under the new revision; false: it pauses."""
    wait: bool = False
    """Answer when the revision is in force; false: when the request is on disk."""
    timeout: Seconds = 60.0
    """How many seconds to wait at the most; the request then stays in force."""
    plan: bool = False
    """Only return what would become of each sheet."""
    expect: Number | None = None
    """The newest revision that the caller knows; with another one the request is refused. Null: any."""
    discard: bool = False
    """Take the staged revision back."""
    offset: Number = 0
    """How many lines of the plan to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most lines of the page."""


class Cancel(JobCommand[Cancelled], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a job now: what is in flight is ended, detached processes included."""

    method: ClassVar[str] = "job.cancel"

    wait: bool = False
    """Answer when the job is cancelled; false: when the request is on disk."""
    timeout: Seconds = 60.0
    """How many seconds to wait at the most; the request then stays in force."""


class Retry(JobCommand[Retried], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Try now: waits between two attempts end at once. No try is used, no hold is touched."""

    method: ClassVar[str] = "job.retry"
    wait: ClassVar[bool] = False
    timeout: ClassVar[float] = 0.0

    sheets: str | None = None
    """End the waits of these sheets, as `2,5-7`; null: of all that wait for their next attempt."""


class ReadHistory(JobQuery[History], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return the newest part of a job's journal."""

    method: ClassVar[str] = "job.history"

    sheets: str | None = None
    """Return only what is about these sheets, as `2,5-7`; null: all."""
    since: str | None = None
    """Return only what was recorded from this time on, in RFC 3339; null: all."""
    offset: Number = 0
    """How many of the newest entries to leave out, for the page before."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = 50
    """The most entries of the page."""


class ReadAttempts(Query[Attempts], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Return the attempts of a run, or of all runs, in the order of their starts."""

    method: ClassVar[str] = "job.attempts"

    job_id: str | None = None
    """The job, `name` or `name@run`; null: all runs of all jobs."""
    since: str | None = None
    """Return only what was in flight at this time or later, in RFC 3339; null: all."""
    offset: Number = 0
    """How many to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most attempts of the page."""


class ExplainJob(JobQuery[Why], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say why a job does not move, or why it failed."""

    method: ClassVar[str] = "job.why"

    sheets: str | None = None
    """Tell only of these sheets, as `2,5-7`; null: of all."""


class ReadRevisions(JobQuery[Revisions], frozen=True, forbid_unknown_fields=True):
    """List the versions of a job's score."""

    method: ClassVar[str] = "job.revisions"

    revision: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Return the text of this revision, too; null: of none."""
    offset: Number = 0
    """How many lines of each plan to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most lines of the page."""


class Remove(Command[Removed], frozen=True, forbid_unknown_fields=True):
    """Remove ended runs, with their history and output: one, or all that are old enough."""

    method: ClassVar[str] = "job.remove"

    job_id: JobId | None = None
    """The run: `name` for the newest, `name@run` for any; null: all that are old enough."""
    older_than: Seconds | None = None
    """Only what ended at least this many seconds ago; null: whenever it ended."""
    plan: bool = False
    """Only show which runs would be removed."""


class WriteBackup(Query[BackedUp], frozen=True, forbid_unknown_fields=True):
    """Write a copy of the database to a file, while it is in use."""

    method: ClassVar[str] = "backup.write"
    acts: ClassVar[bool] = True

    file: Place
    """Absolute path of the copy; no such file may be there."""


class ReadOutput(JobQuery[Output], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what an attempt of a sheet or hook printed."""

    method: ClassVar[str] = "log.read"

    sheet: SheetNumber | None = None
    """Number of the sheet; null: it is the output of a hook."""
    hook: SheetNumber | None = None
    """Number of the hook; null: it is the output of a sheet."""
    attempt: Number | None = None
    """Number of the attempt; null: the newest."""
    stream: Literal["stdout", "stderr", "prompt", "result"] = "stdout"
    """What to read: an output, the prompt the attempt was given, or its result text."""
    offset: Offset = 0
    """Where to start, in bytes; below 0: where the first line begins of the last so many bytes, which the
    reply's `offset` tells."""
    tail_lines: Number | None = None
    """Start where the last so many lines begin, which the reply's `offset` tells; null: at `offset`."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=READ_LIMIT)] = READ_LIMIT
    """The most bytes to return."""
    reads: bool = False
    """Return how the lines of an agent's output are to be read, too."""


class SearchOutput(JobQuery[Matches], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Search what an attempt of a sheet or hook printed, line by line."""

    method: ClassVar[str] = "log.search"

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=r"^[^\n\u0000]*$")]
    """What the lines have that are searched for, as it is: no pattern."""
    ignore_case: bool = False
    """Take upper and lower case letters for the same."""
    sheet: SheetNumber | None = None
    """Number of the sheet; null: it is the output of a hook."""
    hook: SheetNumber | None = None
    """Number of the hook; null: it is the output of a sheet."""
    attempt: Number | None = None
    """Number of the attempt; null: the newest."""
    stream: Literal["stdout", "stderr"] = "stdout"
    """Which output to search."""
    offset: Number = 0
    """Where to start, in bytes: at the beginning, or where the search before has ended."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = 100
    """The most lines to return."""


class Validate(Query[Validated], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check a score without running it."""

    method: ClassVar[str] = "score.validate"

    text: str
    """The score."""
    directory: Place
    """Absolute path of the directory that the score's relative paths start at."""
    file: Place | None = None
    """Absolute path of the score, to be shown; null: it has none."""
    submit_directory: Place
    """Absolute path of the caller's working directory."""
    workspace: Place | None = None
    """Directory to work in instead of the score's; null: the score's."""
    variables: Variables = {}
    """Values for parameters and variables of the score, by name."""
    explain: bool = False
    """Return the sheets it makes."""
    prompts: bool = False
    """Return the sheets with the prompt of their first attempts."""
    offset: Number = 0
    """How many of the sheets to leave out before the page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most sheets of the page."""


class ListInstruments(Query[Instruments], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the tools that play sheets."""

    method: ClassVar[str] = "instrument.list"

    name: str | None = None
    """Return only this one, with its whole profile; null: all, without profiles."""
    directory: Place | None = None
    """Directory of a score, so that profiles beside it count; null: none."""


class CheckInstruments(Query[Instruments], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check whether the tools, or one of them, can be started: each is asked for its version."""

    method: ClassVar[str] = "instrument.check"
    acts: ClassVar[bool] = True

    name: str | None = None
    """Check only this one; null: all."""
    directory: Place | None = None
    """Directory of a score, so that profiles beside it count; null: none."""
    executor: Cluster | None = None
    """Where they are to be played: for slurm it counts whether that answers and is given them, and not what
    tools this host has; null: this host."""


class ClearLimits(Command[Cleared], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End the rate limits of one instrument, or of all, for all jobs: waiting sheets try at once."""

    method: ClassVar[str] = "instrument.clear_limits"

    instrument: str | None = None
    """End the limits of this one; null: of all."""


class ReadEvents(Query[Events], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the journal."""

    method: ClassVar[str] = "events.read"

    job_id: JobId | None = None
    """Return only events of this job: `name` for its newest run, `name@run` for any; null: of all."""
    job_name: JobId | None = None
    """Return only events of runs of this name, also of those that were removed; null: of all."""
    after: Number = 0
    """The event behind which to start."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    """The most events to return."""


class SubscribeEvents(Query[StreamStarted], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a stream of the journal."""

    method: ClassVar[str] = "events.subscribe"

    job_id: JobId | None = None
    """Send only what is of this run: `name@run`, or `name` for that which is the newest now; null: of all."""
    jobs: Annotated[list[JobId], msgspec.Meta(max_length=PAGE_LIMIT)] | None = None
    """Send only what is of these jobs: `name` for the newest run, also one that begins later, `name@run` for
    that run; null: of all."""
    after: Number | None = None
    """The event behind which to start; 0: send all that are kept; null: from now on."""
    snapshot: bool = False
    """Send the present state first, as one `Snapshot` or, over 1,000 jobs, several; then the events after its
    number."""
    types: Names | None = None
    """Send only events of these types, as `job.paused`, or `job.` for all that begin so; null: all types."""
    states: bool = False
    """Send the present state first, until `Ready`, then beside the events each job that has changed, as it is
    (`JobState`), at most five times a second, and the daemon (`DaemonState`)."""
    sheets: bool = False
    """With `states`: send sheets, too (`SheetStates`): all of the jobs that are named, or else of those that
    have not ended, then those that have changed."""
    output: bool = False
    """With `states`: send what is in flight, too, when it has begun or printed something (`OutputStates`)."""


class FollowOutput(JobQuery[StreamStarted], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a live stream of what an attempt prints, or all of a job; it ends with the attempt, or the job."""

    method: ClassVar[str] = "log.follow"

    sheet: SheetNumber | None = None
    """Number of the sheet; null: it is the output of a hook, or of all."""
    hook: SheetNumber | None = None
    """Number of the hook; null: it is the output of a sheet. Neither sheet nor hook: of all of the job that
    is in flight now or later."""
    attempt: Number | None = None
    """Number of the attempt; null: the newest."""
    stream: Literal["stdout", "stderr", "both"] = "stdout"
    """Which output to follow."""
    offset: Offset = 0
    """Where to start, in bytes; below 0: where the first line begins of the last so many bytes."""
    tail_lines: Number | None = None
    """Start where the last so many lines begin; null: at `offset`."""


class CancelStream(Query[StreamCancelled], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Close a stream of this connection."""

    method: ClassVar[str] = "stream.cancel"

    stream: Number
    """Number of the stream, on this connection."""

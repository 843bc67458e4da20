"""What the conductor knows of an executor: start, presence, wait, end, claim, over an attempt's place.

The directory is the interface: spec.json goes in, identity.json, stdout, stderr and exit.json come out
(shim.py has their names), whichever machine runs the command. All of them are claims: a file counts only
where it says that it is of this very attempt, and that nothing runs is never concluded from files alone.
Source: docs/design/executors.md "The interface", docs/design/durability.md
"One supervisor for whatever runs".
"""

import hashlib
import re
import shlex
import signal as signals
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec

from marianned import files
from marianned.accidents import Accident
from marianned.decoding import Undecodable, from_json
from marianned.protocol import ErrorCategory
from marianned.score.expanded import Resources


class AttemptPlace(NamedTuple):
    """Where an attempt's files lie, and which attempt that is: `id` is its spec's.

    `root` is the directory above it that its incarnation made before it started anything. Where that is
    missing, too, all of it may lie elsewhere, and nothing can be concluded. Null: it is never missing.
    """

    directory: Path
    id: str
    root: Path | None = None

    def root_is_missing(self) -> bool:
        """Tell whether all attempts may lie elsewhere at the moment; blocks, where their file system does."""
        return self.root is not None and not self.root.is_dir()


def describe_missing_root(root: Path) -> str:
    """Say that the directory above attempts is missing, and what to do about that: first, what does no harm.

    Once it is made anew, what is in flight there is lost, however it ends.
    """
    return f"'{root}' is not there; {recovery_hint(root.parent, [root])}"


def recovery_hint(place: Path, gone: Iterable[Path]) -> str:
    """Say how directories come back whose file system may only be away, and what making them anew costs."""
    made = " ".join(shlex.quote(str(one)) for one in gone)
    return (
        f"bring it back; where it is gone for good, with what is in flight there: mkdir -p -m 700 {made}; "
        f"to see what is mounted there, type: findmnt -T {shlex.quote(str(place))}"
    )


def brand_of(attempt: str) -> int:
    """Return the number that all processes of an attempt have as their limit of real time (RLIMIT_RTTIME).

    It is inherited like the environment, but nobody sheds it by accident. In microseconds it is more than
    140,000 years, so that it limits nothing.
    """
    return 1 << 62 | int.from_bytes(hashlib.blake2b(attempt.encode(), digest_size=7).digest())


class SilenceLimit(msgspec.Struct, frozen=True, kw_only=True):
    """After `idle` seconds without a sign of life it is ended; looked for every `interval` seconds.

    Signs are output, CPU time, and what is made or changed below `directories`.
    """

    idle: float
    interval: float
    directories: list[str]


class FinalEventRule(msgspec.Struct, frozen=True, kw_only=True):
    """It is ended when the final event stands in its stdout, and nothing more has come for `grace` seconds.

    The final event is a line of JSON: an object whose `type` is `event` and that has `where` (keys joined by
    dots → values). One whose type is in `goes_on`, behind it, says that the work goes on; one in `idle` is no
    output.
    """

    grace: float
    event: str
    where: dict[str, Any] = {}
    goes_on: list[str] = []
    idle: list[str] = []


class GracefulStop(msgspec.Struct, frozen=True, kw_only=True):
    """How a command is asked to stop before it is ended, where `end` asks for that.

    `number` is a signal to its process group, `file` a name: an empty file in `out/` of its directory. It has
    `seconds` to go, then it is ended as ever.
    """

    number: int | None = None
    file: str | None = None
    seconds: float


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run: spec.json. `stdin` names a file in the attempt's directory; null is /dev/null.

    `id` is unique for ever; the command gets `env` and MARIANNE_ATTEMPT_ID, nothing else. After
    `timeout_seconds` (null: never) it is ended like by `end`; from TERM to KILL it has `grace_seconds`.
    Of stdout and stderr each, `output_cap` bytes are kept (null: all), the first and the last half.
    Once it has ended by itself, what still holds its stdout or stderr has `drain_seconds` to finish.
    All of its processes get `brand` (null: none), see brand_of. `wall`: the words before argv that put it
    behind a wall (wall.py); two descriptors stand between them and argv. `resources` is what a cluster gives
    it; there it gets those variables of its job, too, whose names begin like one of `inherits`. `stays`: so
    many seconds its job may go on behind its end, with what names its directory as `beside` (null: it goes).
    """

    version: int = 1
    id: str
    argv: list[str]
    cwd: str
    env: dict[str, str]
    umask: int = 0o022
    stdin: str | None = None
    timeout_seconds: float | None
    grace_seconds: float = 10.0
    output_cap: int | None = None
    silence: SilenceLimit | None = None
    drain_seconds: float = 0.0
    final: FinalEventRule | None = None
    stop: GracefulStop | None = None
    brand: int | None = None
    wall: list[str] | None = None
    resources: Resources | None = None
    inherits: list[str] = []
    stays: float | None = None
    beside: str | None = None


SPEC = "spec.json"


class _SpecId(msgspec.Struct):
    id: str


def read_spec_id(directory: Path) -> str | None:
    """Return the id of the attempt whose spec lies in a directory; None: there is none."""
    try:
        return from_json(files.read(directory / SPEC, files.RECORD_MOST), _SpecId).id
    except (FileNotFoundError, NotADirectoryError, files.UnsuitableFile, Undecodable):
        return None


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: exit.json. Exit code or signal are the command's; both null: not started, or unknown.

    `error` says why it could not be started. `asked`: its keeper was asked (TERM from the process `asked_by`)
    to end it before it ended by itself. Times are UTC milliseconds; what was used is that of the command and
    all it started; `swept` counts the other processes that were ended with it; `writer` is runner or keeper.
    `left_behind`: it ended by itself and left so many processes that had to be ended (not counting theirs).
    `output_exceeded`: it was ended because it printed more than its cap where no holes can be punched.
    `stale`: it was ended because it showed no sign of life for too long; `final`: because it hung
    behind its final event; `spoken`: that stood there when it was asked to end. `output_cut`: something that
    it had left behind had yet to read what it would have printed.
    `id` is the attempt's; null in what 0.1.0 started. `limit_seconds`: the limit, of time or of
    silence, that it has reached, where it did.
    """

    exit_code: int | None
    signal: int | None
    error: str | None
    asked: bool
    asked_by: int | None
    timed_out: bool
    started_at: int
    ended_at: int
    user_seconds: float
    system_seconds: float
    max_rss_kib: int
    swept: int
    writer: str
    output_exceeded: bool = False
    stale: bool = False
    final: bool = False
    spoken: bool = False
    left_behind: int = 0
    output_cut: bool = False
    id: str | None = None
    limit_seconds: float | None = None

    @property
    def signal_name(self) -> str | None:
        """The name of the signal; of one that has none, its number."""
        if self.signal is None:
            return None
        try:
            return signals.Signals(self.signal).name
        except ValueError:
            return f"signal {self.signal}"  # most of the real-time ones


FOREIGN = frozenset(
    {signals.Signals.SIGTERM, signals.Signals.SIGKILL, signals.Signals.SIGINT, signals.Signals.SIGHUP}
)
"""Signals that, unasked for, tell of somebody else, or of a host going down: that is lost, not failed."""


def describe_loss(record: ExitRecord | None) -> str | None:
    """Say how the end of a command is not its own, nor one that the daemon brought about; None: it is.

    `record` is what is known of its end, None where its supervisor left none.
    """
    if record is None:
        return "its supervisor was killed"
    if record.error is not None or record.timed_out:
        return None
    if record.asked:
        return "it was asked to end, and nobody here knows by whom"
    if record.exit_code is None and record.signal is None:
        return "its supervisor was killed"
    if record.signal in FOREIGN:
        return f"ended by {record.signal_name}, which nobody here sent"
    return None


_PASSED_ON = frozenset(128 + number for number in FOREIGN)
"""What a shell ends with whose own command a signal has ended."""


def may_be_foreign(record: ExitRecord | None) -> bool:
    """Tell whether somebody else may have brought about the end of a command, by signals to its processes.

    A shell may be a moment ahead of its own signal, and then ends as if its command had failed.
    """
    if describe_loss(record) is not None:
        return True
    return record is not None and not record.timed_out and record.exit_code in _PASSED_ON


class Whereabouts(NamedTuple):
    """Where an attempt runs that does not run on this host: a node, and the cluster's number of its job.

    `began_at` is when it has begun, by the clock of its node (UTC milliseconds); null: not known.
    """

    node: str | None
    job: str
    began_at: int | None = None


class SupervisorIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisors of an attempt: identity.json.

    `pid` is the keeper's; start times are in clock ticks since boot.
    `started_at` is when the keeper began (UTC milliseconds), null in what an older release started; `node`
    and `cluster_job` are what a cluster's job calls both, null on this host.
    """

    pid: int
    start_time: int
    runner_pid: int
    runner_start_time: int
    boot_id: str
    started_at: int | None = None
    node: str | None = None
    cluster_job: str | None = None

    @property
    def where(self) -> Whereabouts | None:
        """Where it runs on a cluster, as far as that is believed: its command can write there, too."""
        node = self.node if self.node is not None and _NAMED.fullmatch(self.node) else None
        if self.cluster_job is None or not _NAMED.fullmatch(self.cluster_job):
            return None
        return Whereabouts(node, self.cluster_job, self.started_at)


_NAMED = re.compile(r"[!-~]{1,255}")
"""What can be the name of a node or of a job: it is shown to people."""


class WaitReason(NamedTuple):
    """What keeps an attempt from beginning, from going on, or from being known.

    `typed`: a person has to act first, and types this; null: it passes by itself, as far as is known.
    `change`: it never begins before something is changed: "score" or "config", whose wants those are.
    `queued`: it has not begun, as far as is known, and is taken back where nothing of its job may begin.
    `stopped`: it has begun and stands still, so that nobody knows when it ends.
    `suspended`: that is so because its cluster, or somebody there, has suspended it.
    `of_many`: the same of several at once; null: it is never told of several, or `text` says that too.
    `shows`: what shows more, behind `typed`, or where nobody has to act; null: nothing does.
    `own`: the job that `typed` ends with, and what names all of its array: several jobs and arrays may stand
    there, parted by commas; null: it is typed for each.
    """

    text: str
    typed: str | None = None
    change: str | None = None
    queued: bool = False
    stopped: bool = False
    suspended: bool = False
    of_many: str | None = None
    shows: str | None = None
    own: tuple[str, str] | None = None


class FateKind(StrEnum):
    """What has become of a job on a cluster. `runs`, `ending`: not yet anything; `ended`: by itself.

    `cancelled`: somebody has asked for that; `time`: its time limit there was over; `displaced`: it had to
    make room for another, and may come again; `broken`: anything else.
    """

    RUNS = "runs"
    ENDING = "ending"
    ENDED = "ended"
    CANCELLED = "cancelled"
    TIME = "time"
    DISPLACED = "displaced"
    BROKEN = "broken"


class Fate(NamedTuple):
    """What a cluster says has become of a job, `text` for people: a claim, below any exit record."""

    kind: FateKind
    text: str


class Presence(StrEnum):
    """What is so of an attempt. `lost`: it was claimed, nothing of it lives, and there is no record.

    `unknown`: no process of it is found, and its files can't be looked at.
    """

    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    NEVER_STARTED = "never_started"
    UNKNOWN = "unknown"


class AttemptWithdrawn(Exception):
    """It was taken back before it began, and never will: nothing of it has run.

    `fate` is what its cluster says of that, where somebody else has done it.
    """

    def __init__(self, message: str, fate: Fate | None = None) -> None:
        super().__init__(message)
        self.fate = fate


class AlreadyClaimed(Exception):
    """The attempt has been started, or given up, by somebody: look at its presence."""


class CannotStart(Exception):
    """Nothing of the attempt runs, and it has no record; the message says why."""

    category: ClassVar[ErrorCategory] = ErrorCategory.UNAVAILABLE
    """What its failure counts as."""


class StartRefused(CannotStart):
    """The attempt can't be started with this spec, however often it is tried: that has to change first."""

    category: ClassVar[ErrorCategory] = ErrorCategory.REFUSED


class StartFailed(CannotStart, Accident):
    """A start failed for a reason of ours, which passes: its supervisor was killed, or something is short."""


class Executor(Protocol):
    """Where attempts run. A place belongs to one attempt for ever."""

    async def start(
        self,
        directory: Path,
        spec: Spec,
        write: Callable[[], None] | None = None,
        root: Path | None = None,
    ) -> None:
        """Start it; on return it runs (or has ended, or will begin) and does so without us.

        `write` makes, in a thread, its directory and what it needs there; what that raises is raised. `root`
        is that of its place: nothing is made unless it is there.

        Raises:
            AlreadyClaimed: it was started before, or its directory is another's.
            StartFailed: it could not be, for a reason of ours.
            CannotStart: it never can be.
        """

    async def presence(self, place: AttemptPlace) -> Presence:
        """Tell what is so; `lost` and `never_started` only after a look for its processes.

        What was left of a lost one has been killed.
        """

    async def read_identity(self, place: AttemptPlace) -> SupervisorIdentity | None:
        """Return who supervises it, or did; None before it has been started."""

    async def wait(self, place: AttemptPlace, tell: Callable[[str], None] | None = None) -> ExitRecord | None:
        """Wait for its end. None: it is lost, or was never started. `tell` hears of what hinders that.

        Raises:
            AttemptWithdrawn: it never began, and won't.
        """

    async def whereabouts(self, place: AttemptPlace, known: Whereabouts | None = None) -> Whereabouts | None:
        """Wait until it has begun elsewhere than where it is `known` to be; tell where.

        None: it runs on this host, or its end has come first and nothing else is known.
        """

    async def fate(self, place: AttemptPlace) -> Fate | None:
        """Ask what has become of its job, behind an end that its record does not explain; None: nobody knows.

        That end has been waited for here.
        """

    def queue_wait(self, attempt: str) -> WaitReason | None:
        """Say what keeps an attempt from beginning, or from being known, by its id; None: nothing does."""

    async def trouble(self) -> str | None:
        """Say, within some seconds, why nothing can be started there now; None: nothing speaks against it."""

    async def withdraw(self, place: AttemptPlace) -> None:
        """Take it back if it has not begun, so that it never will; whoever waits for it is told so."""

    async def end(self, place: AttemptPlace, *, drop: bool = False) -> None:
        """Ask for its end (TERM, grace, KILL) without waiting for it; nothing happens if it has ended.

        Where its spec has a `stop`, it is asked like that first, unless what it does is to be dropped.
        """

    async def claim(self, place: AttemptPlace) -> bool:
        """Take the claim ourselves, so that a start that comes late is refused. False: it is taken."""

    async def raise_limit(self, place: AttemptPlace, seconds: float, *, silence: bool = False) -> None:
        """Let its time limit be so many seconds from its start, durably; a limit that is larger stays.

        `silence`: its limit of silence instead, from its last sign of life. It counts once the
        limit it had is over. Nothing happens if it has ended.

        Raises:
            OSError: that can't be written.
        """

    async def leftovers(self, prefix: str) -> set[str]:
        """Return the ids, of those that begin so, that processes here carry."""

    async def alive_below(self, directory: Path) -> dict[str, int]:
        """Return the ids of all attempts that run and have their files below a directory, each with a pid."""

    async def outlast(self, directory: Path, attempt: str) -> None:
        """Wait until an attempt that `alive_below` has named is named no more."""

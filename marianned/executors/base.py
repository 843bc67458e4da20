"""What the conductor knows of an executor: start, presence, wait, end, claim, over an attempt's directory.

The directory is the interface: spec.json goes in, identity.json, stdout, stderr and exit.json come out
(shim.py has their names), whichever machine runs the command.
Source: docs/design/executors.md, docs/design/durability.md.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from marianned.accidents import Accident


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """After `idle` seconds without a sign of life it is ended; looked for every `interval` seconds.

    Signs are output, CPU time, and what is made or changed below `directories`.
    """

    idle: float
    interval: float
    directories: list[str]


class Final(msgspec.Struct, frozen=True, kw_only=True):
    """It is ended when its stdout has had its last word, and nothing more has come for `grace` seconds.

    The last word is a line of JSON: an object whose `type` is `event` and that has `where` (keys joined by
    dots → values). One whose type is in `goes_on`, behind it, says that the work goes on.
    """

    grace: float
    event: str
    where: dict[str, Any] = {}
    goes_on: list[str] = []


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run: spec.json. `stdin` names a file in the attempt's directory; null is /dev/null.

    `id` is unique for ever; the command gets `env` and MARIANNE_ATTEMPT_ID, nothing else. After
    `timeout_seconds` (null: never) it is ended like by `end`; from TERM to KILL it has `grace_seconds`.
    Of stdout and stderr each, `output_cap` bytes are kept (null: all), the first and the last half.
    Once it has ended by itself, what still holds its stdout or stderr has `drain_seconds` to finish.
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
    silence: Silence | None = None
    drain_seconds: float = 0.0
    final: Final | None = None


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: exit.json. Exit code or signal are the command's; both null: not started, or unknown.

    `error` says why it could not be started. `asked`: the shim was asked (TERM from the process `asked_by`)
    to end it before it ended by itself. Times are UTC milliseconds; what was used is that of the command and
    all it started; `swept` counts the other processes that were ended with it; `writer` is runner or keeper.
    `left_behind`: it ended by itself and left so many processes that had to be ended (not counting theirs).
    `output_exceeded`: it was ended because it printed more than its cap where no holes can be punched.
    `stale`: it was ended because it showed no sign of life for too long; `final`: because it had had its
    last word.
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
    left_behind: int = 0


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks after it: identity.json. `pid` is the keeper's; start times are in clock ticks since boot."""

    pid: int
    start_time: int
    runner_pid: int
    runner_start_time: int
    boot_id: str


class Presence(StrEnum):
    """What is so of an attempt. `lost`: it was claimed, nothing of it lives, and there is no record."""

    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    NEVER_STARTED = "never_started"


class AlreadyClaimed(Exception):
    """The attempt has been started, or given up, by somebody: look at its presence."""


class CannotStart(Exception):
    """Nothing of the attempt runs, and it has no record; the message says why."""


class NotStarted(CannotStart, Accident):
    """A start failed for a reason of ours, which passes: its shim was killed, or something is short."""


class Executor(Protocol):
    """Where attempts run. A directory belongs to one attempt for ever."""

    async def start(self, directory: Path, spec: Spec) -> None:
        """Start it; on return it runs (or has ended) and does so without us.

        Raises:
            AlreadyClaimed: it was started before.
            NotStarted: it could not be, for a reason of ours.
            CannotStart: it never can be.
        """

    async def presence(self, directory: Path) -> Presence:
        """Tell what is so; `lost` only after what was left of it has been killed."""

    async def running(self, directory: Path) -> Running | None:
        """Tell who looks after it, or did; None before it has been started."""

    async def wait(self, directory: Path) -> ExitRecord | None:
        """Wait for its end. None: it is lost, or was never started."""

    async def end(self, directory: Path) -> None:
        """Ask for its end (TERM, grace, KILL) without waiting for it; nothing happens if it has ended."""

    async def claim(self, directory: Path) -> bool:
        """Take the claim ourselves, so that a start that comes late is refused. False: it is taken."""

"""What an engine of a cluster must do, so that attempts can run there: submit, look, signal, cancel.

An engine is a table of commands and their words (slurm.py); what follows from them is the same for all
(executor.py). Source: docs/design/executors.md "The interface", docs/how-to/add-a-cluster-engine.md.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, NamedTuple, Protocol

import anyio
from anyio.abc import ByteReceiveStream, Process

from marianned.executors.base import Fate
from marianned.score.expanded import Resources

JobKey = tuple[str, int | None]
"""What finds a job again: the name it was submitted under, and its number in an array, if it is in one."""

_COMMAND_SECONDS = 30.0
"""How long a command of the engine may take; without its controller squeue takes nine seconds."""
_SAID_MOST = 300


class ClusterJob(NamedTuple):
    """A job as the engine's list has it. `waits`: it is queued; `suspended`: it has begun, and stands still.

    `reason` is why it does either, in the engine's own word.
    """

    id: str
    waits: bool
    reason: str | None
    node: str | None
    suspended: bool = False

    @property
    def hears(self) -> bool:
        """Whether signals reach it."""
        return not (self.waits or self.suspended)


class ReasonExplanation(NamedTuple):
    """What a reason means. `typed`: a person has to act, and types this, with the job's id for `{job}`.

    Null: it passes by itself, as far as is known. `change`: it never does, what the job wants has to change.
    `shows`: what is typed behind it, with the job's id, and shows more; null: nothing does.
    `many`: `typed` ends with the job, and takes several, and whole arrays, parted by commas.
    """

    text: str
    typed: str | None = None
    change: bool = False
    shows: str | None = None
    many: bool = False


class EngineUnavailable(Exception):
    """The engine does not answer: nobody knows whether it has done what it was asked.

    `typed`: a person may have to act first, and types this.
    """

    def __init__(self, said: str, typed: str | None = None) -> None:
        super().__init__(said if typed is None else f"{said}; type: {typed}")
        self.typed = typed


class EngineBusy(Exception):
    """The engine takes no more jobs at the moment; the message has its words."""


class ArrayTooLarge(Exception):
    """So many jobs can't be one array here."""


class JobRefused(Exception):
    """The engine will never take a job like this; the message has its words.

    `apart`: how those arguments begin that this can't be about.
    """

    def __init__(self, said: str, apart: tuple[str, ...] = ()) -> None:
        super().__init__(said)
        self.apart = apart


class Engine(Protocol):
    """A batch system. Everything here may raise EngineUnavailable."""

    name: ClassVar[str]
    """What people call it."""
    ping: ClassVar[str]
    """What a person types to see whether it answers."""
    index: ClassVar[str | None]
    """The variable with a job's number in its array; null: it knows no arrays."""
    grants: ClassVar[Sequence[str]]
    """How the names of the variables begin by which a job learns what it was granted."""
    node: ClassVar[str]
    """What a job's shell makes its node's name of, within double quotes."""
    job: ClassVar[str]
    """What it makes the job's id of, as `list_jobs` tells it."""

    async def submit(
        self, name: str, script: str, count: int | None, resources: Resources, seconds: float | None
    ) -> str:
        """Submit a script, `count` times as an array with the numbers from 0; return the id.

        `seconds` is how long it may take at most, as a backstop; null: without a limit of ours.

        Raises:
            EngineBusy: not now.
            ArrayTooLarge: not as one array.
            JobRefused: never.
        """

    def effective_arguments(self, arguments: Sequence[str], resources: Resources) -> Sequence[str]:
        """Return those of the site's arguments that hold beside what a score wants: that counts more."""

    async def list_jobs(self) -> Mapping[JobKey, ClusterJob]:
        """Return all jobs of this user that wait or run."""

    async def fates(self, keys: Collection[JobKey]) -> Mapping[JobKey, Fate]:
        """Say what has become of these jobs; what is not known is left out.

        It is asked seldom: where an attempt has ended, and its own files do not say why.
        """

    async def signal(self, jobs: Sequence[str], number: int) -> Collection[str]:
        """Send a signal to the first process of each of these jobs, and to nothing else of it.

        It may come there twice. Return those that no signal reaches, as far as the engine says so: they stand
        still, and the next `list_jobs` tells why.
        """

    async def cancel(self, jobs: Sequence[str]) -> None:
        """Take these jobs out of the queue, or end all of them that runs."""

    def explain_reason(self, reason: str) -> ReasonExplanation:
        """Say what a reason means."""


class EngineCommandResult(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    error: str


_ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "LD_LIBRARY_PATH")


def _environment(begins: tuple[str, ...]) -> dict[str, str]:
    """Return what of this process's environment a command of an engine gets; what it says is in English.

    That is what any program needs, and the variables whose names begin like one of `begins`: an engine passes
    on to jobs what it gets, and secrets have no place there.
    """
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    own = {name: value for name, value in os.environ.items() if begins and name.startswith(begins)}
    return {**kept, **own, "LC_ALL": "C"}


async def run_command(
    argv: Sequence[str], given: str = "", begins: tuple[str, ...] = (), until: tuple[str, ...] = ()
) -> EngineCommandResult:
    """Run a command of an engine in an environment of its own.

    It is ended as soon as it says one of `until` on stderr, which is what it would then say for minutes.

    Raises:
        EngineUnavailable: it is not there, can't be run, did not end in time, or somebody has killed it.
    """
    out, error = bytearray(), bytearray()
    try:
        with anyio.fail_after(_COMMAND_SECONDS):
            with anyio.CancelScope(shield=True):  # a start that is given up half-way would leave it behind
                opened = await anyio.open_process(argv, env=_environment(begins), cwd="/")
            async with opened as process:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_write_stdin, process, given)
                    tasks.start_soon(_read_stream, process, process.stdout, out, ())
                    tasks.start_soon(_read_stream, process, process.stderr, error, until)
                status = await process.wait()
    except TimeoutError:
        why = f" ({error_line(error)})" if error else ""
        raise EngineUnavailable(f"{argv[0]} did not answer for {_COMMAND_SECONDS:.0f} s{why}") from None
    except OSError as failed:
        raise EngineUnavailable(f"{argv[0]} can't be run: {failed.strerror}") from None
    if status < 0 and not any(one.encode() in error for one in until):
        raise EngineUnavailable(f"{argv[0]} was ended by signal {-status}")
    return EngineCommandResult(status, out.decode(errors="replace"), error_line(error))


_GONE = anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError
"""It has ended before it has read all; it says why itself. Older versions of anyio raise the last."""


async def _write_stdin(process: Process, given: str) -> None:
    if process.stdin is not None:
        with suppress(*_GONE):
            await process.stdin.send(given.encode())
        with suppress(*_GONE):
            await process.stdin.aclose()


async def _read_stream(
    process: Process, stream: ByteReceiveStream | None, data: bytearray, until: tuple[str, ...]
) -> None:
    if stream is not None:
        async for piece in stream:
            data += piece
            if any(one.encode() in data for one in until):
                process.kill()


def error_line(data: bytes | bytearray) -> str:
    """Return what a command has said, in one line without its own name."""
    lines = (line.strip() for line in data.decode(errors="replace").splitlines())
    told = "; ".join(dict.fromkeys(line for line in lines if line))
    return told.replace("sbatch: error: ", "")[-_SAID_MOST:]

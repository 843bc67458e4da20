"""Slurm as a table of commands and of what they say; what follows from that is in executor.py.

Jobs are known by their names: an id may be given twice by a controller that was killed and has forgotten.
`--json` is not read, since its shape changes between versions. Measured with Slurm 22.05; see
docs/design/executors.md.
"""

import math
import re
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

import anyio
import msgspec

from marianned.executors.base import Fate, FateKind
from marianned.executors.clusters import slurm_fates, slurm_reasons
from marianned.executors.clusters.engine import (
    ArrayTooLarge,
    ClusterJob,
    EngineBusy,
    EngineCommandResult,
    EngineUnavailable,
    JobKey,
    JobRefused,
    ReasonExplanation,
    run_command,
)
from marianned.executors.clusters.waiting import engine_trouble
from marianned.score.expanded import Resources
from marianned.score.read import sbatch

_MOST_AT_ONCE = 200
"""Jobs that one scancel is told, and names that one squeue or sacct is asked for."""

_BEGINS = ("SLURM_CONF", "SLURM_JWT", "MUNGE")
"""How the names of the variables begin that lead sbatch and the others to their cluster.

All others want something, as their arguments do (SBATCH_PARTITION, SQUEUE_USERS, SLURM_CLUSTERS): what a
submission wants is in score and setting alone, so that it can be seen, and blamed, there.
"""

_OPTIONS = (
    ("partition", "--partition={}"),
    ("account", "--account={}"),
    ("qos", "--qos={}"),
    ("cpus", "--cpus-per-task={}"),
    ("memory", "--mem={}"),
    ("gpus", "--gpus={}"),
    ("constraint", "--constraint={}"),
)

_NOT_CONFIGURED = "retrying in 1sec"
"""What each of them says where its slurm.conf is not there, before it looks for that again for a minute."""
_NO_FILE = re.compile(r"cannot stat file (?P<file>.+?): (?P<why>[^:;]+), retrying in 1sec")

_AWAY = (
    "unable to contact slurm controller",
    "connection refused",
    "socket timed out",
    "zero bytes were transmitted",
    "communication connection failure",
    "connection timed out",
    "slurm backup controller in standby",
    "controller is in standby",
    "could not establish a configuration source",
    "protocol authentication error",
    "connection reset",
    "transport endpoint is not connected",
    "unable to resolve",
    "unspecified error",
    "unable to process configuration file",
    _NOT_CONFIGURED,
)
"""What is said where nobody knows whether anything was done; in small letters, as all below."""

_RETRIES = "sleeping and retrying"
"""What sbatch says before it tries again by itself, for two minutes."""
_STANDS_STILL = "state, retrying"
"""What a verbose scancel says of a job that no signal reaches, before it tries for a minute and a half."""
_BUSY = (
    "sleeping and retrying",
    "temporarily unable to accept job",
    "job submit limit",
    "job violates accounting/qos policy",
    "too many jobs",
    "resource temporarily unavailable",
    "memory allocation failure",
    "job dependency problem",
    "i/o error writing script/environment",
    "partition not available",
    "partition configuration not available now",
)
"""MaxJobCount, AssocMaxSubmitJobLimit and the like, a partition that is down: that passes."""

_TOO_WIDE = ("invalid job array specification",)
"""MaxArraySize, 1001 where nothing else is set."""

_OF_NODES = (
    "node configuration is not available",
    "cpu count",
    "memory specification",
    "node count specification",
    "generic resource (gres)",
)
"""What is said where no node has what is wanted."""
_APART_FROM_NODES = ("--account", "-A", "--qos", "-q", "--comment", "--mail-", "--wckey")
"""Arguments that no node has anything to do with."""

_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "REQUEUE_FED", "RESV_DEL_HOLD"})
_SUSPENDED = frozenset({"SUSPENDED", "STOPPED"})
_FIELDS = 5
_SQUEUE = ("squeue", "--me", "--noheader", "--array", "--format=%j|%i|%T|%r|%N")
_SACCT = (
    "sacct",
    "--noheader",
    "--parsable2",
    "--allocations",
    "--starttime=now-30days",  # else since midnight
    "--format=JobName,JobID,State",
)
_COMMANDS = ("sbatch", "squeue", "scancel")


class SlurmEngine:
    """Slurm by sbatch, squeue and scancel, as they are found in the daemon's PATH."""

    name: ClassVar[str] = "Slurm"
    ping: ClassVar[str] = "scontrol ping"
    index: ClassVar[str | None] = "SLURM_ARRAY_TASK_ID"
    node: ClassVar[str] = "${SLURMD_NODENAME:-$(uname -n)}"
    job: ClassVar[str] = "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
    grants: ClassVar[Sequence[str]] = (
        "SLURM",
        "CUDA_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "ZE_AFFINITY_MASK",
        "GPU_DEVICE_ORDINAL",
    )

    async def submit(
        self, name: str, script: str, count: int | None, resources: Resources, seconds: float | None
    ) -> str:
        """Have sbatch take the script from its stdin (see Engine). It is never requeued: retries are ours.

        `--export=NIL` and `NONE` have each start wait for a login shell, which takes a second and more; so
        it exports all, and is given next to nothing.
        """
        words = ["sbatch", "--parsable", "--no-requeue", "--export=ALL", f"--job-name={name}", "--chdir=/"]
        words += ["--output=/dev/null", "--error=/dev/null"]
        if count is not None:
            words.append(f"--array=0-{count - 1}")
        words += options(resources, seconds)
        done = await _run(words, script, _RETRIES)
        if done.status == 0:
            return done.out.strip().partition(";")[0]
        kind, why = _failure_kind(done.error), done.error or f"sbatch ended with status {done.status}"
        if kind is JobRefused and any(one in why.lower() for one in _OF_NODES):
            raise JobRefused(why, _APART_FROM_NODES)
        raise _unavailable(why) if kind is EngineUnavailable else kind(why)

    def effective_arguments(self, arguments: Sequence[str], resources: Resources) -> Sequence[str]:
        """Leave out what the score says itself, by a key or an argument (see Engine)."""
        keys = {key for key, value in msgspec.structs.asdict(resources).items() if value is not None}
        return sbatch.arguments_in_force(arguments, keys, resources.arguments)

    async def list_jobs(self) -> Mapping[JobKey, ClusterJob]:
        """Have one squeue list all (see Engine)."""
        return parse_squeue(await _run_squeue())

    async def fates(self, keys: Collection[JobKey]) -> Mapping[JobKey, Fate]:
        """Ask squeue for what ended lately, sacct for what is older and who has cancelled (see Engine)."""
        found: dict[JobKey, Fate] = {}
        asked = sorted(keys)
        for first in range(0, len(asked), _MOST_AT_ONCE):
            some = asked[first : first + _MOST_AT_ONCE]
            names = f"--name={','.join(dict.fromkeys(name for name, _ in some))}"
            lines = _split_lines(await _run_squeue("--states=all", names), _FIELDS)
            found |= slurm_fates.fates(some, (slurm_fates.JobStateLine(*line[:3]) for line in lines))
            if any(key not in found or found[key].kind is FateKind.CANCELLED for key in some):
                lines = _split_lines(await _run_sacct(names), len(slurm_fates.JobStateLine._fields))
                found |= slurm_fates.fates(some, (slurm_fates.JobStateLine(*line) for line in lines))
        return found

    async def signal(self, jobs: Sequence[str], number: int) -> Collection[str]:
        """Signal the batch step, which is our keeper (see Engine)."""
        return await _cancel(["--verbose", "--batch", f"--signal={number}"], jobs, _STANDS_STILL)

    async def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel (see Engine)."""
        await _cancel(["--quiet"], jobs)

    def explain_reason(self, reason: str) -> ReasonExplanation:
        """Say what one of Slurm's reasons means, and who has to act (see Engine)."""
        return slurm_reasons.explain(reason)


def missing_commands() -> list[str]:
    """Return which of its commands are not on PATH."""
    return [name for name in _COMMANDS if shutil.which(name) is None]


def describe_trouble() -> str | None:
    """Say why Slurm does not answer, if its commands are on PATH; None: it does. It has some seconds."""
    return anyio.run(engine_trouble, SlurmEngine())


async def _run(argv: Sequence[str], given: str = "", until: str | None = None) -> EngineCommandResult:
    """Run one of its commands, to its end, or until it says this, or that its configuration is not there.

    Raises:
        EngineUnavailable: nothing came of it.
    """
    return await run_command(argv, given, _BEGINS, (_NOT_CONFIGURED, *([] if until is None else [until])))


def _unavailable(said: str) -> EngineUnavailable:
    """Return that Slurm does not answer; where its configuration is missing, which file that is."""
    missed = _NO_FILE.search(said)
    if missed is None:
        return EngineUnavailable(said)
    text = f"its configuration '{missed['file']}' can't be looked at: {missed['why']}"
    return EngineUnavailable(text, f"ls -ld {shlex.quote(missed['file'])}")


async def _run_squeue(*further: str) -> str:
    """Have squeue list this user's jobs.

    Raises:
        EngineUnavailable: it does not answer.
    """
    done = await _run([*_SQUEUE, *further])
    if done.status != 0:
        raise _unavailable(done.error or f"squeue ended with status {done.status}")
    return done.out


async def _run_sacct(names: str) -> str:
    """Ask the accounting; many clusters have none, nor all hosts the command: then nothing is known."""
    with suppress(EngineUnavailable):
        done = await _run([*_SACCT, names])
        return done.out if done.status == 0 else ""
    return ""


def _split_lines(text: str, fields: int) -> Iterator[list[str]]:
    """Return the fields of each line that has all of them; a name, the first, may hold what parts them."""
    parts = (line.rsplit("|", fields - 1) for line in text.splitlines())
    return (line for line in parts if len(line) == fields)


async def _cancel(given: list[str], jobs: Sequence[str], until: str | None = None) -> list[str]:
    """Run scancel, and end it where it says `until`; return of which jobs it says that.

    That one of them has ended meanwhile is no failure. It does not say of which it tries again, and may have
    left others out: they are told in halves, some of them twice.
    """
    found: list[str] = []
    for first in range(0, len(jobs), _MOST_AT_ONCE):
        some = jobs[first : first + _MOST_AT_ONCE]
        done = await _run(["scancel", *given, *some], until=until)
        if until is not None and until in done.error:
            halves = [some[: len(some) // 2], some[len(some) // 2 :]] if len(some) > 1 else []
            found += [job for half in halves for job in await _cancel(given, half, until)] if halves else some
        elif done.status != 0 and _failure_kind(done.error) is EngineUnavailable:
            raise _unavailable(done.error)
    return found


def options(resources: Resources, seconds: float | None) -> list[str]:
    """Return what sbatch is told of a sheet's wants; the score's own words come last, and count."""
    words = [text.format(value) for key, text in _OPTIONS if (value := getattr(resources, key)) is not None]
    minutes = resources.minutes
    if minutes is None and seconds is not None:
        minutes = max(1, math.ceil(seconds / 60))
    if minutes is not None:
        words.append(f"--time={minutes}")
    return [*words, *resources.arguments]


def parse_squeue(text: str) -> dict[JobKey, ClusterJob]:
    """Read what squeue lists; of several under one name the one that runs counts."""
    found: dict[JobKey, ClusterJob] = {}
    for name, number, state, reason, node in _split_lines(text, _FIELDS):
        key = slurm_fates.key_of(name, number)
        suspended = state in _SUSPENDED
        why = state if suspended else reason  # squeue has no reason for what has begun
        job = ClusterJob(number, state in _WAITING, why or None, node or None, suspended)
        if key not in found or found[key].waits:
            found[key] = job
    return found


def _failure_kind(text: str) -> type[Exception]:
    small = text.lower()
    for kind, known in ((ArrayTooLarge, _TOO_WIDE), (EngineUnavailable, _AWAY), (EngineBusy, _BUSY)):
        if any(one in small for one in known):
            return kind
    return JobRefused

"""PBS and Torque as a second engine: that the interface is no more than a table of commands.

It is tried against Slurm's wrappers of these commands, so it is no proof of a site, and no part of the product.
Arrays are left out: each attempt is a job of its own. The wrappers have no qsig: what is to end is told by its
file (marianned/executors/order.py).
"""

import math
import shutil

from marianned.executors.clusters.engine import (
    ClusterJob,
    EngineBusy,
    EngineUnavailable,
    JobRefused,
    ReasonExplanation,
    run_command,
)

COMMANDS = ("qsub", "qstat", "qdel")
WAITING = frozenset("QHWT")
GONE = frozenset("CEF")
FROM_A_FILE = 'f=$(mktemp) && cat >"$f" && qsub "$@" "$f"; s=$?; rm -f "$f"; exit $s'
"""The wrappers take no script from stdin."""
BEGINS = ("PBS", "SLURM", "MUNGE", "PERL")
RESOURCES = (("cpus", "ncpus={}"), ("memory", "mem={}"))
REASONS = {
    "H": "it is held",
    "Q": "its turn has not come yet",
    "S": "it is suspended",
    "W": "its time has not come",
}


def missing():
    """Say which of its commands are not there."""
    return [name for name in COMMANDS if shutil.which(name) is None]


class Torque:
    name = "Torque"
    ping = "qstat -B"
    index = None
    grants = ("PBS_", "SLURM_")
    node = "${SLURMD_NODENAME:-$(uname -n)}"
    job = "${PBS_JOBID:-$SLURM_JOB_ID}"

    async def submit(self, name, script, count, resources, seconds):
        assert count is None, "it has no arrays"
        words = ["-N", name, "-r", "n", "-o", "/dev/null", "-e", "/dev/null", *wanted(resources, seconds)]
        done = await run_command(["sh", "-c", FROM_A_FILE, "qsub", *words], script, BEGINS)
        if done.status == 0:
            return done.out.split()[-1].partition(".")[0]
        for kind, word in (
            (EngineUnavailable, "unable to contact"),
            (EngineBusy, "temporarily unable"),
            (EngineBusy, "limit"),
        ):
            if word in done.error.lower():
                raise kind(done.error)
        raise JobRefused(done.error)

    def effective_arguments(self, arguments, resources):
        return arguments

    async def list_jobs(self):
        done = await run_command(["qstat", "-f"], begins=BEGINS)
        if done.status != 0:
            raise EngineUnavailable(done.error)
        return read(done.out)

    async def fates(self, keys):
        """Say nothing: qstat forgets what has ended."""
        return {}

    async def signal(self, jobs, number):
        """Leave it to the file: the wrappers have no qsig."""
        return ()

    async def cancel(self, jobs):
        await run_command(["qdel", *jobs], begins=BEGINS)

    def explain_reason(self, reason):
        return ReasonExplanation(REASONS.get(reason, reason))


def wanted(resources, seconds):
    """Return what qsub is told of a sheet's wants."""
    told = [text.format(value) for key, text in RESOURCES if (value := getattr(resources, key)) is not None]
    if seconds is not None:
        minutes = math.ceil(seconds / 60)
        told.append(f"walltime={minutes // 60:02}:{minutes % 60:02}:00")
    words = ["-l", ",".join(told)] if told else []
    if resources.partition is not None:
        words += ["-q", resources.partition]
    return [*words, *resources.arguments]


def read(text):
    """Read what `qstat -f` lists: a job a paragraph."""
    found = {}
    for paragraph in text.split("Job Id:")[1:]:
        number, _, rest = paragraph.partition("\n")
        pairs = (line.partition(" = ") for line in rest.splitlines())
        facts = {key.strip(): value.strip() for key, _, value in pairs}
        state = facts.get("job_state", "Q")
        if state not in GONE:
            node = facts.get("exec_host", "").partition("/")[0] or None
            number = number.strip().partition(".")[0]
            job = ClusterJob(number, state in WAITING, state, node, suspended=state == "S")
            found[facts.get("Job_Name", ""), None] = job
    return found

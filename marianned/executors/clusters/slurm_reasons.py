"""Why a job of Slurm waits or stands still: Slurm's words, what they mean, who has to act before it goes on.

The names of limits are made of parts (whose, of what, for whom), so they are read and not listed; all others
stand in a table. A reason that neither knows is told as it is. Source: docs/design/executors.md "Reasons".
"""

import re
from enum import StrEnum

from marianned.executors.clusters.engine import ReasonExplanation


class RequiredAction(StrEnum):
    """Who has to act before a job that waits for this can go on: what is said of it; empty: nobody has to."""

    NOBODY = ""
    OWNER = "it waits until you release it"
    CHANGE = "it will not begin as it is: it has to want something else"
    ADMINISTRATOR = "it waits for an administrator of the cluster"
    NODES = "it waits for an administrator of the cluster; sinfo -R says why they are"
    RESUME = "it goes on when Slurm or an operator of the cluster resumes it"
    CONTINUE = "it goes on when you or an operator of the cluster continue it"
    USED_UP = "it waits until that is forgotten, as some clusters do, or an administrator allows more"


_LOOK = "scontrol show job {job}"
_TYPED = {
    RequiredAction.NOBODY: None,
    RequiredAction.OWNER: "scontrol release {job}",
    RequiredAction.CHANGE: _LOOK,
    RequiredAction.ADMINISTRATOR: _LOOK,
    RequiredAction.NODES: "sinfo -R",
    RequiredAction.RESUME: "scontrol resume {job}",
    RequiredAction.CONTINUE: "scancel --full --signal=CONT {job}",
    RequiredAction.USED_UP: _LOOK,
}
_OF_MANY = frozenset({RequiredAction.OWNER, RequiredAction.RESUME})
"""What one command does for several jobs."""

_NODES_DOWN = "its nodes are down, drained, or kept for others"

_KNOWN: dict[str, tuple[str, RequiredAction]] = {
    "None": ("its turn has not come yet", RequiredAction.NOBODY),
    "Priority": ("others have a higher priority", RequiredAction.NOBODY),
    "Resources": ("waits for nodes, processors or memory to become free", RequiredAction.NOBODY),
    "Dependency": ("waits for another job", RequiredAction.NOBODY),
    "DependencyNeverSatisfied": ("the job that it waits for has ended otherwise", RequiredAction.CHANGE),
    "BeginTime": ("its time to begin has not come", RequiredAction.NOBODY),
    "DeadLine": ("it can't be done by its deadline any more", RequiredAction.CHANGE),
    "JobHeldUser": ("held by its user", RequiredAction.OWNER),
    "JobHeldAdmin": ("held by an administrator", RequiredAction.ADMINISTRATOR),
    "JobHoldMaxRequeue": ("it was started again too often, and is held", RequiredAction.OWNER),
    "JobLaunchFailure": ("it could not be launched", RequiredAction.ADMINISTRATOR),
    "launch_failed_requeued_held": ("its start has failed, and it is held", RequiredAction.OWNER),
    "job_requeued_in_held_state": ("it was put back into the queue, and is held", RequiredAction.OWNER),
    "RequeueExit": ("it has ended and was put back into the queue", RequiredAction.NOBODY),
    "RequeueExitHold": ("it has ended, was put back into the queue, and is held", RequiredAction.OWNER),
    "JobArrayTaskLimit": ("as many of its array run as may", RequiredAction.NOBODY),
    "Licenses": ("waits for a licence", RequiredAction.NOBODY),
    "Reservation": ("waits for its reservation", RequiredAction.NOBODY),
    "ReservationDeleted": ("its reservation is gone", RequiredAction.CHANGE),
    "ReqNodeNotAvail": ("a node that it needs is not available", RequiredAction.NOBODY),
    "NodeDown": ("nodes that it needs are down", RequiredAction.NODES),
    "Nodes_required_for_job_are_DOWN": (_NODES_DOWN, RequiredAction.NODES),
    "Nodes required for job are DOWN": (_NODES_DOWN, RequiredAction.NODES),
    "FrontEndDown": ("its front end is down", RequiredAction.ADMINISTRATOR),
    "PowerNotAvail": ("waits for electrical power", RequiredAction.NOBODY),
    "PowerReserved": ("waits for electrical power", RequiredAction.NOBODY),
    "PartitionDown": ("its partition is down", RequiredAction.ADMINISTRATOR),
    "PartitionInactive": ("its partition is inactive", RequiredAction.ADMINISTRATOR),
    "PartitionConfig": ("it wants what its partition does not allow", RequiredAction.CHANGE),
    "PartitionNodeLimit": ("its partition has no such nodes", RequiredAction.CHANGE),
    "PartitionTimeLimit": ("its time limit is longer than its partition allows", RequiredAction.CHANGE),
    "BadConstraints": ("no node is as it wants", RequiredAction.CHANGE),
    "Constraints": ("no node is as it wants at the moment", RequiredAction.NOBODY),
    "InvalidAccount": ("its account is not known", RequiredAction.CHANGE),
    "InvalidQOS": ("its QOS is not known", RequiredAction.CHANGE),
    "AccountNotAllowed": ("its account may not use its partition", RequiredAction.CHANGE),
    "QOSNotAllowed": ("its account or partition may not use its QOS", RequiredAction.CHANGE),
    "QOSUsageThreshold": ("more is used than its QOS lets one have that begins", RequiredAction.USED_UP),
    "AccountingPolicy": ("a limit of its account or QOS", RequiredAction.NOBODY),
    "AssociationJobLimit": ("its account runs as many jobs as it may", RequiredAction.NOBODY),
    "AssociationResourceLimit": ("its account uses as much as it may", RequiredAction.NOBODY),
    "AssociationTimeLimit": ("its account has used up its time", RequiredAction.USED_UP),
    "QOSJobLimit": ("as many jobs of its QOS run as may", RequiredAction.NOBODY),
    "QOSResourceLimit": ("its QOS uses as much as it may", RequiredAction.NOBODY),
    "QOSTimeLimit": ("its QOS has used up its time", RequiredAction.USED_UP),
    "MaxMemPerLimit": ("it wants more memory of a node or processor than it may", RequiredAction.CHANGE),
    "BurstBufferResources": ("waits for room in a burst buffer", RequiredAction.NOBODY),
    "BurstBufferStageIn": ("its data are brought into a burst buffer", RequiredAction.NOBODY),
    "BurstBufferOperation": ("its burst buffer has failed", RequiredAction.ADMINISTRATOR),
    "Cleaning": ("its last start is still being cleaned up", RequiredAction.NOBODY),
    "Prolog": ("its node is being prepared", RequiredAction.NOBODY),
    "WaitingForScheduling": ("its turn has not come yet", RequiredAction.NOBODY),
    "SchedDefer": ("its turn has not come yet", RequiredAction.NOBODY),
    "FedJobLock": ("waits for the other clusters of its federation", RequiredAction.NOBODY),
    "SystemFailure": ("Slurm, a file system or the network has failed", RequiredAction.ADMINISTRATOR),
    "InactiveLimit": ("it was inactive for too long", RequiredAction.NOBODY),
    "TimeLimit": ("it has used up its time", RequiredAction.NOBODY),
    "NonZeroExitCode": ("it has ended with a failure", RequiredAction.NOBODY),
    "SUSPENDED": ("its processes are stopped", RequiredAction.RESUME),
    "STOPPED": ("its processes were stopped by a signal", RequiredAction.CONTINUE),
    "OutOfMemory": ("it ran out of memory", RequiredAction.NOBODY),
}

_OF = {
    "BB": "room in burst buffers",
    "Billing": "billed resources",
    "CPU": "processors",
    "Cpu": "processors",
    "Energy": "energy",
    "GRES": "GPUs and the like",
    "Jobs": "jobs",
    "Job": "jobs",
    "SubmitJobs": "jobs in the queue",
    "SubmitJob": "jobs in the queue",
    "License": "licences",
    "Mem": "memory",
    "Memory": "memory",
    "Node": "nodes",
    "Unknown": "some resource",
    "Wall": "time",
    "WallDuration": "time",
}
_LIMIT = re.compile(
    rf"(?P<whose>Assoc|QOS)?(?P<kind>Grp|Max|Min)(?P<of>{'|'.join(sorted(_OF, key=len, reverse=True))})s?"
    r"(?P<minutes>RunMinutes|Minutes)?(?P<each>PerJob|PerNode|PerUser|PerAccount)?(?:NotSatisfied)?(?:Limit)?"
)


def explain(reason: str) -> ReasonExplanation:
    """Say what one of Slurm's reasons means, and what people type to see, or to do, what it waits for."""
    name = re.split(r"[,(]", reason, maxsplit=1)[0].strip()
    found = _KNOWN.get(name) or _limit(name)
    if found is None:
        return ReasonExplanation(reason)
    text, acts = found
    if name == "ReqNodeNotAvail" and "Unavailable" in reason:
        text, acts = "nodes that it needs are down or drained", RequiredAction.NODES
    said = [text if name == "None" else f"{reason}: {text}", *([str(acts)] if acts else [])]
    shows = _LOOK if acts is RequiredAction.NODES else None
    return ReasonExplanation(
        "; ".join(said),
        _TYPED[acts],
        change=acts is RequiredAction.CHANGE,
        shows=shows,
        many=acts in _OF_MANY,
    )


def _limit(name: str) -> tuple[str, RequiredAction] | None:
    """Read the name of a limit of an account or a QOS.

    What is counted over jobs passes as they end, what has been used up over time does so only where that is
    forgotten; and what one job, or one node of it, may have at most, or must at least, it never comes to.
    """
    match = _LIMIT.fullmatch(name)
    if match is None:
        return None
    whose = "QOS" if match["whose"] == "QOS" or match["each"] == "PerAccount" else "account"
    of = f"{'minutes of ' if match['minutes'] else ''}{_OF[match['of']]}"
    if match["kind"] == "Min":
        return f"it wants less than its {whose} demands ({of})", RequiredAction.CHANGE
    if match["each"] in {"PerJob", "PerNode"}:
        one = "job" if match["each"] == "PerJob" else "node"
        return f"it wants more than its {whose} lets a {one} have ({of})", RequiredAction.CHANGE
    if match["minutes"] == "Minutes" or (match["kind"], match["of"]) == ("Grp", "Wall"):
        return f"its {whose} has used up what it may ({of})", RequiredAction.USED_UP
    if match["kind"] == "Grp":
        return f"its {whose} has as much as it may ({of})", RequiredAction.NOBODY
    who = "its account has" if match["each"] == "PerAccount" else "you have"
    return f"{who} as much as its {whose} allows ({of})", RequiredAction.NOBODY

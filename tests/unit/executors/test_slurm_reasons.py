"""Why a job waits in Slurm's queue: every reason that Slurm's own pages list has words, and who must act."""

from itertools import product

from kit.tables import each

from marianned.executors.clusters.slurm_reasons import explain

_RESOURCES = ("BB", "Billing", "Energy", "GRES", "License", "Unknown")
_WHOSE = ("Assoc", "QOS")
AGGREGATES = [
    *(f"{whose}Grp{of}{minutes}" for whose, of, minutes in product(_WHOSE, _RESOURCES, ("", "RunMinutes"))),
    *(
        f"{whose}Grp{rest}"
        for whose, rest in product(
            _WHOSE,
            (
                "CPURunMinutesLimit",
                "CpuLimit",
                "JobsLimit",
                "MemLimit",
                "NodeLimit",
                "NodeRunMinutes",
                "SubmitJobsLimit",
            ),
        )
    ),
    "AssocGrpMemRunMinutes",
    "QOSGrpMemoryRunMinutes",
    *(f"QOSMax{of}PerUser" for of in (*_RESOURCES, "Memory")),
    *(f"Max{of}PerAccount" for of in (*_RESOURCES, "Cpu", "Jobs", "Memory", "Node", "SubmitJobs")),
    "AssocMaxJobsLimit",
    "AssocMaxSubmitJobLimit",
    "QOSMaxCpuPerUserLimit",
    "QOSMaxJobsPerUserLimit",
    "QOSMaxNodePerUserLimit",
    "QOSMaxSubmitJobPerUserLimit",
]
"""What others use as well: that passes as they end."""
USED_UP = [
    *(f"{whose}Grp{of}Minutes" for whose, of in product(_WHOSE, (*_RESOURCES, "Node"))),
    *(f"{whose}Grp{rest}" for whose, rest in product(_WHOSE, ("CPUMinutesLimit", "WallLimit"))),
    "AssocGrpMemMinutes",
    "QOSGrpMemoryMinutes",
    "AssociationTimeLimit",
    "QOSTimeLimit",
    "QOSUsageThreshold",
]
NEVER_MET = [
    *(
        f"{whose}Max{of}{each}"
        for whose, of, each in product(_WHOSE, _RESOURCES, ("MinutesPerJob", "PerJob", "PerNode"))
    ),
    *(
        f"{whose}Max{rest}"
        for whose, rest in product(
            _WHOSE,
            (
                "CpuMinutesPerJobLimit",
                "CpuPerJobLimit",
                "CpuPerNode",
                "NodeMinutesPerJob",
                "NodePerJobLimit",
                "WallDurationPerJobLimit",
            ),
        )
    ),
    *(f"AssocMaxMem{each}" for each in ("MinutesPerJob", "PerJob", "PerNode")),
    *(f"QOSMaxMemory{each}" for each in ("MinutesPerJob", "PerJob", "PerNode")),
    *(f"QOSMin{of}" for of in (*_RESOURCES, "Memory", "Node", "CpuNotSatisfied")),
    "AccountNotAllowed",
    "BadConstraints",
    "DeadLine",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "MaxMemPerLimit",
    "PartitionConfig",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "QOSNotAllowed",
    "ReservationDeleted",
]
OTHERS_ACT = [
    "BurstBufferOperation",
    "FrontEndDown",
    "JobHeldAdmin",
    "JobLaunchFailure",
    "PartitionDown",
    "PartitionInactive",
    "SystemFailure",
]
NODES_DOWN = [
    "NodeDown",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
    "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions",
    "ReqNodeNotAvail, UnavailableNodes:n[1-2]",
    "ReqNodeNotAvail(Unavailable:n1)",
]
RELEASED = ["JobHeldUser", "JobHoldMaxRequeue", "launch_failed_requeued_held", "job_requeued_in_held_state"]
PASSING = [
    "AccountingPolicy",
    "AssociationJobLimit",
    "AssociationResourceLimit",
    "BeginTime",
    "BurstBufferResources",
    "BurstBufferStageIn",
    "Cleaning",
    "Constraints",
    "Dependency",
    "FedJobLock",
    "InactiveLimit",
    "JobArrayTaskLimit",
    "Licenses",
    "NonZeroExitCode",
    "OutOfMemory",
    "Priority",
    "Prolog",
    "QOSJobLimit",
    "QOSResourceLimit",
    "ReqNodeNotAvail, May be reserved for other job",
    "Reservation",
    "Resources",
    "SchedDefer",
    "TimeLimit",
    "WaitingForScheduling",
]


@each("reason", [*PASSING, *AGGREGATES])
def test_what_passes_by_itself_has_words_and_nothing_to_type(reason: str) -> None:
    said = explain(reason)
    assert said.text.startswith(f"{reason}: ")
    assert said.typed is None


@each(
    ("reasons", "acts", "typed"),
    [
        (NEVER_MET, "it has to want something else", "scontrol show job {job}"),
        (OTHERS_ACT, "waits for an administrator of the cluster", "scontrol show job {job}"),
        (NODES_DOWN, "waits for an administrator of the cluster; sinfo -R says why", "sinfo -R"),
        (USED_UP, "or an administrator allows more", "scontrol show job {job}"),
        (RELEASED, "until you release it", "scontrol release {job}"),
    ],
)
def test_what_needs_a_person_says_whom_and_what_to_type(reasons: list[str], acts: str, typed: str) -> None:
    for reason in reasons:
        said = explain(reason)
        assert said.text.startswith(f"{reason}: "), reason
        assert acts in said.text, reason
        assert said.typed == typed, reason
        assert said.change is (reasons is NEVER_MET), reason
        assert said.many is (reasons is RELEASED), reason
        assert said.shows == ("scontrol show job {job}" if reasons is NODES_DOWN else None), reason


def test_what_is_not_known_is_told_as_it_is() -> None:
    assert explain("SomethingNew, of tomorrow") == ("SomethingNew, of tomorrow", None, False, None, False)
    assert explain("None") == ("its turn has not come yet", None, False, None, False)


def test_a_limit_says_whose_it_is_and_of_what() -> None:
    assert "it wants more than its QOS lets a job have (processors)" in explain("QOSMaxCpuPerJobLimit").text
    assert "it wants less than its QOS demands (memory)" in explain("QOSMinMemory").text
    assert "its account has as much as it may (jobs)" in explain("AssocGrpJobsLimit").text

"""What Slurm has suspended: told in words with the way out, and ended where its end is asked for."""

import signal
import time

import anyio
import pytest
from test_told_of_a_cluster import SECONDS, sheets

from marianned.executors.clusters.slurm import SlurmEngine

pytestmark = pytest.mark.slurm
WAITS = 'note start {{ sheet_num }}; read _ < "$HOME/gate-all"; note end {{ sheet_num }}'


def begun(daemon, job, ledger, times=1):
    """Have one sheet run behind a gate, as so many before it; return the number of its job and its node."""
    daemon.gate("all")
    daemon.submit(sheets(job, 1, WAITS))
    daemon.event(job, "attempt.placed", sheet=1)
    ledger.wait_for("start 1", times)
    attempt = daemon.attempts(job, 1)[-1]
    return attempt["cluster_job"], attempt["node"]


def until_told(daemon, job, told):
    """Wait until `why` says, or does not say any more, that Slurm has suspended a job; return its reasons."""
    deadline = time.monotonic() + SECONDS
    while True:
        reasons = daemon.rpc("job.why", job_id=job)["reasons"]
        if ("slurm" in [one["code"] for one in reasons]) is told:
            return reasons
        assert time.monotonic() < deadline, reasons
        time.sleep(0.1)  # what Slurm says of a job is no event


@pytest.mark.parametrize(
    ("state", "suspend", "resume"),
    [
        ("SUSPENDED", "scontrol suspend", "scontrol resume"),
        ("STOPPED", "scancel --full --signal=STOP", "scancel --full --signal=CONT"),
    ],
)
def test_what_is_suspended_says_so_and_what_to_type_and_goes_on(
    cluster, daemon, ledger, state, suspend, resume
):
    number, node = begun(daemon, "stands", ledger)
    assert daemon.status("stands")["in_flight"][0]["time_limit_at"]
    cluster.command(*suspend.split(), number)
    reason, flying = until_told(daemon, "stands", told=True)
    assert (flying["code"], flying["until_at"]) == ("in_flight", None)
    assert reason["text"].startswith(f"sheet 1: its job {number} of Slurm is suspended on {node} ({state}: ")
    assert (reason["unblocked_by"], reason["hints"]) == ("caller", [f"{resume} {number}"])
    assert reason["until_at"] is None
    status = daemon.status("stands")
    assert status["hindered_by"] == [reason["text"]]
    assert [(one["suspended"], one["time_limit_at"] is None) for one in status["in_flight"]] == [
        (True, False)
    ]
    assert ", suspended, limit " in daemon.mzt("status", "stands").stdout
    assert status["next"]["latest_at"] is None
    assert status["hints"][0] == f"{resume} {number}"
    assert f"{resume} {number}" in daemon.mzt("why", "stands").stdout
    cluster.command(*resume.split(), number)
    (reason,) = until_told(daemon, "stands", told=False)
    assert (reason["code"], reason["text"]) == (
        "in_flight",
        f"sheet 1 is in flight (on {node}, job {number})",
    )
    assert f", cli, on {node}, job {number}\n" in daemon.mzt("status", "stands").stdout
    daemon.gate("all").open()
    assert daemon.wait_for("stands", "ended", deadline=SECONDS)["status"] == "completed"
    assert ledger.lines().count("start 1") == 1


ASKED = {"cancelled": ("job.cancel", {}), "paused": ("job.pause", {"now": True})}
"""By the name of the job, which says what it then is."""


@pytest.mark.parametrize(
    ("seen", "jobs"), [(True, [*ASKED]), *((False, [job]) for job in ASKED)], ids=["seen", *ASKED]
)
def test_what_is_suspended_ends_at_once_where_it_is_asked_to_by_a_cancel_or_a_pause(
    cluster, house, ledger, seen, jobs
):
    house.configure("kill_grace = 600\n")  # what waits for that does not end here
    daemon = house.start()
    numbers = [begun(daemon, job, ledger, times)[0] for times, job in enumerate(jobs, 1)]
    for number in numbers:
        cluster.command("scontrol", "suspend", number)
    if seen:
        for job in jobs:
            until_told(daemon, job, told=True)
    for job in jobs:
        method, how = ASKED[job]
        daemon.rpc(method, job_id=job, **how)
    for job in jobs:
        assert daemon.wait_for(job, job, deadline=SECONDS)["status"] == job
        assert [one["outcome"] for one in daemon.attempts(job, 1)] == ["interrupted"], job
    deadline = time.monotonic() + SECONDS
    while left := [line for line in cluster.queue() if "COMPLETING" not in line]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)  # Slurm tells of nothing
    assert ledger.lines() == ["start 1"] * len(jobs)


@pytest.mark.parametrize(
    ("method", "asked", "end", "holds"),
    [
        ("job.cancel", {}, "cancelled", []),
        ("job.pause", {"now": True}, "paused", ["user"]),
    ],
)
def test_what_a_daemon_has_cancelled_before_it_was_killed_was_cancelled_by_nobody_else(
    cluster, house, ledger, method, asked, end, holds
):
    house.configure("kill_grace = 600\n")
    house.start(MARIANNE_FAULT="cluster.cancelled")
    number, _ = begun(house, "stands", ledger)
    cluster.command("scontrol", "suspend", number)
    house.rpc(method, job_id="stands", **asked)
    assert house.process.wait(SECONDS) == -signal.SIGKILL
    deadline = time.monotonic() + SECONDS
    while number in cluster.command("squeue", "--noheader", "--format=%i").split():
        assert time.monotonic() < deadline
        time.sleep(0.1)  # Slurm tells of nothing
    house.start()
    assert house.wait_for("stands", end, deadline=SECONDS)["status"] == end
    assert [one["cause"] for one in house.status("stands")["holds"]] == holds
    assert [one["outcome"] for one in house.attempts("stands", 1)] == ["interrupted"]
    assert ledger.lines() == ["start 1"]


@pytest.mark.anyio
async def test_a_signal_that_does_not_reach_one_reaches_the_others_and_is_not_tried_for_ever(
    cluster, tmp_path
):
    script = f"trap 'echo heard >>{tmp_path}/$SLURM_JOB_ID; exit' TERM; echo ready >{tmp_path}/$SLURM_JOB_ID; while :; do sleep 0.1; done"
    jobs = [
        cluster.command("sbatch", "--parsable", "--output=/dev/null", "--wrap", script).strip()
        for _ in range(3)
    ]
    with anyio.fail_after(SECONDS):
        while len([*tmp_path.iterdir()]) < len(jobs):  # noqa: ASYNC110  Slurm tells of nothing
            await anyio.sleep(0.1)
    still = jobs[1]
    cluster.command("scontrol", "suspend", still)
    assert await SlurmEngine().signal([*jobs, "99999"], signal.SIGTERM) == [still]
    with anyio.fail_after(SECONDS):
        while any("heard" not in (tmp_path / job).read_text() for job in jobs if job != still):  # noqa: ASYNC110
            await anyio.sleep(0.1)
    assert (tmp_path / still).read_text() == "ready\n"
    cluster.command("scancel", still)

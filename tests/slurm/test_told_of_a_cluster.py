"""What is known of attempts on a cluster, whoever saw it: node, job, times, what they wait for, what is left queued."""

import calendar
import time

import pytest
import yaml
from kit.daemon import DEADLINE, Refused

pytestmark = pytest.mark.slurm
SECONDS = 4 * DEADLINE
HELD = {"arguments": ["--hold"]}


def sheets(name, count, body, **executor):
    """Return the text of a score of so many sheets that start together."""
    return yaml.dump(
        {
            "name": name,
            "workspace": f"./{name}-work",
            "instrument": "cli",
            "sheet": {"size": 1, "total_items": 1, "fan_out": {1: count}},
            "executor": {"type": "slurm", **executor},
            "parallel": {"enabled": True, "max_concurrent": 100},
            "retry": {"max_retries": 0},
            "prompt": {"template": body},
        }
    )


def queued(cluster, count):
    """Wait until so many attempts are in the queue."""
    deadline = time.monotonic() + SECONDS
    while len(found := [line for line in cluster.queue() if line.startswith("m-")]) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)  # Slurm tells of nothing


def milliseconds(text):
    """Return a time of the wire as milliseconds since 1970."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(text[20:23])


@pytest.mark.parametrize("count", [1, 3])
def test_what_ends_at_once_is_known_by_its_node_its_job_and_its_time(daemon, ledger, count):
    daemon.submit(sheets("short", count, "note $SLURMD_NODENAME {{ sheet_num }}"))
    assert daemon.wait_for("short", "ended", deadline=SECONDS)["status"] == "completed"
    lines = ledger.lines()
    for sheet in range(1, count + 1):
        (attempt,) = daemon.attempts("short", sheet)
        assert f"{attempt['node']} {sheet}" in lines
        assert attempt["cluster_job"].partition("_")[0].isdecimal()
        assert attempt["started_at"] <= attempt["ended_at"]


def test_what_has_run_without_a_daemon_has_its_own_times(cluster, house, ledger):
    house.start()
    house.submit(sheets("alone", 1, "note ran", **HELD))
    queued(cluster, 1)
    house.kill()
    job = cluster.command("squeue", "--noheader", "--format=%i").split()[0]
    released = time.time() * 1000
    cluster.command("scontrol", "release", job)
    ledger.wait_for("ran")
    house.start()
    assert house.wait_for("alone", "ended", deadline=SECONDS)["status"] == "completed"
    (attempt,) = house.attempts("alone", 1)
    assert attempt["node"] in {"n1", "n2", "n3"}
    assert attempt["cluster_job"] == job
    assert released - 1 <= milliseconds(attempt["started_at"])
    assert attempt["started_at"] <= attempt["ended_at"]


def test_what_waits_for_a_person_says_for_whom_and_what_to_type(cluster, daemon):
    daemon.submit(sheets("held", 1, "true", **HELD))
    queued(cluster, 1)
    job = cluster.command("squeue", "--noheader", "--format=%i").split()[0]
    deadline = time.monotonic() + SECONDS
    while "until you release it" not in (message := daemon.status("held")["message"]):
        assert time.monotonic() < deadline, message
    (reason,) = [one for one in daemon.rpc("job.why", job_id="held")["reasons"] if one["code"] == "slurm"]
    assert (reason["unblocked_by"], reason["hints"]) == ("caller", [f"scontrol release {job}"])
    shown = daemon.mzt("why", "held").stdout
    assert f"scontrol release {job}" in shown
    assert "by itself" not in shown
    first = daemon.status("held")["hints"][0]
    for screen in (daemon.mzt("status", "held").stdout, daemon.mzt("list").stdout):
        assert f"type: {first}" in screen
    cluster.command(*first.split())
    assert daemon.wait_for("held", "ended", deadline=SECONDS)["status"] == "completed"


def test_all_that_a_job_has_held_is_released_by_one_command(cluster, daemon):
    daemon.submit(sheets("many", 40, "true", **HELD))
    queued(cluster, 40)
    deadline = time.monotonic() + SECONDS
    while "sheets 1-40: they wait in Slurm's queue (JobHeldUser" not in (
        said := daemon.status("many")["message"]
    ):
        assert time.monotonic() < deadline, said
        time.sleep(0.1)  # what Slurm says of a job that waits is no event
    first, *others = daemon.status("many")["hints"]
    assert first.startswith("scontrol release ")
    assert not any("scontrol" in one for one in others)
    assert f"  unblock  {first}\n" in daemon.mzt("why", "many").stdout
    cluster.command(*first.split())
    assert daemon.wait_for("many", "ended", deadline=SECONDS)["status"] == "completed"


def reasons(daemon, job):
    return daemon.rpc("job.why", job_id=job)["reasons"]


def unblocked(daemon, job, code):
    """Wait until a job says that it waits, or has failed, for this; return what is to be typed."""
    deadline = time.monotonic() + SECONDS
    while True:
        reasons = daemon.rpc("job.why", job_id=job)["reasons"]
        if hints := [
            one["hints"] for one in reasons if one["code"] == code and one["unblocked_by"] == "caller"
        ]:
            return hints[0]
        assert time.monotonic() < deadline, reasons
        time.sleep(0.1)  # what Slurm says of a job that waits is no event


@pytest.mark.parametrize(("wants", "code"), [({"partition": "nosuch"}, "failed"), ({"cpus": 4000}, "slurm")])
def test_what_slurm_never_lets_begin_as_it_is_is_unblocked_by_another_score(daemon, wants, code):
    daemon.submit(sheets("never", 1, "true", **wants))
    assert unblocked(daemon, "never", code)[0] == "mzt modify never -c FILE -r"
    shown = daemon.mzt("why", "never").stdout
    assert "  mzt modify never -c FILE -r · " in shown
    (daemon.home / "other.yaml").write_text(sheets("never", 1, "true"))
    daemon.mzt("modify", "never", "-c", str(daemon.home / "other.yaml"), "-r")  # as it is told
    assert daemon.wait_for("never", "ended", deadline=SECONDS)["status"] == "completed"


def test_where_only_the_setting_wants_it_another_setting_unblocks(house):
    house.run_sheets_on_slurm(arguments=["--partition=nosuch"])
    house.start()
    house.submit(sheets("never", 1, "true"))
    assert house.wait_for("never", "ended", deadline=SECONDS)["status"] == "failed"
    assert unblocked(house, "never", "failed") == ["mzt restart"]
    (told,) = house.rpc("job.why", job_id="never")["errors"]
    assert "it wants only what slurm.arguments of config.toml say; change that" in told["error_message"]
    assert "mzt restart · mzt resume never" in house.mzt("why", "never").stdout
    house.submit(sheets("of-both", 1, "true", cpus=1))
    assert house.wait_for("of-both", "ended", deadline=SECONDS)["status"] == "failed"
    (told,) = house.rpc("job.why", job_id="of-both")["errors"]
    assert told["error_message"].endswith("slurm.arguments of config.toml say, too: --partition=nosuch")


def test_what_a_score_says_counts_more_than_the_setting_does_however_it_is_written(cluster, house):
    """The partition `narrow` is n1 alone; with both words of memory, sbatch refuses the job."""
    house.run_sheets_on_slurm(arguments=["-pmain", "--time=7", "--mem-per-cpu=8M", "-c5", "--comment=site"])
    house.start()
    keys = {"partition": "narrow", "memory": "50M", "time_limit": "1h", "cpus": 2}
    words = ["--partition=narrow", "--mem=50M", "-t60", "--cpus-per-task=2"]
    for name, wants in (("keys", keys), ("words", {"arguments": words}), ("neither", {})):
        house.submit(
            sheets(name, 1, "true", **wants | {"arguments": [*wants.get("arguments", []), "--hold"]})
        )
        queued(cluster, 1)
        (told,) = cluster.command("squeue", "--noheader", "--format=%P %m %l %c %k").splitlines()
        got = "main 8M 7:00 5 site" if name == "neither" else "narrow 50M 1:00:00 2 site"
        assert told.split() == got.split(), name
        house.rpc("job.cancel", job_id=name, wait=True)
        queued(cluster, 0)


def test_of_the_setting_only_what_a_refusal_can_be_about_is_told_beside_it(house):
    house.run_sheets_on_slurm(arguments=["--account=lab7", "--qos=normal"])
    house.start()
    house.submit(sheets("large", 1, "true", memory="9000G"))
    assert house.wait_for("large", "ended", deadline=SECONDS)["status"] == "failed"
    (told,) = house.rpc("job.why", job_id="large")["errors"]
    assert "Slurm does not take it: " in told["error_message"]
    assert "slurm.arguments" not in told["error_message"]


def test_a_configuration_of_slurm_that_is_missing_is_told_at_once_and_waited_for(cluster, house):
    """A person has to bring it back; then the job goes on."""
    missing = house.home / "slurm.conf"
    house.start(SLURM_CONF=str(missing))
    submitted = time.monotonic()
    house.submit(sheets("early", 1, "true"))
    said = (
        f"Slurm does not answer: its configuration '{missing}' can't be looked at: No such file or directory"
    )
    while said not in (message := house.status("early")["message"]):
        assert time.monotonic() < submitted + 10, message
        time.sleep(0.1)  # what Slurm says is no event
    assert house.status("early")["hints"][0] == f"ls -ld {missing}"
    assert f"  unblock  ls -ld {missing}\n" in house.mzt("why", "early").stdout
    missing.symlink_to(cluster.configuration)
    assert house.wait_for("early", "ended", deadline=SECONDS)["status"] == "completed"


def test_variables_of_sbatch_that_make_something_else_of_a_job_do_not_reach_it(cluster, house):
    wanting = {"SBATCH_PARTITION": "nosuch", "SQUEUE_STATES": "COMPLETED", "SLURM_CLUSTERS": "nowhere"}
    house.start(SBATCH_ARRAY_INX="0-3", SBATCH_WAIT="1", SBATCH_CLUSTERS="nowhere", **wanting)
    house.submit(sheets("alone", 1, "true", **HELD))
    queued(cluster, 1)
    house.rpc("job.pause", job_id="alone")
    house.wait_for("alone", "paused", deadline=SECONDS)
    queued(cluster, 0)
    assert " · 0 attempts · " in house.mzt("status", "alone").stdout, "what never began is none"


def test_a_pause_tells_what_it_takes_back_and_what_it_waits_for(daemon):
    daemon.submit(sheets("mixed", 4, "sleep 1000", cpus=100))  # three nodes have room for one each
    deadline = time.monotonic() + SECONDS
    said = []
    while said != [("slurm", 1), ("in_flight", 3)]:
        assert time.monotonic() < deadline, said
        time.sleep(0.1)  # what Slurm says of a job that waits is no event
        said = [(one["code"], len(one["sheets"])) for one in reasons(daemon, "mixed")]
    told = daemon.rpc("job.pause", job_id="mixed")
    assert told["message"].startswith("mixed: pausing; pauses when sheets ")
    assert told["message"].endswith(" is taken out of the queue")
    assert told["waiting"] == []
    assert daemon.rpc("job.cancel", job_id="mixed", wait=True)["status"] == "cancelled"


@pytest.mark.parametrize("count", [1, 3])
def test_what_was_taken_back_before_a_kill_the_next_daemon_takes_out_of_the_queue(cluster, house, count):
    house.start()
    house.submit(sheets("left", count, "true", **HELD))
    queued(cluster, count)
    cluster.fault("ctld-stop")
    try:
        house.rpc("job.pause", job_id="left")
        house.wait_for("left", "paused", deadline=SECONDS)
        house.kill()  # it has taken the claims, and could not tell Slurm
    finally:
        cluster.fault("ctld-start")
    queued(cluster, count)
    house.start()
    queued(cluster, 0)
    assert house.status("left")["status"] == "paused"


def test_a_wall_that_can_not_stand_on_a_node_is_refused_when_the_job_is_submitted(house):
    house.configure('[attempts]\ncontain = "hide"\n')
    house.start()
    with pytest.raises(Refused, match="contain: hide holds on the daemon's host only"):
        house.submit(sheets("walled", 1, "true"))
    assert house.rpc("job.list")["jobs"] == []


def test_a_node_without_the_interpreter_is_told_with_the_setting_that_names_it(house):
    house.run_sheets_on_slurm(python="/nowhere/python3")
    house.start()
    house.submit(sheets("bare", 1, "true"))
    assert house.wait_for("bare", "ended", deadline=SECONDS)["status"] == "failed"
    (told,) = house.rpc("job.why", job_id="bare")["errors"]
    assert (
        "/nowhere/python3: not found; slurm.python of config.toml names the nodes' interpreter"
        in told["error_message"]
    )
    assert " · 1 attempt · " in house.mzt("status", "bare").stdout, "as it says that it failed after one"


def test_drained_nodes_are_told_with_what_says_why_they_are(cluster, daemon):
    cluster.command("scontrol", "update", "nodename=n1", "state=drain", "reason=disk")
    try:
        daemon.submit(sheets("waits", 1, "true", partition="narrow"))
        deadline = time.monotonic() + SECONDS
        while "sinfo -R says why" not in daemon.status("waits")["message"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)  # what Slurm says of a job that waits is no event
        job = cluster.command("squeue", "--noheader", "--format=%i").split()[0]
        (reason,) = reasons(daemon, "waits")
        assert (reason["unblocked_by"], reason["hints"]) == (
            "caller",
            ["sinfo -R", f"scontrol show job {job}"],
        )
        assert "by itself" not in daemon.mzt("why", "waits").stdout
        assert "type: sinfo -R" in daemon.mzt("status", "waits").stdout
    finally:
        cluster.command("scontrol", "update", "nodename=n1", "state=resume")
    assert daemon.wait_for("waits", "ended", deadline=SECONDS)["status"] == "completed"

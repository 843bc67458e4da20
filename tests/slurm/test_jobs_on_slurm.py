"""Whole jobs on a cluster: pause, modify, resume, crashes of the daemon; each attempt once, by what sheets note."""

import shutil
import signal
import time
from base64 import b64decode
from contextlib import suppress

import pytest
import yaml
from kit.daemon import DEADLINE
from kit.executors import ours
from kit.fault_points import OF_AN_ATTEMPT
from kit.loopback import LONG

pytestmark = pytest.mark.slurm
WIDE = 200 if LONG else 24
SECONDS = 4 * DEADLINE
POINTS = (
    "slot.decided",
    "slot.committed",
    "slot.applied",
    "slot.acted",
    *OF_AN_ATTEMPT,
    "ended.decided",
    "ended.committed",
    "ended.applied",
    "ended.acted",
)
"""Those of the crash walk (tests/crash) that an attempt comes by."""
PLACED = ("warned.committed", "warned.decided", "warned.applied", "warned.acted")
"""Those where it is noted on which node it has begun."""


def fan(name, count, body, **top):
    """Return the text of a score: one sheet here, then so many on the cluster, which note start and end."""
    return yaml.dump(
        {
            "name": name,
            "workspace": f"./{name}-work",
            "instrument": "cli",
            "sheet": {
                "size": 1,
                "total_items": 2,
                "fan_out": {2: count},
                "dependencies": {2: [1]},
            },
            "movements": {1: {"executor": "local"}},
            "parallel": {"enabled": True, "max_concurrent": 1000},
            "retry": {"max_retries": 0},
            "prompt": {"template": "note start {{ sheet_num }}; " + body + "; note end {{ sheet_num }}"},
            **top,
        }
    )


def placed(daemon, job, count):
    """Wait until so many attempts have begun on nodes."""
    seen = 0
    for event in daemon.events(job=job):
        seen += event["type"] == "attempt.placed"
        if seen == count:
            return


def started(ledger):
    """Return how often each sheet has started."""
    lines = [line for line in ledger.lines() if line.startswith("start")]
    return {line: lines.count(line) for line in lines}


def test_a_fan_out_is_paused_changed_and_resumed(daemon, ledger):
    gate = '[ "{{ stage }}" = 1 ] || read _ < "$HOME/gate-all"'
    daemon.gate("all")
    daemon.submit(fan("wide", WIDE, gate, executor={"cpus": 128 * 3 // (WIDE // 2) // 2 * 2}))
    placed(daemon, "wide", 3)
    daemon.rpc("job.pause", job_id="wide")
    status = daemon.status("wide")
    assert status["status"] == "pausing"
    flying = len(status["in_flight"])
    daemon.gate("all").open(WIDE)
    paused = daemon.wait_for("wide", "paused", deadline=SECONDS)
    assert paused["status"] == "paused"
    begun = started(ledger)
    done = daemon.status("wide")["progress"]["completed"]
    assert len(begun) == done  # what had begun has ended, nothing else has begun
    assert done < WIDE + 1
    assert flying <= WIDE
    daemon.modify("wide", fan("wide", WIDE, "note new", executor={"cpus": 2}), resume=True)
    assert daemon.wait_for("wide", "ended", deadline=SECONDS)["status"] == "completed"
    assert set(started(ledger).values()) == {1}
    assert len(started(ledger)) == WIDE + 1
    assert ledger.lines().count("new") == WIDE + 1 - done


def screen(daemon, *arguments):
    """Return what `mzt` shows."""
    done = daemon.mzt(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_waits_is_told_with_slurms_reason_and_a_pause_takes_it_back(daemon, ledger):
    daemon.gate("all")
    gate = '[ "{{ stage }}" = 1 ] || read _ < "$HOME/gate-all"'
    daemon.submit(fan("queued", 5, gate, executor={"cpus": 128}))
    placed(daemon, "queued", 3)
    deadline = time.monotonic() + SECONDS
    while "Resources: waits for nodes" not in (message := daemon.status("queued")["message"]):
        assert time.monotonic() < deadline, message
    status = daemon.status("queued")
    waiting = [one["sheet"] for one in status["waiting"] if one["waiting_for"] == "slurm"]
    assert len(waiting) == 2
    assert {one["sheet"] for one in status["in_flight"] if one["time_limit_at"] is None} == set(waiting)
    assert status["next"]["latest_at"] is None  # their time counts from their beginning, which nobody knows
    why = daemon.rpc("job.why", job_id="queued")
    assert any(one["code"] == "slurm" and one["unblocked_by"] == "cluster" for one in why["reasons"])
    assert [one["until_at"] for one in why["reasons"] if one["code"] == "in_flight"] == [None]
    shown = screen(daemon, "status", "queued")
    assert shown.count(", not begun") == len(waiting)
    daemon.rpc("job.pause", job_id="queued")
    daemon.gate("all").open(3)
    daemon.wait_for("queued", "paused", deadline=SECONDS)
    assert daemon.status("queued")["progress"]["completed"] == 4
    (withdrawn,) = daemon.attempts("queued", waiting[0])
    assert withdrawn["outcome"] == "interrupted"
    daemon.gate("all").open(2)
    daemon.rpc("job.resume", job_id="queued")
    assert daemon.wait_for("queued", "ended", deadline=SECONDS)["status"] == "completed"
    assert set(started(ledger).values()) == {1}
    attempt = daemon.attempts("queued", waiting[0])[-1]
    assert attempt["executor"] == "slurm"
    assert attempt["node"] in {"n1", "n2", "n3", None}
    assert ", on " in screen(daemon, "status", "queued", str(waiting[0]))


def test_a_killed_daemon_takes_all_up_again(daemon, ledger):
    count = 50 if LONG else 12
    daemon.gate("all")
    daemon.submit(fan("kept", count, '[ "{{ stage }}" = 1 ] || read _ < "$HOME/gate-all"'))
    placed(daemon, "kept", count // 2)
    daemon.kill()
    daemon.gate("all").open(count)
    daemon.start()
    assert daemon.wait_for("kept", "ended", deadline=SECONDS)["status"] == "completed"
    assert set(started(ledger).values()) == {1}
    assert len(started(ledger)) == count + 1
    for sheet in (2, count + 1):
        assert [one["outcome"] for one in daemon.attempts("kept", sheet)] == ["succeeded"]


@pytest.mark.parametrize("count", [1, 3])
def test_what_runs_begins_no_second_time_beside_itself_where_its_files_were_deleted_over_a_kill(
    daemon, ledger, count
):
    daemon.gate("all")
    gate = '[ "{{ stage }}" = 1 ] || read _ < "$HOME/gate-all"'
    daemon.submit(fan("kept", count, gate))
    placed(daemon, "kept", count)
    for sheet in range(2, count + 2):
        ledger.wait_for(f"start {sheet}")
    daemon.kill()
    shutil.rmtree(daemon.attempt_directory().parent)
    daemon.start()
    assert len(daemon.status("kept")["in_flight"]) == count
    daemon.gate("all").open(count)
    for sheet in range(2, count + 2):
        ledger.wait_for(f"end {sheet}")
    daemon.gate("all").open(count)
    assert daemon.wait_for("kept", "ended", deadline=SECONDS)["status"] == "completed"
    for sheet in range(2, count + 2):
        assert [one["outcome"] for one in daemon.attempts("kept", sheet)] == ["lost", "succeeded"]
        assert [line for line in ledger.lines() if line.endswith(f" {sheet}")] == [
            f"start {sheet}",
            f"end {sheet}",
        ] * 2


def test_what_has_ended_unseen_with_its_files_is_lost_and_not_called_taken_back(daemon, ledger, cluster):
    gate = '[ "{{ stage }}" = 1 ] || read _ < "$HOME/gate-all"'
    daemon.gate("all")
    daemon.submit(fan("gone", 1, gate))
    placed(daemon, "gone", 1)
    ledger.wait_for("start 2")
    daemon.kill()
    shutil.rmtree(daemon.attempt_directory(name="2-1"))
    daemon.gate("all").open()
    ledger.wait_for("end 2")
    while ours(cluster):
        time.sleep(0.1)  # Slurm hears of an end a moment after us
    daemon.start()
    daemon.gate("all").open()
    assert daemon.wait_for("gone", "ended", deadline=SECONDS)["status"] == "completed"
    assert [one["outcome"] for one in daemon.attempts("gone", 2)] == ["lost", "succeeded"]


def test_cancel_leaves_nothing_of_it(daemon, ledger):
    body = '[ "{{ stage }}" = 1 ] || { setsid sleep 1000 & trap "" TERM; note ready; sleep 1000; }'
    daemon.submit(fan("gone", 3, body))
    ledger.wait_for("ready", times=3)
    daemon.rpc("job.cancel", job_id="gone", wait=True, timeout=SECONDS)
    assert not daemon.processes("MARIANNE_JOB=gone")


def test_what_a_daemon_has_of_another_job_of_slurm_is_no_sheets_own(house, ledger):
    house.environment |= {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "99", "CUDA_VISIBLE_DEVICES": "5"}
    house.start()
    house.submit(
        fan("own", 1, "note of $SLURM_JOB_ID, $SLURM_CPUS_PER_TASK", executor={"type": "slurm", "cpus": 2})
    )
    assert house.wait_for("own", "ended", deadline=SECONDS)["status"] == "completed"
    (attempt,) = house.attempts("own", 2)
    assert f"of {attempt['cluster_job']}, 2" in ledger.lines()


def test_one_run_may_be_given_another_place_than_the_settings_say(daemon, ledger):
    daemon.submit(fan("here", 2, "note -$SLURM_JOB_ID-"), executor="local")
    assert daemon.wait_for("here", "ended")["status"] == "completed"
    assert ledger.lines().count("--") == 3
    assert daemon.attempts("here", 2)[0]["executor"] == "local"


def test_output_is_followed_while_it_comes(daemon, ledger):
    half, count = (2_500_000, 20) if LONG else (100_000, 4)
    printed = f'head -c {half} /dev/zero | tr "\\\\0" x'
    body = f'[ "{{{{ stage }}}}" = 1 ] || {{ {printed}; read _ < "$HOME/gate-all"; {printed}; }}'
    daemon.gate("all")
    daemon.submit(fan("loud", count, body))
    placed(daemon, "loud", count)
    read = dict.fromkeys(range(2, count + 2), 0)
    follow(daemon, read, half)
    assert daemon.status("loud")["status"] == "running"
    daemon.gate("all").open(count)
    follow(daemon, read, 2 * half)
    assert daemon.wait_for("loud", "ended", deadline=SECONDS)["status"] == "completed"


def follow(daemon, read, size):
    """Read on, sheet by sheet, until so much has been printed by each."""
    deadline = time.monotonic() + SECONDS
    while left := [sheet for sheet, offset in read.items() if offset < size]:
        assert time.monotonic() < deadline, read
        for sheet in left:
            piece = b64decode(daemon.rpc("log.read", job_id="loud", sheet=sheet, offset=read[sheet])["data"])
            assert set(piece) <= {ord("x")}
            read[sheet] += len(piece)


@pytest.mark.skipif(not LONG, reason="takes a minute: MARIANNE_SLURM_LONG=1")
def test_what_a_dead_node_ran_runs_again_elsewhere_and_is_not_counted(cluster, daemon, ledger):
    body = '[ "{{ stage }}" = 1 ] || [ -e "$HOME/go" ] || { note on-$SLURMD_NODENAME; sleep 1000; }'
    daemon.submit(fan("moved", 1, body))
    node = next(line for line in iter_lines(ledger) if line.startswith("on-")).removeprefix("on-")
    (daemon.home / "go").touch()
    cluster.fault("node-kill", node)
    try:
        assert daemon.wait_for("moved", "ended", deadline=300)["status"] == "completed"
        assert [one["outcome"] for one in daemon.attempts("moved", 2)] == ["lost", "succeeded"]
    finally:
        cluster.fault("node-start", node)


def iter_lines(ledger):
    """Yield what is noted, as it comes."""
    seen = 0
    while True:
        lines = ledger.lines()
        yield from lines[seen:]
        seen = len(lines)
        ledger.news()


@pytest.mark.parametrize("point", POINTS if LONG else POINTS[1::8])
def test_killed_at_a_fault_point_it_loses_nothing_and_repeats_nothing(house, ledger, point):
    nth = 1 if point.startswith("slot.") else 2  # the first attempt runs here; a slot is asked for once
    house.start(MARIANNE_FAULT=f"{point}:{nth}")
    with suppress(ConnectionError):
        house.submit(fan("walked", 2, "true"))
    assert house.process.wait(SECONDS) == -signal.SIGKILL
    house.start()
    if (
        point == "slot.decided"
    ):  # its first step is of the transaction that accepts it: nobody was told that it is
        assert house.refusal("job.status", job_id="walked").code == "E501"
        house.submit(fan("walked", 2, "true"))
    assert house.wait_for("walked", "ended", deadline=SECONDS)["status"] == "completed"
    assert started(ledger) == {"start 1": 1, "start 2": 1, "start 3": 1}


@pytest.mark.parametrize("point", PLACED if LONG else PLACED[:1])
def test_killed_while_it_is_noted_where_it_has_begun_it_is_found_again(house, ledger, point):
    house.gate("all")
    house.start(MARIANNE_FAULT=point)
    with suppress(ConnectionError):
        house.submit(fan("told", 2, '[ "{{ stage }}" = 1 ] || read _ < "$HOME/gate-all"'))
    assert house.process.wait(SECONDS) == -signal.SIGKILL
    house.gate("all").open(2)
    house.start()
    assert house.wait_for("told", "ended", deadline=SECONDS)["status"] == "completed"
    assert started(ledger) == {"start 1": 1, "start 2": 1, "start 3": 1}


def test_where_a_failure_lets_nothing_else_start_what_waits_is_taken_back(daemon, ledger, cluster):
    """The first that starts fails, the others stand at a gate: three nodes can begin three of these at most."""
    gate = daemon.gate("all")
    fails = '{ ! mkdir "$HOME/first" 2>&- || exit 3; read _ < "$HOME/gate-all"; }'
    daemon.submit(fan("failing", 8, f'[ "{{{{ stage }}}}" = 1 ] || {fails}', executor={"cpus": 128}))
    daemon.event("failing", "sheet.failed")
    deadline = time.monotonic() + SECONDS
    while " PENDING" in (queue := str(cluster.queue())):
        assert time.monotonic() < deadline, queue
    gate.open(3)
    ended = daemon.wait_for("failing", "ended", deadline=SECONDS)
    assert ended["status"] == "failed"
    assert len(started(ledger)) <= 1 + 1 + 3
    assert set(daemon.statuses("failing")) == {"completed", "failed", "pending"}


def test_a_drain_waits_for_nothing_that_waits_in_the_queue(daemon, ledger):
    held = {"type": "slurm", "arguments": ["--hold"]}
    daemon.submit(fan("held", 2, "true", executor=held))
    ledger.wait_for("end 1")
    daemon.event("held", "attempt.started", sheet=3)
    daemon.rpc("daemon.stop", mode="drain")
    daemon.until_stopped()
    assert ledger.lines() == ["start 1", "end 1"]

"""What happens to our own helpers, worker processes and the supervisors of checks, happens to no sheet."""

import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from kit.daemon import DEADLINE, Refused, gated, gone, plain, score

from marianned import workers

pytestmark = pytest.mark.one_daemon


def worker_processes(daemon):
    """Return the daemon's worker processes, and the nursery that forks them."""
    return [daemon.nursery(), *daemon.workers()]


def printing(sheet):
    """Return a gated sheet that prints more than is read without a worker."""
    return f"printf %{workers.PLAIN_BYTES + 1}s x; {gated(sheet)}"


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def test_a_finished_sheet_is_read_though_the_workers_are_stopped_and_killed(daemon):
    daemon.gate(1)
    daemon.submit(score("j", [printing(1)]))
    daemon.ledger.wait_for("start 1")
    pool = worker_processes(daemon)
    assert pool
    kill(pool, signal.SIGSTOP)
    daemon.gate(1).open()
    daemon.ledger.wait_for("end 1")
    kill(pool)
    assert daemon.wait_for("j", "ended")["status"] == "completed"
    daemon.ledger.once(1)


def test_a_finished_sheet_is_read_again_when_its_worker_dies_over_it(daemon):
    """The nursery is stopped too, or it would wake the worker at once; its ends are told when it goes on."""
    daemon.gate(1)
    daemon.submit(score("j", [printing(1)]))
    daemon.ledger.wait_for("start 1")
    processes = worker_processes(daemon)
    nursery = [daemon.nursery()]
    kill(processes, signal.SIGSTOP)
    daemon.gate(1).open()
    daemon.until((daemon.attempt_directory() / "exit.json").exists)
    time.sleep(1)  # the daemon has asked a worker by then, and nothing tells of that
    kill(set(processes) - set(nursery))
    kill(nursery, signal.SIGCONT)
    assert daemon.wait_for("j", "ended")["status"] == "completed"
    daemon.ledger.once(1)


def test_a_prompt_is_rendered_though_the_workers_are_killed(daemon):
    daemon.gate(1)
    daemon.submit(score("j", [gated(1), plain(2)]))
    daemon.ledger.wait_for("start 1")
    kill(worker_processes(daemon))
    daemon.gate(1).open()
    assert daemon.wait_for("j", "ended")["status"] == "completed"
    daemon.ledger.once(1, 2)


def test_a_sheet_that_is_to_be_skipped_is_though_the_workers_are_killed(daemon):
    daemon.gate(1)
    daemon.submit(
        score("j", [gated(1), plain(2)], sheet={"skip_when": {2: 'sheets[1].status == "completed"'}})
    )
    daemon.ledger.wait_for("start 1")
    kill(worker_processes(daemon))
    daemon.gate(1).open()
    daemon.wait_for("j", "ended")
    assert daemon.statuses("j") == ["completed", "skipped"]


@pytest.mark.own_daemon("it has no descriptors left")
def test_a_sheet_that_ends_where_no_descriptor_is_left_for_a_worker_waits_for_one(daemon):
    daemon.gate(1)
    daemon.submit(score("j", [printing(1)]))
    daemon.ledger.wait_for("start 1")
    kill(worker_processes(daemon))
    _, most = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (10, most))
    daemon.gate(1).open()
    daemon.ledger.wait_for("end 1")
    time.sleep(1)  # nothing tells that it has tried in vain
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (most, most))
    assert daemon.wait_for("j", "ended")["status"] == "completed"
    daemon.ledger.once(1)


def supervised(daemon, mark):
    """Wait for a command that has written its pid; return it, its runner and its keeper."""
    daemon.ledger.wait_for(mark)
    file = daemon.home / "pid"
    pid = daemon.until(lambda: file.exists() and file.read_text().strip())
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    runner = int(stat[1])
    keeper = int(Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[1])
    return [int(pid), runner, keeper]


ONCE = 'note check; if [ ! -e "$HOME/second" ]; then touch "$HOME/second"; echo $$ > "$HOME/pid"; sleep 60; fi; true'


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_check_that_is_ended_from_outside_is_repeated(daemon, number, which):
    daemon.submit(score("j", [plain(1)], validations=[{"type": "command_succeeds", "command": ONCE}]))
    pids = supervised(daemon, "check")
    kill([pids[index] for index in which], number)
    reply = daemon.wait_for("j", "ended")
    assert reply["status"] == "completed"
    assert daemon.ledger.lines() == ["start 1", "end 1", "check", "check"]
    assert gone(pids[0])


KILLED_INSIDE = """note check
if [ ! -e "$HOME/second" ]; then
    touch "$HOME/second"
    sh -c 'echo $$ > "$HOME/pid"; exec sleep 60'
fi"""


@pytest.mark.parametrize("kind", ["check", "skip"])
def test_a_command_of_which_a_program_is_killed_from_outside_runs_once_more(daemon, kind):
    if kind == "check":
        daemon.submit(
            score("j", [plain(1)], validations=[{"type": "command_succeeds", "command": KILLED_INSIDE}])
        )
    else:
        daemon.submit(score("j", [plain(1)], sheet={"skip_when_command": {1: {"command": KILLED_INSIDE}}}))
    daemon.ledger.wait_for("check")
    kill(supervised(daemon, "check")[:1])
    assert daemon.wait_for("j", "ended")["status"] == "completed"
    assert daemon.statuses("j") == ["completed" if kind == "check" else "skipped"]
    assert daemon.ledger.lines()[-2:] == ["check", "check"]


def test_a_check_that_says_so_each_time_has_failed(daemon):
    daemon.submit(
        score("j", [plain(1)], validations=[{"type": "command_succeeds", "command": "note check; exit 137"}])
    )
    assert daemon.wait_for("j", "ended")["status"] == "failed"
    assert daemon.ledger.lines() == ["start 1", "end 1", "check", "check"]


def test_a_skip_command_that_is_ended_from_outside_is_asked_again(daemon):
    daemon.submit(score("j", [plain(1)], sheet={"skip_when_command": {1: {"command": ONCE}}}))
    kill(supervised(daemon, "check"))
    daemon.wait_for("j", "ended")
    assert daemon.statuses("j") == ["skipped"]
    assert daemon.ledger.lines() == ["check", "check"]


def test_a_job_that_waits_for_a_lost_check_can_be_cancelled(daemon):
    always = [{"type": "command_succeeds", "command": 'echo $$ > "$HOME/pid"; note check; sleep 60'}]
    daemon.submit(score("j", [plain(1)], validations=always))
    kill(supervised(daemon, "check"))
    try:
        daemon.rpc("job.cancel", job_id="j", wait=True, timeout=DEADLINE)
    except Refused as refused:
        raise AssertionError(refused.message) from None
    assert daemon.status("j")["status"] == "cancelled"

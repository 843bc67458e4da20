"""The daemon stops: what is in flight goes on, is waited for, or is interrupted first."""

import subprocess
import time
from contextlib import ExitStack

import pytest
from kit.daemon import DEADLINE, Refused, gated, plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def test_a_fan_out_of_eight_goes_on_over_a_restart(daemon, ledger):
    names = [f"one-{number}" for number in range(8)]
    for name in names:
        daemon.gate(name)
    daemon.submit(
        score(
            "wide",
            [*map(gated, names), plain("last")],
            sheet={"total_items": 2, "fan_out": {1: 8}, "dependencies": {2: [1]}},
            parallel={"enabled": True, "max_concurrent": 8},
        )
    )
    for name in names:
        ledger.wait_for(f"start {name}")
    flying = {one["sheet"] for one in daemon.status("wide")["in_flight"]}
    daemon.stop()
    daemon.start()
    assert {one["sheet"] for one in daemon.status("wide")["in_flight"]} == flying
    for name in names:
        daemon.gate(name).open()
    assert daemon.wait_for("wide", "ended")["status"] == "completed"
    ledger.once(*names, "last")
    assert {sheet["attempt_count"] for sheet in daemon.status("wide")["sheets"]} == {1}


def test_stopped_with_kill_it_interrupts_first_and_uses_no_try(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    reply = daemon.rpc("daemon.stop", mode="kill")
    assert reply["attempts_in_flight"] == 1
    assert daemon.process.wait(DEADLINE) == 0
    assert daemon.processes("MARIANNE_JOB=duo") == []
    daemon.gate(1).open()
    daemon.start()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert [attempt["outcome"] for attempt in daemon.attempts("duo", 1)] == ["interrupted", "succeeded"]
    assert ledger.lines() == ["start 1", "start 1", "end 1", "start 2", "end 2"]


def test_a_crash_gives_a_drain_up(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    assert daemon.rpc("daemon.stop", mode="drain")["status"] == "draining"
    greeting = daemon.rpc("daemon.hello")
    assert (greeting["status"], greeting["ready"]) == ("draining", False)
    assert [reason["code"] for reason in daemon.rpc("job.why", job_id="duo")["reasons"]] != []
    daemon.kill()
    daemon.start()
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    ledger.once(1, 2)


def test_a_drain_starts_nothing_more_and_the_next_start_goes_on(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.rpc("daemon.stop", mode="drain")
    daemon.gate(1).open()
    assert daemon.process.wait(DEADLINE) == 0
    assert ledger.lines() == ["start 1", "end 1"]
    daemon.start()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    ledger.once(1, 2)


@pytest.mark.this_host("it is about connections, and an end of a daemon beside a cluster takes longer")
def test_five_hundred_idle_connections_and_readers_of_streams_keep_it_two_seconds_at_most(daemon):
    alone = seconds(daemon.stop)
    daemon.start()
    with ExitStack() as clients:
        connections = [clients.enter_context(daemon.connect()) for _ in range(500)]
        for reader in connections[:10]:
            reader.rpc("events.subscribe", after=0)
        assert connections[-1].rpc("daemon.hello")["ready"]
        assert (
            seconds(daemon.stop) < 3 * alone + 2
        )  # a busy machine stops one without connections slowly, too
        assert connections[-1].message() is None


def seconds(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_who_waits_for_a_drain_is_told_at_once_when_it_is_called_off(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    mzt = subprocess.Popen(
        ["mzt", "stop", "--drain", "-t", str(int(DEADLINE))],
        env=daemon.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    daemon.until(lambda: mzt.poll() is not None or daemon.rpc("daemon.hello")["status"] == "draining")
    assert mzt.poll() is None
    with pytest.raises(Refused, match="still drains") as late:
        daemon.rpc("daemon.stop", mode="drain", wait=True, timeout=0.01)
    assert late.value.code == "E504"
    daemon.rpc("daemon.stop", mode="stay")
    _, said = mzt.communicate(timeout=DEADLINE)
    assert (mzt.returncode, "its drain was called off by" in said, "(E513)" in said) == (5, True, True)
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    refused = daemon.refusal("daemon.stop", mode="drain", wait=True)
    assert refused.code == "E513"
    assert daemon.rpc("daemon.hello")["status"] == "ready"

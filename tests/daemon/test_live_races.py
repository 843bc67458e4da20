"""Races on a real daemon that is held at a fault point while the other side moves; who asked is always told."""

import os
import signal
import threading

import pytest
from kit.daemon import DEADLINE, Refused, gated, gone, plain, score


class Held:
    """A daemon that will be stopped, not killed, at a point; `on` lets it go on."""

    def __init__(self, house, point):
        self.house = house.start(MARIANNE_FAULT=f"{point}:1:stop")

    def wait(self):
        """Wait until it stands still."""
        guard = threading.Timer(DEADLINE, self.house.process.kill)
        guard.start()
        _, status = os.waitpid(self.house.process.pid, os.WUNTRACED)
        guard.cancel()
        assert os.WIFSTOPPED(status)

    def on(self):
        self.house.process.send_signal(signal.SIGCONT)


def ends_meanwhile(house, sheet, job):
    """Let a sheet end by itself while the daemon stands still."""
    running = house.processes(f"MARIANNE_JOB={job}")
    house.gate(sheet).open()
    house.ledger.wait_for(f"end {sheet}")
    assert all(gone(pid) for pid in running if pid != house.process.pid)


def begin(house, count=1):
    house.gate(1)
    house.submit(score("race", [gated(1), *map(plain, range(2, count + 1))]))
    house.ledger.wait_for("start 1")


@pytest.mark.parametrize("now", [False, True])
def test_a_pause_that_the_last_end_overtakes_can_no_longer_come(house, ledger, now):
    held = Held(house, "pause --now.committed" if now else "pause.committed")
    begin(house)
    with house.connect() as waiting:
        asked = waiting.send("job.pause", job_id="race", wait=True, now=now)
        held.wait()
        ends_meanwhile(house, 1, "race")
        held.on()
        with pytest.raises(Refused) as told:
            waiting.reply(asked)
    assert (told.value.code, told.value.status) == ("E513", "completed")
    assert [attempt["outcome"] for attempt in house.attempts("race", 1)] == ["succeeded"]


def test_an_exit_before_the_interrupt_counts_as_it_ended(house, ledger):
    held = Held(house, "pause --now.committed")
    begin(house, 2)
    with house.connect() as waiting:
        asked = waiting.send("job.pause", job_id="race", wait=True, now=True)
        held.wait()
        ends_meanwhile(house, 1, "race")
        held.on()
        assert waiting.reply(asked)["status"] == "paused"
    assert house.statuses("race") == ["completed", "pending"]
    house.rpc("job.resume", job_id="race")
    house.wait_for("race", "completed")
    ledger.once(1, 2)


def test_a_modify_that_is_on_disk_before_the_last_end_runs_what_it_adds(house, ledger):
    held = Held(house, "modify -r.committed")
    begin(house)
    with house.connect() as waiting:
        text = score("race", [gated(1), plain(2)])
        asked = waiting.send(
            "job.modify", job_id="race", text=text, directory=str(house.home), resume=True, wait=True
        )
        held.wait()
        ends_meanwhile(house, 1, "race")
        held.on()
        assert waiting.reply(asked)["revision"] == 2
    assert house.wait_for("race", "ended")["status"] == "completed"
    ledger.once(1, 2)


REQUESTS = {
    "pause.committed": ("job.pause", {}, "paused"),
    "pause --now.decided": ("job.pause", {"now": True}, "paused"),
    "modify -r.applied": ("job.modify", {"resume": True}, "completed"),
    "cancel.committed": ("job.cancel", {}, "cancelled"),
}


@pytest.mark.parametrize("point", REQUESTS)
def test_a_client_that_is_gone_meanwhile_finds_its_answer_under_its_key(house, ledger, point):
    method, params, status = REQUESTS[point]
    held = Held(house, point)
    begin(house, 2)
    if method == "job.modify":
        new = score("race", [gated(1), plain(2), plain(3)])
        params = params | {"text": new, "directory": str(house.home)}
    given = {"job_id": "race", "wait": True, "key": "k"} | params
    waiting = house.connect()
    waiting.send(method, **given)
    held.wait()
    waiting.close()
    held.on()
    if point != "pause --now.decided":
        house.gate(1).open()
    house.wait_for("race", status)
    reply = house.rpc(method, **given)
    assert reply["acknowledged"]
    assert house.rpc(method, **given) == reply
    asked = [event for event in house.journal("race") if event["caller"] and event["type"] != "job.submitted"]
    assert len([event for event in asked if event["text"] != "submitted"]) <= 2
    if status == "paused":
        assert len(house.status("race")["holds"]) == 1

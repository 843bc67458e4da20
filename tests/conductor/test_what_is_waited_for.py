"""A job that waits for what the daemon grants says what keeps it; who resumes is told whose pauses go with it."""

import pytest
from kit.daemon import gated, plain, score

from marianned.protocol import Obstacle

WAITS = {
    Obstacle.DRAINING: ("drain", "when the drain is over"),
    Obstacle.DISK: ("disk", "when the disk has room"),
    Obstacle.AWAY: ("disk", "when the daemon's directories are there again"),
}


@pytest.mark.parametrize("obstacle", WAITS)
def test_a_job_that_gets_no_slot_says_why(daemon, obstacle):
    scheduler = daemon.house.scheduler
    daemon.loop.call(scheduler.close, obstacle)
    daemon.submit(score("duo", [plain(1), plain(2)]))
    seen = daemon.status("duo")
    word, when = WAITS[obstacle]
    assert [one["waiting_for"] for one in seen["waiting"]] == [word]
    assert seen["next"]["text"] == f"starts {when}"
    (listed,) = daemon.rpc("job.list")["jobs"]
    assert listed["next"]["text"] == f"starts {when}"
    late = daemon.refusal("job.wait", job_id="duo", timeout=0.01)
    assert (late.code, late.hints[0]) == ("E504", "mzt why duo")
    daemon.loop.call(scheduler.open, obstacle)
    daemon.loop.call(daemon.house.conductor.grant)
    daemon.wait_for("duo", "completed")


def test_a_hook_that_gets_no_slot_says_why(daemon):
    gate = daemon.gate(1)
    hooks = [{"type": "run_command", "command": "true"}]
    daemon.submit(score("duo", [gated(1)], on_success=hooks))
    daemon.ledger.wait_for("start 1")
    daemon.loop.call(daemon.house.scheduler.close, Obstacle.DISK)
    gate.open()
    daemon.event("duo", "sheet.completed")
    seen = daemon.status("duo")
    assert [(one["hook"], one["waiting_for"]) for one in seen["waiting"]] == [(1, "disk")]
    assert seen["next"]["text"].endswith("starts when the disk has room")
    daemon.loop.call(daemon.house.scheduler.open, Obstacle.DISK)
    daemon.loop.call(daemon.house.conductor.grant)
    daemon.wait_for("duo", "completed")


@pytest.mark.parametrize("how", ["resume", "modify"])
def test_a_resume_names_the_holds_that_it_releases(daemon, how):
    gate = daemon.gate(1)
    text = score("duo", [gated(1), plain(2)])
    daemon.submit(text)
    daemon.ledger.wait_for("start 1")
    with daemon.connect() as robot:
        robot.rpc("daemon.hello", name="robot 9")
        robot.rpc("job.pause", job_id="duo", reason="deploy")
    daemon.rpc("job.pause", job_id="duo")
    gate.open()
    daemon.wait_for("duo", "paused")
    ask = {"job_id": "duo", "key": "k"}
    if how == "modify":
        ask |= {"text": score("duo", [gated(1), plain(3)]), "directory": str(daemon.home), "resume": True}
    reply = daemon.rpc(f"job.{how}", **ask)
    told = [(one["owner"]["name"], one["reason"]) for one in reply["released"]]
    assert told == [("robot 9", "deploy"), ("", None)]
    assert daemon.rpc(f"job.{how}", **ask) == reply
    daemon.wait_for("duo", "completed")

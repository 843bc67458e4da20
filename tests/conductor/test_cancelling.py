"""job.cancel, and pause with force: ends a job and everything it started."""

from kit.daemon import gated, gone, plain, score


def test_a_cancel_without_wait_says_that_it_is_being_ended(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    reply = daemon.rpc("job.cancel", job_id="solo")
    assert (reply["status"], reply["acknowledged"]) == ("cancelling", False)
    daemon.wait_for("solo", "cancelled")


def test_a_second_cancel_waits_for_the_first(daemon, ledger):
    gate = daemon.gate(1)
    daemon.submit(score("solo", [f"trap '' TERM; {gated(1)}"]))
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        asked = [waiting.send("job.cancel", job_id="solo", wait=True) for _ in range(3)]
        waiting.rpc("daemon.hello")  # the daemon has read what was sent before it
        gate.open()
        replies = {(message := waiting.message())["id"]: message["result"]["status"] for _ in asked}
    assert replies == dict.fromkeys(asked, "cancelled")
    assert daemon.refusal("job.cancel", job_id="solo").code == "E502"


def test_a_cancel_of_a_paused_job_is_in_its_own_reply(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo")
    daemon.gate(1).open()
    daemon.wait_for("duo", "paused")
    reply = daemon.rpc("job.cancel", job_id="duo")
    assert (reply["status"], reply["acknowledged"], reply["holds"]) == ("cancelled", True, [])
    assert daemon.statuses("duo") == ["completed", "cancelled"]


def test_who_waits_for_a_pause_is_told_of_the_cancel(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        waiting.send("job.pause", job_id="solo", wait=True)
        daemon.event("solo", "job.pausing")
        daemon.rpc("job.cancel", job_id="solo", wait=True)
        error = waiting.message()["error"]
    assert error["data"]["error_code"] == "E513"
    assert error["data"]["status"] in ("cancelling", "cancelled")


def test_a_validation_command_that_runs_is_ended_too(daemon, ledger):
    command = 'note checking; read _ < "$HOME/gate-check"'
    daemon.gate("check")
    daemon.submit(score("solo", [plain(1)], validations=[{"type": "command_succeeds", "command": command}]))
    ledger.wait_for("checking")
    reply = daemon.rpc("job.cancel", job_id="solo", wait=True)
    assert reply["status"] == "cancelled"
    assert all(gone(pid) for pid in daemon.processes("MARIANNE_JOB=solo"))


def test_while_it_is_being_cancelled_everything_but_a_cancel_is_refused(house, ledger):
    house.configure("kill_grace = 3600\n")
    house.start()
    house.gate(1)
    house.submit(
        score("duo", ["trap 'note asked' TERM; note start 1; until read _ < \"$HOME/gate-1\"; do :; done"])
    )
    ledger.wait_for("start 1")
    assert house.rpc("job.cancel", job_id="duo")["status"] == "cancelling"
    ledger.wait_for("asked")
    text = {"text": score("duo", [plain(1)]), "directory": str(house.home)}
    for method, params in {
        "job.pause": {"job_id": "duo"},
        "job.resume": {"job_id": "duo"},
        "job.modify": {"job_id": "duo", **text},
        "job.submit": {"submit_directory": "/", "fresh": True, **text},
    }.items():
        refused = house.refusal(method, **params)
        assert (refused.code, refused.status) == ("E507" if method == "job.submit" else "E502", "cancelling")
        assert refused.hints
    house.kill()
    house.start()
    assert house.status("duo")["status"] == "cancelling"
    house.gate(1).open()
    house.wait_for("duo", "cancelled")

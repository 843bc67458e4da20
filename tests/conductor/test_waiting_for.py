"""job.wait: what is so counts, with `after` only what comes later."""

from kit.daemon import gated, plain, score


def test_what_is_so_already_counts(daemon):
    daemon.submit(score("solo", ["true"]))
    reply = daemon.wait_for("solo", "ended")
    assert (reply["reached"], reply["status"]) == ("ended", "completed")
    again = daemon.wait_for("solo", "completed")
    assert (again["reached"], again["waited_seconds"] < 1) == ("completed", True)


def test_with_after_only_what_comes_later_counts(daemon, ledger):
    daemon.gate(1)
    daemon.gate(2)
    daemon.submit(score("duo", [gated(1), gated(2), plain(3)]))
    ledger.wait_for("start 1")
    running = daemon.status("duo")["event"]
    daemon.rpc("job.pause", job_id="duo")
    daemon.gate(1).open()
    paused = daemon.wait_for("duo", "paused")
    assert (
        daemon.rpc("job.wait", job_id="duo", words=["paused"], after=running, timeout=5)["status"] == "paused"
    )
    refused = daemon.refusal("job.wait", job_id="duo", words=["paused"], after=paused["event"], timeout=0.2)
    assert (refused.code, refused.status) == ("E504", "paused")
    with daemon.connect() as waiting:
        asked = waiting.send("job.wait", job_id="duo", words=["paused"], after=paused["event"])
        daemon.rpc("job.resume", job_id="duo")
        ledger.wait_for("start 2")
        daemon.rpc("job.pause", job_id="duo")
        daemon.gate(2).open()
        reply = waiting.reply(asked)
    assert reply["status"] == "paused"
    assert reply["event"] > paused["event"]


def test_an_end_that_is_none_of_the_words_is_told_at_once(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    with daemon.connect() as waiting:
        asked = waiting.send("job.wait", job_id="solo", words=["paused", "failed"])
        ledger.wait_for("start 1")
        daemon.gate(1).open()
        message = waiting.message()
    assert message["id"] == asked
    assert message["error"]["data"]["error_code"] == "E513"
    assert message["error"]["data"]["status"] == "completed"
    assert "paused or failed" in message["error"]["message"]


def test_words_that_are_none_are_refused(daemon):
    daemon.submit(score("solo", ["true"]))
    assert daemon.refusal("job.wait", job_id="solo", words=["finished"]).code == "E510"
    assert daemon.refusal("job.wait", job_id="nobody").code == "E501"


def test_a_status_in_between_is_not_missed(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        asked = waiting.send("job.wait", job_id="duo", words=["pausing"])
        other = waiting.send("job.status", job_id="duo")
        assert waiting.reply(other)["status"] == "running"
        daemon.rpc("job.pause", job_id="duo")
        daemon.rpc("job.resume", job_id="duo")
        assert waiting.reply(asked)["reached"] == "pausing"


def test_an_older_run_is_waited_for_as_it_ended(daemon):
    daemon.submit(score("solo", ["exit 1"]))
    daemon.wait_for("solo", "failed")
    daemon.submit(score("solo", ["true"]), fresh=True)
    daemon.wait_for("solo", "completed")
    assert daemon.wait_for("solo@2", "ended")["status"] == "completed"
    old = daemon.wait_for("solo@1", "ended")
    assert (old["reached"], old["status"], old["job_id"], old["run"]) == ("ended", "cancelled", "solo@1", 1)
    assert daemon.refusal("job.wait", job_id="solo@1", words=["completed"]).code == "E513"
    assert daemon.refusal("job.wait", job_id="solo@3").code == "E501"


def test_who_waits_for_a_run_that_a_fresh_one_replaces_is_told_its_number(daemon):
    daemon.submit(score("solo", ["exit 1"], on_failure="pause"))
    daemon.wait_for("solo", "paused")
    with daemon.connect() as waiting:
        asked = waiting.send("job.wait", job_id="solo", words=["running"])
        daemon.status("solo")
        daemon.submit(score("solo", ["true"]), fresh=True)
        error = waiting.message()
    assert error["id"] == asked
    assert error["error"]["message"] == "'solo@1' has been cancelled; it will not be running"
    assert (error["error"]["data"]["job_id"], error["error"]["data"]["hints"]) == (
        "solo@1",
        ["mzt status solo@1"],
    )
    older = daemon.refusal("job.wait", job_id="solo@1", words=["paused"])
    assert older.message == "'solo@1' has been cancelled; it will not be paused"

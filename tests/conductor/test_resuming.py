"""job.resume: goes on with what is left, and never with what is done."""

from kit.daemon import gated, plain, score


def test_a_resume_while_pausing_leaves_the_sheet_in_flight_alone(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        asked = waiting.send("job.pause", job_id="duo", wait=True)
        daemon.event("duo", "job.pausing")
        reply = daemon.rpc("job.resume", job_id="duo", wait=True)
        assert (reply["status"], reply["acknowledged"]) == ("running", True)
        message = waiting.message()
    assert message["id"] == asked
    assert message["error"]["data"]["error_code"] == "E513"
    assert "released" in message["error"]["message"]
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    ledger.once(1, 2)
    assert [attempt["outcome"] for attempt in daemon.attempts("duo", 1)] == ["succeeded"]


def test_a_resume_of_what_nothing_holds_is_refused(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    refused = daemon.refusal("job.resume", job_id="solo")
    assert (refused.code, refused.status) == ("E502", "running")
    daemon.gate(1).open()
    daemon.wait_for("solo", "completed")
    assert daemon.refusal("job.resume", job_id="solo").status == "completed"
    assert daemon.refusal("job.resume", job_id="nobody").code == "E501"


def test_a_cancelled_job_goes_on_where_it_was(daemon, ledger):
    daemon.gate(2)
    daemon.submit(score("trio", [plain(1), gated(2), plain(3)]))
    ledger.wait_for("start 2")
    assert daemon.rpc("job.cancel", job_id="trio", wait=True)["status"] == "cancelled"
    assert daemon.statuses("trio") == ["completed", "cancelled", "cancelled"]
    daemon.rpc("job.resume", job_id="trio")
    ledger.wait_for("start 2", times=2)
    daemon.gate(2).open()
    assert daemon.wait_for("trio", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "end 1", "start 2", "start 2", "end 2", "start 3", "end 3"]
    assert [attempt["outcome"] for attempt in daemon.attempts("trio", 2)] == ["interrupted", "succeeded"]


def test_the_stored_revision_runs_and_the_reply_says_that_the_file_differs(daemon, ledger):
    daemon.gate(1)
    text = score("duo", [gated(1), plain(2)])
    daemon.submit(text)
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo")
    (daemon.home / "duo.yaml").write_text(text.replace("note start 2", "note other 2"))
    daemon.gate(1).open()
    daemon.wait_for("duo", "paused")
    reply = daemon.rpc("job.resume", job_id="duo")
    assert reply["source_changed"] is True
    assert f"mzt modify duo -c {daemon.home}/duo.yaml -r" in reply["hints"]
    daemon.wait_for("duo", "completed")
    ledger.once(1, 2)


def test_a_score_that_pauses_on_failure_starts_afresh_after_the_resume(daemon, ledger):
    body = 'note start 1; test -e "$HOME/mended" && note end 1'
    daemon.submit(score("duo", [body, plain(2)], on_failure="pause"))
    paused = daemon.wait_for("duo", "paused")
    assert [hold["cause"] for hold in paused["holds"]] == ["failure"]
    (daemon.home / "mended").touch()
    daemon.rpc("job.resume", job_id="duo")
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "start 1", "end 1", "start 2", "end 2"]


def test_variables_given_at_a_resume_replace_those_of_the_submission(daemon, ledger):
    daemon.submit(score("solo", ['note saw "$COLOUR"; test "$COLOUR" = green']), env={"COLOUR": "red"})
    daemon.wait_for("solo", "failed")
    daemon.rpc("job.resume", job_id="solo", env={"COLOUR": "green"})
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    assert ledger.lines() == ["saw red", "saw green"]

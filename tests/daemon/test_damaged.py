"""One job that can't be read troubles no other one: it is told as damaged, watched, cancelled and removed."""

import sqlite3

import pytest
from kit.daemon import DEADLINE, gated, gone, plain, score


def damage(daemon, statement):
    with sqlite3.connect(daemon.state / "marianne.db") as database:
        database.execute(statement)
    database.close()


REVISION = "UPDATE revisions SET expanded = x'00', text = '[' WHERE run_id = (SELECT min(run_id) FROM runs)"
DAMAGES = [
    REVISION,
    "DELETE FROM revisions WHERE run_id = (SELECT min(run_id) FROM runs)",
    "UPDATE runs SET env = '{' WHERE run_id = (SELECT min(run_id) FROM runs)",
    "UPDATE revisions SET files = '{' WHERE run_id = (SELECT min(run_id) FROM runs)",
    "UPDATE sheets SET warnings = '{' WHERE run_id = (SELECT min(run_id) FROM runs)",
]


@pytest.mark.parametrize("statement", DAMAGES)
def test_a_damaged_job_is_told_watched_cancelled_and_removed(daemon, statement):
    daemon.may_log.append("it is told as damaged")
    daemon.gate(1)
    daemon.gate(3)
    daemon.submit(score("bad", [gated(1), plain(2)]))
    daemon.submit(score("good", [gated(3)]))
    daemon.ledger.wait_for("start 1")
    daemon.ledger.wait_for("start 3")
    (flying,) = daemon.attempts("bad", 1)
    daemon.kill()
    damage(daemon, statement)
    daemon.start()
    listed = {job["job_name"]: job for job in daemon.rpc("job.list")["jobs"]}
    assert set(listed) == {"bad", "good"}
    assert "damaged" in listed["bad"]["message"]
    status = daemon.status("bad")
    assert [flight["sheet"] for flight in status["in_flight"]] == [1]
    assert daemon.rpc("job.why", job_id="bad")["reasons"][0]["code"] == "damaged"
    assert daemon.rpc("daemon.status")["attempts_in_flight"] == 2
    refused = daemon.refusal("job.resume", job_id="bad")
    assert (refused.code, refused.hints) == ("E502", ["mzt cancel bad"])
    daemon.rpc("job.cancel", job_id="bad", wait=True, timeout=DEADLINE)
    assert gone(flying["pid"])
    assert daemon.status("bad")["status"] == "cancelled"
    assert daemon.rpc("job.remove", job_id="bad")["removed"] == ["bad@1"]
    daemon.gate(3).open()
    assert daemon.wait_for("good", "ended")["status"] == "completed"


def test_a_job_whose_place_is_gone_is_read_and_its_sheet_says_so(daemon):
    """An upgrade expands the stored text anew: what was validated then is not validated against today's disk."""
    daemon.gate(1)
    place = daemon.home / "wd"
    place.mkdir()
    daemon.submit(score("j", [gated(1), plain(2)], instrument_config={"working_directory": str(place)}))
    daemon.ledger.wait_for("start 1")
    daemon.kill()
    damage(daemon, "UPDATE revisions SET expanded = x'00'")
    place.rmdir()
    daemon.start()
    assert daemon.status("j")["status"] == "running"
    daemon.gate(1).open()
    assert daemon.wait_for("j", "ended")["status"] == "failed"
    assert daemon.statuses("j") == ["completed", "failed"]

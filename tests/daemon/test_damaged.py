"""One job that can't be read troubles no other one: it is told as damaged, watched, cancelled and removed."""

import sqlite3

import pytest
from kit.daemon import DEADLINE, gated, gone, plain, score

pytestmark = pytest.mark.one_daemon


def damage(daemon, statement):
    with sqlite3.connect(daemon.state / "marianne.db") as database:
        database.execute(statement)
    database.close()


DAMAGES = {
    "revision": "UPDATE revisions SET expanded = x'00', text = '['",
    "no-revision": "DELETE FROM revisions",
    "env": "UPDATE runs SET env = '{'",
    "files": "UPDATE revisions SET files = '{'",
    "warnings": "UPDATE sheets SET warnings = '{'",
}
"""The jobs that are damaged, and how."""


def test_a_damaged_job_is_told_watched_cancelled_and_removed(daemon):
    daemon.may_log.append("it is told as damaged")
    flying, runs = {}, {}
    for name in [*DAMAGES, "good"]:
        daemon.gate(name)
        runs[name] = daemon.submit(score(name, [gated(name), plain(2)]))["run"]
        daemon.ledger.wait_for(f"start {name}")
        (flying[name],) = daemon.attempts(name, 1)
    daemon.kill()
    for name, statement in DAMAGES.items():
        damage(daemon, f"{statement} WHERE run_id = (SELECT run_id FROM runs WHERE job_name = '{name}')")
    daemon.start()
    listed = {job["job_name"]: job for job in daemon.rpc("job.list")["jobs"]}
    assert set(listed) == {*DAMAGES, "good"}
    assert daemon.rpc("daemon.status")["attempts_in_flight"] == len(flying)
    for left, name in enumerate(DAMAGES, 1):
        print(f"damaged: {name}")  # shown with what fails
        assert "damaged" in listed[name]["message"]
        status = daemon.status(name)
        assert [flight["sheet"] for flight in status["in_flight"]] == [1], name
        assert daemon.rpc("job.why", job_id=name)["reasons"][0]["code"] == "damaged", name
        refused = daemon.refusal("job.resume", job_id=name)
        assert (refused.code, refused.hints) == ("E502", [f"mzt cancel {name}"])
        daemon.rpc("job.cancel", job_id=name, wait=True, timeout=DEADLINE)
        assert gone(flying[name]["pid"]), name
        assert daemon.status(name)["status"] == "cancelled", name
        assert daemon.rpc("daemon.status")["attempts_in_flight"] == len(flying) - left, name
        assert daemon.rpc("job.remove", job_id=name)["removed"] == [f"{name}@{runs[name]}"]
    daemon.gate("good").open()
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

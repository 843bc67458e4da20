"""A daemon on the database of an earlier release: its jobs stand where they stood, and go on."""

import sqlite3
from pathlib import Path

import pytest

DATABASES = sorted((Path(__file__).parents[1] / "databases").glob("*.sql"))
STATUSES = {
    "done": "completed",
    "broken": "failed",
    "held": "paused",
    "ended": "cancelled",
    "hooked": "completed",
}


@pytest.mark.parametrize("dump", DATABASES, ids=lambda dump: dump.stem)
def test_jobs_of_an_earlier_release_stand_where_they_stood_and_can_be_asked_for_more(house, dump):
    connection = sqlite3.connect(house.home / "marianne.db")
    connection.executescript(dump.read_text())
    connection.close()
    daemon = house.start()
    assert {job["job_name"]: job["status"] for job in daemon.rpc("job.list", runs=True)["jobs"]} == STATUSES
    held = daemon.rpc("job.why", job_id="held")
    assert held["reasons"][0]["text"].startswith('paused at a breakpoint "before sheet 2"')
    assert [line["action"] for line in plan(daemon, "held")] == [
        "kept",
        "changed",
        "changed",
    ]  # 1 was done so
    assert daemon.rpc("job.history", job_id="hooked")["entries"][-1]["text"] == "completed"
    assert [one["revision"] for one in daemon.rpc("job.revisions", job_id="held")["revisions"]] == [1, 2]
    assert daemon.rpc("job.cancel", job_id="held", wait=True)["status"] == "cancelled"
    daemon.rpc("job.remove", job_id="broken")
    assert set(STATUSES) - {job["job_name"] for job in daemon.rpc("job.list", runs=True)["jobs"]} == {
        "broken"
    }


def plan(daemon, job):
    """Ask what a modify with its first score would do, and change nothing."""
    text = daemon.rpc("job.revisions", job_id=job, revision=1)["text"]
    return daemon.rpc("job.modify", job_id=job, text=text, directory=str(daemon.home), plan=True)["plan"]

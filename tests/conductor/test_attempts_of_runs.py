"""All attempts of a run, or of all runs, in the order of their starts: what a timeline and a report are made of."""

import pytest
from kit.daemon import gated, plain, score


@pytest.fixture
def jobs(daemon, ledger):
    """A run of three sheets, the second of which failed twice, and one whose only sheet is in flight."""
    body = "test -e twice && exit 0; test -e once && touch twice; touch once; exit 1"
    retry = {"max_retries": 2, "base_delay_seconds": 0.01}
    daemon.submit(score("three", [plain(1), body, plain(3)], retry=retry))
    daemon.wait_for("three", "completed")
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]))
    ledger.wait_for("start 1", times=2)
    return daemon


def told(daemon, **params):
    found = daemon.rpc("job.attempts", **params)["attempts"]
    return [(one["job_id"], one["run"], one["sheet"], one["attempt"], one["outcome"]) for one in found]


THREE = [
    ("three", 1, 1, 1, "succeeded"),
    ("three", 1, 2, 1, "failed"),
    ("three", 1, 2, 2, "failed"),
    ("three", 1, 2, 3, "succeeded"),
    ("three", 1, 3, 1, "succeeded"),
]
ONE = ("one", 1, 1, 1, None)


def test_they_come_in_the_order_of_their_starts_over_all_jobs_or_of_one(jobs):
    assert told(jobs) == [*THREE, ONE]
    assert told(jobs, job_id="three") == THREE
    assert told(jobs, job_id="one@1") == [ONE]


def test_each_is_what_the_status_of_its_sheet_says_but_for_the_reports_of_its_checks(jobs):
    (flying,) = jobs.rpc("job.attempts", job_id="one")["attempts"]
    (shown,) = jobs.status("one", sheets="1")["sheets"][0]["attempts"]
    assert {key: flying[key] for key in shown} == shown
    assert flying["pid"] is not None


def test_they_come_by_pages_with_how_many_there_are(jobs):
    pages = [jobs.rpc("job.attempts", offset=at, limit=4) for at in (0, 4, 8)]
    assert [len(page["attempts"]) for page in pages] == [4, 2, 0]
    assert [page["total"] for page in pages] == [6, 6, 6]


def test_since_a_time_only_what_was_in_flight_then_or_later_is_told(jobs):
    assert told(jobs, since="2999-01-01T00:00:00Z") == [ONE]
    last = jobs.rpc("job.attempts", job_id="three")["attempts"][-1]
    assert told(jobs, job_id="three", since=last["ended_at"])[-1] == THREE[-1]
    refused = jobs.refusal("job.attempts", since="yesterday")
    assert (refused.code, "yesterday" in refused.message) == ("E510", True)
    assert jobs.refusal("job.attempts", job_id="nobody").code == "E501"

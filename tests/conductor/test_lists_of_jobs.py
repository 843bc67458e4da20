"""A list tells of each job what its status tells, by pages, and reads of an ended run only how it ended."""

import os
import sqlite3
import subprocess
import sys

import anyio
import pytest
from kit.daemon import gated, plain, score

from marianned.conductor.queries import jobs as jobs_of
from marianned.conductor.queries.jobs import JobQueries
from marianned.protocol import ListJobs


def listed(daemon, **params):
    return {job["job_id"]: job for job in daemon.rpc("job.list", **params)["jobs"]}


def told(daemon, job):
    """Return what the status says of a job that the list says, too."""
    view = daemon.status(job)
    return {key: view[key] for key in listed(daemon, runs=True)[job] if key != "event"}


@pytest.fixture
def jobs(daemon, ledger):
    """Runs that ended in each way, one that was let go on and ended anew, and one that waits at a gate."""
    daemon.submit(score("done", [plain(1)], labels=["night"]))
    daemon.wait_for("done", "completed")
    daemon.submit(score("done", [plain(1), plain(2)], labels=["night", "long"]), fresh=True)
    daemon.wait_for("done", "completed")
    daemon.submit(score("broken", ["exit 3", plain(2)]))
    daemon.wait_for("broken", "failed")
    daemon.rpc("job.resume", job_id="broken")
    daemon.wait_for("broken", "failed")
    daemon.gate(1)
    daemon.submit(score("given-up", [gated(1)]))
    ledger.wait_for("start 1")
    daemon.rpc("job.cancel", job_id="given-up", wait=True)
    daemon.submit(score("at-work", [gated(1)]))
    ledger.wait_for("start 1", times=2)
    return daemon


ENDED = ["done@1", "done", "broken", "given-up"]


@pytest.mark.parametrize("restarted", [False, True])
def test_each_job_is_told_as_its_status_tells_it(jobs, restarted):
    if restarted:
        jobs.stop()
        jobs.start()
    found = listed(jobs, runs=True)
    assert set(found) == {*ENDED, "at-work"}
    for job in ENDED:
        assert {key: value for key, value in found[job].items() if key != "event"} == told(jobs, job)
    assert found["done@1"]["hints"] == []
    assert found["at-work"]["in_flight"][0]["sheet"] == 1
    assert {job["event"] for job in found.values()} == {jobs.rpc("daemon.hello")["event"]}


def test_what_it_chooses_comes_by_pages_with_how_many_there_are(jobs):
    everything = list(listed(jobs, runs=True))
    pages = [jobs.rpc("job.list", runs=True, offset=at, limit=2) for at in (0, 2, 4, 6)]
    assert [job["job_id"] for page in pages for job in page["jobs"]] == everything
    assert [page["total"] for page in pages] == [5] * 4
    assert set(listed(jobs)) == {"done", "broken", "given-up", "at-work"}
    assert set(listed(jobs, labels=["night"])) == {"done"}
    assert set(listed(jobs, labels=["night", "long"], runs=True)) == {"done"}
    assert set(listed(jobs, labels=["night"], runs=True)) == {"done", "done@1"}
    assert set(listed(jobs, statuses=["failed", "active"])) == {"broken", "at-work"}
    assert listed(jobs, statuses=["paused"]) == {}


def test_what_ended_long_ago_is_listed_only_where_it_is_asked_for(jobs):
    jobs.stop()
    change(jobs, "UPDATE runs SET ended_at = ended_at - 90000000 WHERE job_name = 'done'")
    jobs.start()
    assert set(listed(jobs)) == {"broken", "given-up", "at-work"}
    assert set(listed(jobs, statuses=["completed"])) == {"done"}
    assert set(listed(jobs, runs=True)) == {*ENDED, "at-work"}


def test_of_an_ended_run_only_its_end_is_read(jobs):
    before = listed(jobs, runs=True)
    jobs.stop()
    change(jobs, "DELETE FROM revisions WHERE run_id IN (SELECT run_id FROM runs WHERE ended IS NOT NULL)")
    jobs.start()
    after = jobs.rpc("job.list", runs=True)
    assert after["problems"] == []
    for job in after["jobs"]:
        if job["job_id"] in ENDED:
            assert job | {"event": 0} == before[job["job_id"]] | {"event": 0}


def test_an_end_that_another_version_wrote_down_is_told_from_what_is_stored(jobs):
    before = listed(jobs, runs=True)
    jobs.stop()
    change(jobs, "UPDATE summaries SET shape = 'another', job = x'7b7d'")
    jobs.start()
    after = listed(jobs, runs=True)
    for job in ENDED:
        assert after[job] | {"event": 0} == before[job] | {"event": 0}


def test_needs_attention_and_counts_are_of_the_newest_runs(jobs):
    status = jobs.rpc("daemon.status", metrics=True)
    assert status["needs_attention"] == ["broken"]
    counts = status["metrics"]["jobs"]
    assert {word: count for word, count in counts.items() if count} == {
        "completed": 1,
        "failed": 1,
        "cancelled": 1,
        "running": 1,
    }


def keep_a_thousand_more(daemon):
    """Let a job complete, and be stored a thousand times more under other names."""
    daemon.submit(score("one", [plain(1)]))
    daemon.wait_for("one", "completed")
    daemon.stop()
    for table in ("runs", "summaries"):
        copied = sqlite3.connect(daemon.state / "marianne.db")
        columns = [row[1] for row in copied.execute(f"PRAGMA table_info({table})")]
        copied.close()
        taken = [{"run_id": "value", "job_name": "'one-' || value"}.get(name, name) for name in columns]
        change(
            daemon,
            f"WITH RECURSIVE many (value) AS (SELECT 1001 UNION ALL SELECT value + 1 FROM many WHERE value < 2000)"
            f" INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(taken)} FROM {table}, many"
            f" WHERE run_id = (SELECT min(run_id) FROM {table})",
        )
    daemon.start()


COUNTED = """
import sys
from marianne_cli.main import run
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "call"
sys.setprofile(count)
try:
    run([])
except SystemExit:
    sys.setprofile(None)
print(calls, file=sys.stderr)
"""


def test_a_completion_among_1000_kept_runs_costs_a_few_calls_each(daemon):
    """By the clock it is 60 ms where python starts in ten; what it loads is fixed by tests/cli/test_loaded.py."""
    asked = {"_MZT_COMPLETE": "bash_complete", "COMP_WORDS": "mzt remove ", "COMP_CWORD": "2"}
    environment = {**os.environ, **asked, "MARIANNE_SOCKET": str(daemon.socket)}

    def calls(count):
        done = subprocess.run(
            [sys.executable, "-c", COUNTED], env=environment, capture_output=True, text=True, check=True
        )
        assert len(done.stdout.splitlines()) == count
        return int(done.stderr)

    daemon.submit(score("zero", [plain(1)]))
    daemon.wait_for("zero", "completed")
    few = calls(1)
    keep_a_thousand_more(daemon)
    assert calls(1002) - few < 4 * 1000


@pytest.mark.parametrize("brief", [False, True])
def test_others_have_their_turn_while_a_list_of_thousands_is_made(daemon, monkeypatch, brief):
    """A page of 1,000 held every connection up for ten milliseconds and more."""
    keep_a_thousand_more(daemon)
    turns, seen = [0], []
    summary, in_short = JobQueries._stored_view, jobs_of.brief_run

    def told(queries, row):
        seen.append(turns[0])
        return summary(queries, row)

    def told_briefly(row, **how):
        seen.append(turns[0])
        return in_short(row, **how)

    async def read():
        async with anyio.create_task_group() as others:
            others.start_soon(taking_turns)
            listed = await JobQueries(daemon.house.conductor, 0).jobs(ListJobs(limit=1000, brief=brief))
            others.cancel_scope.cancel()
            return listed

    async def taking_turns():
        while True:
            turns[0] += 1
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(JobQueries, "_stored_view", told)
    monkeypatch.setattr(jobs_of, "brief_run", told_briefly)
    listed = daemon.loop.call(read)
    assert len(listed.brief if brief else listed.jobs) == len(seen) == 1000
    assert seen[-1] - seen[0] >= 3


def change(daemon, statement):
    database = sqlite3.connect(daemon.state / "marianne.db")
    with database:
        database.execute(statement)
    database.close()

"""A finished run takes a corrected score: over restarts, in its worktree, beside the next run of its name."""

import sqlite3

from kit.daemon import Connection, gated, plain, score
from kit.isolation import isolated
from kit.repository import branches, make_repository

DAY = 86_400_000


def two(*more):
    return score("duo", [plain(1), plain(2), *more])


def ended(daemon, status="completed"):
    daemon.submit(two())
    return daemon.wait_for("duo", status)


def test_a_completed_job_runs_what_a_new_score_adds_after_a_restart_and_a_resume(daemon, ledger):
    ended(daemon)
    reply = daemon.modify("duo", two(plain(3)), wait=True)
    assert (reply["status"], reply["acknowledged"], reply["next"]) == ("completed", True, None)
    assert reply["message"] == "duo: completed; revision 2 is in force, resume runs sheet 3"
    assert reply["progress"]["completed"] == 2
    assert daemon.rpc("job.wait", job_id="duo")["reached"] == "ended"
    daemon.kill()
    daemon.start()
    reply = daemon.rpc("job.resume", job_id="duo")
    assert daemon.rpc("job.wait", job_id="duo", after=reply["event"])["status"] == "completed"
    assert ledger.lines() == ["start 1", "end 1", "start 2", "end 2", "start 3", "end 3"]


def test_who_waits_for_another_end_is_not_answered_by_a_modify_that_ends_nothing(daemon):
    first = ended(daemon)
    with Connection(daemon.socket) as waiting:
        asked = waiting.send("job.wait", job_id="duo", after=first["event"], timeout=30)
        waiting.rpc("job.list")  # it is waited for by now
        modified = daemon.modify("duo", two(plain(3)))
        daemon.rpc("job.resume", job_id="duo")
        reply = waiting.reply(asked)
    assert reply["event"] > modified["event"]
    assert reply["progress"]["completed"] == 3


def test_a_cancelled_job_goes_on_under_a_corrected_score_in_one_request(daemon, ledger):
    daemon.gate(2)
    daemon.submit(score("duo", [plain(1), gated(2)]))
    ledger.wait_for("start 2")
    daemon.rpc("job.cancel", job_id="duo", wait=True)
    daemon.modify("duo", two(), resume=True, wait=True)
    daemon.wait_for("duo", "completed")
    assert ledger.lines() == ["start 1", "end 1", "start 2", "start 2", "end 2"]


def test_the_next_run_says_what_stays_behind_and_the_older_one_takes_no_request_any_more(daemon):
    ended(daemon)
    daemon.modify("duo", two(plain(3)))
    reply = daemon.submit(two())
    assert reply["message"].endswith("; revision 2 of duo@1 waits for a resume and stays behind")
    daemon.wait_for("duo", "completed")
    refused = daemon.refusal("job.resume", job_id="duo@1")
    assert (refused.code, "older run" in refused.message) == ("E502", True)
    assert "stays behind" not in daemon.submit(two())["message"]


def test_the_next_run_of_a_cancelled_job_says_so_only_where_it_had_a_new_score(daemon, ledger):
    for corrected in (False, True):
        daemon.gate(1)
        assert "stays behind" not in daemon.submit(score("duo", [gated(1)]))["message"]
        ledger.wait_for("start 1", 1 + corrected)
        daemon.rpc("job.cancel", job_id="duo", wait=True)
        if corrected:
            daemon.modify("duo", two())
    assert "revision 2 of duo@2 waits" in daemon.submit(two())["message"]


def test_what_has_something_left_to_resume_is_not_forgotten(daemon):
    daemon.configure("keep_runs = 1\nkeep_days = 2\n")
    for number in (1, 2, 3):
        daemon.submit(two(), fresh=True)
        daemon.wait_for("duo", "completed")
        if number == 1:
            daemon.modify("duo", two(plain(3)))
    daemon.stop()
    database = sqlite3.connect(daemon.state / "marianne.db")
    with database:
        database.execute("UPDATE runs SET ended_at = ended_at - ?", [3 * DAY])
    database.close()
    daemon.start()
    daemon.event(None, "job.removed", text="duo@2 removed")
    assert [job["run"] for job in daemon.rpc("job.list", runs=True)["jobs"]] == [1, 3]


def test_its_worktree_is_made_again_from_its_branch(daemon, ledger):
    repository = make_repository(daemon.home)
    daemon.submit(isolated("iso", ["note 1"]))
    daemon.event("iso", "worktree.removed")
    branch = 'note "2 on $(git rev-parse --abbrev-ref HEAD)"'
    daemon.modify("iso", isolated("iso", ["note 1", branch]), resume=True)
    daemon.wait_for("iso", "completed")
    assert ledger.lines() == ["1", "2 on marianne/iso-1"]
    assert branches(repository) == ["marianne/iso-1"]

"""Runs are forgotten: removed by request, or by age once there are more than are kept."""

import sqlite3

from kit.daemon import gated, plain, score

DAY = 86_400_000


def run(daemon, name, body, word="completed"):
    daemon.submit(score(name, [body]), fresh=True)
    daemon.wait_for(name, word)


def listed(daemon):
    return sorted((job["job_name"], job["run"]) for job in daemon.rpc("job.list", runs=True)["jobs"])


def test_the_number_of_a_removed_run_is_not_used_again(daemon):
    run(daemon, "solo", plain(1))
    run(daemon, "solo", plain(1))
    daemon.rpc("job.remove", job_id="solo@2")
    run(daemon, "solo", plain(1))
    assert listed(daemon) == [("solo", 1), ("solo", 3)]
    daemon.rpc("job.remove", job_id="solo@1")
    daemon.rpc("job.remove", job_id="solo@3")
    daemon.kill()
    daemon.start()
    run(daemon, "solo", plain(1))
    assert listed(daemon) == [("solo", 4)]


def test_what_has_not_ended_is_not_removed(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    refused = daemon.refusal("job.remove", job_id="solo")
    assert (refused.code, refused.status) == ("E502", "running")
    assert daemon.status("solo")["status"] == "running"


def test_old_runs_beyond_those_that_are_kept_go_and_a_failed_newest_one_stays(daemon):
    daemon.configure("keep_runs = 1\nkeep_days = 2\n")
    for body in (plain(1), plain(2), "exit 1", plain(3)):
        run(daemon, "old", body, "failed" if body == "exit 1" else "completed")
    for body in (plain(1), plain(2)):
        run(daemon, "young", body)
    run(daemon, "failed", "exit 1", "failed")
    daemon.stop()
    database = sqlite3.connect(daemon.state / "marianne.db")
    with database:
        database.execute("UPDATE runs SET ended_at = ended_at - ? WHERE job_name != 'young'", [3 * DAY])
    database.close()
    daemon.start()
    for number in (1, 2, 3):  # the third was given up for the fourth, and so is cancelled
        assert daemon.event(None, "job.removed", text=f"old@{number} removed")["reason"] == "retention"
    assert sorted(listed(daemon)) == [("failed", 1), ("old", 4), ("young", 1), ("young", 2)]


def test_a_start_with_a_clock_far_ahead_forgets_nothing(daemon):
    daemon.configure("keep_runs = 1\nkeep_days = 2\n")
    for number in (1, 2):
        run(daemon, "solo", plain(number))
    daemon.stop()
    path = daemon.state / "marianne.db"
    ahead = 100 * DAY
    database = sqlite3.connect(path)
    with database:  # as if the clock had been set 100 days ahead since
        database.execute("UPDATE runs SET ended_at = ended_at - ?", [ahead])
        database.execute(
            "UPDATE meta SET value = json_set(value, '$.seen.at', json_extract(value, '$.seen.at') - ?) WHERE name = 'clock'",
            [ahead],
        )
    for _ in range(2):
        daemon.start()
        while not doubted(database):
            assert listed(daemon) == [("solo", 1), ("solo", 2)]
        assert listed(daemon) == [("solo", 1), ("solo", 2)]
        daemon.stop()
    with database:  # a day later on the boot's clock the time is what it is
        database.execute(
            "UPDATE meta SET value = json_set(value, '$.doubted.boottime', -?) WHERE name = 'clock'", [DAY]
        )
    database.close()
    daemon.start()
    assert daemon.event(None, "job.removed", text="solo@1 removed")["reason"] == "retention"


def doubted(database):
    found = database.execute(
        "SELECT json_extract(value, '$.doubted') FROM meta WHERE name = 'clock'"
    ).fetchone()
    return found is not None and found[0] is not None


def test_the_journal_of_a_name_has_what_was_removed_and_why(daemon):
    for _ in range(2):
        daemon.submit(score("duo", [plain(1)]))
        daemon.wait_for("duo", "completed")
    daemon.submit(score("other", [plain(1)]))
    daemon.rpc("job.remove", job_id="duo@1", reason="old and wrong")
    told = daemon.rpc("events.read", job_name="duo")["events"]
    assert {event["job_id"].partition("@")[0] for event in told} == {"duo"}
    assert (told[-1]["type"], told[-1]["run"], told[-1]["reason"]) == ("job.removed", 1, "old and wrong")
    assert {event["run"] for event in told} == {1, 2}
    assert daemon.rpc("events.read", job_name="duo", after=told[-1]["event"])["events"] == []
    daemon.rpc("job.remove", job_id="duo", reason="all")
    left = daemon.rpc("events.read", job_name="duo")["events"]
    assert [event["reason"] for event in left] == ["old and wrong", "all"]
    assert daemon.rpc("events.read", job_name="never")["events"] == []


def test_a_run_without_a_worktree_is_removed_without_a_look_at_the_others(daemon, monkeypatch):
    run(daemon, "solo", plain(1))
    run(daemon, "solo", plain(1))
    records, asked = daemon.house.store.records, []
    runs = records.runs

    async def counted(job_name):
        asked.append(job_name)
        return await runs(job_name)

    monkeypatch.setattr(records, "runs", counted)
    daemon.rpc("job.remove", job_id="solo@1")
    assert asked == []

"""Hooks of a failure in a real daemon: when they run, what requests and restarts do to them, exactly once."""

import pytest
import yaml
from kit.daemon import DEADLINE, Refused, plain, score
from kit.hooked_scores import NO_COOLDOWN, chains, command, hooks, write

TELLS = command("note start tell {job_status}; note end tell", description="tell")
HELD = command('note start held; read _ < "$HOME/gate-held"; note end held', description="held")


def failing(name, after, *, body="test -e mended", **top):
    """Return the text of a score of one sheet that fails, with what follows its failure."""
    return score(name, [body], on_failure=after, concert=NO_COOLDOWN, **top)


def over(daemon, job, last, kind="hook.completed", after=0):
    """Wait until the last hook of a failure has ended; return them all."""
    daemon.event(job, kind, hook=last, after=after)
    return hooks(daemon, job)


def test_hooks_of_a_failure_run_in_order_and_change_nothing_about_the_end(daemon):
    daemon.submit(failing("sad", [TELLS, command("exit 3"), command("note start third")]))
    daemon.wait_for("sad", "failed")
    rows = over(daemon, "sad", 3)
    assert [(row["hook"], row["status"], row["after_failure"]) for row in rows] == [
        (1, "completed", True),
        (2, "failed", True),
        (3, "completed", True),
    ]
    assert "start tell failed" in daemon.ledger.lines()
    job = daemon.status("sad")
    assert (job["status"], job["phase"], job["hooks"][1]["error_message"]) == ("failed", "sheets", "exit 3")
    types = [event["type"] for event in daemon.journal("sad")]
    assert types.index("job.failed") < types.index("hook.started")
    why = daemon.rpc("job.why", job_id="sad")
    assert sorted((error["sheet"], error["hook"]) for error in why["errors"] if error["hook"]) == [(None, 2)]


def test_they_do_not_run_where_the_job_completes_pauses_or_is_cancelled(daemon):
    daemon.submit(failing("glad", [TELLS], body="true"))
    daemon.wait_for("glad", "completed")
    assert [row["status"] for row in hooks(daemon, "glad")] == ["pending"]
    daemon.gate("gone")
    daemon.submit(failing("gone", [TELLS], body='note start gone; read _ < "$HOME/gate-gone"'))
    daemon.ledger.wait_for("start gone")
    daemon.rpc("job.cancel", job_id="gone", wait=True, timeout=DEADLINE)
    assert "start tell failed" not in daemon.ledger.lines()
    assert daemon.status("gone")["phase"] == "sheets"


def test_a_resume_meanwhile_is_accepted_and_starts_nothing_before_they_have_ended(daemon):
    gate = daemon.gate("held")
    daemon.submit(failing("twice", [HELD, TELLS], body="note start body; test -e mended"))
    daemon.wait_for("twice", "failed")
    daemon.ledger.wait_for("start held")
    job = daemon.status("twice")
    assert [(item["hook"], item["sheet"]) for item in job["in_flight"]] == [(1, None)]
    assert job["safe_to"] == {"edit_files": False, "stop_daemon": True, "switch_off": False}
    assert job["next"]["text"] == "hook 1 (held) ends"
    (daemon.home / "twice-work" / "mended").touch()
    assert daemon.rpc("job.resume", job_id="twice")["status"] == "running"
    assert daemon.ledger.lines().count("start body") == 1
    gate.open()
    daemon.wait_for("twice", "completed")
    lines = daemon.ledger.lines()
    assert [lines.count(line) for line in ("start held", "end held", "start tell failed")] == [1, 1, 1]
    assert lines.index("end tell") < [i for i, line in enumerate(lines) if line == "start body"][1]
    assert [row["status"] for row in hooks(daemon, "twice")] == ["pending", "pending"]


def test_they_run_anew_at_the_next_failure(daemon):
    daemon.submit(failing("again", [TELLS]))
    over(daemon, "again", 1)
    resumed = daemon.rpc("job.resume", job_id="again")["event"]
    rows = over(daemon, "again", 1, after=resumed)
    assert [(row["status"], row["attempt_count"]) for row in rows] == [("completed", 2)]
    assert daemon.ledger.lines().count("end tell") == 2


def test_a_cancel_ends_what_is_in_flight_and_leaves_the_status(daemon):
    daemon.gate("held")
    daemon.submit(failing("stuck", [HELD, TELLS]))
    daemon.ledger.wait_for("start held")
    refused = daemon.refusal("job.remove", job_id="stuck")
    assert (refused.code, refused.hints) == ("E502", ["mzt cancel stuck --wait"])
    reply = daemon.rpc("job.cancel", job_id="stuck", wait=True, timeout=DEADLINE)
    assert (reply["status"], reply["acknowledged"]) == ("failed", True)
    assert [row["status"] for row in hooks(daemon, "stuck")] == ["cancelled", "cancelled"]
    assert daemon.processes("MARIANNE_JOB=stuck") == []
    assert daemon.refusal("job.cancel", job_id="stuck").code == "E502"
    daemon.rpc("job.remove", job_id="stuck")


def test_a_modify_meanwhile_comes_in_force_when_the_hook_has_ended(daemon):
    gate = daemon.gate("held")
    text = failing("mends", [HELD, TELLS])
    daemon.submit(text)
    daemon.ledger.wait_for("start held")
    new = yaml.safe_load(text)
    new["on_failure"][1]["command"] = "note start other"
    reply = daemon.modify("mends", yaml.safe_dump(new))
    assert (reply["status"], reply["revision"], reply["acknowledged"]) == ("failed", 1, False)
    assert reply["message"] == "mends: failed; revision 2 applies when hook 1 (held) ends"
    gate.open()
    over(daemon, "mends", 2)
    assert daemon.status("mends")["revision"] == 2
    assert daemon.ledger.lines().count("start held") == 1
    assert "start tell failed" not in daemon.ledger.lines()


def test_a_fresh_run_waits_for_the_hooks_of_the_one_before(daemon):
    gate = daemon.gate("held")
    text = failing("anew", [HELD, TELLS], body="note start body; test -e $HOME/mended")
    daemon.submit(text)
    daemon.ledger.wait_for("start held")
    (daemon.home / "mended").touch()
    reply = daemon.submit(text, fresh=True)
    assert (reply["run"], reply["status"]) == (2, "queued")
    job = daemon.status("anew")
    assert job["hindered_by"] == ["waits for the on_failure hooks of anew@1"]
    assert daemon.status("anew@1")["in_flight"][0]["hook"] == 1
    daemon.kill()
    daemon.start()
    assert daemon.status("anew")["hindered_by"] == ["waits for the on_failure hooks of anew@1"]
    gate.open()
    daemon.wait_for("anew", "completed")
    lines = daemon.ledger.lines()
    assert (lines.count("start held"), lines.count("start tell failed")) == (1, 1)
    assert lines.index("end tell") < [i for i, line in enumerate(lines) if line == "start body"][1]


def test_a_kill_of_the_daemon_neither_loses_nor_repeats_one(daemon):
    gate = daemon.gate("held")
    daemon.submit(failing("kept", [HELD, TELLS]))
    daemon.ledger.wait_for("start held")
    daemon.kill()
    daemon.start()
    assert daemon.status("kept")["in_flight"][0]["hook"] == 1
    gate.open()
    over(daemon, "kept", 2)
    daemon.kill()
    daemon.start()
    lines = daemon.ledger.lines()
    assert [lines.count(line) for line in ("start held", "end held", "end tell")] == [1, 1, 1]


def test_a_cool_down_in_a_failed_job_outlives_the_daemon(daemon):
    write(daemon, "mend.yaml", score("mend", [plain("mend")]))
    text = score(
        "cools",
        ["exit 1"],
        on_failure=[chains("mend.yaml", detached=True)],
        concert={"cooldown_between_jobs_seconds": 1},
    )
    daemon.submit(text)
    daemon.event("cools", "hook.waiting")
    daemon.kill()
    daemon.start()
    assert over(daemon, "cools", 1)[0]["chained"] == "mend@1"
    daemon.wait_for("mend", "completed")
    assert daemon.ledger.lines().count("start mend") == 1


def test_a_failed_job_submits_another_and_itself_until_the_chain_is_too_deep(daemon):
    write(daemon, "mend.yaml", score("mend", [plain("mend")]))
    after = [chains("mend.yaml", detached=True), chains("deep.yaml", detached=True, fresh=True)]
    text = score("deep", ["exit 1"], on_failure=after, concert=NO_COOLDOWN | {"max_chain_depth": 2})
    write(daemon, "deep.yaml", text)
    daemon.submit(text)
    last = ("hook.completed", 3, 2)
    next(event for event in daemon.events() if (event["type"], event["run"], event["hook"]) == last)
    first, second = hooks(daemon, "deep")
    assert first["error_message"] == "the chain is 2 deep; max_chain_depth is 2"
    assert (second["chained"], second["error_message"]) == (None, None)
    assert [daemon.status(f"deep@{run}")["status"] for run in (1, 2, 3)] == ["failed"] * 3


def test_a_run_that_goes_on_again_is_not_replaced_by_its_own_failure(daemon):
    gate = daemon.gate("held")
    text = failing(
        "self", [HELD, chains("self.yaml", detached=True, fresh=True)], body="test -e $HOME/mended"
    )
    write(daemon, "self.yaml", text)
    daemon.submit(text)
    daemon.ledger.wait_for("start held")
    (daemon.home / "mended").touch()
    daemon.rpc("job.resume", job_id="self")
    gate.open()
    job = daemon.wait_for("self", "completed")
    assert job["run"] == 1
    assert daemon.event("self", "hook.failed", hook=2)


def test_a_fresh_run_archives_no_workspace_that_a_hook_works_in(daemon):
    gate = daemon.gate("held")
    text = failing("tidy", [HELD], workspace_lifecycle={"archive_on_fresh": True})
    daemon.submit(text)
    daemon.ledger.wait_for("start held")
    with pytest.raises(Refused) as refused:
        daemon.submit(text, fresh=True)
    assert refused.value.code == "E502"
    assert "on_failure hooks of 'tidy@1'" in refused.value.message
    gate.open()
    over(daemon, "tidy", 1)
    assert daemon.submit(text, fresh=True)["run"] == 2


def test_a_drain_waits_for_them(daemon):
    gate = daemon.gate("held")
    daemon.submit(failing("slow", [HELD, TELLS]))
    daemon.ledger.wait_for("start held")
    assert daemon.rpc("daemon.stop", mode="drain")["attempts_in_flight"] == 1
    gate.open()
    daemon.until_stopped()
    assert "start tell failed" not in daemon.ledger.lines()
    daemon.start()
    daemon.ledger.wait_for("end tell")
    assert daemon.ledger.lines().count("start held") == 1

"""Hooks and chains in a real daemon: each key of `on_success` and `concert`, restarts, exactly once."""

import json
import threading

import yaml
from kit.daemon import DEADLINE, gated, plain, score
from kit.hooked_scores import NO_COOLDOWN, chains, command, hooked, hooks, write

from marianned.conductor.core import concertlog


def test_a_hook_that_fails_or_takes_too_long_fails_the_job_and_is_resumed_alone(daemon):
    text = hooked(
        "fails",
        [
            command("note start ok"),
            command("echo oh; test -e mended || exit 3", description="publish"),
            command("sleep 60", timeout_seconds=1),
        ],
    )
    daemon.submit(text)
    job = daemon.wait_for("fails", "failed")
    assert job["message"] == "fails: failed; hook 2 (publish) failed: exit 3, and 1 hook more"
    first, second, third = hooks(daemon, "fails")
    assert (second["exit_code"], second["outcome"], third["outcome"]) == (3, "failed", "timed_out")
    last = [event for event in daemon.journal("fails") if event["type"] == "job.failed"][-1]
    assert last["reason"] == "hook"
    why = daemon.rpc("job.why", job_id="fails")
    assert [(error["hook"], error["stdout_tail"]) for error in why["errors"]] == [(3, ""), (2, "oh\n")]
    (daemon.home / "fails-work" / "mended").touch()
    daemon.modify("fails", text.replace("sleep 60", "true"), resume=True)
    job = daemon.wait_for("fails", "ended")
    assert job["status"] == "completed", hooks(daemon, "fails")
    assert daemon.ledger.lines().count("start ok") == 1
    assert first["attempt_count"] == 1


def test_abort_keeps_the_later_hooks_from_running(daemon):
    daemon.submit(hooked("aborts", [command("false", on_failure="abort"), command("note start never")]))
    daemon.wait_for("aborts", "failed")
    assert "start never" not in daemon.ledger.lines()
    assert [hook["status"] for hook in hooks(daemon, "aborts")] == ["failed", "pending"]


def test_a_chained_job_runs_in_its_parents_workspace_and_is_waited_for(daemon):
    write(daemon, "second.yaml", score("second", ["pwd > here; note start second; note end second"]))
    concert = {"enabled": True, "concert_log_path": "log.jsonl"}
    daemon.submit(hooked("first", [chains("second.yaml"), command("note start after")], concert=concert))
    daemon.wait_for("first", "completed")
    assert daemon.ledger.lines()[-3:] == ["start second", "end second", "start after"]
    work = daemon.home / "first-work"
    assert (work / "here").read_text() == f"{work}\n"
    assert hooks(daemon, "first")[0]["chained"] == "second@1"
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert [(line["hook"], line["success"], line["chained"]) for line in lines] == [
        (1, True, "second@1"),
        (2, True, None),
    ]


def test_a_chained_job_has_its_own_workspace_or_the_one_that_is_named(daemon):
    write(daemon, "own.yaml", score("own", ["pwd > here"]))
    write(daemon, "named.yaml", score("named", ["pwd > here"]))
    daemon.submit(hooked("spaces", [chains("own.yaml"), chains("named.yaml", job_workspace="{job_id}-x")]))
    daemon.wait_for("spaces", "completed")
    assert (daemon.home / "own-work" / "here").exists()
    assert (daemon.home / "spaces-work" / "spaces-x" / "here").exists()


def test_a_missing_an_invalid_and_a_failing_job_are_failed_hooks(daemon):
    write(daemon, "broken.yaml", "name: broken\n")
    write(daemon, "sad.yaml", score("sad", ["false"]))
    submitted = daemon.submit(
        hooked("wrong", [chains("gone.yaml"), chains("broken.yaml"), chains("sad.yaml")])
    )
    assert [problem["code"] for problem in submitted["problems"]].count("S306") == 2
    daemon.wait_for("wrong", "failed")
    messages = [hook["error_message"] for hook in hooks(daemon, "wrong")]
    assert messages[0] == f"there is no score '{daemon.home}/gone.yaml'"
    assert messages[1].startswith("'broken.yaml' has 2 errors")
    assert messages[2] == "sad@1 ended failed"


def runs_of(daemon, name):
    rows = daemon.rpc("job.list", runs=True)["jobs"]
    return sorted((row["run"], row["status"]) for row in rows if row["job_name"] == name)


def test_a_score_that_chains_to_itself_ends_at_the_depth_that_it_says(daemon):
    text = hooked("again", [chains("again.yaml", detached=True, fresh=True)], concert={"max_chain_depth": 2})
    daemon.submit(text)
    ended = ("job.completed", "job.failed")
    next(event for event in daemon.events() if event["type"] in ended and event["run"] == 3)
    assert runs_of(daemon, "again") == [(1, "completed"), (2, "completed"), (3, "completed")]
    (hook,) = hooks(daemon, "again")
    assert (hook["status"], hook["chained"]) == ("completed", None)
    said = daemon.event("again", "hook.completed")["text"]
    assert said.endswith("the chain ends here: max_chain_depth is 2")
    assert daemon.ledger.lines().count("start again-sheet") == 3


def test_where_a_score_does_not_say_how_deep_it_goes_a_chain_to_itself_fails_at_five(daemon):
    concert = {"enabled": True, "cooldown_between_jobs_seconds": "10ms"}
    daemon.submit(hooked("again", [chains("again.yaml", detached=True, fresh=True)], concert=concert))
    next(event for event in daemon.events() if (event["type"], event["run"]) == ("job.failed", 6))
    assert hooks(daemon, "again")[0]["error_message"] == "the chain is 5 deep; max_chain_depth is 5"


def test_a_status_is_as_new_as_the_journal_while_the_concert_s_log_is_slow(daemon, monkeypatch):
    slow, write_line = threading.Event(), concertlog._append

    def append(*where):
        assert slow.wait(DEADLINE)
        write_line(*where)

    monkeypatch.setattr(concertlog, "_append", append)
    daemon.submit(hooked("logs", [command("false")], concert={"enabled": True, "concert_log_path": "log"}))
    try:
        failed = daemon.event("logs", "job.failed")
        status = daemon.status("logs")
    finally:
        slow.set()
    assert (status["status"], status["hooks"][0]["status"]) == ("failed", "failed")
    assert status["event"] >= failed["event"]
    daemon.wait_for("logs", "failed")
    assert (daemon.home / "logs-work" / "log").exists()


def test_a_chain_to_another_score_fails_at_its_depth(daemon):
    deep = {"max_chain_depth": 1}
    (daemon.home / "there.yaml").write_text(hooked("there", [chains("back.yaml")], concert=deep))
    (daemon.home / "back.yaml").write_text(hooked("back", []))
    daemon.submit(hooked("here", [chains("there.yaml", detached=True)], concert=deep))
    next(event for event in daemon.events() if (event["type"], event["job_id"]) == ("job.failed", "there"))
    assert hooks(daemon, "there")[0]["error_message"] == "the chain is 1 deep; max_chain_depth is 1"


def test_a_detached_job_whose_name_is_taken_changes_nothing_of_the_end(daemon):
    gate = daemon.gate("held")
    daemon.submit(score("held", ['read _ < "$HOME/gate-held"']))
    daemon.submit(hooked("parent", [chains("held.yaml", detached=True)]))
    daemon.wait_for("parent", "completed")
    (hook,) = hooks(daemon, "parent")
    assert (hook["status"], hook["outcome"]) == ("failed", "refused")
    assert daemon.event("parent", "hook.failed", hook=1)["text"].startswith("hook 1: 'held' is running")
    gate.open()
    daemon.wait_for("held", "completed")


def test_a_detached_job_takes_the_place_of_a_failed_one_where_it_is_fresh(daemon):
    write(daemon, "poor.yaml", score("poor", ["test -e $HOME/rich"]))
    daemon.submit((daemon.home / "poor.yaml").read_text())
    daemon.wait_for("poor", "failed")
    (daemon.home / "rich").touch()
    daemon.submit(hooked("giver", [chains("poor.yaml", detached=True, fresh=True)]))
    daemon.wait_for("giver", "completed")
    daemon.wait_for("poor", "completed")
    assert daemon.status("poor@1")["status"] == "cancelled"
    assert daemon.status("poor")["run"] == 2


def test_pause_before_chain_holds_until_somebody_resumes(daemon):
    write(daemon, "later.yaml", score("later", [plain("later")]))
    daemon.submit(hooked("careful", [chains("later.yaml", pause_before_chain=True)]))
    daemon.wait_for("careful", "paused")
    assert daemon.status("careful")["holds"][0]["cause"] == "breakpoint"
    assert "start later" not in daemon.ledger.lines()
    daemon.rpc("job.resume", job_id="careful")
    daemon.wait_for("careful", "completed")
    assert daemon.ledger.lines().count("start later") == 1


def test_a_cool_down_can_be_paused(daemon):
    write(daemon, "cool.yaml", score("cool", [plain("cool")]))
    text = hooked("warm", [chains("cool.yaml")], concert={"cooldown_between_jobs_seconds": 3600})
    daemon.submit(text)
    daemon.event("warm", "hook.waiting")
    job = daemon.status("warm")
    assert (job["status"], job["waiting"][0]["waiting_for"]) == ("running", "cooldown")
    assert daemon.rpc("job.pause", job_id="warm")["status"] == "paused"
    daemon.modify("warm", yaml.safe_dump(yaml.safe_load(text) | {"concert": NO_COOLDOWN}), resume=True)
    daemon.rpc("job.cancel", job_id="warm", wait=True, timeout=DEADLINE)


# --- the daemon dies --------------------------------------------------------------------------------------


def gated_hook(name):
    return command(f'note start {name}; read _ < "$HOME/gate-{name}"; note end {name}; echo told')


def test_pause_now_interrupts_a_hook_which_runs_again_after_the_resume(daemon):
    daemon.gate("h")
    daemon.submit(hooked("now", [gated_hook("h")]))
    daemon.ledger.wait_for("start h")
    assert daemon.rpc("job.pause", job_id="now", now=True, wait=True, timeout=DEADLINE)["status"] == "paused"
    assert daemon.processes("MARIANNE_JOB=now") == []
    daemon.gate("h").open()
    daemon.rpc("job.resume", job_id="now")
    daemon.wait_for("now", "completed")
    lines = daemon.ledger.lines()
    assert (lines.count("start h"), lines.count("end h")) == (2, 1)


def test_jobs_that_wait_for_each_other_are_taken_up_once_each(daemon):
    """The loop of a parent asks for its child, which the same start of the daemon has not read yet."""
    pairs = 6
    for number in range(pairs):
        write(daemon, f"child-{number}.yaml", score(f"child-{number}", [gated(f"c{number}")]))
        daemon.gate(f"c{number}")
        daemon.submit(hooked(f"parent-{number}", [chains(f"child-{number}.yaml")], bodies=[plain(number)]))
        daemon.ledger.wait_for(f"start c{number}")
    daemon.kill()
    daemon.start()
    for number in range(pairs):
        daemon.gate(f"c{number}").open()
        assert daemon.wait_for(f"parent-{number}", "ended")["status"] == "completed"
        ended = [event["type"] for event in daemon.journal(f"child-{number}") if "ended" in event["type"]]
        assert ended == ["attempt.ended"]


def test_a_hook_has_no_sheet_where_it_runs_waits_fails_and_prints(daemon):
    write(daemon, "cool.yaml", score("cool", [plain("cool")]))
    daemon.submit(hooked("warm", [chains("cool.yaml")], concert={"cooldown_between_jobs_seconds": 3600}))
    daemon.event("warm", "hook.waiting")
    (waits,) = daemon.status("warm")["waiting"]
    daemon.gate("hook")
    daemon.submit(hooked("placed", [command('read _ < "$HOME/gate-hook"; exit 3')]))
    daemon.event("placed", "hook.started")
    (flies,) = daemon.status("placed")["in_flight"]
    daemon.gate("hook").open()
    daemon.wait_for("placed", "failed")
    (failed,) = daemon.rpc("job.why", job_id="placed")["errors"]
    read = daemon.rpc("log.read", job_id="placed", hook=1)
    for item in (waits, flies, failed, read):
        assert [item[key] for key in ("hook", "sheet", "stage", "instance")] == [1, None, None, None]


def in_a_chain(daemon, child, *, concert=None, **fields):
    """Start `top`, which waits for `middle`, which waits for `low`, which has begun its sheet."""
    daemon.gate("low")
    write(daemon, "low.yaml", child)
    write(daemon, "middle.yaml", hooked("middle", [chains("low.yaml", **fields)], concert=concert))
    daemon.submit(hooked("top", [chains("middle.yaml")]))
    daemon.ledger.wait_for("start low")


def test_a_paused_parent_is_not_safe_to_edit_while_a_job_that_it_waits_for_writes(daemon):
    in_a_chain(daemon, score("low", [gated("low"), plain("after")]))
    paused = daemon.rpc("job.pause", job_id="top", reason="look")
    assert paused["status"] == "paused"
    assert paused["message"] == "top: paused; middle@1, low@1 go on; mzt pause low@1"
    for job in (paused, daemon.status("top")):
        assert job["safe_to"] == {"edit_files": False, "stop_daemon": True, "switch_off": False}
        assert [(item["job_id"], item["sheet"]) for item in job["in_flight"]] == [("low@1", 1)]
    assert [item["job_id"] for item in daemon.status("low")["in_flight"]] == [None]
    daemon.rpc("job.pause", job_id="low", reason="until Monday")
    daemon.gate("low").open()
    daemon.wait_for("low", "paused")
    reasons = daemon.rpc("job.why", job_id="top")["reasons"]
    (held,) = [reason for reason in reasons if "low@1 is paused" in reason["text"]]
    assert held["text"].endswith('"until Monday"')
    assert (held["code"], held["unblocked_by"], held["hints"]) == ("hold:user", "caller", ["mzt resume low"])
    daemon.rpc("job.pause", job_id="middle")
    job = daemon.status("top")
    assert job["safe_to"] == {"edit_files": True, "stop_daemon": True, "switch_off": True}
    assert job["in_flight"] == []
    assert job["message"] == "top: paused; low@1 is paused too; mzt resume low@1"
    for name in ("low", "middle", "top"):
        daemon.rpc("job.resume", job_id=name)
    daemon.wait_for("top", "completed")


def test_a_parent_that_waits_is_not_in_flight_for_a_drain_and_keeps_no_slot(house, ledger):
    house.configure("max_attempts = 1\n")
    house.start()
    house.gate("low")
    write(house, "low.yaml", score("low", [gated("low")]))
    house.submit(hooked("top", [chains("low.yaml")]))
    ledger.wait_for("start low")
    assert house.rpc("daemon.status")["attempts_in_flight"] == 1
    assert house.rpc("job.pause", job_id="low")["status"] == "pausing"
    house.gate("low").open()
    house.wait_for("low", "ended", "paused")
    assert house.rpc("daemon.status")["attempts_in_flight"] == 0


def test_a_detached_job_is_not_looked_at_by_the_one_that_submitted_it(daemon):
    daemon.gate("off")
    write(daemon, "off.yaml", score("off", [gated("off")]))
    daemon.submit(hooked("free", [chains("off.yaml", detached=True)]))
    daemon.ledger.wait_for("start off")
    job = daemon.wait_for("free", "completed")
    assert (job["safe_to"]["switch_off"], job["in_flight"]) == (True, [])
    daemon.gate("off").open()
    daemon.wait_for("off", "completed")


def test_a_resumed_parent_looks_at_the_job_it_has_submitted_before(daemon):
    """A child that was mended has succeeded: it is not run again."""
    write(daemon, "mend.yaml", score("mend", ["note start mend; test -e mended"]))
    daemon.submit(hooked("boss", [chains("mend.yaml")]))
    daemon.wait_for("boss", "failed")
    (daemon.home / "boss-work" / "mended").touch()
    (daemon.home / "mend-work").mkdir(exist_ok=True)
    (daemon.home / "mend-work" / "mended").touch()
    daemon.rpc("job.resume", job_id="mend")
    daemon.wait_for("mend", "completed")
    daemon.rpc("job.resume", job_id="boss")
    assert daemon.wait_for("boss", "ended")["status"] == "completed", hooks(daemon, "boss")
    assert daemon.ledger.lines().count("start mend") == 2
    assert (daemon.status("mend")["run"], hooks(daemon, "boss")[0]["chained"]) == (1, "mend@1")


def test_a_resumed_parent_waits_on_for_a_job_that_goes_on(daemon):
    daemon.gate("mend")
    write(daemon, "mend.yaml", score("mend", ["note start once; test -e mended", gated("mend")]))
    daemon.submit(hooked("boss", [chains("mend.yaml")]))
    daemon.wait_for("boss", "failed")
    for name in ("boss-work", "mend-work"):
        (daemon.home / name).mkdir(exist_ok=True)
        (daemon.home / name / "mended").touch()
    daemon.rpc("job.resume", job_id="mend")
    daemon.ledger.wait_for("start mend")
    before = daemon.status("mend")["event"]
    daemon.rpc("job.resume", job_id="boss")
    daemon.event("boss", "hook.waiting", after=before)
    assert daemon.status("boss")["waiting"][0]["waiting_for"] == "job"
    daemon.gate("mend").open()
    assert daemon.wait_for("boss", "ended")["status"] == "completed", hooks(daemon, "boss")
    assert (daemon.status("mend")["run"], daemon.ledger.lines().count("start mend")) == (1, 1)


def test_an_awaited_job_takes_no_place_in_the_queue(house, ledger):
    house.configure("max_attempts = 1\nmax_queued = 1\n")
    house.start()
    house.gate("a")
    write(house, "child.yaml", score("child", [plain("child")]))
    house.submit(hooked("parent", [chains("child.yaml")], bodies=[gated("a")]))
    ledger.wait_for("start a")
    house.submit(score("other", [plain("other")]))  # the one place
    house.gate("a").open()
    assert house.wait_for("parent", "ended")["status"] == "completed", hooks(house, "parent")
    house.wait_for("other", "completed")


def test_a_hook_that_is_killed_from_outside_pauses_its_job_and_a_resume_runs_it_again(daemon):
    daemon.submit(hooked("shot", [command("note start h; test -e mended || kill -9 $$; note end h")]))
    job = daemon.wait_for("shot", "paused")
    (hold,) = job["holds"]
    assert hold["cause"] == "failure"
    assert (
        hold["reason"] == "hook 1 was lost, it is not known whether it did its work; a resume runs it again"
    )
    (hook,) = hooks(daemon, "shot")
    assert hook["outcome"] == "lost"
    assert hook["error_message"].endswith("is not known: ended by SIGKILL, which nobody here sent")
    (daemon.home / "shot-work" / "mended").touch()
    daemon.rpc("job.resume", job_id="shot")
    daemon.wait_for("shot", "completed")
    assert [line for line in daemon.ledger.lines() if line.endswith(" h")] == ["start h", "start h", "end h"]

"""Skip rules in a run: expressions over what has happened, commands in the workspace, pauses and crashes meanwhile."""

from kit.daemon import gated, plain, score

from marianned import accidents

ASKED = 'note asked; read _ < "$HOME/gate-rule"'
CAPTURE = {"auto_capture_stdout": True}


def commands(**rules):
    return {"skip_when_command": {int(stage[1:]): rule for stage, rule in rules.items()}}


def test_an_expression_sees_how_earlier_sheets_ended_and_what_they_printed(daemon, ledger):
    seen = (
        "sheets[1].status == 'completed' and sheets[1].exit_code == 0 and sheets[1].attempts == 2"
        " and sheets[1].validation_passed is True and sheets[1].error is None"
        " and 'nothing' in previous_outputs[1] and job.run == 1 and stage == 2 and mode == 'thrifty'"
    )
    first = "note start 1; test -e mark || { touch mark; exit 1; }; echo nothing to do"
    checks = [{"type": "file_exists", "path": "mark", "condition": "stage == 1"}]
    last = "note '{{ previous_outputs[2] }} {{ skipped_upstream }}'"
    template = f"{{% if stage < 3 %}}{{{{ bodies[stage] }}}}{{% else %}}{last}{{% endif %}}"
    text = score(
        "seeing",
        [first, plain(2), ""],
        sheet={"skip_when": {2: seen}},
        retry={"max_retries": 1, "base_delay_seconds": 0.05, "jitter": False},
        prompt={"template": template, "variables": {"bodies": {1: first, 2: plain(2)}, "mode": "thrifty"}},
        cross_sheet=CAPTURE,
        validations=checks,
    )
    daemon.submit(text)
    assert daemon.wait_for("seeing", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "start 1", "[SKIPPED] [2]"]
    sheet = daemon.status("seeing", sheets="2")["sheets"][0]
    assert (sheet["status"], sheet["attempt_count"], sheet["attempts"]) == ("skipped", 0, [])
    assert sheet["skip_reason"].startswith("skip_when: sheets[1].status == 'completed' and")
    assert daemon.status("seeing")["progress"]["completed"] == 3


def test_an_expression_without_an_answer_is_an_event_and_the_sheet_runs(daemon, ledger):
    daemon.submit(
        score("blind", [plain(1), plain(2)], sheet={"skip_when": {2: "sheets.get(9).attempts > 1"}})
    )
    assert daemon.wait_for("blind", "ended")["status"] == "completed"
    ledger.once(1, 2)
    (event,) = [event for event in daemon.journal("blind") if event["type"] == "skip.failed"]
    assert event["text"].endswith("skip_when: 'sheets.get(9)' is not a sheet")


def test_a_command_skips_with_its_description_and_any_other_end_lets_the_sheet_run(daemon, ledger):
    rules = commands(
        s1={
            "command": 'pwd > "{workspace}/where"; note "env $MARIANNE_SHEET $MARIANNE_JOB"',
            "description": "done before",
        },
        s2={"command": "exit 7"},
        s3={"command": "sleep 60", "timeout_seconds": 0.3},
        s4={"command": "test '{word}' = 'a \"b'"},
    )
    bodies = [plain(number) for number in range(1, 5)]
    daemon.submit(score("ruled", bodies, sheet=rules, variables={"word": 'a "b'}, workspace="./a 'b c"))
    assert daemon.wait_for("ruled", "ended")["status"] == "completed"
    assert daemon.statuses("ruled") == ["skipped", "completed", "completed", "skipped"]
    assert ledger.lines() == ["env 1 ruled", "start 2", "end 2", "start 3", "end 3"]
    workspace = daemon.home / "a 'b c"
    assert (workspace / "where").read_text() == f"{workspace}\n"
    assert [sheet["skip_reason"] for sheet in daemon.status("ruled")["sheets"]] == [
        "done before",
        None,
        None,
        "skip_when_command exited with 0",
    ]
    skipped = [event for event in daemon.journal("ruled") if event["type"] == "sheet.skipped"]
    assert skipped[0]["reason"] == "done before"


def test_a_daemon_killed_while_a_pause_waits_for_a_skip_command_pauses_and_asks_again_after_the_resume(
    daemon, ledger
):
    daemon.gate("rule")
    rule = {"command": f"{ASKED}; exit 1", "timeout_seconds": 60}
    daemon.submit(score("pausing", [plain(1)], sheet=commands(s1=rule)))
    ledger.wait_for("asked")
    daemon.rpc("job.pause", job_id="pausing")
    daemon.kill()
    daemon.start()
    daemon.wait_for("pausing", "paused")
    assert daemon.statuses("pausing") == ["pending"]
    assert daemon.processes("MARIANNE_JOB=pausing") == []
    daemon.gate("rule").open()
    daemon.rpc("job.resume", job_id="pausing")
    daemon.wait_for("pausing", "completed")
    assert ledger.lines() == ["asked", "asked", "start 1", "end 1"]


def test_a_pause_now_interrupts_a_skip_command_and_it_is_asked_again_after_the_resume(daemon, ledger):
    daemon.gate("rule")
    rule = {"command": ASKED + "; exit 1", "timeout_seconds": 60}
    daemon.submit(score("now", [plain(1)], sheet=commands(s1=rule)))
    ledger.wait_for("asked")
    daemon.rpc("job.pause", job_id="now", now=True, wait=True, timeout=30)
    assert daemon.statuses("now") == ["pending"]
    assert daemon.processes("MARIANNE_JOB=now") == []
    daemon.gate("rule").open(times=2)
    daemon.rpc("job.resume", job_id="now")
    daemon.wait_for("now", "completed")
    assert ledger.lines() == ["asked", "asked", "start 1", "end 1"]


def test_a_cancel_ends_a_skip_command(daemon, ledger):
    daemon.gate("rule")
    daemon.submit(score("gone", [plain(1)], sheet=commands(s1={"command": ASKED, "timeout_seconds": 60})))
    ledger.wait_for("asked")
    daemon.rpc("job.cancel", job_id="gone", wait=True, timeout=30)
    assert daemon.statuses("gone") == ["cancelled"]
    assert daemon.processes("MARIANNE_JOB=gone") == []


def test_a_skip_command_takes_the_jobs_slot_and_a_rerun_asks_anew(daemon, ledger):
    daemon.gate(1)
    rule = {"command": "note asked; test -e yes"}
    sheet = {"dependencies": {2: [1], 3: []}} | commands(s2=rule)
    daemon.submit(score("again", [gated(1), plain(2), plain(3)], sheet=sheet))
    ledger.wait_for("start 1")
    daemon.gate(1).open()
    daemon.wait_for("again", "completed")
    assert ledger.lines().count("asked") == 1
    (daemon.home / "again-work" / "yes").touch()
    daemon.rpc("job.resume", job_id="again", **{"from": "2"})
    daemon.wait_for("again", "completed")
    assert daemon.statuses("again") == ["completed", "skipped", "completed"]
    assert ledger.lines().count("asked") == 2


def test_a_skip_command_that_always_ends_by_a_kill_is_waited_for_and_the_way_out_is_said(
    daemon, ledger, monkeypatch
):
    monkeypatch.setattr(accidents, "_LOST_PAUSES", (0.05, 0.05, 0.05, 3600.0))
    daemon.submit(score("shot", [plain(1)], sheet=commands(s1={"command": "note asked; kill -9 $$"})))
    next(event for event in daemon.events(job="shot") if event["text"].endswith("(loss 4)"))
    told = [event["text"] for event in daemon.journal("shot") if event["type"] == "skip.lost"]
    assert told[1].endswith("ended by SIGKILL, which nobody here sent; it runs again (loss 2)")
    (hindered,) = daemon.status("shot")["hindered_by"]
    assert hindered.endswith(
        "it runs again 1h after that (lost 4 times); where it ends itself: "
        "mzt pause shot --now, then change it with mzt modify shot -c FILE -r"
    )
    daemon.rpc("job.pause", job_id="shot", now=True, wait=True, timeout=30)
    mended = score("shot", [plain(1)], sheet=commands(s1={"command": "exit 1"}))
    daemon.rpc("job.modify", job_id="shot", text=mended, directory=str(daemon.home), resume=True)
    daemon.wait_for("shot", "completed")
    assert ledger.lines() == ["asked"] * 4 + ["start 1", "end 1"]


def test_where_the_workspace_is_gone_a_sheet_does_not_run_unasked_but_fails_and_says_why(daemon, ledger):
    work, away = daemon.home / "moved-work", daemon.home / "away"
    bodies = [f"{plain(1)}; mv '{work}' '{away}'", plain(2)]
    daemon.submit(score("moved", bodies, sheet=commands(s2={"command": "note asked; test -e there"})))
    assert daemon.wait_for("moved", "ended")["status"] == "failed"
    gone = (
        f"the directory it works in is gone: '{work}' is not there; bring it back, or type: mkdir -p {work}"
    )
    gone = f"{gone}; then type: mzt resume moved"
    assert [sheet["error_message"] for sheet in daemon.status("moved")["sheets"]] == [None, gone]
    away.rename(work)
    (work / "there").touch()
    daemon.rpc("job.resume", job_id="moved")
    daemon.wait_for("moved", "completed")
    assert daemon.statuses("moved") == ["completed", "skipped"]
    assert ledger.lines() == ["start 1", "end 1", "asked"]

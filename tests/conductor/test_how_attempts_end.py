"""What the end of an attempt means: validations, retries, completions, timeouts, context of earlier sheets."""

import base64

from kit.daemon import gated, plain, score

from marianned import accidents

REST = ": <<'END'"
"""What makes bash read the rest of an agent's prompt over."""
QUICK = {"base_delay_seconds": 0.05, "jitter": False}


def agents(daemon):
    """Give the daemon an agent named `player`: bash, which reads its prompt as a script."""
    directory = daemon.home / "config" / "marianne" / "instruments"
    directory.mkdir(parents=True)
    (directory / "player.yaml").write_text(
        "name: player\nkind: cli\ncli:\n  command: {executable: bash, extra_flags: []}\n"
        '  output: {format: text}\n  errors: {auth_error_patterns: ["bad token"], rate_limit_patterns: ["slow down"]}\n'
        "raw_prompt: false\n"
    )  # fmt: skip


def test_a_sheet_fails_when_its_check_fails_and_says_why(daemon, ledger):
    checks = [
        {"type": "file_exists", "path": "{workspace}/there", "retry_count": 0},
        {
            "type": "content_regex",
            "path": "{workspace}/there",
            "pattern": "^DONE$",
            "stage": 2,
            "retry_count": 0,
        },
    ]
    daemon.submit(score("solo", ["echo almost > there"], validations=checks))
    failed = daemon.wait_for("solo", "failed")
    assert failed["message"].startswith("solo: failed; sheet 1 failed after 1 attempt: validation: content_")
    assert failed["message"].endswith("'^DONE$' finds nothing in there")
    sheet = daemon.status("solo", sheets="1")["sheets"][0]
    assert (sheet["error_category"], sheet["validation_passed"]) == ("validation", False)
    assert "'^DONE$' finds nothing" in sheet["error_message"]
    assert [report["result"] for report in sheet["attempts"][0]["validations"]] == ["passed", "failed"]


def test_checks_of_a_later_stage_are_not_run_after_a_failure(daemon):
    checks = [
        {"type": "file_exists", "path": "nowhere", "retry_count": 0},
        {"type": "command_succeeds", "command": "note never", "stage": 2},
    ]
    daemon.submit(score("solo", ["true"], validations=checks))
    daemon.wait_for("solo", "failed")
    reports = daemon.attempts("solo", 1)[0]["validations"]
    assert [report["result"] for report in reports] == ["failed", "not_run"]
    assert daemon.ledger.lines() == []


def test_a_check_that_always_ends_by_a_kill_is_waited_for_and_another_is_run_on_the_same_attempt(
    daemon, monkeypatch
):
    monkeypatch.setattr(accidents, "_LOST_PAUSES", (0.05, 0.05, 0.05, 0.05, 3600.0))

    def checked(command):
        return score("solo", [plain(1)], validations=[{"type": "command_succeeds", "command": command}])

    daemon.submit(checked("note check; kill -9 $$"))
    next(event for event in daemon.events(job="solo") if event["text"].endswith("(loss 4)"))
    daemon.ledger.wait_for("check", times=5)
    told = [event["text"] for event in daemon.journal("solo") if event["type"] == "attempt.warned"]
    assert [text[-len("(loss 1)") :] for text in told] == ["(loss 1)", "(loss 2)", "(loss 3)", "(loss 4)"]
    daemon.rpc("job.pause", job_id="solo", now=True, wait=True, timeout=30)
    mended = {"text": checked("note mended"), "directory": str(daemon.home)}
    daemon.rpc("job.modify", job_id="solo", resume=True, **mended)
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    assert daemon.ledger.lines() == ["start 1", "end 1", *["check"] * 5, "mended"]
    assert len(daemon.attempts("solo", 1)) == 1


def test_a_sheet_that_removed_its_own_output_is_judged_by_its_exit_code(daemon, ledger):
    daemon.submit(score("solo", [f'{plain(1)}; rm "$(dirname "$0")/stdout"'], retry={"max_retries": 0}))
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    ledger.once(1)
    assert "its stdout is gone" in daemon.event("solo", "attempt.warned")["text"]


def test_a_failed_sheet_is_tried_again_as_often_as_the_score_says(daemon, ledger):
    daemon.submit(score("solo", ["note start 1; exit 3"], retry={"max_retries": 2} | QUICK))
    failed = daemon.wait_for("solo", "failed")
    assert "after 3 attempts: exit code 3" in failed["message"]
    attempts = daemon.attempts("solo", 1)
    assert [attempt["kind"] for attempt in attempts] == ["first", "retry", "retry"]
    assert {attempt["exit_code"] for attempt in attempts} == {3}
    assert ledger.lines() == ["start 1"] * 3


def test_a_retry_that_succeeds_is_a_success(daemon, ledger):
    body = "note start 1; test -e mark || { touch mark; exit 1; }; note end 1"
    daemon.submit(score("duo", [body, plain(2)], retry={"max_retries": 1} | QUICK))
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "start 1", "end 1", "start 2", "end 2"]
    sheet = daemon.status("duo")["sheets"][0]
    assert (sheet["attempt_count"], sheet["error_message"]) == (2, None)


def test_a_partly_successful_agent_is_asked_to_complete(house, ledger):
    agents(house)
    house.start()
    body = f"if test -e one && test -e two; then touch three; fi; touch one two; exit\n{REST}"
    house.submit(
        score(
            "solo",
            [body],
            instrument="player",
            validations=[
                {"type": "file_exists", "path": name, "retry_count": 0} for name in ("one", "two", "three")
            ],
            retry={"max_retries": 0, "completion_delay_seconds": 0, "completion_threshold_percent": 50},
        )
    )
    assert house.wait_for("solo", "ended")["status"] == "completed"
    assert [attempt["kind"] for attempt in house.attempts("solo", 1)] == ["first", "completion"]
    read = house.rpc("log.read", job_id="solo", sheet=1, stream="prompt")
    told = base64.b64decode(read["data"]).decode().split("## Previous attempt")[1]
    assert (read["attempt"], "three" in told) == (2, True)


def test_an_instrument_that_refuses_its_credentials_pauses_the_job(house, ledger):
    agents(house)
    house.start()
    body = (
        "note start 1; test -e \"$HOME/key\" || { echo bad token >&2; exit 1; }; note end 1; exit\n: <<'END'"
    )
    house.submit(score("duo", [body, body], instrument="player"))
    paused = house.wait_for("duo", "paused", "ended")
    assert paused["status"] == "paused"
    assert [hold["cause"] for hold in paused["holds"]] == ["auth"]
    assert house.statuses("duo") == ["pending", "pending"]
    (house.home / "key").touch()
    house.rpc("job.resume", job_id="duo")
    assert house.wait_for("duo", "ended")["status"] == "completed"


def test_a_rate_limit_is_no_try_and_no_hold(house, ledger):
    agents(house)
    house.start()
    house.submit(score("solo", ["note start 1; echo slow down >&2; exit 1\n" + REST], instrument="player"))
    house.event("solo", "sheet.waiting")
    status = house.status("solo")
    assert (status["status"], status["holds"]) == ("running", [])
    assert status["waiting"][0]["waiting_for"] == "rate_limit"
    assert status["waiting"][0]["until_at"]
    reply = house.rpc("job.pause", job_id="solo", wait=True)
    assert (reply["status"], reply["acknowledged"]) == ("paused", True)


def test_fail_fast_lets_what_is_in_flight_end(daemon, ledger):
    daemon.gate(2)
    daemon.gate(1)
    daemon.submit(
        score(
            "fan",
            [gated(1) + "; exit 1", gated(2), plain(3), plain(4)],
            sheet={"total_items": 1, "fan_out": {1: 4}},
            parallel={"enabled": True, "max_concurrent": 2},
        )
    )
    ledger.wait_for("start 1")
    ledger.wait_for("start 2")
    daemon.gate(1).open()
    daemon.event("fan", "sheet.failed")
    assert daemon.status("fan")["status"] == "running"
    daemon.gate(2).open()
    assert daemon.wait_for("fan", "ended")["status"] == "failed"
    assert daemon.statuses("fan") == ["failed", "completed", "pending", "pending"]


def test_without_fail_fast_everything_that_is_not_blocked_runs(daemon, ledger):
    daemon.submit(
        score(
            "four",
            ["exit 1", plain(2), plain(3), plain(4)],
            sheet={"dependencies": {2: [1], 4: [3]}},
            parallel={"enabled": True, "max_concurrent": 2, "fail_fast": False},
        )
    )
    assert daemon.wait_for("four", "ended")["status"] == "failed"
    assert daemon.statuses("four") == ["failed", "pending", "completed", "completed"]
    assert daemon.status("four")["sheets"][1]["blocked_by"] == [1]
    ledger.once(3, 4)


def test_a_workspace_that_disappears_fails_the_sheet_with_the_reason(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1) + "; rm -r ../duo-work", plain(2)]))
    ledger.wait_for("start 1")
    daemon.gate(1).open()
    daemon.wait_for("duo", "failed")
    sheet = daemon.status("duo")["sheets"][1]
    assert sheet["status"] == "failed"
    assert "duo-work" in sheet["error_message"]


def test_a_sheet_sees_what_earlier_ones_printed_and_the_files_they_made(daemon, ledger):
    text = score(
        "trio",
        ["", "", ""],
        cross_sheet={"auto_capture_stdout": True, "capture_files": ["{{ workspace }}/*.md"]},
        prompt={
            "template": "{% if sheet_num == 1 %}echo first; echo found > notes.md"
            "{% elif sheet_num == 2 %}echo second"
            "{% else %}note '{{ previous_outputs[1] }}' '{{ previous_outputs[2] }}'"
            " '{{ previous_files.values() | list | join | trim }}'{% endif %}"
        },
    )
    daemon.submit(text)
    assert daemon.wait_for("trio", "ended")["status"] == "completed"
    assert ledger.lines() == ["first second found"]


def test_pacing_is_waited_between_sheets_and_a_pause_ends_it(daemon, ledger):
    daemon.submit(score("duo", [plain(1), plain(2)], pause_between_sheets_seconds=600))
    daemon.event("duo", "sheet.completed")
    status = daemon.status("duo")
    assert (status["status"], status["waiting"][0]["waiting_for"]) == ("running", "pacing")
    assert daemon.rpc("job.pause", job_id="duo")["status"] == "paused"


def test_an_agent_that_prints_none_of_its_events_is_completed_with_a_warning(daemon):
    directory = daemon.home / "config" / "marianne" / "instruments"
    directory.mkdir(parents=True)
    (directory / "player.yaml").write_text(
        "name: player\nkind: cli\nraw_prompt: false\n"
        "cli:\n  command: {executable: bash, extra_flags: []}\n"
        "  output: {format: jsonl, completion_event_type: result, result_path: result, cost_path: cost}\n"
    )
    daemon.submit(score("prose", [f"echo I could not log in; {REST}"], instrument="player"))
    assert daemon.wait_for("prose", "ended")["status"] == "completed"
    [told] = [event["text"] for event in daemon.journal("prose") if event["type"] == "attempt.warned"]
    assert "not in the form that its profile names" in told
    problems = daemon.status("prose")["problems"]
    assert [(one["code"], "not in the form" in one["message"]) for one in problems] == [("S601", True)]


def test_a_cost_that_is_no_number_is_told(daemon):
    directory = daemon.home / "config" / "marianne" / "instruments"
    directory.mkdir(parents=True)
    (directory / "player.yaml").write_text(
        "name: player\nkind: cli\nraw_prompt: false\n"
        "cli:\n  command: {executable: bash, extra_flags: []}\n"
        "  output: {format: json, result_path: result, cost_path: cost}\n"
    )
    said = """echo '{"result": "ok", "cost": "%s"}'; """
    daemon.submit(score("paid", [said % "0.25" + REST, said % "free" + REST], instrument="player"))
    assert daemon.wait_for("paid", "ended")["status"] == "completed"
    cost = daemon.status("paid")["cost"]
    assert (cost["usd"], cost["known"]) == (0.25, False)
    [told] = [event["text"] for event in daemon.journal("paid") if event["type"] == "attempt.warned"]
    assert "'cost' of its output is no amount in USD: 'free'" in told


def test_a_file_that_a_check_misses_is_named_from_the_workspace_on(daemon):
    """Only what stood behind the last slash was told: of `<b>h</i>.md`, `i>.md`."""
    checks = [{"type": "file_exists", "path": "{workspace}/part/<b>h</i>.md", "retry_count": 0}]
    daemon.submit(score("solo", ["true"], validations=checks))
    failed = daemon.wait_for("solo", "failed")
    assert failed["message"].endswith("validation: file_exists: no such file: part/<b>h</i>.md")
    checks = [{"type": "file_exists", "path": "/nowhere/notes.md", "retry_count": 0}]
    daemon.submit(score("other", ["true"], validations=checks))
    failed = daemon.wait_for("other", "failed")
    assert failed["message"].endswith("validation: file_exists: no such file: /nowhere/notes.md")


def test_checks_that_were_not_run_are_not_counted_as_failed(daemon):
    checks = [
        {"type": "file_exists", "path": "{workspace}/notes.md", "retry_count": 0},
        {"type": "command_succeeds", "command": "true", "stage": 2},
        {"type": "command_succeeds", "command": "true", "stage": 2},
    ]
    daemon.submit(score("solo", ["true"], validations=checks))
    failed = daemon.wait_for("solo", "failed")
    assert failed["message"].endswith("validation: file_exists: no such file: notes.md")
    assert "1 of 3 validations failed, 2 not run" in daemon.event("solo", "attempt.ended")["text"]

"""A sheet goes on with the next instrument of its chain, once, over a pause and a crash."""

import pytest
import yaml
from kit.daemon import AGENTS, score
from kit.falling_back import chained, moves, played, stage_with_fallbacks


@pytest.fixture
def stage(house):
    return stage_with_fallbacks(house)


def test_over_a_missing_tool_and_refused_credentials_to_one_that_answers(stage, ledger):
    (stage.home / "mood-one").write_text("401: invalid API key\n")
    stage.submit(chained("gone", "one", "two"))
    assert stage.wait_for("chained", "ended")["status"] == "completed"
    assert played(stage) == [("gone", "failed"), ("one", "failed"), ("two", "succeeded")]
    first, second = moves(stage)
    assert first.startswith("sheet 1: goes on with one instead of gone: ")
    assert second.startswith("sheet 1: goes on with two instead of one: ")
    assert stage.status("chained")["sheets"][0]["instrument"] == "two"
    assert [line for line in ledger.lines() if line.startswith("try ")] == [
        "try one chained",
        "try two chained",
    ]


def test_a_limited_sheet_waits_rather_than_moves_to_a_tool_that_is_not_installed(stage, ledger):
    (stage.home / "mood-one").write_text("rate limit reached\n")
    stage.submit(chained("one", "gone"))
    stage.event("chained", "sheet.waiting")
    sheet = stage.status("chained")["sheets"][0]
    assert (sheet["status"], sheet["waiting_for"], sheet["instrument"]) == ("waiting", "rate_limit", "one")
    assert played(stage) == [("one", "rate_limited")]
    assert moves(stage) == []


def test_a_shell_gate_that_fails_is_not_handed_to_an_agent(stage):
    movements = {1: {"name": "gate", "instrument": "cli"}}
    gate = score("chained", ["exit 1"], movements=movements, instrument_fallbacks=["one"])
    stage.submit(gate.replace("instrument: cli", "instrument: one", 1))
    assert stage.wait_for("chained", "ended")["status"] == "failed"
    assert played(stage) == [("cli", "failed")]
    assert moves(stage) == []


def test_another_model_of_the_same_tool_takes_over(stage, ledger):
    tool = stage.home / "by-model"
    tool.write_text(f'#!/bin/sh\nexec {AGENTS / "moody"} "$2"\n')
    tool.chmod(0o755)
    command = {"executable": str(tool), "model_flag": "--model"}
    errors = {"auth_error_patterns": ["invalid api key"]}
    place = stage.home / "config" / "marianne" / "instruments"
    profile = {"name": "many", "kind": "cli", "cli": {"command": command, "errors": errors}}
    (place / "many.yaml").write_text(yaml.safe_dump(profile))
    (stage.home / "mood-small").write_text("401: invalid API key\n")
    aliases = "instruments: {big: {profile: many, config: {model: large}}}\n"
    stage.submit(f"{aliases}instrument_config: {{model: small}}\n{chained('many', 'big')}")
    assert stage.wait_for("chained", "ended")["status"] == "completed"
    assert [line for line in ledger.lines() if line.startswith("try ")] == [
        "try small chained",
        "try large chained",
    ]
    (move,) = moves(stage)
    assert move.startswith("sheet 1: goes on with many (large) instead of many (small): ")


def test_an_instrument_whose_profile_says_it_is_not_supported_is_passed_by(stage, ledger):
    place = stage.home / "config" / "marianne" / "instruments"
    (place / "one.yaml").write_text(
        (place / "one.yaml").read_text()
        + "execution_status: unsupported\nexecution_status_detail: it needs a screen\n"
    )
    stage.submit(chained("one", "two"))
    assert stage.wait_for("chained", "ended")["status"] == "completed"
    (move,) = moves(stage)
    assert move == "sheet 1: goes on with two instead of one: it needs a screen"
    assert [line for line in ledger.lines() if line.startswith("try ")] == ["try two chained"]


def test_another_account_of_the_same_tool_takes_over_at_its_limit_and_meets_its_own(stage, ledger):
    tool = stage.home / "by-account"
    tool.write_text(f'#!/bin/sh\nexec {AGENTS / "moody"} "${{ACCOUNT:-first}}"\n')
    tool.chmod(0o755)
    errors = {"rate_limit_patterns": ["usage limit"]}
    place = stage.home / "config" / "marianne" / "instruments"
    profile = {"name": "many", "kind": "cli", "cli": {"command": {"executable": str(tool)}, "errors": errors}}
    (place / "many.yaml").write_text(yaml.safe_dump(profile))
    (stage.home / "mood-first").write_text("usage limit reached\n")
    aliases = "instruments: {mine: {profile: many, config: {env: {ACCOUNT: second}}}}\n"
    stage.submit(aliases + chained("many", "mine"))
    assert stage.wait_for("chained", "ended")["status"] == "completed"
    assert played(stage) == [("many", "rate_limited"), ("many", "succeeded")]
    (moved,) = moves(stage)
    assert "goes on with many (ACCOUNT " in moved
    assert moved.endswith(") instead of many: rate limit")
    (limit,) = stage.rpc("daemon.status")["rate_limits"]
    assert (limit["instrument"], limit["model"], limit["env"]) == ("many", None, None)

    (stage.home / "mood-second").write_text("usage limit reached\n")
    for job in ("b", "c"):
        text = aliases + score(job, ["who?"]).replace("instrument: cli", "instrument: mine")
        stage.submit(text)
        if job == "b":
            stage.event("b", "limit.met")
    (reason,) = stage.rpc("job.why", job_id="c")["reasons"]
    assert "waits for the rate limit of many (ACCOUNT " in reason["text"]
    assert reason["hints"] == ["mzt clear-rate-limits many"]
    assert len(stage.rpc("daemon.status")["rate_limits"]) == 2
    assert stage.rpc("instrument.clear_limits", instrument="many")["cleared"] == 2
    assert [line for line in ledger.lines() if line.startswith("try ")].count("try second c") == 0

"""What pauses a job beside a person's plain pause, on a real daemon: --now, deadlines, ends, money, refusals."""

import json
import time

import pytest
from kit.daemon import gated, plain, score

CLAUDE = """#!/bin/sh
note start $MARIANNE_SHEET
said() { printf '{"type":"result","is_error":%s,"result":"%s","total_cost_usd":%s}\\n' "$1" "$2" "${COST:-0.6}"; }
if [ -e "$HOME/refused" ]; then said true "API Error: 401 invalid api key"; exit 1; fi
if [ -e "$HOME/limited" ]; then said true "429 rate limit"; exit 1; fi
said false ok
note end $MARIANNE_SHEET
"""
"""Stands in for `claude`: costs money, or is refused while a file of that name lies in the home."""


@pytest.fixture
def played(house):
    """A daemon that finds the stand-in as `claude`."""
    house.install("claude", CLAUDE)
    return house.start()


def causes(reply):
    return [hold["cause"] for hold in reply["holds"]]


def agents(name, count, **top):
    """A score of sheets that the stand-in plays."""
    return score(name, ["play"] * count, instrument="claude-code", **top)


def outcomes(daemon, job, sheet):
    return [attempt["outcome"] for attempt in daemon.attempts(job, sheet)]


def test_a_deadline_interrupts_a_long_sheet_at_about_its_time(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    began = time.monotonic()
    paused = daemon.rpc("job.pause", job_id="duo", deadline=1, wait=True)
    assert 1.0 <= time.monotonic() - began < 10.0
    assert (paused["status"], outcomes(daemon, "duo", 1)) == ("paused", ["interrupted"])
    daemon.gate(1).open()
    daemon.rpc("job.resume", job_id="duo")
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert outcomes(daemon, "duo", 1) == ["interrupted", "succeeded"]


@pytest.mark.parametrize("deadline", [1, 0.01])
def test_a_deadline_interrupts_though_the_daemon_was_down_meanwhile(daemon, ledger, deadline):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo", deadline=deadline, reason="soon")
    daemon.kill()
    daemon.start()
    paused = daemon.wait_for("duo", "paused")
    assert [hold["reason"] for hold in paused["holds"]] == ["soon"]
    assert outcomes(daemon, "duo", 1) == ["interrupted"]
    daemon.gate(1).open()
    daemon.rpc("job.resume", job_id="duo")
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert ledger.lines().count("end 1") == 1


def test_a_pause_now_in_a_check_lets_the_checks_run_again_and_not_the_process(daemon, ledger):
    daemon.gate("check")
    command = 'note checking; read _ < "$HOME/gate-check"; note checked'
    checks = [
        {"type": "command_succeeds", "command": "note first"},
        {"type": "command_succeeds", "command": command},
    ]
    daemon.submit(score("solo", [plain(1)], validations=checks))
    ledger.wait_for("checking")
    paused = daemon.rpc("job.pause", job_id="solo", now=True, wait=True)
    assert (paused["status"], paused["acknowledged"]) == ("paused", True)
    daemon.kill()
    daemon.start()
    assert daemon.status("solo")["status"] == "paused"
    daemon.rpc("job.resume", job_id="solo")
    ledger.wait_for("checking", times=2)
    daemon.gate("check").open()
    assert daemon.wait_for("solo", "ended")["status"] == "completed"
    assert ledger.lines() == [
        "start 1", "end 1", "first", "checking", "first", "checking", "checked",
    ]  # fmt: skip
    assert outcomes(daemon, "solo", 1) == ["succeeded"]


# --- pauses that end by themselves ------------------------------------------------------------------------------


@pytest.mark.parametrize("killed", [False, True])
def test_a_pause_for_a_time_ends_by_itself(daemon, ledger, killed):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo", **{"for": 0.5})
    daemon.gate(1).open()
    paused = daemon.wait_for("duo", "paused")
    assert paused["holds"][0]["ends_at"] is not None
    if killed:
        daemon.kill()
        daemon.start()
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    ledger.once(1, 2)


# --- breakpoints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_submission", [True, False])
def test_all_but_what_depends_on_a_breakpoint_goes_on_and_a_resume_passes_it_once(
    daemon, ledger, at_submission
):
    daemon.gate(1)
    text = score(
        "graph",
        [gated(1), *map(plain, (2, 3, 4, 5, 6))],
        sheet={"dependencies": {2: [1], 3: [1], 4: [2], 5: [3], 6: [4, 5]}},
        parallel={"enabled": True, "max_concurrent": 3},
    )
    daemon.submit(text, **({"before": "5"} if at_submission else {}))
    ledger.wait_for("start 1")
    if not at_submission:
        daemon.rpc("job.pause", job_id="graph", before="5")
    assert [stands["sheet"] for stands in daemon.status("graph")["breakpoints"]] == [5]
    assert daemon.refusal("job.pause", job_id="graph", before="1").code == "E502"
    daemon.kill()
    daemon.start()
    daemon.gate(1).open()
    paused = daemon.wait_for("graph", "paused")
    assert (causes(paused), paused["breakpoints"]) == (["breakpoint"], [])
    assert daemon.statuses("graph") == ["completed"] * 4 + ["pending"] * 2
    reply = daemon.rpc("job.resume", job_id="graph", wait=True)
    assert reply["acknowledged"]
    assert daemon.wait_for("graph", "ended")["status"] == "completed"
    ledger.once(1, 2, 3, 4, 5, 6)


# --- money, credentials, limits ----------------------------------------------------------------------------------------


def test_a_cost_limit_pauses_and_more_of_it_lets_go(played, ledger):
    played.submit(agents("costly", 3, cost_limits={"max_cost_per_job": 1.0}))
    paused = played.wait_for("costly", "paused", "ended")
    assert (paused["status"], causes(paused), paused["progress"]["completed"]) == ("paused", ["budget"], 2)
    refused = played.refusal("job.resume", job_id="costly")
    assert (refused.code, refused.status) == ("E502", "paused")
    assert "it has cost $1.20 of $1.00" in refused.message
    assert any("--over-budget" in hint for hint in refused.hints)
    assert causes(played.status("costly")) == ["budget"]
    played.rpc("job.resume", job_id="costly", over_budget=5.0)
    assert played.wait_for("costly", "ended")["status"] == "completed"
    ledger.once(1, 2, 3)


def test_a_modify_with_a_higher_cost_limit_lets_go(played, ledger):
    played.submit(agents("costly", 3, cost_limits={"max_cost_per_job": 1.0}))
    assert causes(played.wait_for("costly", "paused", "ended")) == ["budget"]
    played.modify(
        "costly", agents("costly", 3, cost_limits={"max_cost_per_job": 9.0}), resume=True, wait=True
    )
    assert played.wait_for("costly", "ended")["status"] == "completed"
    ledger.once(1, 2, 3)


def test_refused_credentials_are_one_hold_for_all_parallel_sheets(played, ledger):
    (played.home / "refused").touch()
    beside = {"dependencies": {number: [] for number in (1, 2, 3, 4)}}
    played.submit(agents("many", 4, sheet=beside, parallel={"enabled": True, "max_concurrent": 4}))
    paused = played.wait_for("many", "paused", "ended")
    assert (paused["status"], causes(paused)) == ("paused", ["auth"])
    (played.home / "refused").unlink()
    played.rpc("job.resume", job_id="many")
    assert played.wait_for("many", "ended")["status"] == "completed"
    assert sorted(line for line in ledger.lines() if line.startswith("end")) == [
        f"end {n}" for n in (1, 2, 3, 4)
    ]
    added = [
        event
        for event in played.journal("many")
        if event["cause"] == "auth" and event["type"] == "hold.added"
    ]
    assert len(added) <= 1, json.dumps(added)


def test_without_auto_resume_a_rate_limit_pauses(played, ledger):
    (played.home / "limited").touch()
    played.submit(agents("limited", 1), auto_resume=False)
    paused = played.wait_for("limited", "paused", "ended")
    assert (paused["status"], causes(paused)) == ("paused", ["rate_limit"])
    (played.home / "limited").unlink()
    played.rpc("job.resume", job_id="limited")
    waiting = played.status("limited")["sheets"][0]
    assert waiting["waiting_for"] == "rate_limit", "the limit is no hold: it lasts, in all jobs"
    assert played.rpc("instrument.clear_limits")["cleared"] == 1
    assert played.wait_for("limited", "ended")["status"] == "completed"
    assert outcomes(played, "limited", 1) == ["rate_limited", "succeeded"]


def test_a_job_that_pauses_on_failure_keeps_its_place_over_a_kill(daemon, ledger):
    body = 'note start 2; test -e "$HOME/mended"; note end 2'
    daemon.submit(score("duo", [plain(1), f"set -e; {body}"], on_failure="pause"))
    paused = daemon.wait_for("duo", "paused", "ended")
    assert (paused["status"], causes(paused)) == ("paused", ["failure"])
    daemon.kill()
    (daemon.home / "mended").touch()
    daemon.start()
    assert causes(daemon.status("duo")) == ["failure"]
    daemon.rpc("job.resume", job_id="duo")
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "end 1", "start 2", "start 2", "end 2"]


# --- revisions -----------------------------------------------------------------------------------------------------------


def test_an_old_revision_again_is_the_first_score_and_every_attempt_names_its_own(daemon, ledger):
    daemon.gate(1)
    daemon.gate(3)
    first = score("quad", [gated(1), plain(2), gated(3), plain(4)])
    second = score("quad", [gated(1), "note start 2; note new; note end 2", gated(3), "exit 7"])
    daemon.submit(first)
    ledger.wait_for("start 1")
    daemon.modify("quad", second, resume=True)
    daemon.gate(1).open()
    ledger.wait_for("start 3")
    with daemon.connect() as waiting:
        asked = waiting.send("job.modify", job_id="quad", revision=1, resume=True, wait=True)
        daemon.event("quad", "job.pausing", revision=2)
        daemon.gate(3).open()
        reply = waiting.reply(asked)
    assert (reply["revision"], reply["new_revision"], reply["acknowledged"]) == (3, 3, True)
    assert daemon.wait_for("quad", "ended")["status"] == "completed"
    found = [[attempt["revision"] for attempt in daemon.attempts("quad", sheet)] for sheet in (1, 2, 3, 4)]
    assert found == [[1], [2], [2], [3]]
    revisions = daemon.rpc("job.revisions", job_id="quad")["revisions"]
    assert [row["status"] for row in revisions] == ["past", "past", "current"]
    assert daemon.rpc("job.revisions", job_id="quad", revision=3)["text"] == first
    assert daemon.rpc("job.revisions", job_id="quad", revision=1)["text"] == first


def test_reruns_are_what_the_plan_said(daemon, ledger):
    daemon.gate(4)
    daemon.submit(score("quad", [plain(1), plain(2), plain(3), gated(4)]))
    ledger.wait_for("start 4")
    plan = daemon.rpc("job.modify", job_id="quad", rerun="2", plan=True)["plan"]
    said = [(line["sheet"], line["action"]) for line in plan]
    assert said == [(1, "kept"), (2, "rerun"), (3, "rerun"), (4, "in-flight")]
    assert [line["sheet"] for line in plan if line["runs"]] == [2, 3, 4]
    reply = daemon.rpc("job.modify", job_id="quad", rerun="2", resume=True)
    assert reply["status"] == "pausing"
    daemon.gate(4).open(times=2)
    assert daemon.wait_for("quad", "ended")["status"] == "completed"
    starts = [line for line in ledger.lines() if line.startswith("start")]
    assert starts == ["start 1", "start 2", "start 3", "start 4", "start 2", "start 3", "start 4"]

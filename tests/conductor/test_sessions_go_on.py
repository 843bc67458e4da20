"""An agent that was ended for no try of its sheet goes on in its tool's own session: nothing is paid twice."""

import pytest
from kit.sessions import ONE, installed, interrupted, kinds, moody, prompt


@pytest.fixture
def agent(house):
    return installed(house)


def completed_behind(agent, line):
    """Let the job come to its end as soon as an attempt has begun that the ledger tells of like that."""
    agent.ledger.wait_for(line)
    agent.gate(1).open()
    agent.wait_for("solo", "completed")


def test_an_interrupted_attempt_goes_on_in_its_session_and_uses_no_try(agent):
    interrupted(agent)
    agent.rpc("job.resume", job_id="solo")
    agent.ledger.wait_for("start 2 s-1")
    agent.rpc("job.pause", job_id="solo", now=True, wait=True)
    agent.rpc("job.resume", job_id="solo")
    completed_behind(agent, "start 3 s-1")
    assert kinds(agent) == [
        ("first", "interrupted", "s-1"),
        ("resumed", "interrupted", "s-1"),
        ("resumed", "succeeded", "s-1"),
    ]
    first, resumed = prompt(agent, 1), prompt(agent, 3)
    assert resumed.startswith(first)
    assert "goes on in this session" in resumed.removeprefix(first)


def test_an_attempt_that_told_of_no_session_begins_anew(agent):
    (agent.home / "mute").touch()
    interrupted(agent)
    agent.rpc("job.resume", job_id="solo")
    completed_behind(agent, "start 2 s-2")
    assert [kind for kind, *_ in kinds(agent)] == ["first", "first"]
    assert prompt(agent, 2) == prompt(agent, 1)


def test_under_another_definition_it_begins_anew(agent):
    interrupted(agent)
    text = ONE.replace("a poem", "a novel")
    agent.rpc("job.modify", job_id="solo", text=text, directory=str(agent.home), resume=True)
    completed_behind(agent, "start 2 s-2")
    assert [kind for kind, *_ in kinds(agent)] == ["first", "first"]
    assert "novel" in prompt(agent, 2)


def test_a_session_that_the_tool_does_not_know_any_more_costs_no_try(agent):
    interrupted(agent)
    (agent.home / "broken").touch()
    agent.rpc("job.resume", job_id="solo")
    completed_behind(agent, "start 3 s-3")
    assert [row[:2] for row in kinds(agent)] == [
        ("first", "interrupted"),
        ("resumed", "failed"),
        ("first", "succeeded"),
    ]
    assert agent.ledger.lines().count("lost s-1") == 1
    assert prompt(agent, 3) == prompt(agent, 1)


def test_a_daemon_that_was_stopped_meanwhile_goes_on_in_it_too(agent):
    interrupted(agent)
    agent.stop()
    agent.start()
    agent.rpc("job.resume", job_id="solo")
    completed_behind(agent, "start 2 s-1")
    assert [kind for kind, *_ in kinds(agent)] == ["first", "resumed"]


def test_an_attempt_that_met_a_rate_limit_goes_on_in_its_session_when_it_is_over(agent):
    mood = moody(agent, "limited")
    agent.event("solo", "limit.met")
    mood.unlink()
    agent.rpc("instrument.clear_limits", instrument="teller")
    completed_behind(agent, "start 2 s-1")
    assert kinds(agent) == [("first", "rate_limited", "s-1"), ("resumed", "succeeded", "s-1")]
    assert prompt(agent, 2).startswith(prompt(agent, 1))
    assert "goes on in this session" in prompt(agent, 2)


def test_an_attempt_whose_credentials_were_refused_goes_on_in_its_session_after_the_resume(agent):
    mood = moody(agent, "refused")
    agent.wait_for("solo", "paused")
    mood.unlink()
    agent.rpc("job.resume", job_id="solo")
    completed_behind(agent, "start 2 s-1")
    assert kinds(agent) == [("first", "failed", "s-1"), ("resumed", "succeeded", "s-1")]


def test_a_session_that_is_gone_after_a_limit_costs_no_try_either(agent):
    mood = moody(agent, "limited")
    agent.event("solo", "limit.met")
    mood.unlink()
    (agent.home / "broken").touch()
    agent.rpc("instrument.clear_limits", instrument="teller")
    completed_behind(agent, "start 3 s-3")
    assert [kind for kind, *_ in kinds(agent)] == ["first", "resumed", "first"]

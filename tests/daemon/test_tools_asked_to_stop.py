"""A tool is asked to stop as its profile says, before `--now` ends it."""

import pytest
from kit.sessions import ONE, PROFILE, installed, interrupted, kinds, prompt
from test_wall import needs_bwrap

pytestmark = pytest.mark.one_daemon

LONG = {"signal": "INT", "wait": "10m"}
FINAL = {"output": PROFILE["cli"]["output"] | {"final_event": {"event": "end"}}}


@pytest.fixture
def agent(house, request):
    return installed(house, **request.param)


@pytest.mark.both
@pytest.mark.parametrize("agent", [{"stop": LONG}], indirect=True, ids=["signal"])
def test_a_tool_is_asked_to_stop_as_its_profile_says_and_leaves_its_note(agent):
    interrupted(agent)
    assert agent.ledger.lines() == ["start 1 s-1", "asked"]
    agent.rpc("job.resume", job_id="solo")
    agent.ledger.wait_for("start 2 s-1")
    agent.gate(1).open()
    agent.wait_for("solo", "completed")
    assert prompt(agent, 2).endswith("> verse 1\n")


@pytest.mark.both
@pytest.mark.parametrize("agent", [{"stop": LONG}], indirect=True, ids=["signal"])
def test_a_cancel_does_not_ask(agent):
    agent.submit(ONE)
    agent.ledger.wait_for("start 1 s-1")
    agent.rpc("job.cancel", job_id="solo", wait=True)
    assert agent.ledger.lines() == ["start 1 s-1", "hurried"]


@pytest.mark.both
@pytest.mark.parametrize("agent", [{"stop": {"file": "stop"}} | FINAL], indirect=True, ids=["file"])
def test_what_says_its_final_event_because_it_was_asked_to_stop_is_not_done(agent):
    interrupted(agent)
    assert agent.ledger.lines() == ["start 1 s-1", "saw"]
    (agent.home / "over").touch()
    agent.rpc("job.resume", job_id="solo")
    agent.wait_for("solo", "completed")
    assert [row[:2] for row in kinds(agent)] == [("first", "interrupted"), ("resumed", "succeeded")]


WALLED = [{"stop": {"signal": name, "wait": "10m"}, "contain": "hide"} for name in ("INT", "USR1")]


@needs_bwrap
@pytest.mark.parametrize("agent", WALLED, indirect=True, ids=["INT", "USR1"])
def test_a_tool_behind_a_wall_is_asked_and_waited_for_too(agent):
    interrupted(agent)
    assert agent.ledger.lines() == ["start 1 s-1", "asked"]

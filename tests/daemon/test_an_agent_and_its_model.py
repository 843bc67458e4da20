"""An agent that asks a model and does the tool calls it answers with: each prompt once, tokens and cost told.

The agent is a small one in claude's clothes, the model a service of the test's own; test_real_agents.py has
the agents themselves.
"""

import pytest
import yaml
from kit.service import TOKENS, says


def writes(path, content):
    call = {
        "type": "tool_use",
        "id": "c",
        "name": "Write",
        "input": {"file_path": str(path), "content": content},
    }
    return 200, {}, {"content": [call], "usage": TOKENS}


LIMITED = 429, {}, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}


def score(second):
    bodies = {1: "Make the first.", 2: second}
    return yaml.safe_dump(
        {
            "name": "a",
            "workspace": "./work",
            "instrument": "claude-code",
            "sheet": {"size": 1, "total_items": 2, "dependencies": {2: [1]}},
            "retry": {"max_retries": 0},
            "prompt": {"variables": {"bodies": bodies}, "template": "{{ bodies[sheet_num] }}"},
            "validations": [{"type": "file_exists", "path": "{workspace}/{sheet_num}.txt"}],
        }
    )


def prompts(service):
    """Return what conversations began with."""
    begun = [body["messages"] for _, _, body in service.asked if len(body["messages"]) == 1]
    return [messages[0]["content"] for messages in begun]


def test_what_is_changed_between_two_sheets_is_asked_once_and_a_limit_costs_no_try(agents, service):
    work = agents.home / "work"
    service.answers[:] = [
        writes(work / "1.txt", "one"),
        says("The first is done."),
        LIMITED,
        writes(work / "2.txt", "two"),
        says("The second is done."),
    ]
    agents.submit(score("Make the second."), before="2")
    agents.wait_for("a", "paused")
    assert service.answers[0] == LIMITED
    agents.modify("a", score("Make the second, in verse."))
    agents.rpc("job.resume", job_id="a")
    agents.event("a", "attempt.ended", sheet=2)
    agents.rpc("instrument.clear_limits")
    assert agents.wait_for("a", "ended")["status"] == "completed"
    assert [(work / f"{number}.txt").read_text() for number in (1, 2)] == ["one", "two"]
    first, *second = prompts(service)
    assert "Make the first." in first
    assert ["Make the second, in verse." in prompt for prompt in second] == [True, True]  # refused once
    (attempt,) = agents.attempts("a", 1)
    limited, last = agents.attempts("a", 2)
    assert (limited["outcome"], last["outcome"], last["revision"]) == ("rate_limited", "succeeded", 2)
    for done in (attempt, last):
        assert (done["input_tokens"], done["output_tokens"]) == (2000, 20)
        assert done["cost_usd"] == pytest.approx(0.0063)
        assert done["session_id"]
    assert agents.status("a")["cost"]["usd"] == pytest.approx(0.0126)

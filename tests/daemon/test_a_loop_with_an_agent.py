"""A loop of plan, mend and check with an agent: paused, changed and killed between its rounds, it loses none.

The agent is a small one in claude's clothes, the model a service of the test's own.
"""

import re

import yaml
from kit.daemon import gated
from kit.service import says

UNTIL = 'file("good").exists'


def score(check):
    bodies = {
        1: "Plan round {{ loop.round }}.",
        2: "Mend round {{ loop.round }}; the plan was: {{ previous_outputs[1] }}",
        3: f"{check}; test {{{{ loop.round }}}} -lt 4 || touch good; exit 1",
    }
    template = "".join(f"{{% if sheet_num == {n} %}}{body}{{% endif %}}" for n, body in bodies.items())
    return yaml.safe_dump(
        {
            "name": "a",
            "workspace": "./work",
            "instrument": "claude-code",
            "sheet": {
                "size": 1,
                "total_items": 4,
                "dependencies": {2: [1], 3: [2], 4: [3]},
                "per_sheet_instruments": {3: "cli", 4: "cli"},
                "loops": {"1-3": {"until": UNTIL, "max_iterations": 9}},
            },
            "cross_sheet": {"auto_capture_stdout": True},
            "prompt": {"template": template + "{% if sheet_num == 4 %}note done{% endif %}"},
        }
    )


def prompts(service):
    """Return what conversations began with: the lines of the score."""
    begun = [body["messages"] for _, _, body in service.asked if len(body["messages"]) == 1]
    return [re.findall(r"(?:Plan|Mend) round .*", messages[0]["content"])[0] for messages in begun]


def test_rounds_are_counted_right_over_a_pause_a_modify_and_a_kill_and_each_prompt_is_seen_once(
    agents, ledger, service
):
    service.answers[:] = [says(f"{what} {n}") for n in range(1, 5) for what in ("plan", "mended")]
    agents.gate("check")
    agents.gate("other")
    agents.submit(score(gated("check")))
    ledger.wait_for("start check")
    agents.gate("check").open()
    ledger.wait_for("start check", times=2)  # round 2
    agents.rpc("job.pause", job_id="a")
    agents.gate("check").open()
    agents.wait_for("a", "paused")
    assert agents.status("a")["progress"]["loops"][0]["round"] == 2
    agents.modify("a", score(gated("other")), resume=True)
    ledger.wait_for("start other")  # round 3
    agents.kill()
    agents.start()
    assert agents.status("a")["progress"]["loops"][0]["round"] == 3
    agents.gate("other").open()
    ledger.wait_for("start other", times=2)  # round 4
    agents.gate("other").open()
    assert agents.wait_for("a", "ended")["status"] == "completed"
    assert prompts(service) == [
        text for n in range(1, 5) for text in (f"Plan round {n}.", f"Mend round {n}; the plan was: plan {n}")
    ]
    checks = [line for line in ledger.lines() if line.startswith("start")]
    assert checks == ["start check"] * 2 + ["start other"] * 2
    for sheet in (1, 2, 3):
        assert [attempt["round"] for attempt in agents.attempts("a", sheet)] == [1, 2, 3, 4]
    assert agents.status("a")["progress"]["loops"] == [
        {"span": "1-3", "round": 4, "up_to": 9, "state": "closed"}
    ]
    assert ledger.lines()[-1] == "done"

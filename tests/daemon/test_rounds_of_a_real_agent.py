"""A loop of plan, mend and check with claude itself on the model server: paused, modified, killed, counted right."""

import re
from collections import Counter

import pytest
from kit.agents import MARKS, model_server, settle, skip_without
from kit.daemon import DEADLINE, Daemon, score

pytestmark = [*MARKS, pytest.mark.timeout(300)]
PATIENCE = 200
CHECK = "echo {0} {{{{ loop.round }}}} >> checked; test $(grep -c {0} checked) -ge 2"
TEMPLATE = """
{{% if stage == 1 %}}Round {{{{ loop.round }}}}: plan.
{{% elif stage == 2 %}}Round {{{{ loop.round }}}}: mend.
{{% else %}}{check}
{{% endif %}}
"""


def rounds(check):
    """Return the score: what its last stage does is checked by this."""
    sheet = {
        "size": 1,
        "total_items": 3,
        "dependencies": {2: [1], 3: [2]},
        "per_sheet_instruments": {3: "cli"},
        "loops": {"1-3": {"max_iterations": 5}},
    }
    top = {"instrument": "claude-code", "sheet": sheet, "prompt": {"template": TEMPLATE.format(check=check)}}
    return score("mends", [""], **top)


@pytest.fixture
def model(tmp_path):
    skip_without("claude-code")
    with model_server(tmp_path) as model:
        yield model


@pytest.fixture
def house(model):
    house = Daemon()
    variables = settle(house.home, model.url)
    house.environment |= {name: value for name, value in variables.items() if name not in ("PATH", "HOME")}
    try:
        house.start(*model.inside)
        yield house
    finally:
        house.close()


def test_a_loop_with_an_agent_is_paused_modified_and_killed_and_each_prompt_is_seen_once(house, model):
    model.play({"match": "Round", "steps": [], "text": "Done.", "usage": {"in": 1000, "out": 10}, "delay": 1})
    house.submit(rounds(CHECK.format("old")))
    house.event("mends", "loop.round")
    assert house.rpc("job.pause", job_id="mends", wait=True, timeout=DEADLINE)["status"] == "paused"
    (loop,) = house.status("mends")["progress"]["loops"]
    assert (loop["round"], loop["state"]) == (2, "open")
    event = house.modify("mends", rounds(CHECK.format("new")), resume=True)["event"]
    began = house.event("mends", "loop.round", after=event)
    house.event("mends", "attempt.started", after=began["event"] - 1, sheet=1)
    house.kill()
    house.start(*model.inside)
    job = house.wait_for("mends", "ended", deadline=PATIENCE)
    assert job["status"] == "completed", job["message"]
    (loop,) = job["progress"]["loops"]
    assert (loop["round"], loop["state"]) == (3, "closed")
    assert (house.home / "mends-work" / "checked").read_text() == "old 1\nnew 2\nnew 3\n"
    prompts = [told["prompt"] for told in model.asked() if told["step"] == 0 and told["status"] == 200]
    seen = Counter(found[0] for prompt in prompts if (found := re.search(r"Round \d: \w+", prompt)))
    assert seen == dict.fromkeys([f"Round {n}: {what}" for n in (1, 2, 3) for what in ("plan", "mend")], 1)
    for sheet in (1, 2, 3):
        ended = [(attempt["round"], attempt["outcome"]) for attempt in house.attempts("mends", sheet)]
        assert [number for number, _ in ended] == [1, 2, 3]
        assert sheet == 3 or {outcome for _, outcome in ended} == {"succeeded"}

"""Scores that other people wrote, played by an agent that asks the model server, which fulfils their file checks.

The agent is a small one of our own in claude's clothes; where claude itself is installed, it plays too. What
the server saw is compared with what the daemon says that it sent.
"""

import base64
import re
from collections import Counter

import pytest
import yaml
from kit.agents import ALONE, SERVER, model_server, settle, skip_without
from kit.daemon import AGENTS, Daemon
from kit.real_scores import MARKS, alone, asked, files_of, validated

TEN = [
    "cross-sheet-test",
    "dialectic",
    "hello",
    "instrument-catalog-build",
    "invoice-analysis",
    "observability-demo",
    "prefabrication",
    "prelude-cadenza-example",
    "simple-sheet",
    "worktree-isolation",
]
USAGE = {"in": 1000, "out": 10}
"""Tokens that the server tells of each turn."""

SHARED, THERE = MARKS
pytestmark = [
    THERE,
    pytest.mark.skipif(not SERVER.exists(), reason="no model server at ../shared/fake-model"),
    pytest.mark.timeout(300),
]


class Stage:
    """A daemon whose agents ask a model server."""

    def __init__(self, agent, house, model, inside):
        self.asks = {"scripted": 1, "claude": 2}[
            agent
        ]  # how often it asks before it says that it was refused
        self.house = house
        self.model = model
        self.rules = []
        self._inside = inside

    def start(self):
        self.house.start(*self._inside)
        return self

    def script(self, found, **special):
        """Let the server fulfil the sheets of a validated score; `special` adds to the rule of a sheet."""
        for sheet in found["sheets"]:
            rule = {
                "match": place_of(found["job_name"], sheet["sheet"]),
                "steps": [{"write": [path, text]} for path, text in files_of(sheet).items()],
                "text": f"Sheet {sheet['sheet']} is done.",
                "usage": USAGE,
            }
            self.rules.append(rule | special.get(f"sheet_{sheet['sheet']}", {}))
        self.model.play(*self.rules)

    def ended(self, job):
        """Wait for a job's end, as long as something of the daemon's jobs happens within each deadline."""
        ends = {f"job.{how}" for how in ("completed", "failed", "cancelled")}
        next(event for event in self.house.events() if event["job_id"] == job and event["type"] in ends)
        return self.house.wait_for(job, "ended")

    def seen(self, job):
        """Return the prompts of a job with which the server saw a conversation begin, by sheet."""
        began = [told["prompt"] for told in self.model.asked() if told["step"] == 0 and told["status"] == 200]
        places = (
            (re.match(rf"\[job {re.escape(job)}\] sheet (\d+) of ", prompt), prompt) for prompt in began
        )
        return sorted((int(place[1]), prompt) for place, prompt in places if place)

    def sent(self, job, sheets):
        """Return the prompts that the daemon says it has sent, by sheet."""
        reads = ((n, self.house.rpc("log.read", job_id=job, sheet=n, stream="prompt")) for n in sheets)
        return sorted((n, base64.b64decode(read["data"]).decode().strip()) for n, read in reads)


def place_of(job, sheet):
    return rf"^\[job {re.escape(job)}\] sheet {sheet} of "


@pytest.fixture(
    params=[pytest.param("scripted", marks=SHARED), pytest.param("claude", marks=pytest.mark.tools)]
)
def stage(request, tmp_path):
    if request.param == "claude":
        skip_without("claude-code")
    house = Daemon()
    tools = house.home / "tools"
    tools.mkdir()
    (tools / "bash").symlink_to(
        AGENTS / "obliging"
    )  # the commands of checks: their files are what is played here
    if request.param != "claude":
        (tools / "claude").symlink_to(AGENTS / "scripted")
    with model_server(tmp_path, ALONE if request.param == "claude" else ()) as model:
        inside = model.inside if request.param == "claude" else ()
        variables = settle(house.home, model.url)
        house.environment |= {name: v for name, v in variables.items() if name not in ("PATH", "HOME")}
        house.environment["PATH"] = f"{tools}:{house.environment['PATH']}"
        try:
            yield Stage(request.param, house, model, inside).start()
        finally:
            house.close()


def test_ten_scores_run_to_their_ends_and_each_prompt_is_asked_once(stage):
    house = stage.house
    scores = {name: asked(house, name) for name in TEN}
    found = {name: validated(house, **params) for name, params in scores.items()}
    for name in TEN:
        stage.script(found[name])
    for name in TEN:
        house.rpc("job.submit", **scores[name])
    for name in TEN:
        job = found[name]["job_name"]
        assert stage.ended(job)["status"] == "completed", name
        sheets = [sheet["sheet"] for sheet in found[name]["sheets"]]
        assert stage.seen(job) == stage.sent(job, sheets)
        assert [number for number, _ in stage.seen(job)] == sheets
        check_costs(stage, job, found[name]["sheets"])


def check_costs(stage, job, sheets):
    """Each attempt has the tokens of its turns, and the job their sum."""
    whole = Counter()
    for sheet in sheets:
        (attempt,) = stage.house.attempts(job, sheet["sheet"])
        turns = len(files_of(sheet)) + 1
        tokens = {"input_tokens": turns * USAGE["in"], "output_tokens": turns * USAGE["out"]}
        assert {name: attempt[name] for name in tokens} == tokens
        assert attempt["outcome"] == "succeeded"
        assert attempt["session_id"]
        whole.update(tokens)
        whole["usd"] += attempt["cost_usd"]
    cost = stage.house.status(job)["cost"]
    assert cost["known"]
    assert cost["usd"] == pytest.approx(whole["usd"])
    assert cost["usd"] > 0
    assert (cost["input_tokens"], cost["output_tokens"]) == (whole["input_tokens"], whole["output_tokens"])


@pytest.mark.parametrize("name", ["hello", "simple-sheet"])
def test_a_score_paused_and_changed_asks_the_prompts_of_both_revisions_once(stage, name):
    house = stage.house
    params = asked(house, name)
    found = validated(house, **params)
    stage.script(found, sheet_1={"delay": 1})
    job = found["job_name"]
    house.rpc("job.submit", **params)
    house.rpc("job.pause", job_id=job, wait=True, timeout=60)
    done = house.statuses(job).count("completed")
    assert 0 < done < len(found["sheets"])
    changed = yaml.safe_load(params["text"])
    changed["prompt"]["template"] += "\nSay it in verse.\n"
    house.rpc(
        "job.modify",
        job_id=job,
        text=yaml.safe_dump(changed),
        directory=params["directory"],
        resume=True,
    )
    assert stage.ended(job)["status"] == "completed"
    sheets = [sheet["sheet"] for sheet in found["sheets"]]
    assert stage.seen(job) == stage.sent(job, sheets)
    assert [number for number, _ in stage.seen(job)] == sheets
    assert sum("Say it in verse." in prompt for _, prompt in stage.seen(job)) == len(sheets) - done


def test_a_limit_in_the_middle_costs_no_try_and_a_kill_of_the_daemon_no_prompt(stage):
    house = stage.house
    params = asked(house, "simple-sheet")
    params["text"] = alone(params["text"], instrument_fallbacks=[])
    found = validated(house, **params)
    job = found["job_name"]
    # of the rule, not of the prompt: an attempt that goes on in its session has another one
    stage.rules.append({"match": place_of(job, 2), "times": stage.asks, "fail": {"kind": "429"}})
    stage.script(found, sheet_1={"delay": 1.5})
    house.rpc("job.submit", **params)
    house.event(job, "attempt.started", sheet=1)
    house.kill()
    stage.start()
    house.event(job, "attempt.ended", sheet=2)
    (limited,) = house.attempts(job, 2)
    assert limited["outcome"] == "rate_limited"
    house.rpc("instrument.clear_limits")
    assert stage.ended(job)["status"] == "completed"
    assert [attempt["outcome"] for attempt in house.attempts(job, 2)] == ["rate_limited", "succeeded"]
    assert stage.seen(job) == stage.sent(job, [sheet["sheet"] for sheet in found["sheets"]])

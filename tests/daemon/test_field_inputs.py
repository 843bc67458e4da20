"""Small inputs on which attempts fell short, each with the stand-ins they were reported with.

The essential ones have their own words here; those marked `shared` play the files as they were handed in.
"""

import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.one_daemon

FIELD = Path(__file__).parents[2] / "../shared/field"
SAYS = '{"type":"system","subtype":"init","session_id":"s-1"}\n'
SUCCESS = (
    '{"type":"result","subtype":"success","is_error":false,"result":"PR opened","session_id":"s-1",'
    '"total_cost_usd":5.57,"usage":{"input_tokens":100,"output_tokens":200}}\n'
)


def agent(house, script, name="claude"):
    house.install(name, f"#!/bin/bash\ncat > /dev/null\n{script}")


def score(name="tried", instrument="claude-code", **top):
    return yaml.safe_dump(
        {
            "name": name,
            "workspace": f"./{name}-work",
            "instrument": instrument,
            "sheet": {"size": 1, "total_items": 1},
            "retry": {"max_retries": 2, "base_delay_seconds": 0.1, "jitter": False},
            "prompt": {"template": "do it"},
            **top,
        }
    )


def said(text):
    return f"cat <<'END'\n{text}END\n"


def test_an_agent_that_hangs_behind_its_final_event_has_done_its_work_once(house):
    agent(house, f"echo opened >> ledger\n{said(SAYS + SUCCESS)}exec sleep 1000")
    daemon = house.start()
    checks = [{"type": "file_exists", "path": "{workspace}/ledger"}]
    daemon.submit(score(instrument_config={"timeout_seconds": 2}, validations=checks))
    ended = daemon.wait_for("tried", "ended")
    assert (ended["status"], ended["cost"]["usd"]) == ("completed", 5.57)
    assert (daemon.home / "tried-work" / "ledger").read_text() == "opened\n"
    (attempt,) = daemon.attempts("tried", 1)
    assert attempt["outcome"] == "succeeded"
    (warning,) = daemon.status("tried", sheets="1")["problems"]
    assert "did not end after its final event" in warning["message"]


def test_an_agent_that_hangs_before_its_final_event_is_timed_out(house):
    agent(house, f"echo opened >> ledger\n{said(SAYS)}exec sleep 1000")
    daemon = house.start()
    daemon.submit(
        score(instrument_config={"timeout_seconds": 1}, retry={"max_retries": 1, "base_delay_seconds": 0.1})
    )
    assert daemon.wait_for("tried", "ended")["status"] == "failed"
    assert [attempt["outcome"] for attempt in daemon.attempts("tried", 1)] == ["timed_out", "timed_out"]


@pytest.mark.parametrize(("holds", "status"), [(True, "completed"), (False, "failed"), (None, "failed")])
def test_after_a_success_with_exit_code_1_the_checks_decide(house, holds, status):
    agent(house, f"touch there\n{said(SAYS + SUCCESS)}exit 1")
    daemon = house.start()
    path = "{workspace}/there" if holds else "{workspace}/elsewhere"
    checks = [] if holds is None else [{"type": "file_exists", "path": path, "retry_count": 0}]
    daemon.submit(score(validations=checks, retry={"max_retries": 0}))
    assert daemon.wait_for("tried", "ended")["status"] == status
    (attempt,) = daemon.attempts("tried", 1)
    assert attempt["error_category"] == (None if holds else "exit")
    assert attempt["kind"] == "first"


def test_a_pause_now_behind_the_final_event_loses_nothing(house):
    agent(house, f"{said(SAYS + SUCCESS)}note start 1\nexec sleep 1000")
    daemon = house.start()
    daemon.submit(score())
    daemon.ledger.wait_for("start 1")
    refused = daemon.refusal("job.pause", job_id="tried", now=True, wait=True, timeout=30.0)
    assert refused.code == "E513"  # its last sheet was done
    assert daemon.wait_for("tried", "ended")["status"] == "completed"
    assert daemon.ledger.lines() == ["start 1"]


@pytest.mark.parametrize(
    ("how", "word"), [("cancel", "success"), ("cancel", "failure"), ("pause", "failure")]
)
def test_what_an_attempt_has_told_of_its_cost_counts_though_it_is_ended_behind_its_final_event(
    house, how, word
):
    last = SUCCESS if word == "success" else SUCCESS.replace('"is_error":false', '"is_error":true')
    agent(house, f"{said(SAYS + last)}note start 1\nexec sleep 1000")
    daemon = house.start()
    daemon.submit(score())
    daemon.ledger.wait_for("start 1")
    if how == "cancel":
        daemon.rpc("job.cancel", job_id="tried", wait=True, timeout=30.0)
    else:
        daemon.rpc("job.pause", job_id="tried", now=True, wait=True, timeout=30.0)
    (attempt,) = daemon.attempts("tried", 1)
    assert attempt["outcome"] == "interrupted"
    assert (attempt["cost_usd"], attempt["input_tokens"], attempt["output_tokens"]) == (5.57, 100, 200)
    cost = daemon.status("tried")["cost"]
    assert (cost["usd"], cost["known"]) == (5.57, True)


def test_the_tools_own_error_outranks_its_stderr(house):
    talk = "WARN mcp: server `tracker` failed to start: (401 Unauthorized)\\nERROR: usage limit reached, try again in 3 hours\\n"
    failed = '{"type":"turn.failed","error":{"message":"ran out of room in the context window"}}\n'
    agent(house, f"printf '{talk}' >&2\n{said(failed)}exit 1", name="codex")
    daemon = house.start()
    daemon.submit(score(instrument="codex-cli", retry={"max_retries": 0}))
    assert daemon.wait_for("tried", "ended", "held")["status"] == "failed"
    assert daemon.attempts("tried", 1)[0]["error_category"] == "exit"


@pytest.mark.parametrize("state", ["rejected", "allowed_warning"])
def test_a_limit_ends_when_its_event_says_so(house, state):
    event = f'{{"type":"rate_limit_event","rate_limit_info":{{"status":"{state}","resetsAt":\'$(( $(date +%s) + 7200 ))\'}}}}'
    result = '{"type":"result","is_error":true,"result":"the group has nothing left","session_id":"s"}'
    agent(house, f"echo '{event}'\necho '{result}'\nexit 1")
    daemon = house.start()
    daemon.submit(score(retry={"max_retries": 0}))
    if state != "rejected":
        assert daemon.wait_for("tried", "ended")["status"] == "failed"
        return
    waiting = daemon.event("tried", "limit.met")
    assert "'tried' alone has heard of it" in waiting["text"]
    (wait,) = daemon.status("tried")["waiting"]
    seconds = datetime.fromisoformat(wait["until_at"]).timestamp() - time.time()
    assert 7_000 < seconds < 7_300


@pytest.mark.parametrize("code", [0, 1])
def test_a_refusal_in_text_form_is_no_result(house, code):
    refusal = "Aider v0.86\n\nlitellm.RateLimitError: VertexAIException - quota exceeded\nThe API provider has rate limited you.\n"
    agent(house, f"{said(refusal)}exit {code}", name="aider")
    daemon = house.start()
    daemon.submit(score(instrument="aider", retry={"max_retries": 0}))
    daemon.event("tried", "limit.met")
    assert daemon.attempts("tried", 1)[0]["outcome"] == "rate_limited"


def test_a_refusal_that_a_tool_has_got_past_is_none(house):
    worked = "litellm.RateLimitError: slow down\nRetrying in 0.2 seconds...\nDone.\nTokens: 1k sent, 34 received.\n"
    agent(house, f"{said(worked)}exit 0", name="aider")
    daemon = house.start()
    daemon.submit(score(instrument="aider"))
    assert daemon.wait_for("tried", "ended")["status"] == "completed"


def test_cached_tokens_have_their_own_price(house):
    usage = '{"type":"turn.completed","usage":{"input_tokens":1000000,"cached_input_tokens":950000,"output_tokens":1000}}\n'
    done = '{"type":"item.completed","item":{"type":"agent_message","text":"done"}}\n'
    agent(house, f"{said(done + usage)}", name="codex")
    daemon = house.start()
    limits = {"max_cost_per_job": 1.0}
    daemon.submit(score(instrument="codex-cli", instrument_config={"model": "gpt-5"}, cost_limits=limits))
    ended = daemon.wait_for("tried", "ended", "held")
    assert ended["status"] == "completed"
    assert ended["cost"]["usd"] == pytest.approx(0.05 * 1.25 + 0.95 * 0.125 + 0.01)
    with closing(sqlite3.connect(daemon.state / "marianne.db")) as database:
        counted = database.execute(
            "SELECT input_tokens, cached_tokens, output_tokens FROM attempts"
        ).fetchall()
    assert counted == [(1_000_000, 950_000, 1_000)]


def test_a_resumed_session_is_charged_for_its_own_tokens_cached_ones_too(house):
    begun = '{"type":"thread.started","thread_id":"t-1"}\n'
    done = '{"type":"item.completed","item":{"type":"agent_message","text":"done"}}\n'
    usage = '{{"type":"turn.completed","usage":{{"input_tokens":{},"cached_input_tokens":{},"output_tokens":{}}}}}\n'
    first = said(begun + done + usage.format(1000, 400, 100))
    second = said(begun + done + usage.format(4000, 2400, 300))
    agent(house, f"if [ -e a ]; then touch b\n{second}\nelse touch a\n{first}\nfi", name="codex")
    daemon = house.start()
    checks = [{"type": "file_exists", "path": path} for path in ("{workspace}/a", "{workspace}/b")]
    retry = {"max_retries": 0, "completion_delay_seconds": 0, "completion_threshold_percent": 40}
    model = {"model": "gpt-5"}
    daemon.submit(score(instrument="codex-cli", instrument_config=model, validations=checks, retry=retry))
    assert daemon.wait_for("tried", "ended", "held")["status"] == "completed"
    with closing(sqlite3.connect(daemon.state / "marianne.db")) as database:
        counted = database.execute(
            "SELECT kind, input_tokens, cached_tokens, cost_usd FROM attempts"
        ).fetchall()
    assert [row[:3] for row in counted] == [("first", 1000, 400), ("completion", 3000, 2000)]
    assert counted[1][3] == pytest.approx(1.0 * 0.00125 + 2.0 * 0.000125 + 0.2 * 0.01)


def test_what_a_hanging_tool_says_on_stderr_is_looked_at_before_its_time_limit_is_blamed(house):
    log = 'timestamp=2026-11-29T02:09:46Z level=ERROR run=f6 message="stream error" error.error="AI_APICallError: Monthly usage limit reached. It will reset in 10 days 19 hours."'
    agent(house, f"echo '{log}' >&2\nexec sleep 1000", name="opencode")
    daemon = house.start()
    daemon.submit(score(instrument="opencode", instrument_config={"timeout_seconds": 1}))
    daemon.event("tried", "limit.met")
    (wait,) = daemon.status("tried")["waiting"]
    days = (datetime.fromisoformat(wait["until_at"]).timestamp() - time.time()) / 86_400
    assert 10.7 < days < 11


def test_a_long_system_prompt_goes_by_a_file_or_is_refused_at_submission(house):
    agent(
        house,
        f'cat "${{@:$(( $(printf \'%s\\n\' "$@" | grep -nx -- --system-prompt-file | cut -d: -f1) + 1 )):1}}" > system\n{said(SAYS + SUCCESS)}',
    )
    daemon = house.start()
    (daemon.home / "persona.md").write_text("x" * 148_001)
    daemon.submit(score(instrument_config={"system_prompt_file": "persona.md"}))
    assert daemon.wait_for("tried", "ended")["status"] == "completed"
    assert (daemon.home / "tried-work" / "system").stat().st_size == 148_001


# --- as they were handed in ------------------------------------------------------------------------------


@pytest.fixture
def field(house):
    for name, program in (("claude", "agent"), ("codex", "agent"), ("aider", "aider")):
        house.install(name, (FIELD / f"fake-{program}.sh").read_text())
    (house.home / "persona.md").write_text("x" * 148_001)
    house.start()
    return lambda name: (
        house.submit((FIELD / name).read_text(), env={"FIELD": str(FIELD.resolve())}) and house
    )


ENDS = {
    "timestamps-process-substitution.yaml": ("tslog", "completed", None),
    "hang-after-result.yaml": ("hangl", "completed", None),
    "codex-mcp401.yaml": ("codex-mcp401", "failed", "exit"),
    "exit1.yaml": ("exit1", "failed", "exit"),
    "ccost.yaml": ("ccost", "completed", None),
    "migrate-bash-length.yaml": ("length", "completed", None),
    "cmt2.yaml": ("cmt2", "completed", None),
    "sys.yaml": ("bigsystem", "completed", None),
}
LIMITS = {"evres.yaml": "evres", "aider.yaml": "aiderlimit", "plain-limit.yaml": "plain-limit"}


@pytest.mark.shared
@pytest.mark.skipif(not FIELD.exists(), reason="no inputs at ../shared/field")
@pytest.mark.parametrize("name", ENDS)
def test_an_input_ends_as_its_readme_says(field, name):
    daemon = field(name)
    job, status, category = ENDS[name]
    assert daemon.wait_for(job, "ended", "held")["status"] == status
    assert daemon.attempts(job, 1)[-1]["error_category"] == category
    assert len(daemon.attempts(job, 1)) == 1


@pytest.mark.shared
@pytest.mark.skipif(not FIELD.exists(), reason="no inputs at ../shared/field")
@pytest.mark.parametrize("name", LIMITS)
def test_an_input_is_a_limit_as_its_readme_says(field, name):
    daemon = field(name)
    daemon.event(LIMITS[name], "limit.met")
    assert daemon.attempts(LIMITS[name], 1)[0]["outcome"] == "rate_limited"


@pytest.mark.shared
@pytest.mark.skipif(not FIELD.exists(), reason="no inputs at ../shared/field")
def test_what_an_input_leaves_behind_gets_a_term_and_history_says_so(field):
    daemon = field("leftover-gets-no-term.yaml")
    assert daemon.wait_for("left", "ended")["status"] == "completed"
    assert (daemon.home / "ws-left" / "cleaned.txt").read_text() == "cleaned\n"
    told = [entry["text"] for entry in daemon.rpc("job.history", job_id="left")["entries"]]
    assert any("left behind" in text for text in told), told

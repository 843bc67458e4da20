"""The agents themselves through the daemon: each prompt once, files by their own tools, nothing left behind.

They play against a model server on loopback, in a network of their own that leads nowhere else.
"""

import base64
import hashlib
import os
import re
import select
from pathlib import Path

import pytest
import yaml
from kit.agents import MARKS, SETTINGS, TOOLS, model_server, settle, skip_without

pytestmark = [*MARKS, pytest.mark.timeout(300)]
WHOLE = {
    "codex-cli": 1_040_000,
    **dict.fromkeys(("claude-code", "gemini-cli", "opencode", "pi", "qwen"), 1_048_576),
}
"""How much each tool takes: codex has a limit of its own of 1 MiB characters, copilot one of 128,000 tokens."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """Agents on a loaded machine may need half a minute to say a word.

    The daemon's home is where nobody else can write to a directory above it: below /tmp gemini does not read the
    settings that turn its own retries down, and codex makes no helper for its sandbox, so that its tools fail.
    """
    monkeypatch.setattr("kit.daemon.DEADLINE", 150.0)
    monkeypatch.setattr("tempfile.tempdir", str(Path.home()))


@pytest.fixture
def model(tmp_path, tool):
    skip_without(tool)
    with model_server(tmp_path) as model:
        yield model


@pytest.fixture
def stage(model, house):
    """Return what starts a daemon beside the model server, and speaks with it."""

    def start():
        variables = settle(house.home, model.url)
        house.environment |= {
            name: value for name, value in variables.items() if name not in ("PATH", "HOME")
        }
        return house.start(*model.inside)

    return start


def score(tool, *prompts, **more):
    return yaml.safe_dump(
        {
            "name": "a",
            "workspace": "./work",
            "instrument": tool,
            "instrument_config": {"timeout_seconds": 140, **SETTINGS.get(tool, {})},
            "sheet": {
                "size": 1,
                "total_items": len(prompts),
                "dependencies": {n: [n - 1] for n in range(2, len(prompts) + 1)},
            },
            "retry": {"max_retries": 0},
            "prompt": {
                "variables": {"bodies": dict(enumerate(prompts, 1))},
                "template": "{{ bodies[sheet_num] }}",
            },
            **more,
        },
        width=10_000_000,
    )


def writes(number, word, *more):
    lines = [
        f"Make file {number} of {word}.",
        f"FAKE: write out-{number}.txt = {word}\\n",
        f"FAKE: text done {number}",
    ]
    return "\n".join([*lines, "FAKE: usage in=1200 out=34", *more])


def first_steps(model):
    """Return the prompts that began a conversation, in order."""
    return [asked["prompt"] for asked in model.asked() if asked["step"] == 0]


@pytest.mark.parametrize("tool", TOOLS)
def test_paused_modified_and_resumed_each_prompt_of_both_revisions_is_asked_once(stage, model, tool):
    daemon = stage()
    daemon.submit(score(tool, writes(1, "first", "FAKE: delay 0.5"), writes(2, "second")))
    daemon.rpc("job.pause", job_id="a", wait=True, timeout=120)
    assert daemon.statuses("a") == ["completed", "pending"]
    text = score(tool, writes(1, "first", "FAKE: delay 0.5"), writes(2, "changed"))
    daemon.modify("a", text, resume=True)
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    work = daemon.home / "work"
    assert (work / "out-1.txt").read_text().strip() == "first"
    assert (work / "out-2.txt").read_text().strip() == "changed"
    seen = [re.findall(r"Make file \d of \w+", prompt) for prompt in first_steps(model)]
    assert seen == [["Make file 1 of first"], ["Make file 2 of changed"]]
    for sheet in (1, 2):
        (attempt,) = daemon.attempts("a", sheet)
        assert (attempt["outcome"], attempt["revision"]) == ("succeeded", sheet)
        tokens = (None, None) if tool == "copilot" else (2_400, 68)
        assert (attempt["input_tokens"], attempt["output_tokens"]) == tokens
        assert attempt["session_id"]
        read = daemon.rpc("log.read", job_id="a", sheet=sheet, stream="result")
        assert read["size"] == len(f"done {sheet}")
    cost = daemon.status("a")["cost"]
    assert cost["input_tokens"] == (0 if tool == "copilot" else 4_800)
    if tool in ("claude-code", "opencode", "pi", "gemini-cli"):
        assert cost["known"]
        assert cost["usd"] > 0


@pytest.mark.parametrize("tool", ["claude-code", "codex-cli", "gemini-cli"])
def test_a_daemon_that_is_killed_loses_no_agent_and_takes_its_answer(stage, model, tool):
    daemon = stage()
    daemon.submit(score(tool, writes(1, "first", "FAKE: delay 2")))
    daemon.event("a", "attempt.started")
    daemon.kill()
    daemon.start(*model.inside)
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    assert len(daemon.attempts("a", 1)) == 1
    assert len(first_steps(model)) == 1


@pytest.mark.parametrize("tool", TOOLS)
def test_a_cancelled_agent_leaves_no_process(stage, model, tool):
    daemon = stage()
    daemon.submit(score(tool, "FAKE: run sleep 300\nFAKE: text done\nFAKE: delay 1"))
    daemon.event("a", "attempt.started")
    assert daemon.processes("MARIANNE_JOB=a") or daemon.status("a")["in_flight"]
    assert daemon.rpc("job.cancel", job_id="a", wait=True, timeout=120)["acknowledged"]
    assert daemon.processes("MARIANNE_JOB=a") == []


@pytest.mark.parametrize("tool", sorted(WHOLE))
def test_a_prompt_of_a_mebibyte_arrives_whole(stage, model, tool):
    daemon = stage()
    filler = "abcdefghi\n" * (WHOLE[tool] // 10)
    daemon.submit(score(tool, f"BEGIN\n{filler}END\nFAKE: text done"))
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    read = daemon.rpc("log.read", job_id="a", sheet=1, stream="prompt", offset=0)
    stored, size = b"", read["size"]
    while len(stored) < size:
        piece = daemon.rpc("log.read", job_id="a", sheet=1, stream="prompt", offset=len(stored))
        stored += base64.b64decode(piece["data"])
    assert stored.count(b"abcdefghi\n") == WHOLE[tool] // 10
    seen = {(asked["prompt_chars"], asked["prompt_sha256"]) for asked in model.asked()}
    text = stored.decode()
    wanted = {
        (len(form), hashlib.sha256(form.encode()).hexdigest()) for form in (text, text.rstrip(), text + "\n")
    }
    assert seen & wanted, (seen, wanted)


@pytest.mark.parametrize("tool", ["claude-code", "gemini-cli"])
def test_a_refused_key_holds_the_job_and_a_mended_one_completes_it(stage, model, tool):
    daemon = stage()
    daemon.submit(
        score(
            tool,
            writes(
                1, "first", "FAKE: fail 401 times=2" if tool == "claude-code" else "FAKE: fail 401 times=1"
            ),
        )
    )
    (hold,) = daemon.wait_for("a", "paused")["holds"]
    key = {"claude-code": "ANTHROPIC_API_KEY", "gemini-cli": "GEMINI_API_KEY"}[tool]
    assert (hold["cause"], key in hold["reason"]) == ("auth", True)
    daemon.rpc("job.resume", job_id="a", env={key: "mended"})
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    assert model.asked()[0]["auth"] != model.asked()[-1]["auth"]


@pytest.mark.parametrize("tool", ["claude-code", "codex-cli", "gemini-cli"])
def test_a_rate_limit_is_waited_for_by_the_daemon(stage, model, tool):
    daemon = stage()
    model.play({"match": "file 1 of first", "fail": {"kind": "429", "retry_after": 2}})
    daemon.submit(score(tool, writes(1, "first")))
    daemon.event("a", "limit.met")
    assert daemon.statuses("a") == ["waiting"]
    model.play()
    daemon.rpc("instrument.clear_limits")
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    assert [attempt["outcome"] for attempt in daemon.attempts("a", 1)] == ["rate_limited", "succeeded"]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_completion_goes_on_in_the_tool_s_own_session(stage, model, tool):
    daemon = stage()
    # the same prompt makes one file more each time
    again = "FAKE: run if test -e one; then touch two; else touch one; fi\nFAKE: text done\n"
    checks = [
        {"type": "file_exists", "path": f"{{workspace}}/{name}", "retry_count": 0} for name in ("one", "two")
    ]
    retry = {"max_retries": 0, "completion_delay_seconds": 0, "completion_threshold_percent": 40}
    daemon.submit(score(tool, f"Make them.\n{again}", validations=checks, retry=retry))
    ended = daemon.wait_for("a", "ended")
    first, completion = daemon.attempts("a", 1)
    assert ended["status"] == "completed", (first, completion)
    assert (first["kind"], completion["kind"]) == ("first", "completion")
    assert first["session_id"] == completion["session_id"] is not None
    assert len(first_steps(model)) == 2


@pytest.mark.parametrize("tool", TOOLS)
def test_an_agent_that_was_interrupted_goes_on_in_its_own_session(stage, model, tool):
    daemon = stage()
    news = daemon.home / "work" / "news"  # in the workspace: codex's sandbox lets it write nowhere else
    news.parent.mkdir()
    os.mkfifo(news)
    heard = os.open(news, os.O_RDWR | os.O_NONBLOCK)
    once = "FAKE: run if test -e begun; then touch two; else touch begun; echo begun > news; sleep 300; fi"
    daemon.submit(score(tool, f"Make it.\n{once}\nFAKE: text done\n"))
    assert select.select([heard], [], [], 150)[0]
    os.close(heard)
    daemon.rpc("job.pause", job_id="a", now=True, wait=True, timeout=120)
    daemon.rpc("job.resume", job_id="a")
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    first, second = daemon.attempts("a", 1)
    assert [(one["kind"], one["outcome"]) for one in (first, second)] == [
        ("first", "interrupted"),
        ("resumed", "succeeded"),
    ]
    assert first["session_id"] == second["session_id"] is not None
    assert (daemon.home / "work" / "two").exists()
    if tool == "claude-code":  # it is asked to stop, and says what it has cost
        assert first["cost_usd"]
    if tool == "codex-cli":  # it is, and notes in its session that it was
        kept = (daemon.home / "sessions").rglob(f"*{first['session_id']}*")
        assert any('"turn_aborted"' in file.read_text() for file in kept)


@pytest.mark.parametrize("tool", TOOLS)
def test_an_agent_that_met_a_rate_limit_in_its_work_goes_on_in_its_own_session(stage, model, tool):
    daemon = stage()
    limited = {"match": "Make it", "fail": {"kind": "429", "retry_after": 2, "after": 1}}
    model.play(limited | {"steps": [{"run": "touch one"}], "text": "done"})
    daemon.submit(score(tool, "Make it.\n"))
    daemon.event("a", "limit.met")
    model.play({"match": "Make it", "steps": [{"run": "touch two"}], "text": "done"})
    daemon.rpc("instrument.clear_limits", instrument=tool)
    assert daemon.wait_for("a", "ended")["status"] == "completed"
    first, *_, last = daemon.attempts("a", 1)
    assert [(one["kind"], one["outcome"]) for one in (first, last)] == [
        ("first", "rate_limited"),
        ("resumed", "succeeded"),
    ]
    assert first["session_id"] == last["session_id"] is not None
    assert {name for name in ("one", "two") if (daemon.home / "work" / name).exists()} == {"one", "two"}

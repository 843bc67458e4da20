"""The table of messages: what a tool says when something is wrong, and what only looks like it.

messages.yaml has what people reported, recorded.jsonl what the tools themselves printed on a model server that
failed; near_misses.yaml what must not be taken for a limit or a refusal. A new message is a new entry.
"""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from kit.tables import each
from tools import answered, failed

from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import classify, read_output

HERE = Path(__file__).parent
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MESSAGES = yaml.load((HERE / "messages.yaml").read_text(), yaml.CSafeLoader)
RECORDED = [json.loads(line) for line in (HERE / "recorded.jsonl").read_text().splitlines()]
NEAR = yaml.load((HERE / "near_misses.yaml").read_text(), yaml.CSafeLoader)
AGENTS = sorted(MESSAGES)
LINES = ("claude-code", "codex-cli", "opencode")
"""Tools that print an event a line: what was said before stands in one of its own."""


def judged(tool, stdout, stderr, code, now=NOW, *, timed_out=False):
    profile = builtin_profiles()[tool]
    reading = read_output(profile, {}, stdout, stderr)
    return classify(
        profile, reading, exit_code=code, signal=None, timed_out=timed_out, stderr=stderr, now=now
    )


def what(verdict):
    return verdict.category or "ok"


@each("tool", AGENTS)
def test_a_message_that_was_reported_is_what_it_is(tool):
    wrong = []
    for entry in MESSAGES[tool]:
        now = datetime.fromisoformat(entry["now"]) if "now" in entry else NOW
        verdict = judged(tool, *failed(tool, entry["say"], entry.get("status")), now)
        found = what(verdict), verdict.resets_in
        if found != (entry["is"], pytest.approx(entry.get("resets")) if "resets" in entry else None):
            wrong.append((entry["say"], found))
    assert wrong == []


def test_what_the_tools_printed_themselves_is_what_it_is():
    wrong = []
    for told in RECORDED:
        output = told["stdout"].encode(), told["stderr"].encode()
        verdict = judged(told["tool"], *output, told["exit"], timed_out=told.get("timed_out", False))
        found = {"is": what(verdict), "resets": verdict.resets_in}
        if found != {"is": told["is"], "resets": told.get("resets")}:
            wrong.append((told["tool"], told["met"], found))
    assert wrong == []


@each("told", [told for told in RECORDED if "tokens" in told])
def test_the_tokens_and_the_final_event_that_a_tool_printed_are_read(told):
    reading = read_output(builtin_profiles()[told["tool"]], {}, told["stdout"].encode(), b"")
    assert [reading.input_tokens, reading.cached_tokens, reading.output_tokens] == told["tokens"]
    assert (reading.result, reading.final) == ("all done", told["final"])


@each("tool", [*AGENTS, "cli"])
def test_what_an_agent_says_of_limits_is_no_limit(tool):
    assert [text for text in NEAR["said"] if what(judged(tool, *answered(tool, text))) != "ok"] == []


@each("tool", AGENTS)
def test_a_failure_beside_talk_of_limits_is_a_plain_failure(tool):
    wrong = []
    for near in NEAR["failed"]:
        stdout, stderr, code = failed(tool, near["error"])
        if tool in LINES:
            stdout = answered(tool, near["said"])[0].splitlines(keepends=True)[1] + stdout
        verdict = judged(tool, stdout, stderr, code)
        if what(verdict) != "exit":
            wrong.append((near, what(verdict)))
    assert wrong == []


@each("tool", ["aider", "crush", "goose", "claude-code"])
def test_talk_on_stderr_is_a_plain_failure(tool):
    wrong = []
    for text in NEAR["stderr"]:
        found = {what(judged(tool, b"", f"{text}\n".encode(), 1))}
        if tool in ("aider", "crush"):
            found.add(what(judged(tool, f"{text}\n".encode(), b"", 1)))
        if found != {"exit"}:
            wrong.append((text, found))
    assert wrong == []


def test_what_a_failing_script_prints_of_limits_is_none():
    found = [(text, what(judged("cli", f"{text}\n".encode(), b"failed\n", 1))) for text in NEAR["shell"]]
    assert [told for told in found if told[1] != "exit"] == []


def test_what_a_failing_script_says_on_stderr_is_a_limit_only_in_the_voice_of_a_service():
    plain = [
        text
        for text in NEAR["script"]
        if what(judged("cli", b"", f"{text}\nmake failed\n".encode(), 2)) != "exit"
    ]
    limits = [
        (text, judged("cli", b"", f"fetching\n{text}\n".encode(), 1)) for text in NEAR["script_refused"]
    ]
    assert plain == []
    assert [
        text for text, verdict in limits if what(verdict) != "rate_limit" or text not in verdict.message
    ] == []


def test_the_patterns_of_a_score_are_taken_as_they_are():
    profile = builtin_profiles()["cli"]
    stderr = b"ERROR: rate limiter unit test failed\n"
    reading = read_output(profile, {}, b"", stderr)
    end = {"exit_code": 1, "signal": None, "timed_out": False, "stderr": stderr}
    assert classify(profile, reading, **end, detection_patterns=["rate.?limit"]).category == "rate_limit"


def test_the_table_is_as_large_as_it_says():
    real = [entry["say"] for entries in MESSAGES.values() for entry in entries]
    real += [f"{told['tool']} {told['met']}" for told in RECORDED]
    tools = Counter(AGENTS) | Counter(told["tool"] for told in RECORDED)
    near = [*NEAR["said"], *map(str, NEAR["failed"]), *NEAR["shell"], *NEAR["stderr"]]
    assert len(set(real)) >= 250
    assert len(tools) >= 9
    assert len(set(near)) >= 300
    print(f"{len(set(real))} real messages of {len(tools)} tools, {len(set(near))} near misses")

"""An answer that is nothing but a service's refusal is no result, of whichever tool and in whatever form."""

from pathlib import Path

import yaml
from kit.tables import each
from recordings import CLAUDE_INIT, CLAUDE_RESULT, lines
from tools import answered

from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import classify, read_output

ANSWERS = yaml.load((Path(__file__).parent / "answers.yaml").read_text(), yaml.CSafeLoader)
AGENTS = sorted(name for name, tool in builtin_profiles().items() if tool.cli and name != "cli")
KINDS = ("auth", "rate_limit", "capacity", "exit")


def judged(tool, stdout, settings=None):
    profile = builtin_profiles()[tool]
    reading = read_output(profile, settings or {}, stdout, b"")
    return classify(profile, reading, exit_code=0, signal=None, timed_out=False, stderr=b"")


@each("tool", AGENTS)
def test_a_refusal_in_the_place_of_the_result_is_none_of_any_tool(tool):
    kinds = {text: judged(tool, answered(tool, text)[0]).category for text in ANSWERS["refused"]}
    assert [text for text, kind in kinds.items() if kind not in KINDS] == []
    assert kinds["You've hit your session limit · resets 9pm (Europe/Berlin)"] == "rate_limit"
    assert kinds["Not logged in · Please run /login"] == "auth"
    assert kinds["Selected model is at capacity. Please try a different model."] == "capacity"
    assert kinds["Credit balance is too low"] == "auth"


@each("tool", AGENTS)
def test_a_refusal_without_the_tool_s_form_is_none_either(tool):
    wrong = [
        text
        for text in ANSWERS["refused"]
        if judged(tool, f"{text}\n".encode()).category not in KINDS
        or judged(tool, f"{text}\n".encode(), {"output_format": "text"}).category not in KINDS
    ]
    assert wrong == []


@each("tool", AGENTS)
def test_an_honest_answer_is_a_result_of_every_tool(tool):
    wrong = [
        text for text in ANSWERS["honest"] if judged(tool, answered(tool, text)[0]).outcome != "succeeded"
    ]
    assert wrong == []


WORK = {
    "tokens": {"usage": {"input_tokens": 90_000, "output_tokens": 4_100}},
    "turns": {"num_turns": 14, "usage": {"input_tokens": 9, "output_tokens": 20}},
}


@each("work", WORK)
@each("tool", ["claude-code", "qwen"])
def test_an_answer_behind_work_that_the_tool_tells_of_is_a_result(tool, work):
    ended = {**CLAUDE_RESULT, **WORK[work]}
    stdouts = [
        lines(CLAUDE_INIT, {**ended, "result": text}) for text in ANSWERS["worked"] + ANSWERS["honest"]
    ]
    if tool == "qwen":  # whose prefix is a sign of failure of its own
        stdouts = [out for out in stdouts if b"API Error" not in out]
    assert [out for out in stdouts if judged(tool, out).outcome != "succeeded"] == []


@each("text", ANSWERS["worked"])
def test_calls_of_tools_are_work(text):
    call = {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "Bash", "input": {}}]}}
    once = lines(CLAUDE_INIT, call, {**CLAUDE_RESULT, "result": text})
    twice = lines(CLAUDE_INIT, call, call, {**CLAUDE_RESULT, "result": text})
    assert judged("claude-code", twice).outcome == "succeeded"
    assert judged("claude-code", once).outcome != "succeeded" or "is what" in text


def test_the_form_of_a_limit_itself_is_a_refusal_after_any_work():
    ended = {**CLAUDE_RESULT, **WORK["tokens"]}
    for text in (
        "You've hit your session limit · resets 9pm (Europe/Berlin)",
        "Claude AI usage limit reached|1764043200",
    ):
        assert judged("claude-code", lines(CLAUDE_INIT, {**ended, "result": text})).category == "rate_limit"


def test_a_script_may_print_what_it_likes():
    wrong = [
        text for text in ANSWERS["refused"] if judged("cli", f"{text}\n".encode()).outcome != "succeeded"
    ]
    assert wrong == []


def test_a_refusal_behind_work_is_an_answer():
    text = "The client is mended and tested.\n\nIt says: You've hit your usage limit. Try again later.\n"
    assert judged("claude-code", answered("claude-code", text)[0]).outcome == "succeeded"


def test_people_read_the_sentence():
    verdict = judged(
        "codex-cli",
        answered("codex-cli", "Your access token could not be refreshed. Please log out and sign in again.")[
            0
        ],
    )
    assert (
        verdict.message
        == "the output says that it failed: Your access token could not be refreshed. Please log out and sign in again."
    )

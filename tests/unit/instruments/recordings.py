"""Outputs of the shapes that the tools print, written by hand: what a reading should make of each.

One entry a tool and way of ending: stdout, stderr, exit code, and the fields of the reading and verdict
that are to come out.
"""

import json
from typing import Any, NamedTuple


class Recording(NamedTuple):
    name: str
    tool: str
    stdout: bytes
    wanted: dict[str, Any]
    exit_code: int = 0
    stderr: bytes = b""
    outcome: str = "succeeded"
    category: str | None = None


def lines(*events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def one(document):
    return json.dumps(document, indent=2).encode() + b"\n"


CLAUDE_INIT = {
    "type": "system",
    "subtype": "init",
    "session_id": "s-1",
    "model": "claude-sonnet-4-5",
    "tools": [],
}
CLAUDE_SAID = {
    "type": "assistant",
    "message": {"content": [{"type": "text", "text": "rate limit 401"}], "usage": {"input_tokens": 4}},
    "session_id": "s-1",
}
CLAUDE_RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "api_error_status": None,
    "result": "All done.\n\n",
    "session_id": "s-1",
    "total_cost_usd": 0.0125,
    "usage": {"input_tokens": 1200, "output_tokens": 34, "cache_read_input_tokens": 100},
}
CLAUDE_FAILED = {
    **CLAUDE_RESULT,
    "is_error": True,
    "total_cost_usd": 0,
    "usage": {"input_tokens": 0, "output_tokens": 0},
}


def claude_failure(status, text):
    return lines(CLAUDE_INIT, {**CLAUDE_FAILED, "api_error_status": status, "result": text})


GEMINI_TOKENS = {
    "a": {"tokens": {"input": 90, "prompt": 100, "candidates": 7, "cached": 10, "total": 107}},
    "b-2.5": {"tokens": {"input": 20, "prompt": 20, "candidates": 3, "cached": 0, "total": 23}},
}


GEMINI_INIT = {"type": "init", "session_id": "g-1", "model": "gemini-2.5-pro"}
GEMINI_STATS = {"input_tokens": 120, "output_tokens": 10, "cached": 10, "input": 110}
GEMINI_RESULT = {"type": "result", "status": "success", "stats": GEMINI_STATS}


def gemini_said(*pieces):
    asked = {"type": "message", "role": "user", "content": "the prompt"}
    said = ({"type": "message", "role": "assistant", "content": piece, "delta": True} for piece in pieces)
    return [GEMINI_INIT, asked, *said]


def gemini_failure(text):
    error = {"status": "error", "error": {"type": "unknown", "message": f"[API Error: {text}]"}}
    return lines(*gemini_said(), {**GEMINI_RESULT, **error})


def gemini_stderr(status, text):
    told = one({"session_id": "g-1", "error": {"type": "Error", "message": text, "code": status}})
    return b"Warning: something\n{not json\nError when talking to the API\n" + told


CODEX_START = {"type": "thread.started", "thread_id": "t-1"}


def codex_item(kind, text):
    return {"type": "item.completed", "item": {"id": "i", "type": kind, "text": text, "message": text}}


CODEX_USAGE = {
    "type": "turn.completed",
    "usage": {"input_tokens": 50, "cached_input_tokens": 9, "output_tokens": 5},
}


def opencode(kind, **part):
    return {"type": kind, "timestamp": 1, "sessionID": "ses_1", "part": part}


def pi_message(role, text, stop="stop", **more):
    usage = {"input": 30, "output": 4, "cacheRead": 0, "cost": {"total": 0.5}}
    content = [{"type": "thinking", "thinking": "…"}, *({"type": "text", "text": t} for t in text)]
    asked = {} if role == "user" else {"usage": usage, "stopReason": stop}
    return {"role": role, "content": content, **asked, **more}


def pi(*messages):
    ends = (
        {"type": kind, "message": message}
        for message in messages
        for kind in ("message_start", "message_end")
    )
    return lines(*ends, {"type": "agent_end", "messages": list(messages)})


TOKENS = {"input_tokens": 1200, "output_tokens": 34}
RECORDINGS = [
    Recording(
        "claude succeeds",
        "claude-code",
        lines(CLAUDE_INIT, CLAUDE_SAID, CLAUDE_RESULT),
        {
            "result": "All done.",
            **TOKENS,
            "cost_usd": 0.0125,
            "session_id": "s-1",
            "model": "claude-sonnet-4-5",
            "error": None,
        },
    ),
    Recording(
        "claude with an empty answer",
        "claude-code",
        lines(CLAUDE_INIT, {**CLAUDE_RESULT, "result": ""}),
        {"result": "", "no_result": True, "failed": False},
        outcome="failed",
        category="no_result",
    ),
    Recording(
        "claude is cut off before its result",
        "claude-code",
        lines(CLAUDE_INIT, CLAUDE_SAID),
        {"no_result": True, "parsed": True},
        outcome="failed",
        category="no_result",
    ),
    Recording(
        "claude is refused",
        "claude-code",
        claude_failure(401, "Invalid API key · Fix external API key"),
        {"failed": True, "error": "Invalid API key · Fix external API key; api_error_status 401"},
        exit_code=1,
        outcome="failed",
        category="auth",
    ),
    Recording(
        "claude is told to wait",
        "claude-code",
        claude_failure(429, "API Error: Request rejected (429)"),
        {"failed": True},
        exit_code=1,
        outcome="rate_limited",
        category="rate_limit",
    ),
    Recording(
        "claude has used up its quota and exits with 0",
        "claude-code",
        claude_failure(None, "You've hit your limit · resets 3am"),
        {"failed": True},
        outcome="rate_limited",
        category="rate_limit",
    ),
    Recording(
        "claude meets a broken service",
        "claude-code",
        claude_failure(500, "API Error: 500 internal"),
        {"failed": True},
        exit_code=1,
        outcome="failed",
        category="exit",
    ),
    Recording(
        "gemini succeeds; what it said before its last tool call is no result",
        "gemini-cli",
        lines(
            *gemini_said("I will ", "write it."),
            {"type": "tool_use", "tool_name": "write_file", "parameters": {}},
            {"type": "tool_result", "status": "success"},
            *gemini_said("Fi", "ne.\n")[2:],
            GEMINI_RESULT,
        ),
        {
            "result": "Fine.",
            "input_tokens": 120,
            "output_tokens": 10,
            "cached_tokens": 10,
            "session_id": "g-1",
            "cost_usd": None,
            "final": "success",
        },
    ),
    Recording(
        "gemini says its failure as its last event",
        "gemini-cli",
        gemini_failure("You have exhausted your daily quota on this model."),
        {"failed": True, "final": "failure"},
        exit_code=173,
        outcome="rate_limited",
        category="rate_limit",
    ),
    Recording(
        "gemini succeeds, asked for one document",
        "gemini-cli",
        one({"session_id": "g-1", "response": "Fine.\n", "stats": {"models": GEMINI_TOKENS, "tools": {}}}),
        {"result": "Fine.", "input_tokens": 120, "output_tokens": 10, "session_id": "g-1", "cost_usd": None},
    ),
    Recording(
        "gemini succeeds behind a line of its own",
        "gemini-cli",
        b"Loaded cached credentials.\n" + one({"response": "Fine."}),
        {"result": "Fine.", "parsed": True},
    ),
    Recording(
        "gemini exits with 0 and an error",
        "gemini-cli",
        one({"response": "", "stats": {}, "error": {"type": "Error", "message": "no content", "code": 500}}),
        {"failed": True, "error": "no content; code 500"},
        outcome="failed",
        category="exit",
    ),
    Recording(
        "gemini ends by TERM with 0 and prints nothing",
        "gemini-cli",
        b"",
        {"no_result": True, "result": ""},
        outcome="failed",
        category="no_result",
    ),
    Recording(
        "gemini is refused",
        "gemini-cli",
        b"",
        {"error": "bad key; code 401"},
        exit_code=145,
        stderr=gemini_stderr(401, "bad key"),
        outcome="failed",
        category="auth",
    ),
    Recording(
        "gemini is told to wait",
        "gemini-cli",
        b"",
        {},
        exit_code=173,
        stderr=gemini_stderr(429, "slow down"),
        outcome="rate_limited",
        category="rate_limit",
    ),
    Recording(
        "gemini finds no room",
        "gemini-cli",
        b"",
        {},
        exit_code=247,
        stderr=gemini_stderr(503, "later"),
        outcome="failed",
        category="capacity",
    ),
    Recording(
        "codex succeeds after a mere warning",
        "codex-cli",
        lines(
            CODEX_START,
            codex_item("error", "a warning: 401"),
            codex_item("agent_message", "First."),
            codex_item("command_execution", "ls"),
            codex_item("agent_message", "Done."),
            CODEX_USAGE,
        ),
        {"result": "Done.", "input_tokens": 50, "output_tokens": 5, "session_id": "t-1", "failed": False},
    ),
    Recording(
        "codex exits with 0 without a message",
        "codex-cli",
        lines(CODEX_START, CODEX_USAGE),
        {"no_result": True},
        outcome="failed",
        category="no_result",
    ),
    Recording(
        "codex fails after it has said something",
        "codex-cli",
        lines(
            CODEX_START,
            codex_item("agent_message", "About the rate limit …"),
            {"type": "turn.failed", "error": {"message": "unexpected status 401 Unauthorized"}},
        ),
        {"failed": True, "error": "unexpected status 401 Unauthorized"},
        exit_code=1,
        outcome="failed",
        category="auth",
    ),
    Recording(
        "aider says something",
        "aider",
        b"Aider v1\nTokens: 1.3k sent, 34 received.\n\n",
        {"result": "Aider v1\nTokens: 1.3k sent, 34 received.", "input_tokens": 1300},
    ),
    Recording(
        "goose succeeds",
        "goose",
        one(
            {
                "messages": [
                    {"content": [{"text": "q"}]},
                    {"content": [{"text": "a "}, {"type": "x"}, {"text": "b"}]},
                ]
            }
        ),
        {"result": "a b"},
    ),
    *(
        Recording(
            f"goose is refused and ends with 0, {name}",
            "goose",
            out,
            {"failed": True},
            outcome=outcome,
            category=category,
        )
        for said, outcome, category in (
            (
                "Ran into this error: Authentication error: 401 Unauthorized.\n\nPlease retry if you think so.",
                "failed",
                "auth",
            ),
            ("Ran into this error: Rate limit exceeded: 429", "rate_limited", "rate_limit"),
            ("Ran into this error: Server error: 500 Internal", "failed", "exit"),
        )
        for name, out in (
            ("as JSON", one({"messages": [{"content": [{"type": "text", "text": said}]}]})),
            ("as text", f"starting session\n{said}\n".encode()),
        )
    ),
    *(
        Recording(f"goose tells of an error, {name}", "goose", out, {"failed": False})
        for name, out in (
            (
                "which it found in a log",
                one({"messages": [{"content": [{"text": "Ran into this error: 429, fixed."}]}]}),
            ),
            (
                "which it got over",
                one(
                    {
                        "messages": [
                            {"content": [{"text": "Ran into this error: Server error: 500"}]},
                            {"content": [{"text": "All done."}]},
                        ]
                    }
                ),
            ),
            ("as text", b"Ran into this error: Server error: 500\nI fixed it.\n"),
        )
    ),
    *(
        Recording(
            f"aider goes on behind a quoted error: {end}",
            "aider",
            f"The log says:\n\nlitellm.RateLimitError: 429\n\nso it waits now.\n{end}\n".encode(),
            {"failed": False},
        )
        for end in ("Applied edit to src/app.py", "Commit 1a2b3c4 fix: wait", "Tokens: 2k sent, 1 received.")
    ),
    Recording(
        "goose says nothing at the end", "goose", one({"messages": []}), {"result": '{\n  "messages": []\n}'}
    ),
    Recording(
        "cline succeeds",
        "cline-cli",
        lines(
            {"type": "say", "text": "…"},
            {
                "type": "run_result",
                "text": "Ok.",
                "finishReason": "completed",
                "usage": {"inputTokens": 9, "outputTokens": 2, "totalCost": 0.25},
            },
        ),
        {"result": "Ok.", "input_tokens": 9, "output_tokens": 2, "cost_usd": 0.25},
    ),
    Recording(
        "cline fails",
        "cline-cli",
        lines({"type": "run_result", "text": "", "finishReason": "error"}),
        {"failed": True},
        exit_code=1,
        stderr=b"Error: 429 too many\n",
        outcome="rate_limited",
        category="rate_limit",
    ),
    Recording("crush succeeds", "crush", b"Ok\n", {"result": "Ok"}),
    Recording("antigravity succeeds", "antigravity", b"Ok\n", {"result": "Ok"}),
    Recording(
        "antigravity has nowhere to print",
        "antigravity",
        b"",
        {"result": ""},
        outcome="failed",
        category="no_result",
    ),
    Recording(
        "opencode succeeds",
        "opencode",
        lines(
            opencode("step_start"),
            opencode("text", text="One, "),
            opencode("tool_use", tool="write"),
            opencode("step_finish", tokens={"input": 10, "output": 1, "cache": {"read": 0}}, cost=0.25),
            opencode("text", text="two."),
            opencode("step_finish", tokens={"input": 20, "output": 2, "cache": {"read": 0}}, cost=0.5),
        ),
        {
            "result": "One, two.",
            "input_tokens": 30,
            "output_tokens": 3,
            "cost_usd": 0.75,
            "session_id": "ses_1",
        },
    ),
    Recording(
        "opencode fails",
        "opencode",
        lines(
            {
                "type": "error",
                "sessionID": "ses_1",
                "error": {
                    "name": "APIError",
                    "data": {"statusCode": 429, "message": "wait", "isRetryable": True},
                },
            }
        ),
        {"failed": True, "error": "wait; statusCode 429; APIError"},
        exit_code=1,
        outcome="rate_limited",
        category="rate_limit",
    ),
    Recording(
        "qwen succeeds",
        "qwen",
        one(
            [{"type": "system", "subtype": "init"}, {"type": "assistant"}, {**CLAUDE_RESULT, "result": "Ok"}]
        ),
        {"result": "Ok", **TOKENS, "session_id": "s-1"},
    ),
    Recording(
        "qwen is refused and exits with 0",
        "qwen",
        one([{"type": "system"}, {**CLAUDE_RESULT, "result": "[API Error: 401 invalid x-api-key]"}]),
        {"failed": True, "error": "[API Error: 401 invalid x-api-key]"},
        outcome="failed",
        category="auth",
    ),
    Recording(
        "pi succeeds",
        "pi",
        pi(
            pi_message("user", ["q"]), pi_message("assistant", ["first"]), pi_message("assistant", ["a", "b"])
        ),
        {"result": "ab", "input_tokens": 60, "output_tokens": 8, "cost_usd": 1.0},
    ),
    Recording(
        "pi is refused and exits with 0",
        "pi",
        pi(pi_message("assistant", [], "error", errorMessage="401 Unauthorized")),
        {"failed": True, "error": "401 Unauthorized"},
        outcome="failed",
        category="auth",
    ),
    Recording(
        "copilot succeeds",
        "copilot",
        lines(
            {"type": "assistant.message", "data": {"content": "first"}},
            {"type": "assistant.message", "data": {"content": "Ok."}},
            {"type": "result", "sessionId": "c-1", "exitCode": 0, "usage": {}},
        ),
        {"result": "Ok.", "input_tokens": None, "session_id": "c-1"},
    ),
    Recording(
        "copilot says its failure in the last event only",
        "copilot",
        lines(
            {"type": "assistant.message", "data": {"content": "half"}},
            {"type": "model.call_failure", "data": {"statusCode": 503, "retryAttempt": 1}},
            {"type": "session.error", "data": {"message": "gave up"}},
            {"type": "result", "sessionId": "c-1", "exitCode": 1},
        ),
        {"failed": True, "error": "gave up; statusCode 503"},
        outcome="failed",
        category="capacity",
    ),
    Recording(
        "the shell succeeds without a word",
        "cli",
        b"",
        {"result": "", "no_result": False},
    ),
    Recording("the shell fails", "cli", b"429\n", {"result": "429"}, 3, b"no\n", "failed", "exit"),
    Recording(
        "a model asked over HTTP answers",
        "ollama",
        one({"result": "Ok", "usage": {"input_tokens": 3, "output_tokens": 1}, "model": "m"}),
        {"result": "Ok", "input_tokens": 3, "output_tokens": 1, "model": "m"},
    ),
    Recording(
        "a model asked over HTTP refuses",
        "anthropic_api",
        one({"result": None, "error": "status 401: invalid x-api-key"}),
        {"failed": True, "error": "status 401: invalid x-api-key"},
        exit_code=1,
        outcome="failed",
        category="auth",
    ),
]

"""Inputs of the kinds that were reported, in other words: limits, zones, fields and noise that nobody has told of yet."""

import json
from datetime import UTC, datetime

import pytest
from kit.tables import each
from recordings import CLAUDE_INIT, CLAUDE_RESULT, CODEX_START, GEMINI_RESULT, gemini_said, lines, opencode
from tools import failed

from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import classify, read_output

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SAID = [
    (
        "claude-code",
        "You've hit your Opus weekly limit · resets Thu, Mar 12, 5:30pm (UTC)",
        "rate_limit",
        192600.0,
        None,
    ),
    ("claude-code", "You've hit your Sonnet limit · resets tomorrow at 6am", "rate_limit", 64800, None),
    ("claude-code", "You've used 100% of your weekly limit. Resets in 2d 4h", "rate_limit", 187200, None),
    (
        "claude-code",
        "Your organization has reached its monthly spend limit. Contact your admin.",
        "rate_limit",
        -1,
        None,
    ),
    ("claude-code", "Extra usage cap reached · resets Apr 1", "rate_limit", None, None),
    (
        "claude-code",
        "API Error (us.anthropic.claude): 429 Too many tokens per day, please wait before trying again.",
        "rate_limit",
        None,
        None,
    ),
    (
        "claude-code",
        "API Error: 403 The security token included in the request is expired",
        "auth",
        None,
        403,
    ),
    (
        "claude-code",
        'API Error: 429 [{"error":{"code":429,"message":"Online prediction request quota exceeded for anthropic-claude-sonnet-4-5. Please submit a quota increase request.","status":"RESOURCE_EXHAUSTED"}}]',
        "rate_limit",
        None,
        429,
    ),
    (
        "claude-code",
        'API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"OAuth token has expired. Please obtain a new token or refresh your existing token."}}',
        "auth",
        None,
        401,
    ),
    (
        "claude-code",
        'API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed the rate limit for your organization of 80,000 input tokens per minute. Headers: {anthropic-ratelimit-input-tokens-reset: 2026-03-10T12:01:30Z}"}}',
        "rate_limit",
        90,
        429,
    ),
    (
        "claude-code",
        "429 rate_limit_error anthropic-ratelimit-unified-reset: 1773147600",
        "rate_limit",
        3600,
        None,
    ),
    ("claude-code", "Prompt is too long", "exit", None, None),
    ("claude-code", "Reached maximum number of turns (30)", "exit", None, None),
    ("claude-code", "Reached maximum budget ($5)", "exit", None, None),
    ("claude-code", "API Error: Connection error.", "exit", None, None),
    ("claude-code", "API Error: 529 Overloaded", "rate_limit", None, 529),
    (
        "codex-cli",
        "You've hit your usage limit for GPT-5-Codex. Switch to another model now, or try again at Mar 14th, 2026 9:05 AM.",
        "rate_limit",
        335100,
        None,
    ),
    ("codex-cli", "You've hit your usage limit. Try again in 1 hour 12 minutes.", "rate_limit", 4320, None),
    (
        "codex-cli",
        "Your workspace is out of credits. Add credits to continue using Codex.",
        "rate_limit",
        None,
        None,
    ),
    (
        "codex-cli",
        "Your workspace owner has not enabled additional usage. You've reached your usage limit.",
        "rate_limit",
        None,
        None,
    ),
    (
        "codex-cli",
        "Your access token could not be refreshed because your refresh token was already used. Please log out and sign in again.",
        "auth",
        None,
        None,
    ),
    (
        "codex-cli",
        "The 'gpt-5-codex' model is not supported when using Codex with a ChatGPT account.",
        "exit",
        None,
        None,
    ),
    ("codex-cli", "This content was flagged for possible cybersecurity risk.", "exit", None, None),
    (
        "codex-cli",
        "stream disconnected before completion: error sending request for url (https://chatgpt.com/backend-api/codex/responses)",
        "exit",
        None,
        None,
    ),
    ("codex-cli", "exceeded retry limit, last status: 500 Internal Server Error", "exit", None, None),
    (
        "codex-cli",
        'unexpected status 429 Too Many Requests: {"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","resets_in_seconds":600}}',
        "rate_limit",
        600,
        None,
    ),
    (
        "gemini-cli",
        "You have exhausted your daily quota on this model. It resets at 2026-03-11T08:00:00Z.",
        "rate_limit",
        72000,
        None,
    ),
    (
        "gemini-cli",
        "You have exhausted your capacity on this model. Your quota will reset after 21h30m12s.",
        "rate_limit",
        77412,
        None,
    ),
    (
        "gemini-cli",
        '[{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"41.5s"}]}}]',
        "rate_limit",
        41.5,
        429,
    ),
    ("gemini-cli", "No capacity available for model gemini-2.5-pro on the server", "capacity", None, 503),
    (
        "gemini-cli",
        "Please set an Auth method in your settings.json or specify one of the following environment variables before running: GEMINI_API_KEY",
        "auth",
        None,
        None,
    ),
    ("gemini-cli", "API key expired. Please renew the API key.", "auth", None, 400),
    ("gemini-cli", "The request was blocked by safety filters", "exit", None, None),
    (
        "gemini-cli",
        "Quota exceeded for requests per day. Resets at midnight Pacific Time.",
        "rate_limit",
        68400,
        None,
    ),
    (
        "copilot",
        "You have exceeded your premium request allowance. Your allowance resets on April 1, 2026.",
        "rate_limit",
        1857600,
        None,
    ),
    (
        "copilot",
        "You've been rate limited. Please wait 1 hour 5 minutes before trying again.",
        "rate_limit",
        3900,
        None,
    ),
    ("copilot", "Error: No authentication information found. Run /login.", "auth", None, None),
    (
        "copilot",
        "Access denied by policy settings: your Copilot CLI policy is disabled by your organization",
        "exit",
        None,
        None,
    ),
    ("copilot", "402 You have no quota", "rate_limit", None, 402),
    (
        "opencode",
        'Too Many Requests: {"error":{"type":"FreeUsageLimitError","message":"Rate limit exceeded."},"retry-after":"1800"}',
        "rate_limit",
        1800,
        429,
    ),
    ("opencode", "5-hour usage limit reached. Resets in 2 hours 3 minutes.", "rate_limit", 7380, 429),
    (
        "qwen",
        "[API Error: 429 You exceeded your current quota, please check your plan and billing details. (insufficient_quota)]",
        "rate_limit",
        None,
        None,
    ),
    ("qwen", "[API Error: 401 Incorrect API key provided. ]", "auth", None, None),
    (
        "qwen",
        "[API Error: 429 Requests rate limit exceeded, please try again later.]",
        "rate_limit",
        None,
        None,
    ),
    (
        "qwen",
        "[API Error: 400 Access denied, please make sure your account is in good standing. (Arrearage)]",
        "rate_limit",
        None,
        None,
    ),
    ("pi", "429 status code (no body)", "rate_limit", None, None),
    (
        "pi",
        "Cloud Code Assist API error (429): You have exhausted your capacity on this model. Your quota will reset after 3h22m46s.",
        "rate_limit",
        12166,
        None,
    ),
    ("pi", "No API key found for anthropic.", "auth", None, None),
]
TIMES = {
    "Try again at 13:00 UTC.": 3600,
    "resets 14:00 (UTC+1)": 3600,
    "resets Mar 11 at 00:00 GMT": 43200,
    "try again at 10/03/2026 13:00": None,
    "resets in 45 min": 2700,
    "resets in 1 hr 5 min": 3900,
    "available again in 90s": 90,
    "next reset: 2026-03-10 15:00:00 UTC": 10800,
    "resets_at=1773147600": 3600,
    '"reset_at": "2026-03-10T13:00:00+00:00"': 3600,
    "x-ratelimit-reset: 1773147600": 3600,
    "x-ratelimit-reset-requests: 1m30s": 90,
    "x-ratelimit-reset-after: 30": 30,
    "RateLimit-Reset: 120": 120,
    "resets 2pm PT": 32400,
    "Retry-After: Tue, 10 Mar 2026 13:00:00 GMT": 3600,
    "try again after 2026-03-10T13:00": 3600,
    "resets 13:00 Uhr": 3600,
    "You can retry at 1:00 PM (UTC)": 3600,
    "quota resets every day at 13:00 UTC": 3600,
    "retry_after_seconds: 12.5": 12.5,
    "reset in 00:45:00": 2700,
    "wait 2m": 120,
    "until 13:00 UTC": 3600,
    "resets 1pm, UTC": 3600,
    "resets March 11th": 43200,
}
"""What follows "You've hit your usage limit.", and the seconds; None: no time is read."""


def judged(tool, stdout, stderr, code, **end):
    profile = builtin_profiles()[tool]
    reading = read_output(profile, {}, stdout, stderr)
    given = {"signal": None, "timed_out": False, **end}
    return classify(profile, reading, exit_code=code, stderr=stderr, now=NOW, **given)


@each(("tool", "text", "kind", "seconds", "status"), SAID)
def test_what_a_tool_might_say_is_what_it_means(tool, text, kind, seconds, status):
    verdict = judged(tool, *failed(tool, text, status))
    assert verdict.category == kind
    if seconds is not None:
        assert verdict.resets_in == (None if seconds < 0 else pytest.approx(seconds))


@each("told", TIMES)
def test_a_time_might_be_written_so(told):
    verdict = judged("claude-code", *failed("claude-code", f"You've hit your usage limit. {told}"))
    wanted = TIMES[told]
    assert verdict.resets_in == (None if wanted is None else pytest.approx(wanted))


def test_an_hour_that_has_just_begun_is_not_tomorrow_s():
    now = NOW.replace(second=20)
    profile = builtin_profiles()["claude-code"]
    stdout, stderr, code = failed("claude-code", "You've hit your session limit · resets 12pm (UTC)")
    reading = read_output(profile, {}, stdout, stderr)
    verdict = classify(profile, reading, exit_code=code, signal=None, timed_out=False, stderr=stderr, now=now)
    assert verdict.resets_in == 0


def case(tool, kind, seconds=None, stdout=b"", stderr=b"", code=0, **end):
    texts = [text.encode() if isinstance(text, str) else text for text in (stdout, stderr)]
    return tool, kind, seconds, *texts, code, end


ENDINGS = {
    "codex nested err": case(
        "codex-cli",
        "rate_limit",
        None,
        lines(
            CODEX_START,
            {"type": "turn.failed", "error": {"message": None, "codex_error_info": "usage_limit_exceeded"}},
        ),
        b"",
        1,
    ),
    "codex mcp401": case(
        "codex-cli",
        "exit",
        None,
        lines(
            CODEX_START,
            {"type": "error", "message": "context window exceeded"},
            {
                "type": "turn.failed",
                "error": {"message": "Codex ran out of room in the model's context window."},
            },
        ),
        "2026-03-10T12:00:00Z ERROR rmcp::transport: AuthRequired 401 Unauthorized\n429 Too Many Requests from https://mcp.example\n",
        1,
    ),
    "codex stderr only": case(
        "codex-cli", "auth", None, b"", "Error: Not logged in. Please run `codex login`.\n", 1
    ),
    "oc name only": case(
        "opencode",
        "auth",
        None,
        lines(
            opencode("step_start"),
            {
                "type": "error",
                "error": {
                    "name": "ProviderAuthError",
                    "data": {"providerID": "anthropic", "message": "no token"},
                },
            },
        ),
        b"",
        1,
    ),
    "oc hang stderr": case(
        "opencode",
        "rate_limit",
        10 * 86400 + 19 * 3600,
        b"",
        'ERROR 2026-03-10T12:00:00 +5ms service=llm error={"error":{"name":"AI_APICallError","statusCode":429,"responseBody":"Monthly usage limit reached. It will reset in 10 days 19 hours."}} stream error\n',
        None,
        timed_out=True,
        signal="SIGTERM",
    ),
    "aider text": case(
        "aider",
        "rate_limit",
        None,
        "Aider v0.86.2\nModel: gpt-5 with diff edit format\nGit repo: none\n\nlitellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached\nThe API provider has rate limited you. Try again later or check your quotas.\nRetrying in 0.2 seconds...\n",
    ),
    "aider credits": case(
        "aider",
        "rate_limit",
        None,
        "Aider v0.86.2\n\nlitellm.BadRequestError: OpenAIException - Insufficient credits\nInsufficient credits with the API provider.\n",
    ),
    "aider auth": case(
        "aider",
        "auth",
        None,
        "Aider v0.86.2\n\nlitellm.AuthenticationError: AnthropicException - invalid x-api-key\nThe API provider is not able to authenticate you. Check your API key.\n",
    ),
    "aider toklimit": case(
        "aider",
        "exit",
        None,
        "Aider v0.86.2\n\nModel gpt-5 has hit a token limit!\nToken counts below are approximate.\n\nInput tokens: ~200,000 of 128,000 -- possibly exceeded context window!\n",
    ),
    "aider ok": case(
        "aider",
        "ok",
        None,
        "Aider v0.86.2\n\nI added handling of litellm.RateLimitError: it waits.\nlitellm.RateLimitError: is caught\nTokens: 2k sent, 100 received.\nApplied edit to client.py\n",
    ),
    "aider missing key": case(
        "aider",
        "auth",
        None,
        "Warning: anthropic/claude expects these environment variables\n- ANTHROPIC_API_KEY: Not set\n\nlitellm.AuthenticationError: Missing Anthropic API Key\n",
    ),
    "crush": case(
        "crush",
        "rate_limit",
        None,
        b"",
        "ERROR\n\n  429 Too Many Requests: rate limit reached, please retry in 20s\n",
        1,
    ),
    "crush exit0": case(
        "crush",
        "auth",
        None,
        "ERROR  No providers configured - please run 'crush' to set up a provider interactively.\n",
        b"",
        0,
    ),
    "goose": case(
        "goose",
        "rate_limit",
        None,
        json.dumps(
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [
                            {
                                "type": "text",
                                "text": "Ran into this error: Rate limit exceeded: quota.\n\nPlease retry if you think this is a transient or recoverable error.",
                            }
                        ],
                    }
                ]
            }
        ),
    ),
    "cline ok": case(
        "cline-cli",
        "ok",
        None,
        lines({"type": "run_result", "text": "The 429 path is tested.", "finishReason": "completed"}),
    ),
    "agy": case(
        "antigravity",
        "rate_limit",
        5 * 3600,
        "You have reached the quota limit for this model. Resets in 5h.\n",
    ),
    "hang claude": case(
        "claude-code",
        "ok",
        None,
        lines(CLAUDE_INIT, CLAUDE_RESULT),
        b"",
        None,
        signal="SIGTERM",
        ended="final",
    ),
    "hang gem": case(
        "gemini-cli",
        "ok",
        None,
        lines(*gemini_said("done"), GEMINI_RESULT),
        b"401 Unauthorized",
        None,
        signal="SIGKILL",
        timed_out=True,
    ),
    "limit allowed": case(
        "claude-code",
        "exit",
        None,
        lines(
            CLAUDE_INIT,
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "allowed_warning", "resetsAt": 1773147600},
            },
            {**CLAUDE_RESULT, "is_error": True, "result": "boom"},
        ),
        b"",
        1,
    ),
    "limit event ms": case(
        "claude-code",
        "rate_limit",
        3600,
        lines(
            CLAUDE_INIT,
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "rejected", "resetsAt": 1773147600000},
            },
            {**CLAUDE_RESULT, "is_error": True, "result": "limit"},
        ),
        b"",
        1,
    ),
    "limit event str": case(
        "claude-code",
        "rate_limit",
        3600,
        lines(
            CLAUDE_INIT,
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "rejected", "resetsAt": "2026-03-10T13:00:00.000Z"},
            },
            {**CLAUDE_RESULT, "is_error": True, "result": "limit"},
        ),
        b"",
        1,
    ),
}


@each("name", ENDINGS)
def test_an_ending_might_look_so(name):
    tool, kind, seconds, stdout, stderr, code, end = ENDINGS[name]
    verdict = judged(tool, stdout, stderr, code, **end)
    assert (verdict.category or "ok") == kind
    if seconds is not None:
        assert verdict.resets_in == pytest.approx(seconds)

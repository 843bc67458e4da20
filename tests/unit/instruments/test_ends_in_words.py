"""How a tool's own words and documented exit codes about its end are told, in its sentence."""

from datetime import UTC, datetime

from kit.tables import each
from recordings import CLAUDE_INIT, lines

from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import classify, read_output

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@each(
    "said",
    [
        "Please set an Auth method in your /w/settings.json or specify one of the following environment variables",
        "When using Gemini API, you must specify the GEMINI_API_KEY environment variable.",
        'The enforced authentication type is "oauth-personal", but the current type is "gemini-api-key".',
        "Something new that it says of logins",
    ],
)
def test_the_exit_code_that_a_tool_documents_says_that_it_has_no_login(said):
    verdict = of_gemini(41, said)
    assert (verdict.category, said[:60] in verdict.message) == ("auth", True)


@each("code", [42, 44, 52, 53])
def test_an_exit_code_that_a_tool_documents_is_told_in_words_with_the_tool_s_own_sentence(code):
    verdict = of_gemini(code, "No input provided via stdin.")
    assert verdict.category == "exit"
    assert verdict.message.startswith(f"exit code {code}, its ")
    assert verdict.message.endswith(": No input provided via stdin.")


def of_gemini(code, said):
    profile = builtin_profiles()["gemini-cli"]
    stderr = f"{said}\n".encode()
    reading = read_output(profile, {}, b"", stderr)
    return classify(profile, reading, exit_code=code, signal=None, timed_out=False, stderr=stderr)


def test_what_claude_says_of_its_end_is_shown_where_it_says_no_more():
    ended = {"type": "result", "subtype": "error_max_turns", "is_error": False, "num_turns": 30}
    for code in (0, 1):
        stdout = lines(CLAUDE_INIT, ended)
        profile = builtin_profiles()["claude-code"]
        reading = read_output(profile, {}, stdout, b"")
        verdict = classify(profile, reading, exit_code=code, signal=None, timed_out=False, stderr=b"")
        assert (verdict.category, verdict.message.endswith(": error_max_turns")) == ("exit", True)


def test_when_opencode_may_try_again_is_read_from_the_headers_it_prints():
    data = {"message": "Too Many Requests", "statusCode": 429, "responseHeaders": {"retry-after": "7620"}}
    stdout = lines({"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": data}})
    profile = builtin_profiles()["opencode"]
    reading = read_output(profile, {}, stdout, b"")
    end = {"exit_code": 1, "signal": None, "timed_out": False, "stderr": b"", "now": NOW}
    assert classify(profile, reading, **end)[:2] == ("rate_limited", "rate_limit")
    assert classify(profile, reading, **end).resets_in == 7_620

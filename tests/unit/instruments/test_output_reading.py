"""What each tool prints is read for what it is, and the end of its process judged by it."""

import msgspec
from kit.tables import each
from recordings import CLAUDE_INIT, CLAUDE_RESULT, RECORDINGS, lines, one

from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import classify, read_output
from marianned.instruments.profile import (
    CliInstrument,
    ErrorPatterns,
    FailureRule,
    OutputFormat,
    Profile,
    ToolCommand,
)
from marianned.instruments.result import ParsedOutput, Verdict

CLAUDE = builtin_profiles()["claude-code"]


def profile(errors=None, **output):
    return Profile(
        name="x",
        kind="cli",
        cli=CliInstrument(
            command=ToolCommand(executable="x"),
            output=OutputFormat(**output),
            errors=ErrorPatterns(**(errors or {})),
        ),
    )


def judged(reading=None, tool=None, **end):
    given = {"exit_code": 0, "signal": None, "timed_out": False, "stderr": b""}
    return classify(tool or profile(), reading or ParsedOutput(result=""), **(given | end))


@each("recording", RECORDINGS)
def test_a_tool_s_output_is_read_and_judged(recording):
    tool = builtin_profiles()[recording.tool]
    reading = read_output(tool, {}, recording.stdout, recording.stderr)
    assert {name: getattr(reading, name) for name in recording.wanted} == recording.wanted
    verdict = judged(reading, tool, exit_code=recording.exit_code, stderr=recording.stderr)
    assert (verdict.outcome, verdict.category) == (recording.outcome, recording.category)


AIDER = builtin_profiles()["aider"]
FIRST = "Tokens: 4.6k sent, 100 received. Cost: $0.01 message, $0.01 session."
ANSWERED = "Aider v0.86.1\nModel: sonnet\n\nI changed it.\n\n{}\nApplied edit to a.py\n"


@each(
    ("told", "amounts"),
    [
        ("Tokens: 4.6k sent, 1.2k received. Cost: $0.01 message, $0.05 session.", (4600, 1200, 0.05)),
        ("Tokens: 804 sent, 92 received. Cost: $0.00085 message, $0.00085 session.", (804, 92, 0.00085)),
        ("Tokens: 12k sent, 892 received.", (12_000, 892, None)),
        (
            "Tokens: 23k sent, 8.1k cache write, 1,234 received.\nCost: $0.12 message, $1.30 session.",
            (23_000, 1234, 1.30),
        ),
        (
            f"{FIRST}\n\nMore.\nTokens: 1.2M sent, 1.1k received. Cost: $4.60 message, $4.61 session.",
            (1_204_600, 1200, 4.61),
        ),
        ("It prints `Tokens: 4k sent` and Cost: $3.", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_what_aider_prints_of_tokens_and_cost_is_read(told, amounts):
    reading = read_output(AIDER, {}, ANSWERED.format(told).encode(), b"")
    assert (reading.input_tokens, reading.output_tokens, reading.cost_usd) == amounts
    assert not reading.failed


def test_an_amount_that_cannot_be_is_none():
    huge = ANSWERED.format("Tokens: 999999999999999M sent, 1 received.")
    assert read_output(AIDER, {}, huge.encode(), b"").input_tokens is None


def test_every_built_in_tool_has_a_recording():
    assert {recording.tool for recording in RECORDINGS} >= set(builtin_profiles()) - {"claude_cli"}


@each("setting", ["json", "stream-json", "jsonl"])
def test_the_setting_for_the_format_replaces_the_parser(setting):
    printed = one([CLAUDE_INIT, CLAUDE_RESULT]) if setting == "json" else lines(CLAUDE_INIT, CLAUDE_RESULT)
    assert read_output(CLAUDE, {"output_format": setting}, printed, b"").result == "All done."


def test_one_result_object_is_read_as_the_final_event():
    assert read_output(CLAUDE, {"output_format": "json"}, one(CLAUDE_RESULT), b"").result == "All done."


def test_as_text_all_of_stdout_is_the_result():
    reading = read_output(CLAUDE, {"output_format": "text"}, b"said\n", b"")
    assert (reading.result, reading.no_result, reading.input_tokens) == ("said", False, None)


def test_output_that_does_not_parse_is_the_result_and_no_failure():
    reading = read_output(CLAUDE, {}, b"plain words\n", b"")
    assert (reading.result, reading.parsed, reading.no_result) == ("plain words", False, False)
    assert judged(reading, CLAUDE).outcome == "succeeded"


def test_the_end_of_what_did_not_parse_is_searched_for_failures():
    reading = read_output(CLAUDE, {}, b"status 401 " + b"x" * 5000 + b" status 429", b"")
    assert judged(reading, CLAUDE, exit_code=1).outcome == "rate_limited"


def test_lines_that_are_no_json_are_passed_over():
    printed = (
        b"warning: old\n" + lines(CLAUDE_INIT) + b'{"type": "result", "resu' + b"\n" + lines(CLAUDE_RESULT)
    )
    assert read_output(CLAUDE, {}, printed, b"").result == "All done."


def test_the_result_keeps_its_end():
    reading = read_output(profile(), {"max_output_capture_bytes": 5}, "ééé end\n".encode(), b"")
    assert reading.result == " end"


def test_invalid_bytes_are_replaced():
    assert read_output(profile(), {}, b"a\xffb", b"").result == "a�b"


def test_a_result_that_is_no_text_is_its_json():
    assert (
        read_output(profile(format="json", result_path="data"), {}, b'{"data": {"a": [1]}}', b"").result
        == '{"a":[1]}'
    )


def test_an_array_without_events_is_one_document():
    assert (
        read_output(profile(format="json", result_path="[-1].t"), {}, b'[{"t": "a"}, {"t": "b"}]', b"").result
        == "b"
    )


def test_without_a_path_stdout_is_the_result_of_json_too():
    tool = profile(format="json", require_result=False)
    assert read_output(tool, {}, b'{"a": 1}\n', b"").result == '{"a": 1}'


@each("printed", [b'{"a": NaN}', b"[" * 100_000, b"\xff\xfe", b'{"a": "\xff"}', b"{" * 50_000])
def test_nothing_that_is_printed_makes_reading_fail(printed):
    for form in ("json", "jsonl", "text"):
        read_output(profile(format=form, result_path="a.b"), {}, printed, printed)


@each(
    ("rule", "document", "holds"),
    [
        ({"path": "e"}, {"e": True}, True),
        ({"path": "e"}, {"e": False}, False),
        ({"path": "e"}, {"e": 1}, False),
        ({"path": "e"}, {}, False),
        ({"path": "e", "is": "bad"}, {"e": "bad"}, True),
        ({"path": "e", "is": 0}, {"e": False}, False),
        ({"path": "e", "exists": True}, {"e": {}}, True),
        ({"path": "e", "exists": True}, {"e": None}, False),
        ({"path": "e", "is_not": 0}, {"e": 1}, True),
        ({"path": "e", "is_not": 0}, {"e": 0}, False),
        ({"path": "e", "is_not": 0}, {}, False),
        ({"path": "e", "matches": "^Error"}, {"e": "Error: x"}, True),
        ({"path": "e", "matches": "^Error"}, {"e": "no Error"}, False),
        ({"path": "e", "matches": "1"}, {"e": 1}, False),
    ],
)
def test_a_sign_of_failure_holds(rule, document, holds):
    tool = profile(format="json", result_path="r", failure_when=[msgspec.convert(rule, FailureRule)])
    assert read_output(tool, {}, one({"r": "x", **document}), b"").failed is holds


def test_an_event_may_mean_a_rate_limit():
    tool = profile(
        {"rate_limit_event_type": "limit", "rate_limit_event_filter": {"data.status": "rejected"}},
        format="jsonl",
        result_path="r",
    )
    printed = lines({"type": "limit", "data": {"status": "rejected"}}, {"type": "x", "r": "text"})
    reading = read_output(tool, {}, printed, b"")
    assert judged(reading, tool).outcome == "succeeded"
    assert judged(reading, tool, exit_code=1).category == "rate_limit"
    allowed = lines({"type": "limit", "data": {"status": "allowed"}}, {"type": "x", "r": "text"})
    assert judged(read_output(tool, {}, allowed, b""), tool, exit_code=1).category == "exit"


ALL = {"auth_error_patterns": ["denied"], "rate_limit_patterns": ["slow"], "capacity_patterns": ["full"]}


@each(
    ("end", "wanted"),
    [
        ({}, ("succeeded", None, "")),
        ({"timed_out": True, "signal": "SIGTERM"}, ("timed_out", "timeout", "timed out after 5s")),
        ({"timed_out": True}, ("timed_out", "timeout", "timed out after 5s")),
        ({"exit_code": 3}, ("failed", "exit", "exit code 3")),
        ({"exit_code": None}, ("failed", "exit", "no exit code")),
        ({"exit_code": None, "signal": "SIGSEGV"}, ("failed", "signal", "killed by SIGSEGV")),
        (
            {"exit_code": 1, "stderr": b"DENIED, slow, full"},
            ("failed", "auth", "exit code 1: DENIED, slow, full"),
        ),
        (
            {"exit_code": 1, "stderr": b"Slow, full"},
            ("rate_limited", "rate_limit", "exit code 1: Slow, full"),
        ),
        ({"exit_code": 1, "stderr": b"full"}, ("failed", "capacity", "exit code 1: full")),
        ({"exit_code": 0, "stderr": b"denied slow full"}, ("succeeded", None, "")),
        (
            {"exit_code": None, "signal": "SIGABRT", "stderr": b"full"},
            ("failed", "capacity", "killed by SIGABRT: full"),
        ),
    ],
)
def test_the_first_row_that_matches_decides(end, wanted):
    assert judged(tool=profile(ALL), timeout_seconds=5, **end) == Verdict(*wanted)


def test_other_exit_codes_may_mean_success():
    tool = profile({"success_exit_codes": [0, 7]})
    assert judged(tool=tool, exit_code=7).outcome == "succeeded"


def test_what_the_tool_says_follows_in_one_line_of_bounded_length():
    verdict = judged(ParsedOutput(result="", failed=True, error="bad\n thing " + "x" * 400))
    assert verdict.message.startswith("the output says that it failed: bad thing xxx")
    assert verdict.message.endswith("x…")
    assert len(verdict.message) < 240


def test_a_missing_result_is_said():
    assert judged(ParsedOutput(result="", no_result=True)) == Verdict(
        "failed", "no_result", "the output has no result"
    )


def test_further_patterns_refine_the_message():
    tool = profile(
        {"crash_patterns": ["panicked at"], "timeout_patterns": ["deadline"], "stale_patterns": ["stuck"]}
    )
    assert (
        judged(tool=tool, exit_code=101, stderr=b"thread panicked at x").message == "exit code 101, a crash"
    )


@each("text", [b"Rate limit", b"usage-limit", b"Too many requests", b"http 429", b"try again later"])
def test_where_nobody_says_what_a_rate_limit_is_the_usual_words_are_looked_for(text):
    assert judged(exit_code=1, stderr=text).outcome == "rate_limited"
    assert (
        judged(tool=profile({"rate_limit_patterns": ["other"]}), exit_code=1, stderr=text).outcome == "failed"
    )


def test_the_patterns_of_a_score_are_added_to_the_profile_s():
    tool = profile({"rate_limit_patterns": ["slow"]})
    for text in (b"slow", b"come back"):
        verdict = judged(tool=tool, exit_code=1, stderr=text, detection_patterns=["come back"])
        assert verdict.outcome == "rate_limited"


def test_the_result_of_an_agent_is_never_searched():
    reading = read_output(
        CLAUDE, {}, lines(CLAUDE_INIT, {**CLAUDE_RESULT, "result": "429 unauthorized"}), b""
    )
    assert judged(reading, CLAUDE, exit_code=1).category == "exit"


def test_a_number_that_is_no_number_of_tokens_is_none() -> None:
    for odd in ("1e300", "-1"):
        output = f'{{"type":"result","result":"said","usage":{{"input_tokens":{odd},"output_tokens":3}}}}\n'
        reading = read_output(builtin_profiles()["claude-code"], {}, output.encode(), b"")
        assert (reading.result, reading.input_tokens, reading.output_tokens) == ("said", None, 3)


@each(("ended", "error", "message"), [
        ("final", "ran out of room", "the output says that it failed: ran out of room; it did not end after that, and was ended"),
        ("timed_out", "ran out of room", "the output says that it failed: ran out of room; it did not end after that, and was ended"),
        ("final", None, "the output says that it failed; it did not end after that, and was ended"),
        (None, "ran out of room", "killed by SIGTERM: ran out of room"),
    ])  # fmt: skip
def test_what_hung_behind_a_failure_tells_that_failure_and_not_our_signal(ended, error, message):
    reading = ParsedOutput(result="", failed=True, error=error, final="failure")
    verdict = judged(reading, exit_code=None, signal="SIGTERM", ended=ended)
    assert (verdict.category, verdict.message) == ("exit" if ended else "signal", message)


def test_a_limit_that_was_met_before_a_timeout_is_told_with_the_timeout():
    reading = ParsedOutput(result="", error="429 Too Many Requests")
    verdict = judged(reading, CLAUDE, exit_code=None, signal="SIGTERM", timed_out=True, timeout_seconds=4.0)
    assert (verdict.outcome, verdict.message) == ("rate_limited", "timed out after 4s: 429 Too Many Requests")


@each(("written", "read"), [("0.25", 0.25), (".5", 0.5), ("1e-2", 0.01), ("12", 12), (0.25, 0.25)])
def test_a_cost_in_quotes_is_a_cost(written, read):
    reading = read_output(CLAUDE, {}, lines(CLAUDE_INIT, {**CLAUDE_RESULT, "total_cost_usd": written}), b"")
    assert (reading.cost_usd, reading.unread) == (read, [])


def test_tokens_in_quotes_are_tokens():
    usage = {"input_tokens": "1200", "output_tokens": "34"}
    reading = read_output(CLAUDE, {}, lines(CLAUDE_INIT, {**CLAUDE_RESULT, "usage": usage}), b"")
    assert (reading.input_tokens, reading.output_tokens) == (1200, 34)


@each("written", ["free", "", "nan", "Infinity", "1e999", "-1", -1, "$0.25", "0,25", True, "\u0663"])
def test_what_is_no_cost_is_said_with_its_place(written):
    reading = read_output(CLAUDE, {}, lines(CLAUDE_INIT, {**CLAUDE_RESULT, "total_cost_usd": written}), b"")
    assert reading.cost_usd is None
    [told] = reading.unread
    assert "'total_cost_usd' of its output is no amount in USD" in told
    assert "at least" in told


def test_output_that_is_not_of_its_form_is_judged_by_the_profile_s_signs_of_failure():
    refused = read_output(
        builtin_profiles()["goose"], {}, b"Ran into this error: Rate limit exceeded: 429\n", b""
    )
    assert (refused.parsed, refused.failed) == (False, True)


@each("odd", ["NaN", "-Infinity", "1e400", '[1, {"a": NaN}]'])
def test_a_value_that_is_no_json_costs_no_event(odd):
    printed = lines(CLAUDE_INIT, CLAUDE_RESULT).rstrip(b"}\n") + b'}, "odd": %s}\n' % odd.encode()
    reading = read_output(CLAUDE, {}, printed, b"")
    assert (reading.result, reading.final) == ("All done.", "success")


@each(
    "printed",
    [
        {
            "stats": {
                "models": {"g": {"tokens": {"prompt": 100, "candidates": 2, "thoughts": 18, "total": 120}}}
            }
        },
        {"stats": {"total_tokens": 120, "input_tokens": 100, "output_tokens": 2}},
    ],
)
def test_thoughts_that_are_only_in_the_number_of_all_tokens_are_output(printed):
    gemini = builtin_profiles()["gemini-cli"]
    said = msgspec.json.encode({"type": "result", "status": "success", "response": "done", **printed})
    reading = read_output(gemini, {}, said, b"")
    assert (reading.input_tokens, reading.output_tokens) == (100, 20)

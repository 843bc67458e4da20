"""An agent's stream as people read it: recordings of the tools, and streams that nobody would wish for.

`streams/` has what the tools themselves printed, cut short, and beside it what is shown of it.
"""

import json
from pathlib import Path

import msgspec
from kit.tables import each

from marianned.instruments import stream_view
from marianned.instruments.command_line import effective_output_format
from marianned.instruments.loader import builtin_profiles, load_profile
from marianned.instruments.output import read_output
from marianned.instruments.profile import DisplayRule, OutputFormat
from marianned.instruments.stream_view import StreamReader

RECORDED = sorted((Path(__file__).parent / "streams").glob("*.jsonl"))
SAID = OutputFormat(
    format="jsonl",
    input_tokens_path="used.in",
    live=[
        DisplayRule(event="said", show="text", path="text"),
        DisplayRule(event="did", show="tool", name="tool", path="with"),
    ],
)


def shown(output, *pieces):
    reader = StreamReader(output)
    lines = [line for piece in pieces for line in reader.feed(piece)]
    return [line.text for line in [*lines, *reader.finish()]]


def said(text, **more):
    return json.dumps({"type": "said", "text": text, **more}).encode() + b"\n"


@each("file", RECORDED)
@each("size", [1, 97, 1_000_000])
def test_what_a_tool_printed_is_shown_like_this_wherever_its_pieces_are_cut(file, size):
    output = builtin_profiles()[file.name.partition(".")[0]].cli.output
    data = file.read_bytes()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    told = "".join(f"{line}\n" for line in shown(output, *pieces))
    assert told == file.with_suffix(".txt").read_text()


@each("file", [f for f in RECORDED if "refused" not in f.name])
def test_the_reading_of_a_recording_finds_result_and_tokens(file):
    reading = read_output(builtin_profiles()[file.stem], {}, file.read_bytes(), b"")
    assert (reading.result, reading.failed) == ("all done", False)
    counted = {"copilot": (None, None), "cline-cli": (2600, 68)}.get(file.stem, (3600, 102))
    assert (reading.input_tokens, reading.output_tokens) == counted


def test_lines_that_are_no_json_are_shown_and_events_nobody_asked_for_are_not():
    told = b'Loading\n{"type": "other"}\n' + said("hello") + b"{broken\n[1, 2]\n\n42\nhalf"
    assert shown(SAID, told) == ["Loading", "hello", "{broken", "[1, 2]", "42", "half"]


def test_a_line_that_bytes_are_missing_from_is_passed_over_and_the_next_is_not():
    reader = StreamReader(SAID)
    assert next(iter(reader.feed(said("one") + b'{"type": "sa'))).text == "one"
    assert [line.text for line in reader.gap(4096)] == ["· 4,096 bytes are gone"]
    assert [line.text for line in reader.feed(b'id", "text": "two"}\n' + said("three"))] == ["three"]


def test_a_line_of_many_megabytes_is_left_out_and_the_next_is_shown(monkeypatch):
    monkeypatch.setattr(stream_view, "LINE_BYTES", 1000)
    told = said("x" * 5000) + said("after")
    pieces = [told[at : at + 600] for at in range(0, len(told), 600)]
    assert shown(SAID, *pieces) == ["· a line of 5,028 bytes is left out", "after"]


def test_an_answer_is_shown_whole_and_a_tool_call_is_one_line():
    call = json.dumps(
        {"type": "did", "tool": "Bash", "with": {"n": 1, "command": "a\nb " + "c" * 500}}
    ).encode()
    text, tool = shown(SAID, said("one\ntwo\n" + "three " * 200), call)
    assert text.startswith("one\ntwo\nthree three")
    assert len(text) > 1000
    assert tool.startswith("→ Bash: a b ccc")
    assert tool.endswith("…")
    assert "\n" not in tool
    assert shown(SAID, b'{"type": "did"}') == ["→ tool"]


def test_what_is_not_of_the_shape_expected_is_passed_over():
    odd = [{"type": "said"}, {"type": "said", "text": {"a": 1}}, {"type": ["said"], "text": "x"}]
    assert shown(SAID, b"\n".join(json.dumps(event).encode() for event in odd)) == []
    assert shown(SAID, b'{"type": "said", "text": ' + b"[" * 100_000) != []


def test_what_was_used_is_told_at_the_end_once():
    reader = StreamReader(SAID)
    list(reader.feed(said("a", used={"in": 5}) + said("b", used={"in": 7000})))
    assert [line.text for line in reader.finish()] == ["· tokens: 7,000 in"]
    assert list(reader.finish()) == []


def test_a_document_is_shown_by_its_result_and_an_array_by_its_events():
    claude = builtin_profiles()["claude-code"]
    events = [json.loads(line) for line in RECORDED[0].read_text().splitlines()]
    output = effective_output_format(claude, {"output_format": "json"})
    assert output.format == "json"
    assert "all done" in shown(output, json.dumps(events).encode())
    assert shown(output, json.dumps(events[-1]).encode())[0] == "all done"
    assert shown(output, b"no document") == ["no document"]
    gemini = effective_output_format(builtin_profiles()["gemini-cli"], {"output_format": "json"})
    assert shown(gemini, b'{"response": "", "error": {"message": "no", "code": 500}}') == ["! no; code 500"]


def test_pieces_of_a_text_are_shown_by_whole_lines_and_ended_by_whatever_follows():
    output = OutputFormat(
        format="jsonl",
        live=[DisplayRule(show="piece", event="a", path="t"), DisplayRule(show="note", event="b", path="t")],
    )
    told = [("a", "on"), ("a", "e\ntw"), ("a", "o"), ("b", "n"), ("a", "\n"), ("a", "three "), ("a", "four")]
    events = [json.dumps({"type": kind, "t": text}).encode() + b"\n" for kind, text in told]
    assert shown(output, *events, b"plain\n", events[0]) == ["one", "two", "· n", "three four", "plain", "on"]


def test_the_rules_survive_the_way_to_the_client():
    for profile in builtin_profiles().values():
        if profile.cli is not None:
            output = profile.cli.output
            sent = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(output)))
            assert msgspec.convert(sent, OutputFormat) == output


@each(
    ("rule", "problem"),
    [
        ("{show: shout, path: a}", "'shout' is not one of text, piece, tool, result, note, error"),
        ("{show: text, path: 'a..b'}", "'a..b' is not a path"),
        ("{show: text}", "'path' is missing"),
        ("{show: text, path: a, evnt: b}", "unknown key 'evnt'"),
    ],
)
def test_a_rule_that_says_nothing_is_told_with_its_place(rule, problem):
    text = f"name: a\nkind: cli\ncli:\n  command: {{executable: a}}\n  output:\n    live:\n      - {rule}\n"
    profile, problems = load_profile(text, "a.yaml")
    assert profile is None
    assert problem in problems[0].message
    assert problems[0].line == 7

"""What consoles, wrappers and libraries add to a tool's JSON costs neither its result nor its final event."""

import json

import pytest
from kit.tables import each
from recordings import CLAUDE_INIT, CLAUDE_RESULT, CLAUDE_SAID, lines

from marianned.executors.final_event import FinalEventWatch
from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import read_output
from marianned.instruments.stream_view import StreamReader

CLAUDE = builtin_profiles()["claude-code"]
BEFORE = lines(CLAUDE_INIT, CLAUDE_SAID)
LAST = json.dumps(CLAUDE_RESULT).encode()
BOM = b"\xef\xbb\xbf"
NOISY = {
    "nothing": BEFORE + LAST + b"\n",
    "no newline at the end": BEFORE + LAST,
    "a mark before the first": BOM + BEFORE + LAST,
    "a mark before the last": BEFORE + BOM + LAST + b"\n",
    "lines of Windows": BEFORE.replace(b"\n", b"\r\n") + LAST + b"\r\n",
    "NUL bytes": BEFORE + b"\0\0" + LAST.replace(b":", b":\0", 1) + b"\0\n",
    "a colour": BEFORE + b"\x1b[0m\x1b[?25h" + LAST + b"\n",
    "a title of the terminal": BEFORE + b"\x1b]0;claude\x07" + LAST + b"\n",
    "a line of progress": BEFORE + b"working...\r" + LAST + b"\n",
    "lines behind it": BEFORE + LAST + b"\n(node:1) Warning: x\nnpm notice new version\n{ not json\n",
    "an event behind it": BEFORE + LAST + b"\n" + b'{"type": "system", "subtype": "status"}\n',
    "a bad byte in it": BEFORE + LAST.replace(b"{", b'{"odd": "\xff\xfe", ', 1) + b"\n",
    "a tab in a text of it": BEFORE + LAST.replace(b"{", b'{"odd": "a\tb", ', 1) + b"\n",
    "half a character": BEFORE + LAST.replace(b"{", rb'{"odd": "\ud83d", ', 1) + b"\n",
    "a long last line": BEFORE + LAST.replace(b"{", b'{"odd": "' + b"x" * 20_000_000 + b'", ', 1) + b"\n",
}


def spoken(printed, path):
    """Tell whether the runner takes it for the final event."""
    path.write_bytes(printed)
    last = CLAUDE.cli.output.final_event
    word = FinalEventWatch(0.0, last.event, last.where, last.goes_on, str(path))
    return [word.poll() for _ in range(3)][-1] is False


@pytest.mark.parametrize("noise", NOISY)
def test_the_result_and_the_final_event_are_found_beside_noise(noise, tmp_path):
    reading = read_output(CLAUDE, {}, NOISY[noise], b"")
    assert (reading.result, reading.final, reading.cost_usd) == (
        "All done.",
        "success",
        CLAUDE_RESULT["total_cost_usd"],
    )
    assert spoken(NOISY[noise], tmp_path / "stdout")


@each("noise", ["[WARN] old node\n", "(node:1) Warning\n[1] x\n", "", "\ufeff"])
@each("behind", ["", "\nnpm notice\n", "\n[done]\n", "\r\n\0"])
def test_a_document_is_found_between_lines(noise, behind):
    goose = builtin_profiles()["goose"]
    document = json.dumps({"messages": [{"content": [{"text": "said"}]}]}, indent=1)
    reading = read_output(goose, {}, f"{noise}{document}{behind}".encode(), b"")
    assert (reading.result, reading.parsed) == ("said", True)


def test_an_error_at_the_end_of_stderr_is_found_before_a_notice():
    said = json.dumps({"error": {"message": "quota exceeded", "code": 429}}, indent=1)
    gemini = builtin_profiles()["gemini-cli"]
    reading = read_output(gemini, {}, b"", f"warning\n{said}\nnpm notice\n".encode())
    assert reading.error == "quota exceeded; code 429"


def test_text_is_kept_as_it_was_printed():
    assert read_output(CLAUDE, {"output_format": "text"}, b"a\0b\r\nc", b"").result == "a\0b\r\nc"


@each("noise", [name for name in NOISY if name != "a long last line"])
def test_people_are_shown_the_events_beside_noise(noise):
    reader = StreamReader(CLAUDE.cli.output)
    shown = [line.text for line in [*reader.feed(NOISY[noise]), *reader.finish()]]
    assert not [text for text in shown if '"type"' in text]
    assert "rate limit 401" in shown
    assert shown[-1].startswith("· tokens: ")

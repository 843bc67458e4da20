"""Nothing that somebody else has written reaches a terminal as anything but text."""

import json
import os
import pty
import re
import select
import subprocess

import pytest
from home_for_tests import SCORE
from kit import zygote

from marianne_cli import terminal

pytestmark = pytest.mark.one_daemon

BAD = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202eevil\u2066\x7f\x08"
HOSTILE = ("\x1b]52", "\x1b[2J", "\x9b", "\u202e", "\u2066", "\x7f", "\x08", "\x07")


def test_control_characters_are_shown_and_text_stays():
    assert terminal.text("a\tü\nb\r\n") == "a\tü\nb\n"
    shown = terminal.text(BAD)
    assert shown.isprintable()
    assert shown.startswith("\\x1b]52;c;aGk=\\x07\\x1b[2J\\x9b31m\\u202eevil\\u2066\\x7f")
    assert terminal.line("one\nsafe to edit files: yes") == "one\\nsafe to edit files: yes"


def test_of_a_reply_only_whole_texts_have_lines():
    given = {"message": "a\nb", "list": [{"label": BAD, "n": 1}], "stdout_tail": "a\nb", "none": None}
    shown = terminal.reply(given)
    assert shown["message"] == "a\\nb"
    assert shown["list"][0]["label"].isprintable()
    assert shown["stdout_tail"] == "a\nb"


def test_a_screen_keeps_its_own_colours_alone():
    assert (
        terminal.screen("\x1b[32mrunning\x1b[0m \x1b[2J", coloured=True) == "\x1b[32mrunning\x1b[0m \\x1b[2J"
    )
    assert terminal.screen("\x1b[32mrunning", coloured=False) == "\\x1b[32mrunning"


def test_json_stays_json():
    text = json.dumps({"a": BAD}, ensure_ascii=False)
    shown = terminal.json(text)
    assert json.loads(shown) == {"a": BAD}
    assert not any(char in shown for char in ("\x9b", "\u202e", "\x7f"))


def on_a_terminal(home, *arguments):
    """Run mzt with a terminal; return all that it is sent."""
    ours, its = pty.openpty()
    with zygote.Popen(
        home.command(arguments), cwd=home.path, env={**home.environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL, stdout=its, stderr=its,
    ) as running:  # fmt: skip
        os.close(its)
        sent = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                piece = os.read(ours, 65_536)
            except OSError:
                break
            sent += piece
        running.wait(30)
    os.close(ours)
    return sent.decode()


def clean(sent):
    assert sent
    assert not any(bad in sent for bad in HOSTILE), repr(sent)
    return sent


AGENT = """\
name: liar
kind: cli
cli:
  command: {executable: ./liar, prompt_via_stdin: true}
  output: {format: json, result_path: result, failure_when: [{path: is_error}], error_path: result}
"""


def test_an_agent_writes_no_terminal(home):
    place = home.path / ".marianne" / "instruments"
    place.mkdir(parents=True)
    said = json.dumps({"is_error": True, "result": f"{BAD}\nforged line"})
    (home.path / "liar").write_text(
        f"#!/bin/sh\ncat > /dev/null\ncat <<'END'\n{said}\nEND\nprintf '\\033[2J\\007' >&2\nexit 1\n"
    )
    (home.path / "liar").chmod(0o755)
    (place / "liar.yaml").write_text(AGENT.replace("./liar", str(home.path / "liar")))
    text = SCORE.format(name="a", body="true", words="").replace("instrument: cli", "instrument: liar")
    (home.path / "a.yaml").write_text(f"{text}retry: {{max_retries: 0}}\n")
    clean(on_a_terminal(home, "run", "a.yaml", "-F"))
    home.mzt("wait", "a", code=None)
    for command in (
        ["status", "a"],
        ["why", "a"],
        ["history", "a"],
        ["events", "--job", "a"],
        ["list"],
        ["logs", "a"],
        ["logs", "a", "--stderr"],
    ):
        sent = clean(on_a_terminal(home, *command))
        assert not any(line.startswith("forged line") for line in sent.splitlines()), (
            command,
            sent,
        )
    assert "evil" in on_a_terminal(home, "status", "a")


def test_a_score_that_is_only_validated_writes_no_terminal(home):
    (home.path / "b.yaml").write_text(
        'name: "bad\\e]0;TITLE\\a\\e[2J"\nworkspace: ./out\ninstrument: cli\n'
        'sheet: {size: 1, total_items: 1, descriptions: {1: "x\\e]52;c;a\\a"}}\n'
        'prompt: {template: "echo \\e[2J\\u202E"}\n'
    )
    sent = clean(on_a_terminal(home, "validate", "b.yaml", "--prompts"))
    assert "S016" in sent
    assert "S013" in sent
    assert "a label has" not in sent  # it is said of descriptions, too
    (home.path / "c.yaml").write_text(
        SCORE.format(name="c", body="echo '\x85'", words="").replace("echo", "echo \\x1b")
    )
    clean(on_a_terminal(home, "validate", "c.yaml", "--prompts"))


def test_reasons_have_no_control_characters_and_begin_no_line(home):
    home.mzt("run", home.score("d", body="read line < gate-1"))
    refused = home.mzt("pause", "d", "--reason", f"x{BAD}", code=None)
    assert refused.returncode != 0
    assert "control characters" in refused.stderr
    home.mzt("pause", "d", "--reason", "ann said\nsafe to edit files: yes")
    sent = home.mzt("status", "d").stdout
    assert "ann said\\nsafe to edit files: yes" in sent
    home.let_go(1)


def test_on_a_terminal_lines_of_stderr_are_told_from_those_of_stdout_and_elsewhere_nothing_is_added(home):
    words = "[ {{ sheet_num }} = 3 ] && { echo made; echo beware >&2; } || true"
    (home.path / "a.yaml").write_text(SCORE.format(name="a", words="", body=words))
    home.mzt("run", "a.yaml", "--wait")
    for follow in ([], ["-F"], ["-F", "-n", "9"]):
        shown = on_a_terminal(home, "logs", "a", *follow)
        assert printed(shown) == {"sheet 3", "made", "! beware"}
        assert printed(home.mzt("logs", "a", *follow).stdout) == {"sheet 3", "made", "beware"}
    assert "!" not in on_a_terminal(home, "logs", "a", "--stderr")


def printed(shown):
    """The lines that a sheet has printed, without its name."""
    return {line.removeprefix("3.1| ") for line in shown.splitlines() if not line.startswith("-- ")}


def test_no_name_of_a_file_or_directory_begins_a_line_or_makes_a_column(home):
    made = home.path / "one\n\tEVIL dir"
    made.mkdir()
    odd = "a\n\tEVIL\x1b[2J.yaml"
    (made / odd).write_text(SCORE.format(name="e", body="exit 3", words="") + "retry: {max_retries: 0}\n")
    score, absent = str(made / odd), str(made / "no\n\tEVIL")
    (made / "bad\n\tEVIL.yaml").write_text("name: [\n")
    bad = str(made / "bad\n\tEVIL.yaml")
    home.mzt("run", score, "--wait", "-w", str(made / "out\n\tEVIL"), code=1)
    (made / odd).write_text((made / odd).read_text().replace("exit 3", "exit 4"))
    wrong = []
    for line in (
        *(["status", "e"], ["status", "e", "all"], ["status", "e", "-v"], ["list", "-a"], ["why", "e"], ["history", "e"]),
        *(["revisions", "e"], ["revisions", "e", "-v"], ["events", "--job", "e"], ["report"], ["status"], ["logs", "e"]),
        *(["modify", "e", "-c", score, "--plan"], ["modify", "e", "-c", bad], ["modify", "e", "-c", absent]),
        *(["diff", "e", "-c", score], ["validate", score, "--explain"], ["validate", bad], ["validate", absent]),
        *(["run", bad], ["run", score], ["run", score, "--dry-run"], ["run", absent], ["run", score, "--env-file", absent]),
        *(["run", score, "--vars-file", absent], ["resume", "e", "-c", bad], ["resume", "e"], ["wait", "e"]),
        *(["backup", str(made / "x\n\tEVIL.db")], ["backup", str(made / "x\n\tEVIL.db")], ["backup", str(made / "y\n\tEVIL" / "z")]),
        *(["init", str(made / "i\n\tEVIL.yaml")], ["init", str(made / "i\n\tEVIL.yaml")], ["bug-report", "e", absent, "-y"]),
        *(["bug-report", "e", absent, "-y"], ["pause", absent], ["nothing\n\tEVIL"], ["status", "e", "x\n\tEVIL"], ["list", "-s", "\n\tEVIL"]),
        *(["help", "x\n\tEVIL"], ["rpc", "x\n\tEVIL"], ["--socket", absent, "list"], ["instruments", "check", "x\n\tEVIL"]),
        *(["instruments", "show", "x\n\tEVIL"], ["instruments", "init", "x\n\tEVIL"], ["config", "x\n\tEVIL"], ["run", score, "--var", "x\n\tEVIL"]),
        *(["run", score, "--env", "x\n\tEVIL"], ["list", "-l", "x\n\tEVIL"], ["doctor"], ["remove", "e", "--dry-run"]),
    ):  # fmt: skip
        done = home.mzt(*line, code=None)
        told = (done.stdout + done.stderr).split("\n")
        wrong += [(line[0], one) for one in told if re.search(r"\tEVIL|\x1b|^\s*EVIL", one)]
    assert wrong == []

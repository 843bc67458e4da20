"""Hints work when they are typed, and no error is without one."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import msgspec
from kit.tables import each

from marianne_cli import exits
from marianne_cli.context import Invocation
from marianne_cli.main import run
from marianne_cli.tree import table
from marianned import wire
from marianned.errors import BY_CODE, BadRequest, InvalidScore, MarianneError
from marianned.formatting import typed

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r'f"mzt [^"\n]*"')
FIELD = re.compile(r"\{([^{}]*)\}")


def test_no_hint_has_a_file_as_it_is():
    loose = [
        f"{source.relative_to(ROOT)}: {hint}"
        for package in ("marianned", "marianne_cli")
        for source in (ROOT / package).rglob("*.py")
        for hint in COMMAND.findall(source.read_text())
        for field in FIELD.findall(hint)
        if re.search(r"file|path|directory", field) and not re.search(r"(typed|quote)\(", field)
    ]
    assert loose == []


@each("file", ["/s/user's folder {x} ünï/my score's.yaml", "plain.yaml", "a b", "$HOME", "-x"])
def test_what_is_typed_is_the_file(file):
    assert shlex.split(typed(file)) == [file]


@each("file", ["a\nb", "it's\ta\\b", "\x1b[2J\u202e"])
def test_a_file_with_control_characters_is_typed_in_one_line_without_them(file):
    assert typed(file).isprintable()
    line, environment = f"printf %s {typed(file)}", {**os.environ, "LC_ALL": "C.UTF-8"}
    said = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env=environment).stdout
    assert said.decode() == file


def test_without_a_file_its_place_is_shown():
    assert typed(None) == "FILE"


def _is_a_command(hint: str) -> bool:
    program, command, *_ = shlex.split(hint)
    return program == "mzt" and (command == "-h" or command in table.MODULES)


@each("code", sorted(BY_CODE))
def test_an_error_of_each_code_that_names_nothing_nearer_has_a_usual_hint(code):
    kind = BY_CODE[code]
    assert all(_is_a_command(hint) for hint in kind("so").hints)
    assert bool(kind("so").hints) or kind in (BadRequest, InvalidScore)
    about_a_job = kind("so", job_id="a b").hints
    assert len(about_a_job) == 1
    assert about_a_job[0].endswith(" 'a b'")
    assert _is_a_command(about_a_job[0])
    assert kind("so", hints=["mzt why a"]).hints == ["mzt why a"]


def _hints_of(message: bytes) -> list[str]:
    hints: list[str] = msgspec.json.decode(message)["error"]["data"]["hints"]
    return hints


def test_no_error_leaves_the_daemon_without_a_hint():
    assert _hints_of(wire.refusal(1, BadRequest("so"), "job.pause")) == ["mzt rpc job.pause --schema"]
    assert _hints_of(wire.refusal(None, BadRequest("so"))) == ["mzt rpc"]
    assert _hints_of(wire.fault(wire.ProtocolFault(wire.PARSE_ERROR, "so"))) == ["mzt rpc"]


def _refused(error: MarianneError, command: str | None, capsys) -> list[str]:
    form = None if command is None else table.form_of(command)
    exits.print_refusal(Invocation(form=form), error)
    lines: list[str] = capsys.readouterr().err.splitlines()
    return lines


def test_a_refusal_without_a_hint_names_the_help_of_its_command(capsys):
    assert _refused(BadRequest("so"), "resume", capsys) == ["mzt: so (E510)", "  mzt resume -h"]
    assert _refused(BadRequest("so"), None, capsys) == ["mzt: so (E510)", "  mzt -h"]


REASON = "text of at most 1000 characters without control characters"


@each(
    ("command", "said", "told"),
    [
        ("resume", f"params.reason: {REASON} or null is wanted, not one of 2,000", f"--reason: {REASON} is wanted, not one of 2,000"),
        ("pause", "params.job_id: text of 1-120 characters is wanted, not one of 5,000", "JOB: text of 1-120 characters is wanted, not one of 5,000"),
        ("logs", "params.job_id: text of 1-120 characters is wanted, not ''", "JOB: text of 1-120 characters is wanted, not ''"),
        ("wait", "params.words: so", "--for: so"),
        ("run", "params.variables: so", "--var: so"),
        ("run", "params.labels: so", "--label: so"),
        ("run", "params.env: so", "--env: so"),
        ("resume", "params.over_budget: a number above 0 or null is wanted, not 0", "--over-budget: a number above 0 is wanted, not 0"),
        ("resume", "params.from: so", "--from: so"),
        ("modify", "params.text: so", "--config: so"),
        ("report", "params.unheard_of: so", "unheard_of: so"),
        ("pause", "job_id is not UTF-8: 'a'; nothing was asked", "JOB is not UTF-8: 'a'; nothing was asked"),
        ("retry", "sheets is not UTF-8: 'a'; nothing was asked", "SHEETS is not UTF-8: 'a'; nothing was asked"),
        ("resume", "reason is not UTF-8: 'a'; nothing was asked", "--reason is not UTF-8: 'a'; nothing was asked"),
        ("run", "env.A is not UTF-8: 'a'; nothing was asked", "--env is not UTF-8: 'a'; nothing was asked"),
        ("run", "submit_directory is not UTF-8: 'a'; nothing was asked", "the current directory is not UTF-8: 'a'; nothing was asked"),
        ("run", "a job of that name is not UTF-8: so", "a job of that name is not UTF-8: so"),
        ("rpc", "params.reason: so or null is wanted, not 1", "params.reason: so or null is wanted, not 1"),
    ],
)  # fmt: skip
def test_of_a_wrong_param_whoever_typed_an_option_reads_the_option(command, said, told, capsys):
    schema = "mzt rpc job.resume --schema"
    hint = schema if command == "rpc" else f"mzt {command} -h"
    assert _refused(BadRequest(said, hints=[schema]), command, capsys) == [f"mzt: {told} (E510)", f"  {hint}"]


@each("line", ["modify k -c", "modify k --reason", "wait k -t"])
def test_an_option_without_its_value_names_the_help_of_its_command(line, capsys):
    words = line.split()
    assert run(words) == 2
    assert capsys.readouterr().err.splitlines()[1:] == [f"  mzt {words[0]} -h"]


def test_no_usage_error_is_printed_without_a_hint():
    bare = [
        f"{source.relative_to(ROOT)}: {found[0]}"
        for source in (ROOT / "marianne_cli").rglob("*.py")
        for found in re.finditer(
            r"(print_usage_error\(|return f\").*, \[\]\)?$", source.read_text(), re.MULTILINE
        )
    ]
    assert bare == []

"""The command tree: names, letters, help, and what old or wrong names are told."""

import json
import re
from pathlib import Path

import click
import pytest

from marianne_cli.lines.forms import FreeText
from marianne_cli.lines.kinds import OneOf, WholeNumber
from marianne_cli.main import run
from marianne_cli.tree.group import mzt
from marianne_cli.tree.table import TABLE, form_of
from marianned.protocol import METHODS

LETTERS = {
    "-a": "--all", "-c": "--config", "-e": "--env", "-f": "--force", "-F": "--follow", "-h": "--help", "-j": "--json",
    "-l": "--label", "-n": "--lines", "-q": "--quiet", "-r": "--resume", "-s": "--status", "-t": "--timeout", "-v": "--verbose",
    "-V": "--version", "-w": "--workspace", "-y": "--yes",
}  # fmt: skip
NAMES = [name for entries in TABLE.values() for name in entries]
REQUESTS = {"run", "remove", "clear-rate-limits", "pause", "resume", "modify", "edit", "cancel", "retry"}


def tree():
    context = click.Context(mzt, info_name="mzt", help_option_names=["-h", "--help"])
    return {name: mzt.get_command(context, name) for name in mzt.list_commands(context)}


def options(command):
    return [
        p
        for p in command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
        if p.opts[0][0] == "-"
    ]


def test_each_letter_has_one_meaning_everywhere():
    for command in [mzt, *tree().values()]:
        for option in options(command):
            for letter in (opt for opt in option.opts if len(opt) == 2):
                assert LETTERS[letter] in option.opts, (command.name, letter)


def test_each_option_that_has_a_letter_has_it_everywhere():
    for command in tree().values():
        for option in options(command):
            for letter, name in LETTERS.items():
                if name in option.opts and name != "--version":
                    assert letter in option.opts, (command.name, name)


def test_force_is_an_option_of_pause_alone():
    assert [name for name, command in tree().items() if any("-f" in o.opts for o in options(command))] == [
        "pause"
    ]


def test_every_command_has_quiet_verbose_help_and_json():
    for name, command in tree().items():
        have = {opt for option in options(command) for opt in option.opts}
        assert {"--quiet", "--verbose", "--help"} <= have
        assert ("--json" in have) is (name not in {"completion", "dashboard", "mcp", "top"})


def test_requests_take_a_reason_and_a_key():
    for name, command in tree().items():
        have = {opt for option in options(command) for opt in option.opts}
        assert ({"--reason", "--key"} <= have) is (name in REQUESTS), name


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help_that_ends_with_examples(name, capsys):
    assert run([name, "-h"]) == 0
    said = capsys.readouterr().out
    assert f"Usage: mzt {name}" in said
    assert (
        f"  mzt {name}" in said.partition("Examples:")[2] or f"mzt {name}" in said.partition("Examples:")[2]
    )


def test_help_lists_the_commands_as_the_contract_writes_them(capsys):
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:7] == [
        "Usage: mzt [OPTIONS] COMMAND [ARGS]...",
        "",
        "  Run scores; pause them at a sheet boundary, change them, go on.",
        "",
        "Jobs",
        "  run                run a score (starts the daemon if none runs)",
        "  list               list the jobs: active, paused, ended within a day",
    ]
    assert "  modify             give a job a new score; finished sheets stay finished" in lines


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["paus", "x"], "mzt: no such command 'paus'. Did you mean 'pause'"),
        (["conductor-status"], "mzt: no command 'conductor-status'; mzt status does that\n"),
        (["status", "x", "--sheet", "3"], "mzt: no such option '--sheet'\n  mzt status -h\n"),
        (["report", "--sinc", "3h"], "mzt: no such option '--sinc'; did you mean '--since'?\n"),
        (
            ["events", "--after", "22x"],
            "mzt: invalid value for '--after': '22x' is not a whole number from 0 up\n",
        ),
        (
            ["logs", "x", "--lines", "0"],
            "mzt: invalid value for '--lines' / '-n': '0' is not a whole number from 1 up\n",
        ),
        (["logs", "x", "-f"], "mzt: logs has no '-f'; follow is '-F', '-f' is force everywhere\n"),
        (["pause"], "mzt: name a JOB, or say --all\n"),
        (["pause", "x", "-a"], "mzt: name jobs or say --all, not both\n"),
        (["pause", "x", "-t", "soon"], "mzt: invalid value for '--timeout' / '-t': 'soon' is not a duration"),
        (["diagnose", "x"], "mzt: no command 'diagnose'; mzt why does that\n"),
        (
            ["modify", "x"],
            "mzt: say one of --config FILE, --revision INT, --rerun SHEETS, --var NAME=VALUE, --discard\n",
        ),
        (["remove"], "mzt: name a JOB, or say --older-than\n"),
        (["diff", "x", "1", "2", "-c", "x.yaml"], "mzt: say B or --config FILE, not both\n"),
        (
            ["resume", "x", "--over-budget", "nan"],
            "mzt: invalid value for '--over-budget': 'nan' is not an amount",
        ),
        (["backup", "/"], "mzt: '/' exists already; a backup overwrites nothing\n"),
        (["edit"], "mzt: missing argument 'JOB'"),
        (
            ["modify", "x", "-c", "/nowhere.yaml"],
            "mzt: '/nowhere.yaml' can't be read: no such file or directory\n",
        ),
        (["run", "/nowhere.yaml"], "mzt: '/nowhere.yaml' can't be read: no such file or directory\n"),
        (["resume", "x", "-e", "NO_SUCH_VARIABLE"], "mzt: 'NO_SUCH_VARIABLE' is not set here"),
        (
            ["resume", "x", "--wait", "--var", "who=ann lee", "--vars-file=v.yaml"],
            (
                "mzt: resume has no '--var': the values of a run change with a revision\n"
                "  mzt modify x --var 'who=ann lee' --vars-file=v.yaml -r\n"
            ),
        ),
        (
            ["resolve", "x"],
            "mzt: no command 'resolve'; mzt resume JOB --accept SHEETS, or --skip SHEETS, does that",
        ),
        (["watch"], "mzt: no command 'watch'; mzt status JOB --watch does that"),
        (["remov"], "mzt: no such command 'remov'. Did you mean 'remove'"),
        (["resume", "x", "--no-reload"], "mzt: resume has no '--no-reload': no job reads its file again"),
        (
            ["resume", "x", "--from-sheet", "3"],
            "mzt: resume has no '--from-sheet': a job goes on where it stopped",
        ),
        (["run", "x", "--escalation"], "mzt: run has no '--escalation': where a person is asked"),
        (["wait", "x", "--for", "done"], "mzt: 'done' is neither a status nor 'ended'\n"),
        (["rpc", "job.list", "[]"], "mzt: params are a JSON object"),
    ],
)
def test_usage_errors_are_exit_2_with_an_empty_stdout(typed, told, capsys):
    assert run(typed) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(told)


def test_completion_is_written_without_a_daemon(capsys):
    for shell in ("zsh", "fish"):
        assert run(["completion", shell]) == 0
        assert "_MZT_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "option", "other"),
    [
        ("pause x --force --now", "--force", "--now"),
        ("pause x --force --before 2", "--force", "--before"),
        ("pause x --force --clear", "--force", "--clear"),
        ("pause x --force --deadline 0", "--force", "--deadline"),
        ("pause x -f --for 1h", "--force", "--for"),
        ("pause x --now --before 2", "--now", "--before"),
        ("pause x --now --clear", "--now", "--clear"),
        ("pause x --before 2 --deadline 5", "--before", "--deadline"),
        ("pause x --before 2 --for 5", "--before", "--for"),
        ("pause x --clear --wait -t 5", "--clear", "--wait"),
        ("pause x --clear --before 2 --deadline 5", "--clear", "--deadline"),
        ("resume x -c FILE --over-budget 5", "--config", "--over-budget"),
        ("resume x -c FILE -e A=1", "--config", "--env"),
        ("resume x -c FILE --env-file e", "--config", "--env-file"),
        ("modify x --discard -c FILE", "--discard", "--config"),
        ("modify x --discard --revision 1", "--discard", "--revision"),
        ("modify x --discard --rerun 1", "--discard", "--rerun"),
        ("modify x --discard -r", "--discard", "--resume"),
        ("modify x --discard --plan", "--discard", "--plan"),
        ("modify x -c FILE --revision 1", "--config", "--revision"),
    ],
)
def test_options_that_exclude_each_other_are_exit_2(typed, option, other, capsys):
    assert run(typed.split()) == 2
    assert capsys.readouterr() == (
        "",
        f"mzt: {option} does not go with {other}\n  mzt {typed.split()[0]} -h\n",
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_word_is_no_path_no_name_and_no_job(name, capsys):
    form = form_of(name)
    for param in form.params:
        if param.is_flag or isinstance(param.kind, FreeText):
            continue
        before = [_some_word(one.kind) for one in _arguments_before(form, param)]
        words = [param.words[0], ""] if param.is_option else [*before, ""]
        assert run([name, *words]) == 2, (name, words)
        said = capsys.readouterr()
        assert said.out == ""
        assert re.search(r"it is empty|''", said.err), (name, words, said.err)


def _some_word(kind):
    return kind.words[0] if isinstance(kind, OneOf) else "1" if isinstance(kind, WholeNumber) else "x"


def _arguments_before(form, param):
    if param.is_option:
        return []
    arguments = [one for one in form.params if not one.is_option]
    return arguments[: arguments.index(param)]


def test_what_is_free_text_is_listed_here():
    free = {
        (name, param.words[0])
        for name in NAMES
        for param in form_of(name).params
        if isinstance(param.kind, FreeText)
    }
    free = {(name, word) for name, word in free if word not in {"--reason", "--key", "--env"}}
    flags = {(name, param.words[0]) for name in NAMES for param in form_of(name).params if param.is_flag}
    assert free - flags == {("rpc", "params")}


def test_a_breakpoint_is_waited_for_only_with_a_timeout_of_ones_own(capsys):
    assert run(["pause", "x", "--before", "2", "--wait"]) == 2
    assert capsys.readouterr().err.startswith("mzt: --before with --wait needs -t: ")
    assert run(["--socket", "/nowhere", "pause", "x", "--before", "2", "--wait", "-t", "60"]) == 3


def test_the_commands_are_those_of_the_contract_in_its_order(capsys):
    wanted = (
        "run list status logs wait remove pause resume modify edit retry cancel top why history dashboard mcp report revisions diff demo init "
        "validate instruments clear-rate-limits start stop restart service config doctor backup bug-report events rpc completion "
        "help version"
    )
    assert wanted.split() == NAMES


def test_rpc_prints_the_schema_of_every_method(capsys):
    assert run(["rpc", "--schema"]) == 0
    every = json.loads(capsys.readouterr().out)
    assert list(every) == list(METHODS)
    for name in METHODS:
        assert run(["rpc", name, "--schema"]) == 0
        assert json.loads(capsys.readouterr().out) == {name: every[name]}


def test_the_protocols_page_names_params_as_the_wire_does(capsys):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "protocol.md").read_text()
    run(["rpc", "--schema"])
    for name, described in json.loads(capsys.readouterr().out).items():
        schema = described["params"]
        names = set(schema["$defs"][schema["$ref"].rpartition("/")[2]].get("properties", ()))
        section = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        shared = {"reason", "key"} if "[Command](#command)" in section else set()
        assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) | shared == names, name


def test_the_schema_says_what_each_field_means(capsys):
    run(["rpc", "--schema"])
    for described in json.loads(capsys.readouterr().out).values():
        for schema in described.values():
            for struct in schema["$defs"].values():
                bare = [
                    name for name, field in struct.get("properties", {}).items() if "description" not in field
                ]
                assert bare == [], struct["title"]


def test_a_score_without_its_letter_is_told_the_letter(capsys):
    assert run(["modify", "job", "new.yaml"]) == 2
    told = capsys.readouterr().err
    assert "(new.yaml); a score is given with -c FILE" in told
    assert "  mzt modify job -c new.yaml\n" in told
    assert run(["pause", "job", "--now", "--wat"]) == 2
    assert "-c" not in capsys.readouterr().err


def test_the_shell_completes_the_names_that_a_score_takes_values_for(tmp_path):
    from click.shell_completion import ShellComplete

    file = tmp_path / "a.yaml"
    file.write_text(
        "parameters: {version: {description: what it is}}\nprompt: {variables: {verbose: 1, tone: x}}\n"
    )
    complete = ShellComplete(mzt, {}, "mzt", "_MZT_COMPLETE").get_completions
    for words in (["run", str(file)], ["validate", str(file)], ["modify", "a", "-c", str(file)]):
        found = {item.value: item.help for item in complete([*words, "--var"], "ver")}
        assert found == {"version=": "what it is", "verbose=": None}
    assert complete(["run", str(tmp_path / "none.yaml"), "--var"], "") == []
    assert complete(["run", "--var"], "") == []

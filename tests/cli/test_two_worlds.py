"""What this shell has and the daemon lacks is said, with what to type; by name, never by value."""

import shutil

import pytest

TOOL = """\
name: oracle
kind: cli
description: answers
credentials: [ORACLE_API_KEY]
login: oracle login
cli:
  command: {executable: oracle, prompt_via_stdin: true}
  errors: {auth_error_patterns: [not logged in]}
"""
SCORE = """\
name: asking
workspace: ./out
instrument: oracle
sheet: {size: 1, total_items: 1}
retry: {max_retries: 0}
prompt: {template: "what now"}
validations:
  - {type: command_succeeds, command: "true"}
"""


@pytest.fixture
def worlds(home):
    """A daemon that was started before its shell had a tool and a key."""
    instruments = home.path / "config" / "instruments"
    instruments.mkdir(parents=True)
    (instruments / "oracle.yaml").write_text(TOOL)
    (home.path / "asking.yaml").write_text(SCORE)
    home.environment.pop("ORACLE_API_KEY", None)
    home.mzt("start")
    return home


def with_tool(home, body="cat; echo 42"):
    (home.path / "bin").mkdir(exist_ok=True)
    (home.path / "bin" / "oracle").write_text(f"#!/bin/sh\n{body}\n")
    (home.path / "bin" / "oracle").chmod(0o755)
    home.environment["PATH"] = f"{home.path / 'bin'}:{home.environment['PATH']}"


def test_a_tool_that_only_this_shell_finds_is_named_with_the_restart(worlds):
    assert "PATH" not in worlds.mzt("instruments").stderr
    with_tool(worlds)
    said = f"this shell's PATH has 'oracle' ({worlds.path / 'bin' / 'oracle'}), the daemon's has not:\n  mzt restart\n"
    assert said in worlds.mzt("instruments").stderr
    assert said in worlds.mzt("validate", "asking.yaml").stderr
    assert worlds.json("validate", "asking.yaml")["hints"] == ["mzt restart"]
    assert said in worlds.mzt("run", "asking.yaml").stderr
    worlds.mzt("wait", "asking", code=1)
    why = worlds.mzt("why", "asking").stderr
    assert "  mzt restart\n  mzt resume asking\n" in why
    check = next(one for one in worlds.json("doctor", code=1)["checks"] if one["name"] == "daemon's shell")
    assert (check["passed"], check["hints"]) == (False, ["mzt restart"])
    worlds.mzt("restart")
    assert worlds.mzt("validate", "asking.yaml").stderr == ""
    worlds.mzt("resume", "asking", "--wait")
    worlds.mzt("wait", "asking", "-t", "20")


def test_a_key_that_only_this_shell_has_is_named_with_the_resume_that_takes_it(worlds):
    with_tool(worlds, 'test -n "$ORACLE_API_KEY" || { echo not logged in >&2; exit 1; }; cat')
    worlds.mzt("restart")
    worlds.mzt("run", "asking.yaml")
    worlds.mzt("wait", "asking", "--for", "paused", "-t", "20")
    assert worlds.json("status", "asking")["hints"] == [
        "mzt resume asking", "mzt resume asking -e ORACLE_API_KEY",
    ]  # fmt: skip
    worlds.environment["ORACLE_API_KEY"] = "s3cret-value"
    why = worlds.mzt("why", "asking")
    assert (
        "ORACLE_API_KEY is set in this shell, not in the daemon:\n  mzt resume asking -e ORACLE_API_KEY"
        in why.stderr
    )
    assert "s3cret" not in why.stdout + why.stderr
    worlds.mzt("resume", "asking", "-e", "ORACLE_API_KEY")
    worlds.mzt("wait", "asking", "-t", "20")


def on_slurm(home):
    """Have sheets run on Slurm, by the settings."""
    (home.path / "config").mkdir(exist_ok=True)
    settings = f'executor = "slurm"\nattempts_dir = "{home.path}/shared"\n'
    (home.path / "config" / "config.toml").write_text(settings)


def commands_of_slurm(home, body):
    """Make shell scripts in place of Slurm's commands, in a directory of their own."""
    (home.path / "bin").mkdir()
    for program in ("sbatch", "squeue", "scancel"):
        (home.path / "bin" / program).write_text(f"#!/bin/sh\n{body}\n")
        (home.path / "bin" / program).chmod(0o755)


def test_what_the_daemon_lacks_of_slurm_is_told_where_sheets_run_there(home):
    on_slurm(home)
    (home.path / "few").mkdir()
    for program in ("sh", "bash", "env"):
        (home.path / "few" / program).symlink_to(shutil.which(program))
    home.environment.pop("SLURM_CONF", None)
    home.environment["PATH"] = f"{home.path / 'few'}"
    home.mzt("start")
    commands_of_slurm(home, "")
    home.environment |= {
        "PATH": f"{home.path / 'bin'}:{home.path / 'few'}",
        "SLURM_CONF": "/etc/slurm/of-mine.conf",
    }
    wanting = [one for one in home.json("doctor", code=1)["checks"] if not one["passed"]]
    where = home.path / "bin" / "sbatch"
    assert [(one["name"], one["message"], one["hints"]) for one in wanting] == [
        (
            "daemon's Slurm",
            f"this shell's PATH has 'sbatch' ({where}), the daemon's has not",
            ["mzt restart"],
        ),
        ("daemon's Slurm", "SLURM_CONF is set in this shell, not in the daemon", ["mzt restart"]),
    ]
    home.mzt("restart")  # as it says
    assert home.json("doctor")["message"].startswith("all ")


def test_a_slurm_that_answers_here_and_not_the_daemon_is_told_in_the_daemons_words(home):
    on_slurm(home)
    commands_of_slurm(home, 'cat "$SLURM_CONF" >&2')  # it fails like Slurm's where that is not there
    good = home.path / "slurm.conf"
    good.touch()
    path = home.environment["PATH"]
    home.environment |= {"PATH": f"{home.path / 'bin'}:{path}", "SLURM_CONF": f"{home.path}/nowhere"}
    home.mzt("start")
    home.environment["SLURM_CONF"] = str(good)
    (told,) = [one for one in home.json("doctor", code=1)["checks"] if not one["passed"]]
    assert told["name"] == "daemon's Slurm"
    assert told["message"].startswith("the daemon says: Slurm does not answer: ")
    assert f"{home.path}/nowhere" in told["message"]
    assert told["hints"] == ["mzt restart"]
    home.mzt("restart")  # as it says
    assert home.json("doctor")["message"].startswith("all ")

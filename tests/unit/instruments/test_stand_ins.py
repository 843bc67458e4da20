"""Executables of the tools' names are started as the profiles say, and write down what they got."""

import json
import subprocess
import sys

import pytest

from marianned.instruments.command_line import ARGUMENT_LIMIT, build_command_line
from marianned.instruments.loader import builtin_profiles

PROMPT = "Say \"yes\", $HOME and 'no'.\n- é — \\n\n"
RECORDER = f"""#!{sys.executable} -IS
import json, os, sys
print(json.dumps({{"argv": sys.argv[1:], "stdin": sys.stdin.read(), "env": dict(os.environ)}}))
"""
AGENTS = sorted(name for name, p in builtin_profiles().items() if p.cli and name not in {"cli", "claude_cli"})


def run(profile, prompt, tmp_path, environ):
    found = build_command_line(
        profile,
        {},
        prompt,
        timeout_seconds=60,
        cwd=str(tmp_path),
        directory=str(tmp_path),
        environ=environ,
        extra_env={"GIVEN": "at submission"},
        marianne={"MARIANNE_SHEET": "1"},
        system_prompt=None,
    )
    for name, text in found.files.items():
        (tmp_path / name).write_text(text, "utf-8")
    return found, subprocess.run(
        found.argv,
        input=found.stdin,
        stdin=subprocess.DEVNULL if found.stdin is None else None,
        env=found.env,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("size", ["short", "long"])
@pytest.mark.parametrize("name", AGENTS)
def test_a_stand_in_gets_the_whole_prompt(name, size, tmp_path):
    profile = builtin_profiles()[name]
    executable = tmp_path / "bin" / profile.cli.command.executable
    executable.parent.mkdir()
    executable.write_text(RECORDER)
    executable.chmod(0o755)
    prompt = PROMPT if size == "short" else PROMPT + "x" * ARGUMENT_LIMIT
    found, ended = run(profile, prompt, tmp_path, {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    seen = json.loads(ended.stdout)
    assert seen["argv"] == found.argv[1:]
    in_file = (tmp_path / "prompt.txt").read_text("utf-8") if "prompt.txt" in found.files else None
    joined = [word.partition("=")[2] for word in seen["argv"] if word.startswith("--")]
    assert prompt in (seen["stdin"], in_file, *seen["argv"], *joined)
    assert seen["env"]["GIVEN"] == "at submission"
    assert seen["env"]["MARIANNE_SHEET"] == "1"


@pytest.mark.parametrize("padding", [0, ARGUMENT_LIMIT])
def test_a_script_is_run_by_one_shell(padding, tmp_path):
    script = (
        "set -e\nx='a b'\n" + f"# {'x' * padding}\n" + 'printf "%s|" "$x" "$GIVEN"\nfalse\necho not reached\n'
    )
    _, ended = run(builtin_profiles()["cli"], script, tmp_path, {"PATH": "/usr/bin:/bin"})
    assert (ended.stdout, ended.returncode) == (b"a b|at submission|", 1)

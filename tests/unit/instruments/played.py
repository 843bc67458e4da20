"""Plays one tool for real against a model server on loopback; run as a script in a network of its own.

    python played.py SERVER TOOL DIRECTORY PROMPT

Prints one JSON object: the reading, the outcome and category, and the names of the files made.
"""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
from kit.agents import SETTINGS, settle

from marianned.instruments.command_line import build_command_line
from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import classify, read_output


def play(url, tool, directory, prompt):
    environ = settle(directory / "home", url)
    profile = builtin_profiles()[tool]
    workspace = directory / "workspace"
    workspace.mkdir()
    (directory / "tmp").mkdir()
    settings = SETTINGS.get(tool, {})
    started = build_command_line(
        profile,
        settings,
        prompt,
        timeout_seconds=60,
        cwd=str(workspace),
        directory=str(directory),
        environ=environ,
        extra_env={},
        marianne={},
        system_prompt=None,
    )
    for name, text in started.files.items():
        (directory / name).write_text(text)
    ended = subprocess.run(
        started.argv,
        input=started.stdin,
        env=started.env,
        cwd=workspace,
        capture_output=True,
        timeout=60,
        check=False,
    )
    reading = read_output(profile, settings, ended.stdout, ended.stderr)
    verdict = classify(
        profile, reading, exit_code=ended.returncode, signal=None, timed_out=False, stderr=ended.stderr
    )
    return {
        "reading": msgspec.to_builtins(reading),
        "ending": [verdict.outcome, verdict.category],
        "files": sorted(file.name for file in workspace.iterdir()),
    }


def main(server, tool, directory, prompt):
    with subprocess.Popen([sys.executable, server], stdout=subprocess.PIPE, text=True) as playing:
        try:
            url = json.loads(playing.stdout.readline())["url"]
            print(json.dumps(play(url, tool, Path(directory), prompt)))
        finally:
            playing.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])

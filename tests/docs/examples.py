"""Runs the commands that a page shows, in order, in one shell on a real daemon of its own.

`python tests/docs/examples.py PAGE...` writes what they print now into the pages.
"""

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pages

sys.path.insert(0, str(Path(__file__).parents[1]))
from kit import zygote
from kit.daemon import DEADLINE, Daemon

HOME = "/home/ann"
ELSEWHERE = {
    "docs/design/cli.md": "they share one job at a fixed time, and are rebuilt in test_contract_examples.py",
    "docs/reference/pause-and-modify.md": "each command has a test of its own, test_pause_and_modify.py",
}
"""Pages whose commands are not run here, and why."""

_END = "\x1e"
_PLAIN = re.compile(r"mzt(?: [^|&;<>$`*?(){}\[\]~#!\n\\]+)?")
"""A command that a shell does nothing for but to execute it."""
_SAME = [
    (re.compile(r"\b(\d+(\.\d+)?[smhd])+\b"), "3s"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "12:00"),
    (re.compile(r"\bpid \d+"), "pid 812"),
    (re.compile(r'"pid":\s*\d+'), '"pid": 812'),
    (re.compile(r"[ \t]+"), " "),
]
"""What differs between two runs, and what both are read as."""


class Shell:
    """One bash in a page's directory."""

    def __init__(self, directory, environment):
        self._place = {"cwd": directory, "env": environment}
        self._process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._place,
        )

    def run(self, command):
        """Run a command; return its exit code and what it printed, errors too.

        A plain one is forked: no page has its shell go elsewhere, or keep a variable.
        """
        if _PLAIN.fullmatch(command):
            done = zygote.run(
                [sys.executable, "-m", "marianne_cli", *shlex.split(command)[1:]], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self._place,
            )  # fmt: skip
            return done.returncode, done.stdout
        self._process.stdin.write(f"{{ {command}\n}} < /dev/null\nprintf '\\036%d\\n' $?\n")
        self._process.stdin.flush()
        output = ""
        while _END not in output:
            line = self._process.stdout.readline()
            assert line, f"the shell has ended in: {command}"
            output += line
        output, _, code = output.partition(_END)
        return int(code), output

    def close(self):
        self._process.stdin.close()
        self._process.wait(DEADLINE)
        self._process.stdout.close()


def same(output):
    """Return an output without what differs between two runs."""
    for pattern, instead in _SAME:
        output = pattern.sub(instead, output)
    return output.strip()


def told(output, directory):
    """Return an output as the pages tell it: the reader is ann, at home."""
    login = pwd.getpwuid(os.getuid()).pw_name
    output = output.replace(str(directory), HOME).replace(str(directory.parent), HOME)
    return re.sub(rf"\b{login}\b(  )?", "ann", output) if login != "ann" else output


def play(name, house):
    """Yield each example of a page with the exit code and the output it has now."""
    text = pages.text_of(name)
    directory = house.home / "ann"
    directory.mkdir()
    shutil.copytree(pages.ROOT / "docs" / "examples", directory / "docs" / "examples")
    for file, content in pages.files(text).items():
        (directory / file).write_text(content)
    house.environment |= {"TZ": "UTC", "COLUMNS": "100"}
    house.start()
    shell = Shell(directory, house.environment)
    try:
        shell.run("mzt version")  # so that there is what forks it: on pages, seconds count
        for example in pages.examples(text):
            code, output = shell.run(example.command)
            yield example, code, told(output, directory)
    finally:
        if house.process.poll() is not None:
            shell.run("mzt stop")  # a page that restarts the daemon leaves one that is not the house's own
        shell.close()


def main():
    for name in sys.argv[1:]:
        house = Daemon()
        try:
            outputs = []
            for example, code, output in play(name, house):
                outputs.append(output)
                if code != example.code:
                    print(f"{name}: {example.command}: exit {code}, not {example.code}")
        finally:
            house.close()
        (pages.ROOT / name).write_text(pages.with_outputs(pages.text_of(name), outputs))


if __name__ == "__main__":
    main()

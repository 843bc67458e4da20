"""Completion as the shells do it: files, the jobs that a verb takes, sheets by name."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import pytest
from home_for_tests import GATED
from kit import zygote

pytestmark = pytest.mark.one_daemon

NAMED = """\
name: named
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 2, dependencies: {2: [1]}}
movements: {1: {name: draft}, 2: {name: review}}
prompt: {template: "true"}
"""
PATIENCE = 20


@pytest.fixture
def typing(home):
    """A home with a job that waits at a gate, one that has ended, and `mzt` on PATH."""
    (home.path / "bin").mkdir()
    program = home.path / "bin" / "mzt"
    program.write_text(f"#!{sys.executable}\nfrom marianne_cli.main import main\nmain()\n")
    program.chmod(0o755)
    (home.path / "named.yaml").write_text(NAMED)
    home.mzt("run", "named.yaml", "--wait")
    home.mzt("run", home.score("gated", GATED))
    home.environment |= {
        "PATH": f"{home.path / 'bin'}:{os.environ['PATH']}", "HOME": str(home.path), "TERM": "xterm",
        "PS1": "> ", "INPUTRC": "/dev/null",
    }  # fmt: skip
    return home


class Terminal:
    """A shell on a terminal, typed into."""

    def __init__(self, home, *command):
        self._ours, its = pty.openpty()
        self._shell = subprocess.Popen(
            command,
            cwd=home.path,
            env=home.environment,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)
        self._seen = ""

    def types(self, text):
        os.write(self._ours, text.encode())

    def shows(self, pattern):
        """Wait until something is shown; return it, and forget what came before."""
        ends = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self._seen)) is None:
            rest = ends - time.monotonic()
            assert rest > 0, (pattern, self._seen)
            if select.select([self._ours], [], [], rest)[0]:
                self._seen += os.read(self._ours, 65_536).decode(errors="replace")
        self._seen = self._seen[found.end() :]
        return found

    def clears(self):
        self.types("\x15")  # Ctrl-U

    def close(self):
        self._shell.kill()
        self._shell.wait()
        os.close(self._ours)


def bash(home):
    shell = Terminal(home, shutil.which("bash"), "--norc", "--noprofile", "-i")
    shell.types('eval "$(mzt completion bash)"; echo rea""dy\n')
    shell.shows("ready")
    return shell


def zsh(home):
    shell = Terminal(home, shutil.which("zsh"), "-f", "-i")
    shell.types('autoload -U compinit; compinit -u -D; eval "$(mzt completion zsh)"; echo rea""dy\n')
    shell.shows("ready")
    return shell


OFFERED = {
    "mzt run na": "file,na",  # the shell knows which there are
    "mzt validate na": "file,na",
    "mzt modify gated -c na": "file,na",
    "mzt pause ": "plain,gated",
    "mzt remove ": "plain,named",
    "mzt logs named rev": "plain,review",
    "mzt resume named --from dr": "plain,draft",
    "mzt run named.yaml --before rev": "plain,review",
    "mzt wait gated --for paused,comp": "plain,paused,completed",
    "mzt help exi": "plain,exit-codes",
}


def test_files_jobs_and_sheets_are_offered_to_a_shell(typing):
    for line, offered in OFFERED.items():
        given = {"_MZT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = zygote.run(
            typing.command([]), cwd=typing.path, env=typing.environment | given, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert (line, done.stdout.splitlines(), done.stderr) == (line, [offered], "")


@pytest.mark.parametrize("start", [bash, zsh])
def test_a_tab_completes_files_jobs_and_sheets(typing, start):
    """Of each kind one; what is offered to any shell, is told above."""
    if shutil.which(start.__name__) is None:
        pytest.skip(f"{start.__name__} is not installed here")
    shell = start(typing)
    try:
        for typed, completed in [
            ("mzt modify gated -c na\t", r"-c named\.yaml"),
            ("mzt pause \t", r"mzt pause gated"),
            ("mzt resume named --from dr\t", r"--from draft"),
            ("mzt help exi\t", r"help exit-codes"),
        ]:
            shell.types(typed)
            shell.shows(completed)
            shell.clears()
    finally:
        shell.close()


def test_fish_completes_files_jobs_and_sheets(typing):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed here")
    (typing.path / "mzt.fish").write_text(typing.mzt("completion", "fish").stdout)

    def completed(line):
        script = f"source mzt.fish; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", script], cwd=typing.path, env=typing.environment, timeout=PATIENCE,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [row.split("\t")[0] for row in done.stdout.splitlines()]

    assert "named.yaml" in completed("mzt modify gated -c na")
    assert completed("mzt pause ") == ["gated"]
    assert completed("mzt logs named ") == ["draft", "review"]
    assert completed("mzt logs named draft,re") == ["draft,review"]

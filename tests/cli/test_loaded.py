"""What a simple command loads: the set is fixed, because time is not."""

import os
import subprocess
import sys

import pytest

BASE = {"marianne_cli", "marianne_cli.main", "marianne_cli.process", "marianne_cli.process.interrupts", "marianne_cli.exits", "marianne_cli.context", "marianne_cli.lines.forms", "marianne_cli.lines", "marianne_cli.lines.misuse", "marianne_cli.tree", "marianne_cli.tree.table", "marianne_cli.terminal", "marianned", "marianned.errors", "marianned.formatting"}  # fmt: skip
PAUSE = BASE | {"marianne_cli.client", "marianne_cli.client.blocking", "marianne_cli.client.dialling", "marianne_cli.client.session", "marianne_cli.commands", "marianne_cli.commands.pause", "marianne_cli.lines.kinds", "marianne_cli.options", "marianned.client_wire", "marianned.paths", "marianned.probe"}  # fmt: skip
CLICK = {
    "marianne_cli.tree.click_commands",
    "marianne_cli.tree.group",
    "marianne_cli.lines.kinds",
    "marianne_cli.options",
}
"""What reads the lines that are not plain."""
NEVER = {
    "rich",
    "asyncio",
    "anyio",
    "importlib.metadata",
    "msgspec",
    "yaml",
    "jinja2",
    "subprocess",
    "sqlite3",
    "argparse",
}
LOOK = """
import sys
from marianne_cli.main import run
code = run(sys.argv[1:])
print("LOADED", *sorted(sys.modules))
sys.exit(code)
"""


def loaded(tmp_path, *arguments, socket=True):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MARIANNE_SOCKET": str(tmp_path / "s")}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, set(done.stdout.partition("LOADED ")[2].split())


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("pause", "x"), 3, PAUSE),
        (
            ("--help",),
            0,
            {
                "marianne_cli",
                "marianne_cli.main",
                "marianne_cli.process",
                "marianne_cli.process.interrupts",
                "marianne_cli.tree",
                "marianne_cli.tree.prepared_help",
            },
        ),
        (("--version",), 0, BASE | CLICK),
    ],
)
def test_a_simple_command_loads_these_modules_of_ours_and_no_others(tmp_path, arguments, code, expected):
    got, modules = loaded(tmp_path, *arguments)
    assert got == code
    assert {name for name in modules if name.startswith("mariann")} == expected
    assert not {name for name in modules if name in NEVER}
    assert ("click" in modules) == (expected >= CLICK)


def test_a_completion_of_jobs_loads_what_a_pause_does(tmp_path):
    look = """
import sys
from marianne_cli.main import run
try:
    run([])
except SystemExit:
    print("LOADED", *sorted(sys.modules))
"""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "MARIANNE_SOCKET": str(tmp_path / "s"),
        "_MZT_COMPLETE": "bash_complete", "COMP_WORDS": "mzt remove ", "COMP_CWORD": "2",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, env=environment, check=True
    )
    modules = set(done.stdout.partition("LOADED ")[2].split())
    ours = {name for name in modules if name.startswith("mariann")}
    assert ours == PAUSE - {"marianne_cli.commands.pause"} | {"marianne_cli.commands.remove"} | CLICK
    assert not modules & NEVER


def test_the_protocol_number_of_the_client_is_that_of_the_wire():
    from marianne_cli.client.session import PROTOCOL
    from marianned import protocol

    assert protocol.PROTOCOL == PROTOCOL


def test_the_blocking_client_loads_no_anyio():
    look = "import sys; from marianne_cli.client import connect; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert not {"anyio", "asyncio"} & set(done.stdout.split())

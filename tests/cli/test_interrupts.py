"""Ctrl-C ends `mzt` with 130 and without a traceback, at whatever moment it comes."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, signal, sys
from marianne_cli.main import main

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
sys.argv = ["mzt", *{arguments!r}]
if {at_the_end!r}:
    atexit.register(signal.raise_signal, signal.SIGINT)
main()
"""


def run(*arguments, module="", at_the_end=False):
    program = PROGRAM.format(module=module, arguments=arguments, at_the_end=at_the_end)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "module",
    ["marianne_cli.exits", "marianned.formatting", "marianned.errors", "msgspec._core", "click.core"],
)
def test_in_the_middle_of_an_import(module):
    assert run("validate", "there-is-none.yaml", module=module) == (130, "")


def test_when_all_is_done():
    assert run("version", "--help", at_the_end=True) == (0, "")


@pytest.mark.parametrize("again", [False, True])
def test_anywhere_else_and_once_more(again):
    program = (
        "import signal\nfrom marianne_cli import main\nfrom marianne_cli.process import interrupts\n"
        "def work(arguments):\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        f"        if {again}: signal.raise_signal(signal.SIGINT)\n"
        "        print('says where it stands')\n"
        "        raise\n"
        "main._run = work\nmain.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")
    assert ended.stdout == ("" if again else "says where it stands\n")

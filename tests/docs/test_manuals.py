"""The manual pages are what the commands say, and well-formed."""

import shutil
import subprocess

import manuals
import pytest
from kit.tables import each

PAGES = sorted(manuals.manuals())


def test_the_manuals_are_up_to_date():
    assert {file.name: file.read_text() for file in manuals.DIRECTORY.iterdir()} == manuals.manuals(), (
        "python tests/docs/generated.py writes them anew"
    )


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed here")
@each("name", PAGES)
def test_mandoc_finds_no_fault_in_a_manual(name):
    done = subprocess.run(
        ["mandoc", "-T", "lint", manuals.DIRECTORY / name], capture_output=True, text=True, check=False
    )
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)

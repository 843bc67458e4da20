"""The tools themselves, where they are installed, do what their profiles say of them.

They play against a model server on loopback, in a network of their own that leads nowhere else.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from kit.agents import ALONE, MARKS, SERVER, TOOLS, skip_without

HERE = Path(__file__).parent
pytestmark = MARKS


@pytest.fixture
def place():
    """A directory that nobody else can write to, nor to any above: below others gemini reads no settings of ours."""
    with tempfile.TemporaryDirectory(dir=Path.home(), ignore_cleanup_errors=True) as made:
        yield Path(made)


def played(tool, place, prompt):
    skip_without(tool)
    words = [sys.executable, str(HERE / "played.py"), str(SERVER), tool, str(place), prompt]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    ended = subprocess.run(
        [*ALONE, *words], capture_output=True, text=True, timeout=90, check=False, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_real_tool_does_its_work_and_is_read(tool, place):
    found = played(
        tool, place, "FAKE: write out.txt = one\\n\nFAKE: text all done\nFAKE: usage in=1200 out=34"
    )
    assert found["ending"] == ["succeeded", None]
    assert found["files"] == ["out.txt"]
    assert found["reading"]["result"] == "all done"
    counted = (None, None) if tool == "copilot" else (2400, 68)
    assert (found["reading"]["input_tokens"], found["reading"]["output_tokens"]) == counted
    assert found["reading"]["session_id"]


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("401", [["failed", "auth"]]),
        ("empty", [["failed", "no_result"], ["failed", "exit"]]),
    ],
)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_real_tool_s_failure_is_told_from_others(tool, kind, ending, place):
    assert played(tool, place, f"FAKE: fail {kind}")["ending"] in ending


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("429 retry-after=2", ["rate_limited", "rate_limit"]), ("503", ["failed", "capacity"])],
)
@pytest.mark.parametrize("tool", ["claude-code", "codex-cli", "gemini-cli"])
def test_waiting_is_left_to_us(tool, kind, ending, place):
    assert played(tool, place, f"FAKE: fail {kind}")["ending"] == ending

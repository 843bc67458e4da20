"""The tools themselves, where they are installed, do what their profiles say of them.

They play against a model server on loopback, in a network of their own that leads nowhere else.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marianned.instruments.loader import builtin_profiles

HERE = Path(__file__).parent
SERVER = HERE.parents[2] / "../shared/fake-model/server.py"
ALONE = ("unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "-")
pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(not SERVER.exists(), reason="no model server at ../shared/fake-model"),
]


def played(tool, tmp_path, prompt):
    executable = builtin_profiles()[tool].cli.command.executable
    if shutil.which(executable) is None:
        pytest.skip(f"'{executable}' is not installed")
    if (
        not shutil.which("unshare")
        or subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no network namespace can be made here")
    words = [sys.executable, str(HERE / "played.py"), str(SERVER), tool, str(tmp_path), prompt]
    ended = subprocess.run([*ALONE, *words], capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


TOOLS = ["claude-code", "codex-cli", "copilot", "gemini-cli", "opencode", "pi", "qwen"]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_real_tool_does_its_work_and_is_read(tool, tmp_path):
    found = played(
        tool, tmp_path, "FAKE: write out.txt = one\\n\nFAKE: text all done\nFAKE: usage in=1200 out=34"
    )
    assert found["ending"] == ["succeeded", None]
    assert found["files"] == ["out.txt"]
    assert found["reading"]["result"] == "all done"
    counted = (None, None) if tool == "copilot" else (2400, 68)
    assert (found["reading"]["input_tokens"], found["reading"]["output_tokens"]) == counted
    assert found["reading"]["session_id"] or tool == "pi"


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("401", [["failed", "auth"]]),
        ("empty", [["failed", "no_result"], ["failed", "exit"]]),
    ],
)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_real_tool_s_failure_is_told_from_others(tool, kind, ending, tmp_path):
    assert played(tool, tmp_path, f"FAKE: fail {kind}")["ending"] in ending


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("429 retry-after=2", ["rate_limited", "rate_limit"]), ("503", ["failed", "capacity"])],
)
@pytest.mark.parametrize("tool", ["claude-code", "codex-cli", "gemini-cli"])
def test_waiting_is_left_to_us(tool, kind, ending, tmp_path):
    assert played(tool, tmp_path, f"FAKE: fail {kind}")["ending"] == ending

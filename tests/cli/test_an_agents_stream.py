"""`mzt logs` of an agent: what it says and does, live and afterwards; its bytes are there for who asks for them."""

import json
import os
import pty
import signal
import subprocess

import pytest
from home_for_tests import Home
from kit import zygote
from kit.daemon import gone
from kit.terminals import sent_to

AGENT = """\
#!/bin/sh
cat > /dev/null
cat one; printf '{"type": "assist'; read line < gate-1; cat two; echo "a warning" >&2; read line < gate-2; cat three
"""
SCORE = """\
name: a
workspace: ./out
instrument: claude-code
sheet: {size: 1, total_items: 1}
prompt: {template: Do it.}
"""
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x1b[2J\b"


def part(**said):
    return {"message": {"content": [said]}}


ONE = [
    {"type": "system", "subtype": "init", "session_id": "s"},
    {"type": "assistant", **part(type="text", text=f"I look\r at it.{ESCAPES}")},
    {"type": "assistant", **part(type="tool_use", name="Bash", input={"command": f"npm test\n{ESCAPES}"})},
]
TWO = part(type="text", text="All seven pass.")
THREE = {
    "type": "result",
    "is_error": False,
    "result": "All seven pass.",
    "usage": {"input_tokens": 1200, "output_tokens": 34},
}
BEFORE = ["I look at it.red", "→ Bash: npm test red"]
AFTER = ["All seven pass.", "· tokens: 1,200 in, 34 out"]


@pytest.fixture
def agent(home: Home):
    """A home whose `claude` says some of its answer, waits at a gate, and says the rest."""
    tools = home.path / "tools"
    tools.mkdir()
    (tools / "claude").write_text(AGENT)
    (tools / "claude").chmod(0o755)
    home.environment["PATH"] = f"{tools}:{os.environ['PATH']}"
    out = home.path / "out"
    (out / "one").write_text("".join(f"{json.dumps(event)}\n" for event in ONE))
    (out / "two").write_text(f'ant", {json.dumps(TWO)[1:]}\nno JSON \x1b[1mat all\n')
    (out / "three").write_text(json.dumps(THREE))
    (home.path / "a.yaml").write_text(SCORE)
    home.mzt("run", "a.yaml")
    return home


def test_it_is_followed_over_a_kill_of_the_daemon_and_shown_the_same_afterwards(agent):
    with zygote.Popen(
        agent.command(["logs", "a", "-F"]),
        cwd=agent.path,
        env=agent.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        lines = [following.stdout.readline().rstrip("\n") for _ in BEFORE]
        pid = agent.json("status")["pid"]
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        agent.let_go(1)
        agent.mzt("start")
        agent.let_go(2)
        lines += following.communicate(timeout=60)[0].splitlines()
    assert following.returncode == 0
    assert sorted(lines) == sorted([*BEFORE, AFTER[0], "no JSON at all", AFTER[1], "a warning"])
    told = [line for line in lines if line != "a warning"]
    assert told == [*BEFORE, AFTER[0], "no JSON at all", AFTER[1]]
    assert agent.mzt("logs", "a").stdout.splitlines() == [*told, "a warning"]
    assert agent.mzt("logs", "a", "-n", "2").stdout.splitlines() == [AFTER[1], "a warning"]
    (file,) = agent.path.glob("state/**/stdout")
    raw = zygote.run(
        agent.command(["logs", "a", "--raw"]),
        cwd=agent.path,
        env=agent.environment,
        capture_output=True,
        check=True,
    )
    assert raw.stdout == file.read_bytes()
    (output,) = agent.json("logs", "a")["outputs"]
    assert output["stdout"] == file.read_text()
    assert output["result"] == "All seven pass."


def test_on_a_terminal_it_has_colours_and_an_agent_never_drives_it(agent):
    agent.let_go(1, 2)
    agent.mzt("wait", "a", "-t", "60")
    ours, theirs = pty.openpty()
    environment = {**agent.environment, "TERM": "xterm"}
    zygote.run(
        agent.command(["logs", "a"]), cwd=agent.path, env=environment, stdout=theirs, check=True, timeout=60
    )
    os.close(theirs)
    shown = sent_to(ours)
    os.close(ours)
    assert "\x1b[36m→ Bash: npm test red\x1b[0m" in shown
    for sent in ("\x1b[36m", "\x1b[2m", "\x1b[0m", "\r\n"):
        shown = shown.replace(sent, "")
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_why_shows_what_it_said_as_logs_does(home):
    tools = home.path / "tools"
    tools.mkdir()
    failed = THREE | {"is_error": True, "result": "I lost the thread."}
    (home.path / "said").write_text("".join(f"{json.dumps(event)}\n" for event in [*ONE, failed]))
    (tools / "claude").write_text(f'#!/bin/sh\ncat > /dev/null\ncat "{home.path}/said"\nexit 1\n')
    (tools / "claude").chmod(0o755)
    home.environment["PATH"] = f"{tools}:{os.environ['PATH']}"
    (home.path / "a.yaml").write_text(SCORE + "retry: {max_retries: 0}\n")
    home.mzt("run", "a.yaml", "--wait", code=1)
    shown = home.mzt("why", "a").stdout
    assert "  stdout   | I look at it.red\n           | → Bash: npm test red\n" in shown
    assert '{"type"' not in shown
    assert '{\\"type\\"' in home.mzt("why", "a", "--json").stdout

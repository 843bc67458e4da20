"""What an agent that was ended leaves in $MARIANNE_HANDOFF goes into the prompt of the attempt after it."""

from pathlib import Path

import pytest
import yaml
from kit.daemon import score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]

AGENT = """#!/bin/sh
cat > "$HOME/prompt-$MARIANNE_ATTEMPT"
trap '. "$HOME/leave"; exit 1' TERM
note start $MARIANNE_ATTEMPT
if [ -e "$HOME/quick" ]; then . "$HOME/leave"; exit "$(cat "$HOME/quick")"; fi
read _ < "$HOME/gate-1" &
wait
note end $MARIANNE_ATTEMPT
"""
PROFILE = {
    "name": "agent",
    "kind": "cli",
    "cli": {"command": {"executable": "agent"}, "output": {"format": "text"}},
}


@pytest.fixture
def agent(house):
    house.install("agent", AGENT)
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "agent.yaml").write_text(yaml.safe_dump(PROFILE))
    house.gate(1)
    house.start()
    return house


def leaves(house, script):
    (house.home / "leave").write_text(script)


def interrupted(house, **params):
    """Run it, end its agent, and let it go on; return the second prompt."""
    house.submit(score("solo", ["write a poem"], instrument="agent"), **params)
    house.ledger.wait_for("start 1")
    house.rpc("job.pause", job_id="solo", now=True, wait=True)
    house.rpc("job.resume", job_id="solo")
    house.ledger.wait_for("start 2")
    house.gate(1).open()
    house.wait_for("solo", "completed")
    return (house.home / "prompt-2").read_text()


def test_the_note_of_an_agent_that_was_ended_goes_into_the_next_prompt(agent):
    leaves(agent, 'printf "verse 1 is done\\n## Do something else\\n" > "$MARIANNE_HANDOFF"')
    prompt = interrupted(agent)
    first = (agent.home / "prompt-1").read_text()
    assert prompt.startswith(first)
    note = prompt.removeprefix(first)
    assert "## Note of the attempt before" in note
    assert note.endswith("> verse 1 is done\n> ## Do something else\n")
    assert [one["outcome"] for one in agent.attempts("solo", 1)] == ["interrupted", "succeeded"]


@pytest.mark.parametrize(
    "script",
    [
        "true",
        'printf " \\n" > "$MARIANNE_HANDOFF"',
        'mkfifo "$MARIANNE_HANDOFF"',
        'mkdir "$MARIANNE_HANDOFF"',
        'echo away > "$HOME/away"; ln -s "$HOME/away" "$MARIANNE_HANDOFF"',
        'rm -rf "${MARIANNE_HANDOFF%/*}"',
    ],
    ids=["nothing", "blanks", "a pipe", "a directory", "a link that leads out", "no place left"],
)
def test_what_is_no_note_is_none(agent, script):
    leaves(agent, script)
    assert interrupted(agent) == (agent.home / "prompt-1").read_text()


def test_a_note_is_masked_and_bounded(agent):
    leaves(agent, '{ echo "key $API_KEY"; head -c 100000 /dev/zero | tr "\\0" x; } > "$MARIANNE_HANDOFF"')
    prompt = interrupted(agent, env={"API_KEY": "s3cr3t-value-xyz"})
    assert "> key ***" in prompt
    assert "s3cr3t" not in prompt
    assert prompt.endswith("bytes]\n")
    assert len(prompt) < 20_000


@pytest.mark.own_daemon("its runs are counted from 1")
def test_a_retry_gets_the_note_and_a_sheet_that_runs_again_after_success_does_not(agent):
    leaves(agent, 'echo "attempt $MARIANNE_ATTEMPT" > "$MARIANNE_HANDOFF"')
    (agent.home / "quick").write_text("1")
    retry = {"max_retries": 1, "base_delay_seconds": 1, "max_delay_seconds": 1, "jitter": False}
    agent.submit(score("solo", ["write a poem"], instrument="agent", retry=retry))
    agent.wait_for("solo", "failed")
    assert "> attempt 1" in (agent.home / "prompt-2").read_text()
    (agent.home / "quick").write_text("0")
    agent.rpc("job.resume", job_id="solo")
    agent.wait_for("solo", "completed")
    assert "> attempt 2" in (agent.home / "prompt-3").read_text()
    agent.rpc("job.resume", **{"job_id": "solo", "from": "1"})
    agent.ledger.wait_for("start 4")
    agent.wait_for("solo", "completed")
    assert "> attempt" not in (agent.home / "prompt-4").read_text()
    place = Path((agent.attempt_directory(name="1-4") / "out").resolve())
    assert place.stat().st_mode & 0o777 == 0o700

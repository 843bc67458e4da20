"""An agent with sessions of its own, `teller`: it can go on in one, and be asked to stop."""

import base64

import yaml

from kit.daemon import score

AGENT = """#!/bin/sh
# Says its session, tells the ledger which one it was asked to go on in, and waits; `broken`: it knows none.
# `limited`, `refused`: its service sends it away; `doomed`: its runner is killed; `orphaned`: both
# its supervisors; `bereft`: they are, and its files are gone.
prompt=$(cat)
if [ "$1" = --session ]; then session=$2; else session=s-$MARIANNE_ATTEMPT; fi
if [ "$1" = --session ] && [ -e "$HOME/broken" ]; then
  note lost $2; echo "no such session" >&2; exit 1
fi
[ -e "$HOME/mute" ] || echo "{\\"type\\": \\"start\\", \\"session\\": \\"$session\\"}"
trap 'note asked; echo "verse 1" > "$MARIANNE_HANDOFF"; kill $! 2> /dev/null; exit 0' INT USR1
trap 'note hurried; exit 1' TERM
note start $MARIANNE_ATTEMPT $session
if [ -e "$HOME/limited" ]; then echo "slow down" >&2; exit 1; fi
if [ -e "$HOME/refused" ]; then echo "bad token" >&2; exit 1; fi
if [ -e "$HOME/bereft" ]; then
  rm -r "$HOME/bereft" "${MARIANNE_HANDOFF%/out/*}"; kill -9 $(ps -o ppid= -p $PPID) $PPID
fi
if [ -e "$HOME/orphaned" ]; then rm "$HOME/orphaned"; kill -9 $(ps -o ppid= -p $PPID) $PPID; fi
if [ -e "$HOME/doomed" ]; then rm "$HOME/doomed"; kill -9 $PPID; fi
if [ -n "$MARIANNE_STOP" ]; then
  until [ -e "$MARIANNE_STOP" ] || [ -e "$HOME/over" ]; do sleep 0.05; done
  if [ -e "$MARIANNE_STOP" ]; then note saw; echo "{\\"type\\": \\"end\\", \\"text\\": \\"stopped\\"}"; exit 0; fi
else
  read _ < "$HOME/gate-1" & wait
fi
echo "{\\"type\\": \\"end\\", \\"text\\": \\"OK\\"}"
"""
PROFILE = {
    "name": "teller",
    "kind": "cli",
    "cli": {
        "command": {"executable": "teller", "resume_args": ["--session", "{session}"]},
        "output": {
            "format": "jsonl",
            "completion_event_type": "end",
            "result_path": "text",
            "session_path": "session",
        },
        "errors": {"auth_error_patterns": ["bad token"], "rate_limit_patterns": ["slow down"]},
    },
}
ONE = score("solo", ["write a poem"], instrument="teller", retry={"max_retries": 0})


def installed(house, *, contain=None, **more):
    """Give a daemon the agent, start it; `contain` and `more`, below `cli`, are of its profile."""
    house.install("teller", AGENT)
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    made = PROFILE | {"cli": PROFILE["cli"] | more} | ({"contain": contain} if contain else {})
    (place / "teller.yaml").write_text(yaml.safe_dump(made))
    house.gate(1)
    house.start()
    return house


def interrupted(house):
    house.submit(ONE)
    house.ledger.wait_for("start 1 s-1")
    house.rpc("job.pause", job_id="solo", now=True, wait=True)


def kinds(house):
    return [(one["kind"], one["outcome"], one["session_id"]) for one in house.attempts("solo", 1)]


def moody(house, mood):
    """Submit the job with an agent in a mood; return the file that says so."""
    said = house.home / mood
    said.touch()
    house.submit(ONE)
    return said


def prompt(house, attempt):
    read = house.rpc("log.read", job_id="solo", sheet=1, attempt=attempt, stream="prompt")
    return base64.b64decode(read["data"]).decode()

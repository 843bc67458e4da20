"""The end of a sheet is the end of its output; what it leaves behind is ended, and told."""

import base64
import os
from datetime import datetime

import pytest
from kit.daemon import gone, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]

RUNS = int(os.environ.get("MARIANNE_TEE_RUNS", "3"))
"""How often each script below runs; 200 beside load is what was promised."""
SCRIPTS = {
    "stamped": 'exec > >(while IFS= read -r l; do printf \'%s %s\\n\' "$(date +%T)" "$l"; done | tee build.log) 2>&1\n',
    "tee": "exec > >(tee build.log) 2>&1\n",
    "two tees": "exec > >(tee build.log) 2> >(tee errors.log >&2)\n",
}
STEPS = 'for i in $(seq 1 40); do echo "step $i"; done\necho "BUILD OK"\n'
WHOLE = [*(f"step {n}" for n in range(1, 41)), "BUILD OK"]
LOAD = f"exec timeout {60 + 3 * RUNS} nice sh -c 'while :; do :; done'"


def printed(daemon, job, sheet):
    reply = daemon.rpc("log.read", job_id=job, sheet=sheet, stream="stdout", limit=200_000)
    return [
        line.split(" ", 1)[-1] if line[:1].isdigit() else line
        for line in base64.b64decode(reply["data"]).decode().splitlines()
    ]


@pytest.mark.timeout(120 + 6 * RUNS)
@pytest.mark.parametrize("kind", SCRIPTS)
def test_what_a_process_substitution_prints_is_all_there(daemon, kind):
    busy = {"enabled": True, "max_concurrent": 4}
    daemon.submit(score("load", [LOAD] * 4, parallel=busy))
    daemon.submit(score("tee", [f"rm -f build.log\n{SCRIPTS[kind]}{STEPS}"] * RUNS))
    completed = daemon.wait_for("tee", "ended", deadline=90.0 + 5 * RUNS)
    assert (completed["status"], daemon.status("load")["status"]) == ("completed", "running")
    cut = {sheet: lines for sheet in range(1, RUNS + 1) if (lines := printed(daemon, "tee", sheet)) != WHOLE}
    assert cut == {}
    assert len((daemon.home / "tee-work" / "build.log").read_text().splitlines()) == len(WHOLE)
    print(f"{kind}: {RUNS} runs, none cut")


@pytest.mark.own_daemon("it is set up")
def test_a_server_left_behind_is_told_to_end_and_people_are_told(house):
    house.configure("[attempts]\ndrain = 0.2\n")
    daemon = house.start()
    server = "( trap 'echo cleaned > cleaned.txt; exit' TERM; echo up > up.txt; while :; do sleep 0.05; done ) &\nsleep 0.5"
    daemon.submit(score("left", [server]))
    daemon.wait_for("left", "completed")
    assert (daemon.home / "left-work" / "cleaned.txt").read_text() == "cleaned\n"
    said = "a process it left behind was ended"
    told = [event["text"] for event in daemon.journal("left") if event["type"] == "attempt.warned"]
    assert told == [f"sheet 1: {said}"]
    assert [problem["message"] for problem in daemon.status("left", sheets="1")["problems"]] == [said]
    assert [problem["message"] for problem in daemon.rpc("job.why", job_id="left")["problems"]] == [said]


@pytest.mark.own_daemon("it is set up")
def test_people_are_told_of_an_output_whose_end_is_missing(house):
    house.configure("[attempts]\ndrain = 0.5\n")
    daemon = house.start()
    daemon.submit(score("slow", ["exec > >(while read -r l; do sleep 0.2; echo $l; done)\nseq 100"]))
    daemon.wait_for("slow", "completed")
    (problem,) = daemon.status("slow", sheets="1")["problems"]
    assert problem["message"].endswith("ended before all output had passed through: its end is missing")


def test_a_pause_now_during_a_drain_lets_the_attempt_count(daemon):
    daemon.submit(score("drained", ["echo $$ > script; sleep 1000 &\nnote end 1", "note start 2"]))
    daemon.ledger.wait_for("end 1")
    assert gone(int((daemon.home / "drained-work" / "script").read_text()))
    daemon.rpc("job.pause", job_id="drained", now=True, wait=True, timeout=30.0)
    assert daemon.statuses("drained") == ["completed", "pending"]
    assert daemon.attempts("drained", 1)[0]["exit_code"] == 0


@pytest.mark.own_daemon("it is set up")
def test_the_latest_end_of_a_pause_has_room_for_the_drain(house):
    house.configure('[attempts]\ndrain = "20s"\n')
    daemon = house.start()
    gate = daemon.gate("1")
    daemon.submit(score("late", ['note start 1; read _ < "$HOME/gate-1"', "true"]))
    daemon.ledger.wait_for("start 1")
    paused = daemon.rpc("job.pause", job_id="late")
    (flight,) = paused["in_flight"]
    seconds = [at(text) for text in (flight["time_limit_at"], paused["next"]["latest_at"])]
    assert seconds[1] - seconds[0] == pytest.approx(22.0)
    gate.open()


def at(text):
    return datetime.fromisoformat(text).timestamp()

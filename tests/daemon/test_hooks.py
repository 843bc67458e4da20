"""Hooks and chains in a real daemon: each key of `on_success` and `concert`, restarts, exactly once."""

import base64
import json
import os
import signal
from contextlib import suppress

import pytest
from kit.daemon import gated, plain, score
from kit.hooked_scores import chains, command, hooked, hooks, write

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def printed(daemon, job, hook, stream="stdout"):
    reply = daemon.rpc("log.read", job_id=job, hook=hook, stream=stream)
    return base64.b64decode(reply["data"]).decode()


def test_commands_run_in_the_workspace_with_their_placeholders_and_output(daemon):
    text = hooked(
        "places",
        [
            command("pwd; echo '{job_name}' {sheet_count} \"{who}\" {unknown} $MARIANNE_HOOK; echo loud >&2"),
            command("pwd", working_directory="below"),
            {"type": "run_script", "command": "./script.sh '{who}' two"},
        ],
        variables={"who": "it's me"},
    )
    (daemon.home / "script.sh").write_text('#!/bin/sh\nprintf "<%s>" "$0" "$@"\n')
    (daemon.home / "script.sh").chmod(0o755)
    (daemon.home / "places-work" / "below").mkdir(parents=True)
    daemon.submit(text)
    daemon.wait_for("places", "completed")
    work = daemon.home / "places-work"
    assert printed(daemon, "places", 1) == f"{work}\nplaces 1 it's me {{unknown}} 1\n"
    assert printed(daemon, "places", 1, "stderr") == "loud\n"
    assert printed(daemon, "places", 2) == f"{work}/below\n"
    assert printed(daemon, "places", 3) == f"<{daemon.home}/script.sh><it's me><two>"
    assert [hook["status"] for hook in hooks(daemon, "places")] == ["completed"] * 3
    assert daemon.status("places")["phase"] == "hooks"


# --- the daemon dies --------------------------------------------------------------------------------------


def gated_hook(name):
    return command(f'note start {name}; read _ < "$HOME/gate-{name}"; note end {name}; echo told')


def test_a_hook_that_runs_goes_on_without_the_daemon_and_runs_once(daemon):
    daemon.gate("h")
    daemon.submit(hooked("on", [gated_hook("h"), command("note start last")]))
    daemon.ledger.wait_for("start h")
    daemon.kill()
    daemon.start()
    assert daemon.status("on")["in_flight"][0]["hook"] == 1
    daemon.gate("h").open()
    daemon.wait_for("on", "completed")
    assert daemon.ledger.lines()[2:] == ["start h", "end h", "start last"]
    assert printed(daemon, "on", 1) == "told\n"
    assert [hook["attempt_count"] for hook in hooks(daemon, "on")] == [1, 1]


def test_a_hook_that_ends_while_the_daemon_is_down_is_taken_as_it_ended(daemon):
    daemon.gate("h")
    daemon.submit(hooked("down", [gated_hook("h")]))
    daemon.ledger.wait_for("start h")
    daemon.kill()
    daemon.gate("h").open()
    daemon.ledger.wait_for("end h")
    daemon.start()
    daemon.wait_for("down", "completed")
    assert daemon.ledger.lines().count("start h") == 1


def test_a_hook_that_was_killed_with_its_supervisors_is_not_repeated_by_itself(daemon):
    daemon.gate("h")
    daemon.submit(hooked("lost", [gated_hook("h")]))
    daemon.ledger.wait_for("start h")
    daemon.kill()
    for pid in daemon.processes("MARIANNE_HOOK=1") + daemon.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    daemon.start()
    job = daemon.wait_for("lost", "paused")
    (hold,) = job["holds"]
    assert hold["cause"] == "failure"
    assert "was lost, it is not known whether it did its work" in hold["reason"]
    assert daemon.ledger.lines().count("start h") == 1
    daemon.gate("h").open()
    daemon.rpc("job.resume", job_id="lost")
    daemon.wait_for("lost", "completed")
    assert daemon.ledger.lines().count("end h") == 1


def test_a_hook_whose_supervisor_is_killed_pauses_its_job_and_is_told_in_plain_words(daemon):
    daemon.gate("h")
    daemon.submit(hooked("orphan", [gated_hook("h")]))
    daemon.ledger.wait_for("start h")
    identity = json.loads((daemon.attempt_directory(name="hook-1") / "identity.json").read_text())
    os.kill(identity["pid"], signal.SIGKILL)
    job = daemon.wait_for("orphan", "paused")
    assert "was lost, it is not known" in job["holds"][0]["reason"]
    told = [event["text"] for event in daemon.journal("orphan")]
    assert not [text for text in told if "unknown signal" in text or "lost, lost" in text]
    daemon.gate("h").open()
    daemon.rpc("job.resume", job_id="orphan")
    daemon.wait_for("orphan", "completed")
    assert daemon.ledger.lines().count("end h") == 1


def test_a_chain_of_depth_three_with_a_pause_and_a_kill_in_its_middle(daemon):
    cool = {"cooldown_between_jobs_seconds": "300ms"}
    write(daemon, "c.yaml", score("c", [plain("c")]))
    write(daemon, "b.yaml", hooked("b", [chains("c.yaml")], bodies=[gated("b")], concert=cool))
    daemon.gate("b")
    daemon.submit(hooked("a", [chains("b.yaml")], bodies=[plain("a")], concert=cool))
    daemon.ledger.wait_for("start b")
    assert daemon.rpc("job.pause", job_id="a")["status"] == "paused"
    daemon.rpc("job.pause", job_id="b")
    daemon.kill()
    daemon.start()
    daemon.gate("b").open()
    daemon.wait_for("b", "paused")
    daemon.rpc("job.resume", job_id="b")
    daemon.wait_for("b", "completed")
    daemon.event("a", "hook.completed", hook=1)
    assert daemon.rpc("job.resume", job_id="a")["status"] == "completed"
    assert daemon.ledger.lines() == [f"{word} {name}" for name in "abc" for word in ("start", "end")]

"""What a sheet is given, and who can see it."""

import json
import sqlite3

import pytest
from kit.daemon import gated, score
from kit.secrets import secret

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]

SECRET = secret("environment")


def test_the_later_layer_of_variables_wins(daemon, ledger):
    body = 'note "$FROM_DAEMON" "$FROM_RUN" "$FROM_SCORE" "$MARIANNE_JOB"'
    daemon.stop()
    daemon.start(FROM_DAEMON="daemon", FROM_RUN="daemon", FROM_SCORE="daemon")
    daemon.submit(
        score("solo", [body], instrument_config={"env": {"FROM_SCORE": "score", "MARIANNE_JOB": "mine"}}),
        env={"FROM_RUN": "run", "FROM_SCORE": "run", "MARIANNE_JOB": "yours"},
    )
    daemon.wait_for("solo", "completed")
    assert ledger.lines() == ["daemon run score solo"]


def test_standard_input_is_empty_and_no_descriptor_of_the_daemon_is_open(daemon, ledger):
    daemon.submit(
        score("solo", ["cat; note $(ls -l /proc/self/fd | grep -c -e socket -e marianne.db -e lock)"])
    )
    daemon.wait_for("solo", "completed")
    assert ledger.lines() == ["0"]


def test_given_variables_are_told_to_nobody(daemon, ledger):
    daemon.gate(1)
    text = score("duo", ['test -n "$KEY" && ' + gated(1), "exit 1"])
    replies = [daemon.submit(text, env={"KEY": SECRET}, key="k")]
    ledger.wait_for("start 1")
    replies += [
        daemon.refusal(
            "job.submit", text=text, directory="/", submit_directory="/", env={"KEY": SECRET}
        ).data,
        daemon.status("duo", sheets="1"),
        daemon.rpc("job.list"),
        daemon.rpc("job.history", job_id="duo"),
    ]
    daemon.gate(1).open()
    daemon.wait_for("duo", "failed")
    replies += [
        daemon.rpc("job.resume", job_id="duo", env={"KEY": SECRET, "OTHER": SECRET}),
        daemon.wait_for("duo", "failed", "completed"),
        daemon.rpc("events.read"),
    ]
    assert SECRET not in json.dumps(replies)
    assert SECRET not in daemon.log.read_text()
    for stream in ("stdout", "stderr", "prompt", "result"):
        assert SECRET not in json.dumps(daemon.rpc("log.read", job_id="duo", sheet=1, stream=stream))


def test_the_database_keeps_no_variable_in_requests_or_events(daemon):
    daemon.submit(score("solo", ["exit 1"]), env={"KEY": SECRET}, key="a")
    daemon.wait_for("solo", "failed")
    daemon.rpc("job.resume", job_id="solo", env={"KEY": SECRET}, key="b")
    daemon.wait_for("solo", "failed")
    daemon.stop()
    with sqlite3.connect(daemon.state / "marianne.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        holding = {
            table
            for table in tables
            for row in database.execute(f"SELECT * FROM {table}")
            if any(SECRET in (value.decode(errors="replace") if isinstance(value, bytes) else str(value)) for value in row)
        }  # fmt: skip
    database.close()
    assert holding <= {"runs"}
    daemon.start()

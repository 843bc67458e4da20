"""The audit sees what it is there for: each kind of loss and repetition, put in by hand, is found."""

import shutil
import sqlite3

import pytest
from audit import audit
from crashing import Crashing
from test_walk import paused

DAMAGES = {
    "an acknowledged request is forgotten": "DELETE FROM requests WHERE method = 'job.pause'",
    "its reply was another": "UPDATE requests SET event = event + 1 WHERE method = 'job.pause'",
    "an event is missing": "DELETE FROM events WHERE event = 3",
    "an attempt ends twice": (
        "INSERT INTO events SELECT (SELECT max(event) + 1 FROM events), recorded_at, type, run_id, job_name, run,"
        " sheet, stage, instance, hook, attempt, (SELECT status FROM runs), revision, caller, reason, cause, text, facts"
        " FROM events WHERE type = 'attempt.ended' LIMIT 1"
    ),
    "a request is in the journal twice": (
        "UPDATE events SET reason = 'k2' WHERE event = (SELECT max(event) FROM events)"
    ),
    "a sheet started while a hold was": "UPDATE events SET status = 'paused' WHERE type = 'attempt.started'",
    "a status follows another against the table": "UPDATE events SET status = 'cancelling' WHERE event = 2",
    "a held job has ended": "INSERT INTO holds (run_id, hold, cause, held_at) SELECT run_id, 9, 'user', 0 FROM runs",
    "a held job ended by itself": (
        "UPDATE events SET status = 'completed', caller = NULL WHERE status = 'running'"
        " AND event > (SELECT max(event) FROM events WHERE status = 'paused')"
    ),
    "the run and its journal disagree": "UPDATE runs SET status = 'failed'",
    "an attempt is missing": "DELETE FROM attempts WHERE uid = 1",
    "two attempts overlap": (
        "INSERT INTO attempts SELECT run_id, uid, 2, sheet, stage, instance, kind, revision, instrument, model,"
        " started_at, time_limit_at, ended_at, 'lost', parked, error_category, error_message, exit_code, signal,"
        " pid, session_id, input_tokens, output_tokens, cost_usd, stdout_bytes, stderr_bytes, validations, result,"
        " cached_tokens, incarnation, max_rss_kib, round, silence_seconds, executor, node, cluster_job,"
        " cluster_seconds"
        " FROM attempts WHERE uid = 1"
    ),
    "a sheet is done without an attempt of its own": "UPDATE sheets SET status = 'completed', uid = 99 WHERE uid = 2",
    "a record is of another database": "UPDATE meta SET value = 'another' WHERE name = 'daemon_id'",
    "a record is of another incarnation": "UPDATE incarnations SET token = 'another'",
    "a success whose exit nobody knows": "UPDATE attempts SET exit_code = NULL WHERE uid = 1",
    "an attempt is open for ever": "UPDATE attempts SET outcome = NULL WHERE uid = 2",
    "skip rules are asked for ever": (
        "INSERT INTO skips SELECT run_id, uid, sheet, stage, instance, revision, instrument, model, started_at,"
        " time_limit_at, incarnation FROM attempts WHERE uid = 2"
    ),
    "a revision is not in force": "UPDATE revisions SET status = 'past'",
    "an agent saw another prompt": "UPDATE revisions SET text = replace(text, 'note start', 'note  start')",
    "a job never ends": "UPDATE runs SET ended = NULL",
}
LINES = {
    "an attempt started twice": lambda lines: [*lines, lines[0]],
    "two of a sheet at once": lambda lines: [*lines, lines[0].replace("start", "twice")],
    "a success that never ended": lambda lines: lines[:-1],
    "a process without an attempt": lambda lines: [*lines, "start j1-1 nobody"],
}


@pytest.mark.crash
def test_each_damage_is_found(house):
    crashing = Crashing(house, [])
    crashing.start()
    paused(crashing, "j1")
    house.stop()
    database = house.state / "marianne.db"
    shutil.copy(database, house.home / "whole.db")
    audit(house, crashing.answered)
    for damage, statement in DAMAGES.items():
        opened = sqlite3.connect(database)
        with opened:
            assert opened.execute(statement).rowcount, damage
        opened.close()
        found(house, crashing, damage)
        shutil.copy(house.home / "whole.db", database)
    whole = house.ledger.lines()
    for damage, change in LINES.items():
        (house.home / "ledger").write_text("\n".join(change(whole)) + "\n")
        found(house, crashing, damage)
    (house.home / "ledger").write_text("\n".join(whole) + "\n")
    audit(house, crashing.answered)


def found(house, crashing, damage):
    try:
        audit(house, crashing.answered)
    except (AssertionError, KeyError, FileNotFoundError):
        return
    pytest.fail(f"the audit did not find: {damage}")

"""The audit: what must hold after any crash, read from the ledger, the replies and the database alone.

`AnsweredRequest` is what a client asked under a key, with the reply. The daemon has stopped when `audit`
looks.
Sheets of a crash test write `start NAME ID` and `end NAME ID` into the ledger, NAME being in their prompt,
and `twice NAME ID` when another process of their sheet is alive. Invariants: docs/design/durability.md.
"""

import itertools
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import yaml

NEXT = {
    None: {"queued", "paused"},
    "queued": {"running", "paused", "failed", "cancelled", "completed"},
    "running": {"pausing", "paused", "cancelling", "cancelled", "completed", "failed"},
    "pausing": {"running", "paused", "queued", "cancelling", "cancelled", "completed", "failed"},
    "paused": {"queued", "running", "completed", "failed", "cancelled"},
    "cancelling": {"cancelled"},
    "completed": {"queued", "running", "paused"},
    "failed": {"queued", "running", "pausing", "paused", "cancelled", "completed"},
    "cancelled": {"queued", "running", "paused", "completed"},
}
"""Which status may follow which from one commit to the next (docs/design/control.md §3).

Pausing follows failed where its hooks run, and a modify that lets it go on waits for them.
Completed follows at once where nothing is left to run: the failed sheet is removed by a revision that the job
goes on under, or the last attempt of a cancelled job had succeeded before it was ended.
"""

AGAIN = ("from", "only", "rerun")
"""By which parameters a request names what runs again."""
ENDED = ("completed", "failed", "cancelled")
SAID_ANEW = ("problems", "source_changed", "hints", "hindered_by")
"""What a reply says of the moment it is given at: it is not kept with the request."""


def differences(one, other):
    """Name what differs between two replies to one request, but for what is said of the moment.

    So is what waits in a cluster's queue, which therefore has no time limit yet.
    """
    kept, heard = _kept_of(one), _kept_of(other)
    queued = {row["sheet"] for reply in (one, other) for row in reply.get("waiting", []) if _is_queued(row)}
    for reply in (kept, heard):
        if queued & {row["sheet"] for row in reply.get("in_flight", [])}:
            reply["in_flight"] = [
                row | {"time_limit_at": None} if row["sheet"] in queued else row for row in reply["in_flight"]
            ]
    return {name for name in kept.keys() | heard.keys() if kept.get(name) != heard.get(name)}


def _kept_of(reply):
    """Return a reply without what is said of the moment; what hinders the job then follows its message."""
    said = {name: value for name, value in reply.items() if name not in SAID_ANEW}
    if "message" in said:
        hindered = "; ".join(["", *reply.get("hindered_by", [])])
        said["message"] = said["message"].removesuffix(hindered)
    if "waiting" in said:
        said["waiting"] = [row for row in said["waiting"] if not _is_queued(row)]
    return said


def _is_queued(row):
    return row["waiting_for"] == "slurm"


class AnsweredRequest(NamedTuple):
    """A request with its key, and its reply."""

    method: str
    params: dict
    reply: dict


class Outside(NamedTuple):
    """What has been done to the database and its runs, that they can't tell themselves.

    `heard` are all events that a client has heard (None: nothing was removed); `removed` are the numbers of
    the runs that were, by job and run; `forgotten` are the flights that a copy which was put back knows
    nothing of.
    """

    heard: list | None = None
    removed: dict = {}  # noqa: RUF012  a tuple's default is a constant
    forgotten: frozenset = frozenset()

    def is_there(self, event):
        """Tell whether an event that was heard is still to be found."""
        return event["type"] == "job.removed" or (event["job_id"], event["run"]) not in self.removed

    def known(self, lines):
        """Return the lines of the ledger that are of runs in the database."""
        words = [line.split() for line in lines]
        gone = {str(run_id) for run_id in self.removed.values()}
        return [
            line
            for line, (*_, flight) in zip(lines, words, strict=True)
            if flight not in self.forgotten and flight.rsplit("-", 3)[-3:][0] not in gone
        ]


def audit(house, answered, unended=(), taken_back=(), outside=Outside()):  # noqa: B008  it never changes
    """Check every invariant; `unended` names the jobs that are meant not to have ended.

    `taken_back` are the params of requests that were accepted and told in the end that it can no longer come.
    """
    asked = [(method, params) for method, params, _ in answered] + [("", params) for params in taken_back]
    lines = outside.known(house.ledger.lines())
    of_jobs = [one for one in answered if one.reply.get("run") and not is_removed(one, outside)]
    found = sqlite3.connect(f"file:{house.state / 'marianne.db'}?mode=ro", uri=True)
    found.row_factory = sqlite3.Row
    try:
        assert [tuple(row) for row in found.execute("PRAGMA integrity_check")] == [("ok",)]
        assert found.execute("PRAGMA foreign_key_check").fetchall() == []
        check_journal(found, outside)
        check_steps(found)
        check_kept(found, answered)
        check_replies(found, of_jobs)
        check_revisions(found, of_jobs)
        check_attempts(found, [params for _, params in asked])
        check_ledger(found, lines)
        check_records(found)
        check_hooks(found, [params for _, params in asked], lines)
        check_ends(found, unended)
    finally:
        found.close()


def is_removed(answered, outside):
    """Tell whether a request was of a run that is removed by now."""
    return (answered.reply.get("job_name"), answered.reply.get("run")) in outside.removed


def nothing_lives(house, job):
    """I4: what is paused or has ended has no process."""
    assert house.processes(f"MARIANNE_JOB={job}") == [], job


def rows(found, table):
    return [dict(row) for row in found.execute(f"SELECT * FROM {table} ORDER BY rowid")]


def check_journal(found, outside):
    """I8, I3, I4: numbers without a gap, statuses along the table, nothing started while a hold is.

    A held job has not ended, but by somebody's request or by the end of its hold: no other line begins that.
    """
    events = rows(found, "events")
    numbers = [event["event"] for event in events]
    if outside.heard is None:
        assert numbers == list(range(1, len(events) + 1))
    else:
        assert numbers == [event["event"] for event in outside.heard if outside.is_there(event)]
    statuses = {}
    for event in events:
        run, status = event["run_id"], event["status"]
        if run is None or status is None:
            continue
        before = statuses.get(run)
        assert status == before or status in NEXT[before], (before, event)
        statuses[run] = status
        by_itself = event["caller"] is None and event["type"] != "hold.ended"
        assert not (by_itself and before == "paused" and status in ENDED), ("a held job has ended", event)
        if event["type"] == "attempt.started":
            assert status == "running", event
    for run in rows(found, "runs"):
        assert run["status"] == statuses[run["run_id"]], run


def check_steps(found):
    """I2: an attempt ends once: two loops of one run would each tell of it.

    A sheet's number is that of the revision in force: a parked attempt keeps its own revision and may end
    under a number that another sheet had in that one.
    """
    in_force, ends = {}, {}
    for row in rows(found, "events"):
        if row["type"] == "revision.applied":
            in_force[row["run_id"]] = row["revision"]
        elif row["type"] == "attempt.ended":
            name = (row["run_id"], in_force.get(row["run_id"], 1), row["hook"], row["sheet"], row["attempt"])
            ends.setdefault(name, []).append(row)
    twice = [events for events in ends.values() if len(events) > 1]
    assert not twice, twice


def check_kept(found, answered):
    """I1: each acknowledged request is kept with its reply, longer than its run."""
    kept = {(row["method"], row["key"]): row for row in rows_of_requests(found)}
    for method, params, reply in answered:
        row = kept[method, params["key"]]
        answer = json.loads(row["reply"])
        differs = differences(answer, reply)
        assert differs <= {"event"}, (method, differs, answer, reply)
        assert row["event"] == reply["event"]


def check_replies(found, answered):
    """I1: each acknowledged request of a job is in the journal once, where the reply says."""
    events = {event["event"]: event for event in rows(found, "events")}
    kept = {(row["method"], row["key"]): row for row in rows_of_requests(found)}
    for method, params, reply in answered:
        row = kept[method, params["key"]]
        mine = [event for event in events.values() if event["run_id"] == row["run_id"] and event["status"]]
        assert status_at(mine, reply["event"]) == reply["status"], (method, reply)
        asked = Counter(event["run_id"] for event in events.values() if event["reason"] == params["key"])
        assert asked[row["run_id"]] == 1, (method, asked)


def status_at(events, number):
    """Return what a run was by these events when the journal had come to that number."""
    return [event["status"] for event in events if event["event"] <= number][-1]


def rows_of_requests(found):
    return [row for row in rows(found, "requests") if row["key"] is not None]


def check_revisions(found, answered):
    """I6: numbered without a gap, one in force, each whole; every acknowledged one is there."""
    runs = {run["run_id"]: run for run in rows(found, "runs")}
    revisions = {}
    for row in rows(found, "revisions"):
        revisions.setdefault(row["run_id"], []).append(row)
    for run_id, run in runs.items():
        of_run = revisions[run_id]
        assert [row["revision"] for row in of_run] == list(range(1, run["last_revision"] + 1))
        current = [row["revision"] for row in of_run if row["status"] == "current"]
        staged = [row["revision"] for row in of_run if row["status"] == "staged"]
        assert current == [run["revision"]]
        assert staged == [number for number in [run["staged_revision"]] if number is not None]
    for method, params, reply in answered:
        if method == "job.modify" and params.get("text"):
            name = (reply["job_name"], reply["run"])
            (run,) = [run for run in runs.values() if (run["job_name"], run["run"]) == name]
            number = reply["staged_revision"] or reply["revision"]
            assert revisions[run["run_id"]][number - 1]["text"] == params["text"]


def check_attempts(found, asked):
    """I2, I10: attempts of a sheet follow each other; what completed runs again only when asked to."""
    again = Counter(params["job_id"] for params in asked if any(map(params.get, AGAIN)))
    in_vain = (
        Counter(  # where a round has no answer, or was the last, a resume plays its last stage once more
            event["run_id"]
            for event in rows(found, "events")
            if event["type"] == "sheet.failed"
            and (event["cause"] == "rounds" or "until has no answer" in event["text"])
        )
    )
    names = {run["run_id"]: run["job_name"] for run in rows(found, "runs")}
    sheets = {}
    for row in sorted(rows(found, "attempts"), key=lambda row: row["attempt"]):
        sheets.setdefault((row["run_id"], row["uid"]), []).append(row)
    for (run_id, _), attempts in sheets.items():
        assert [row["attempt"] for row in attempts] == list(range(1, len(attempts) + 1))
        for earlier, later in itertools.pairwise(attempts):
            assert earlier["outcome"] is not None, attempts
            assert earlier["ended_at"] <= later["started_at"], attempts
        succeeded = [row for row in attempts if row["outcome"] == "succeeded"]
        assert all(row["exit_code"] == 0 for row in succeeded), attempts
        rounds = Counter(row["round"] for row in succeeded)  # each round of a loop is one time more
        most = 1 + again[names[run_id]] + in_vain[run_id]
        asks = [params for params in asked if params.get("job_id") == names[run_id]]
        assert all(times <= most for times in rounds.values()), (names[run_id], most, asks, attempts)


def check_ledger(found, lines):
    """I2, I5, I10: each attempt's process began at most once, for its row, with its revision's prompt."""
    names = incarnations(found)
    attempts = {
        f"{names[row['incarnation']]}-{row['run_id']}-{row['uid']}-{row['attempt']}": row
        for row in rows(found, "attempts")
    }
    texts = {(row["run_id"], row["revision"]): row["text"] for row in rows(found, "revisions")}
    seen = {"start": {}, "end": {}, "twice": {}, "check": {}, "hook": {}, "done": {}}
    for line in lines:
        word, name, attempt = line.split()
        if word != "check":
            assert attempt not in seen[word], line
        seen[word][attempt] = name
    assert not seen["twice"]
    for attempt, name in seen["start"].items():
        row = attempts[attempt]
        bodies = yaml.load(texts[row["run_id"], row["revision"]], yaml.CSafeLoader)["prompt"]["variables"][
            "bodies"
        ]
        assert f"note start {name} " in bodies[row["sheet"]], (name, row)
    for attempt, row in attempts.items():
        if row["outcome"] == "succeeded":
            assert seen["start"][attempt] == seen["end"][attempt]
    assert set(seen["end"]) <= set(seen["start"])


def check_hooks(found, asked, lines):
    """I2, I10: an attempt of a hook began at most once, for its row; what succeeded never runs again.

    Those of a completed run have been done, or were asked for afterwards; those of a failure ran once for each end.
    Of a hook that a revision has taken out there is no row, if it had not succeeded: the run has given its number.
    """
    names = incarnations(found)
    made = {}
    for row in rows(found, "hooks"):
        flights, numbers = json.loads(row["attempt_ids"]), json.loads(row["incarnations"])
        for flight, number in zip(flights, numbers, strict=True):
            made[f"{names[number]}-{row['run_id']}-hook-{flight}"] = row
        assert (row["status"] == "completed") == (row["outcome"] == "succeeded"), row
    again = sum(bool(params.get("from") or params.get("rerun")) for params in asked)
    failed = Counter(event["run_id"] for event in rows(found, "events") if event["type"] == "job.failed")
    runs = {str(run["run_id"]): run for run in rows(found, "runs")}
    done = Counter()
    for line in lines:
        word, name, attempt = line.split()
        if word in ("hook", "done"):
            _, run_id, _, flight = attempt.rsplit("-", 3)
            taken_out = runs[run_id]["last_revision"] > 1 and int(flight) < runs[run_id]["next_hook_attempt"]
            assert attempt in made or taken_out, line
            of_failure = attempt in made and made[attempt]["after_failure"]
            most = failed[int(run_id)] - 1 if of_failure else again
            assert word == "hook" or name not in done or done[name] <= most, line
            done[name] += word == "done"
    attempted = {run_id for (run_id,) in found.execute("SELECT run_id FROM sheets WHERE attempts")}
    for run in runs.values():
        of_run = [row for row in made.values() if row["run_id"] == run["run_id"]]
        mine = [row for row in of_run if not row["after_failure"]]
        assert not (run["ended"] == "failed" and run["failing"]), ("its hooks have not all run", run)
        fine = [row["status"] == "completed" or row["outcome"] == "refused" for row in mine]
        due = run["ended"] == "completed" and run["run_id"] in attempted and not revised_since(found, run)
        assert all(fine) or not due, mine


def revised_since(found, run):
    """Tell whether a run has been given something to do after it has ended: a resume does that."""
    types = [row["type"] for row in rows(found, "events") if row["run_id"] == run["run_id"]]
    since = types[len(types) - types[::-1].index("job.completed") :]
    return any(kind.startswith("revision.") or kind == "sheets.rewound" for kind in since)


def incarnations(found):
    """Return the names that attempts' ids begin with, by the number of their incarnation."""
    (daemon_id,) = [row["value"] for row in found.execute("SELECT value FROM meta WHERE name = 'daemon_id'")]
    return {
        row["incarnation"]: f"{daemon_id}-{row['incarnation']}-{row['token']}"
        for row in rows(found, "incarnations")
    }


def check_records(found):
    """I2, I10: each success has an exit record that is of this attempt and this database.

    No sheet is done without such an attempt of its own, or the word of a person; where it ends the round of a
    loop, an attempt that has failed will do.
    """
    names = incarnations(found)
    places = {row["incarnation"]: Path(row["attempts"]) for row in rows(found, "incarnations")}
    proven = {"succeeded": set(), "failed": set()}
    for row in rows(found, "attempts"):
        if row["outcome"] == "succeeded" or (row["outcome"] == "failed" and row["round"] is not None):
            name, flight = names[row["incarnation"]], f"{row['uid']}-{row['attempt']}"
            directory = places[row["incarnation"]] / name / str(row["run_id"]) / flight
            record = json.loads((directory / "exit.json").read_bytes())
            assert record["id"] == f"{name}-{row['run_id']}-{flight}", (row, record)
            assert record["exit_code"] == row["exit_code"], (row, record)
            proven[row["outcome"]].add((row["run_id"], row["uid"]))
    for row in found.execute("SELECT * FROM sheets").fetchall():
        if row["status"] == "completed" and row["word"] is None:
            how = "failed" if row["validation_passed"] == 0 else "succeeded"
            assert (row["run_id"], row["uid"]) in proven[how], dict(row)


def check_ends(found, unended):
    """I9: every job has ended, and nothing of an ended one is open."""
    for run in rows(found, "runs"):
        assert run["job_name"] in unended or run["ended"], run
    waiting = found.execute("SELECT * FROM requests WHERE reply IS NULL AND refusal IS NULL").fetchall()
    opened = found.execute("SELECT * FROM attempts WHERE outcome IS NULL AND NOT parked").fetchall()
    opened += found.execute("SELECT * FROM skips").fetchall()
    opened += found.execute("SELECT * FROM hooks WHERE status = 'running'").fetchall()
    held = found.execute("SELECT * FROM holds").fetchall()
    both = found.execute("SELECT * FROM holds JOIN runs USING (run_id) WHERE ended IS NOT NULL").fetchall()
    assert not both, "a held job has not ended"
    assert unended or not (waiting or opened or held)

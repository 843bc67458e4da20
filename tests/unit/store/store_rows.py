"""Factories: rows with what a test does not care about filled in."""

from typing import Any

from marianned.clock import Instant
from marianned.protocol import Caller
from marianned.rows import AttemptRow, EventRow, HoldRow, RequestRow, RevisionRow, RunRow, SheetRow

CALLER = Caller(uid=1000, pid=42, name="mzt 1")


def run_row(run_id: int = 1, **fields: Any) -> RunRow:
    given: dict[str, Any] = {
        "job_name": "notes",
        "run": 1,
        "description": None,
        "workspace": "/w",
        "submit_directory": "/s",
        "umask": 0o022,
        "env": {"A": "1"},
        "config_file": None,
        "created_at": 1,
        "updated_at": 1,
        "status": "running",
        "status_since": 1,
        "revision": 1,
        "last_revision": 1,
    }
    return RunRow(run_id=run_id, **given | fields)


def sheet_row(uid: int, **fields: Any) -> SheetRow:
    return SheetRow(**{"run_id": 1, "uid": uid, "sheet": uid} | fields)


def attempt_row(uid: int, attempt: int = 1, **fields: Any) -> AttemptRow:
    given: dict[str, Any] = {
        "run_id": 1,
        "sheet": uid,
        "stage": uid,
        "instance": 1,
        "kind": "first",
        "revision": 1,
        "instrument": "sh",
        "started_at": 1,
        "time_limit_at": 2,
    }
    return AttemptRow(uid=uid, attempt=attempt, **given | fields)


def hold_row(hold: int, **fields: Any) -> HoldRow:
    given: dict[str, Any] = {"run_id": 1, "cause": "user", "owner": CALLER, "reason": "why", "held_at": 1}
    return HoldRow(hold=hold, **given | fields)


def revision_row(revision: int, **fields: Any) -> RevisionRow:
    given: dict[str, Any] = {
        "run_id": 1,
        "status": "current",
        "text": "name: notes",
        "directory": "/d",
        "config_file": "/d/notes.yaml",
        "files": {"/d/a": "text of a"},
        "sha256": "9f2c",
        "expanded": b"{}",
        "plan": b"[]",
        "caller": CALLER,
        "reason": None,
        "created_at": 1,
    }
    return RevisionRow(revision=revision, **given | fields)


def request_row(request: str, **fields: Any) -> RequestRow:
    given: dict[str, Any] = {
        "uid": 1000,
        "method": "job.pause",
        "key": None,
        "params": "hash",
        "run_id": 1,
        "awaits": None,
        "since_hold": None,
        "revision": None,
        "caller": CALLER,
        "asked": asked(1),
    }
    return RequestRow(request=request, **given | fields)


def asked(at: int, *, boot: str = "this", boottime: int | None = None) -> Instant:
    """Return a moment on whose boot the clocks go alike, unless it says else."""
    return Instant(at, boot, at if boottime is None else boottime)


def event_row(text: str = "", **fields: Any) -> EventRow:
    given: dict[str, Any] = {
        "recorded_at": 1_000,
        "type": "job.tested",
        "run_id": 1,
        "job_name": "notes",
        "run": 1,
    }
    return EventRow(text=text, **given | fields)

"""Requests from inside an attempt are known as such; by default a sheet may look, pause its own job and submit."""

import pytest
from kit.asking_inside import ask, code, said
from kit.daemon import gated, score

pytestmark = pytest.mark.one_daemon


@pytest.fixture
def other(daemon, ledger):
    daemon.gate("other")
    daemon.submit(score("other", [gated("other")]))
    ledger.wait_for("start other")
    return "other"


REFUSED = {
    "resume": ("job.resume", {"job_id": "evil"}),
    "cancel": ("job.cancel", {"job_id": "other"}),
    "pause-other": ("job.pause", {"job_id": "other"}),
    "pause-now": ("job.pause", {"job_id": "evil", "now": True}),
    "modify": ("job.modify", {"job_id": "evil", "text": "x", "directory": "/"}),
    "remove": ("job.remove", {"job_id": "other"}),
    "limits": ("instrument.clear_limits", {}),
    "backup": ("backup.write", {"file": "/nowhere/x"}),
    "stop": ("daemon.stop", {}),
    "check": ("instrument.check", {}),
}
ALLOWED = {"status": ("job.status", {"job_id": "other"}), "pause": ("job.pause", {"job_id": "evil"})}


def test_a_sheet_asks_and_history_says_which(daemon, other):
    body = "".join(ask(name, method, **params) for name, (method, params) in {**REFUSED, **ALLOWED}.items())
    daemon.submit(score("evil", [body, "true"]))
    daemon.wait_for("evil", "held", "ended")
    codes = {name: code(daemon, name) for name in (*REFUSED, *ALLOWED)}
    wrong = [name for name in REFUSED if codes[name] not in ("E509", None)] + [
        name for name in ALLOWED if codes[name] != "done"
    ]
    assert not wrong, {name: said(daemon, name) for name in wrong}
    assert codes["resume"] == codes["cancel"] == codes["stop"] == "E509"
    assert "security.sheets_may" in said(daemon, "resume")["error"]["message"]
    status = daemon.status("evil")
    assert status["status"] == "paused"
    assert status["holds"][0]["owner"]["inside"] == "sheet 1 of evil"
    assert daemon.status(other)["status"] == "running"
    asked = [event for event in daemon.journal("evil") if event["caller"] and event["caller"]["inside"]]
    assert {event["caller"]["inside"] for event in asked} == {"sheet 1 of evil"}
    daemon.rpc("job.resume", job_id="evil")
    daemon.wait_for("evil", "completed")
    daemon.gate("other").open()

"""What a look may leave out, and lists and graphs that are asked for in short."""

import pytest
import yaml
from kit.daemon import gated, plain, score
from kit.tables import each

from marianned.conductor.queries import ended_runs


@pytest.fixture
def job(daemon):
    daemon.submit(score("trio", [plain(1), "exit 3", plain(3)]))
    daemon.wait_for("trio", "failed")
    return daemon


def test_fields_are_told_alone_and_without_leaves_them_out(job):
    whole = job.status("trio")
    few = job.status("trio", fields=["status", "sheets.sheet", "sheets.status"])
    assert set(few) == {"job_id", "event", "status", "sheets"}
    assert few["sheets"] == [{key: one[key] for key in ("sheet", "status")} for one in whole["sheets"]]
    assert set(job.status("trio", fields=["cost"])) == {"job_id", "event", "cost"}
    less = job.status("trio", without=["drift", "sheets.needs", "sheets", "event"])
    assert set(whole) - set(less) == {"drift", "sheets"}
    less = job.status("trio", fields=["sheets"], without=["sheets.needs"])
    assert less["sheets"] == [
        {key: value for key, value in one.items() if key != "needs"} for one in whole["sheets"]
    ]


@each(
    ("params", "said"),
    [
        ({"fields": ["stauts"]}, "did you mean 'status'?"),
        ({"without": ["sheets.need"]}, "sheets.needs"),
        ({"fields": "status"}, "params.fields"),
        ({"fields": ["x" * 500]}, "params.fields"),
        ({"fields": [None]}, "params.fields"),
        ({"newer_than": -1}, "params.newer_than"),
        ({"newer_than": 2**60}, "params.newer_than"),
        ({"newer_than": "1"}, "params.newer_than"),
    ],
)
def test_what_is_no_key_is_refused(job, params, said):
    assert said in job.refusal("job.status", job_id="trio", **params).message


def test_a_status_that_is_not_newer_is_unchanged_until_something_is_committed(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]))
    ledger.wait_for("start 1")
    daemon.submit(score("two", [plain(1)]))
    daemon.wait_for("two", "completed")
    seen = daemon.status("one")["event"]
    same = daemon.status("one", newer_than=seen)
    assert same == {"job_id": "one", "event": seen, "unchanged": True}
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")
    now = daemon.status("one", newer_than=seen, fields=["status", "unchanged"])
    assert (now["status"], now["unchanged"]) == ("completed", False)
    assert daemon.status("one", newer_than=now["event"])["unchanged"]
    assert not daemon.status("one", newer_than=now["event"] + 100)["unchanged"], "of another journal"


def test_a_graph_is_told_by_stages(daemon):
    sheet = {"size": 1, "total_items": 3, "fan_out": {1: 2, 2: 2}, "dependencies": {2: [1], 3: [2]}}
    fan = yaml.safe_load(score("fan", ["true"])) | {"sheet": sheet, "prompt": {"template": "true"}}
    daemon.submit(yaml.safe_dump(fan))
    daemon.wait_for("fan", "completed")
    graph = daemon.rpc("job.graph", job_id="fan")
    told = [(one["first"], one["count"], one["needs"], one["needs_own"]) for one in graph["stages"]]
    assert told == [(1, 2, [], []), (3, 2, [], [1]), (5, 1, [2], [])]
    assert (graph["sheets"], graph["total"], graph["revision"], graph["run"]) == ([], 0, 1, 1)
    assert daemon.refusal("job.graph", job_id="nobody").code == "E501"


def test_lists_come_in_short_newest_first_and_by_names_and_times(daemon):
    for name in ("alpha", "beta", "alpine"):
        daemon.submit(score(name, ["exit 3" if name == "beta" else "true"]))
        daemon.wait_for(name, "ended")
    daemon.submit(score("alpha", ["true"]), fresh=True)
    daemon.wait_for("alpha", "completed")
    found = daemon.rpc("job.list", brief=True, newest_first=True, counts=True)
    assert [one["job_id"] for one in found["brief"]] == ["alpha", "alpine", "beta"]
    assert (found["jobs"], found["total"]) == ([], 3)
    assert {word: count for word, count in found["counts"].items() if count} == {"completed": 2, "failed": 1}
    view = daemon.status("beta")
    assert found["brief"][2] == {
        **{key: view[key] for key in found["brief"][2] if key in view},
        **{key: view["timing"][key] for key in ("created_at", "started_at", "updated_at")},
        "ended_at": view["timing"]["completed_at"],
    }
    older = daemon.rpc("job.list", brief=True, runs=True, prefix="alp")
    assert [one["job_id"] for one in older["brief"]] == ["alpha@1", "alpine", "alpha"]
    since = found["brief"][1]["updated_at"]
    assert [job["job_id"] for job in daemon.rpc("job.list", since=since)["jobs"]] == ["alpine", "alpha"]
    some = daemon.rpc("job.list", statuses=["failed"], counts=True, prefix="b", newest_first=True)
    assert [job["job_id"] for job in some["jobs"]] == ["beta"]
    assert some["counts"]["completed"] == 0


@each(
    "params",
    [{"since": "yesterday"}, {"since": "9" * 400}, {"prefix": "x" * 200}, {"brief": 1}, {"counts": "yes"}],
)
def test_lists_refuse_what_they_can_not_read(daemon, params):
    assert daemon.refusal("job.list", **params).code == "E510"


def test_a_connection_that_is_read_only_changes_nothing_and_stays_so(daemon):
    daemon.submit(score("one", [plain(1)]))
    daemon.wait_for("one", "completed")
    with daemon.connect() as looking:
        assert looking.rpc("daemon.hello", read_only=True)["read_only"]
        assert looking.rpc("daemon.hello")["read_only"], "a second hello lifts nothing"
        assert looking.rpc("job.status", job_id="one")["status"] == "completed"
        assert looking.rpc("job.resume", job_id="one", plan=True, **{"from": "1"})["plan"]
        for method, params in (
            ("job.remove", {"job_id": "one"}),
            ("job.pause", {"job_id": "one"}),
            ("backup.write", {"file": str(daemon.home / "copy.db")}),
            ("instrument.check", {}),
            ("daemon.reload", {}),
        ):
            looking.send(method, **params)
            answer = looking.message()
            assert answer["error"]["data"]["error_code"] == "E509", method
            assert "questions only" in answer["error"]["message"]
        assert looking.rpc("events.subscribe", states=True)["stream"]
    assert not daemon.rpc("daemon.hello")["read_only"]
    assert daemon.rpc("job.remove", job_id="one")["removed"]


def test_a_run_that_has_ended_is_read_once_and_anew_when_it_has_changed(job, monkeypatch):
    read = []
    load = ended_runs.load_state

    async def counted(store, name, number):
        read.append(name)
        return await load(store, name, number)

    monkeypatch.setattr(ended_runs, "load_state", counted)
    first = job.status("trio")
    while not read:  # its end is told a moment before it leaves memory
        first = job.status("trio")
    assert {**job.status("trio"), "event": 0} == {**first, "event": 0}
    assert read == ["trio"]
    job.rpc("job.resume", job_id="trio", reason="again")
    job.wait_for("trio", "failed")
    assert job.status("trio")["sheets"][1]["attempt_count"] == 2 * first["sheets"][1]["attempt_count"]
    job.rpc("job.remove", job_id="trio")
    assert job.refusal("job.status", job_id="trio").code == "E501"

"""What several jobs decide is committed together or not at all, and each goes on either way."""

import anyio
import pytest
from kit.daemon import DEADLINE, Refused, gated, hooked, plain, score
from kit.logged import REFUSED, STORE, logged

from marianned.errors import NameTaken
from marianned.progress.state.triggers import Supersede
from marianned.protocol import Caller
from marianned.rows import Changes

SUPERSEDE = Supersede(caller=Caller(uid=0), reason=None, fresh=True)


def failed(daemon, *names):
    for name in names:
        daemon.submit(score(name, [f'note start {name}; test -e "$HOME/mended"']))
        daemon.wait_for(name, "failed")


def superseding(daemon, *names):
    """Let the runs of these names make room, for nobody."""

    async def transact():
        conductor = daemon.house.conductor
        async with conductor.registry_lock:
            rows = [await daemon.house.run(name) for name in names]
            return await conductor.transact(Changes(), supersede=[(row, SUPERSEDE) for row in rows])

    return transact


def test_one_that_refuses_lets_the_others_go_as_if_they_had_not_been_asked(daemon, ledger):
    failed(daemon, "first")
    daemon.gate("second")
    daemon.submit(score("second", [gated("second")]))
    ledger.wait_for("start second")
    journal = daemon.journal()
    with pytest.raises(NameTaken, match="'second' is running"):
        daemon.loop.call(superseding(daemon, "first", "second"))
    assert daemon.journal() == journal
    (daemon.home / "mended").touch()
    daemon.rpc("job.resume", job_id="first")
    daemon.wait_for("first", "completed")
    daemon.gate("second").open()
    daemon.wait_for("second", "completed")


def test_one_who_leaves_before_the_commit_lets_all_go(daemon):
    failed(daemon, "first", "second")

    async def leave():
        slow = daemon.house.conductor.jobs.get("second") or await daemon.house.conductor.job("second")
        part = slow.prepare(SUPERSEDE)
        await part.decision()  # its loop waits, and so will who asks it next
        with anyio.move_on_after(0.05) as scope:
            await superseding(daemon, "first", "second")()
        part.settle(None)
        return scope.cancelled_caught

    journal = daemon.journal()
    assert daemon.loop.call(leave)
    assert daemon.journal() == journal
    (daemon.home / "mended").touch()
    for name in ("first", "second"):
        daemon.rpc("job.resume", job_id=name)
        daemon.wait_for(name, "completed")


def test_all_that_makes_room_has_ended_in_one_transaction(daemon):
    failed(daemon, "first", "second")
    before = daemon.journal()[-1]["event"]
    made = daemon.loop.call(superseding(daemon, "first", "second"))
    told = [(event["event"], event["type"], event["job_id"]) for event in daemon.journal()][before:]
    assert told == [(before + 1, "job.cancelled", "first"), (before + 2, "job.cancelled", "second")]
    assert made.event == before + 2


def test_a_job_that_declines_what_its_hooks_submit_leaves_the_runs_in_its_way_alone(daemon, ledger):
    """A modify that comes while the end is submitted keeps the job from ending, and its chains back."""
    failed(daemon, "poor")
    daemon.gate("a")
    hook = {"type": "run_job", "job_path": "poor.yaml", "detached": True, "fresh": True}
    daemon.submit(hooked("giver", [hook], bodies=[gated("a")]))
    ledger.wait_for("start a")
    with daemon.holding_the_registry():
        daemon.gate("a").open()
        daemon.event("giver", "hook.started", text="hook 1: submits what was kept for the end")
        text = hooked("giver", [hook], bodies=[gated("a"), plain("b")])
        assert daemon.modify("giver", text)["status"] == "pausing"
    daemon.wait_for("giver", "paused")
    assert daemon.status("poor")["status"] == "failed"
    (daemon.home / "mended").touch()
    daemon.rpc("job.resume", job_id="giver")
    daemon.wait_for("giver", "completed")
    daemon.wait_for("poor", "completed")
    assert daemon.status("poor@1")["status"] == "cancelled"
    assert ledger.lines() == ["start poor", "start a", "end a", "start b", "end b", "start poor"]


def test_a_hook_that_is_interrupted_before_the_commit_has_submitted_nothing_and_runs_again(daemon, ledger):
    (daemon.home / "child.yaml").write_text(score("child", [plain("child")]))
    daemon.gate("a")
    daemon.submit(hooked("top", [{"type": "run_job", "job_path": "child.yaml"}], bodies=[gated("a")]))
    ledger.wait_for("start a")
    with daemon.holding_the_registry():
        daemon.gate("a").open()
        daemon.event("top", "hook.started")
        daemon.rpc("job.pause", job_id="top", now=True, wait=True)
    assert daemon.refusal("job.status", job_id="child").code == "E501"
    daemon.rpc("job.resume", job_id="top")
    daemon.wait_for("top", "completed")
    assert ledger.lines() == ["start a", "end a", "start child", "end child"]


def test_while_the_disk_refuses_a_chain_is_submitted_again_until_it_is_on_it(daemon, ledger):
    (daemon.home / "child.yaml").write_text(score("child", [plain("child")]))
    daemon.gate("a")
    daemon.submit(hooked("top", [{"type": "run_job", "job_path": "child.yaml"}], bodies=[gated("a")]))
    ledger.wait_for("start a")
    database, away = daemon.home / "marianne.db", daemon.home / "away.db"
    with logged(STORE, REFUSED) as refused:
        with daemon.holding_the_registry():
            daemon.gate("a").open()
            daemon.event("top", "hook.started")
            database.rename(away)
        assert refused.seen.wait(DEADLINE)
    away.rename(database)
    daemon.wait_for("top", "completed")
    assert daemon.status("child")["run"] == 1
    assert ledger.lines() == ["start a", "end a", "start child", "end child"]


def test_a_submission_and_its_first_step_are_one_transaction(daemon, ledger):
    told = []
    daemon.loop.call(daemon.house.store.on_commit, told.append)
    daemon.gate(1)
    reply = daemon.submit(score("one", [gated(1)]), key="k")
    assert [event.type for event in told[0]] == ["job.submitted", "attempt.started", "job.running"]
    assert (reply["status"], reply["event"]) == ("running", told[0][-1].event)
    assert daemon.submit(score("one", [gated(1)]), key="k") == reply
    ledger.wait_for("start 1")
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")


def test_a_breakpoint_that_a_new_run_stops_at_at_once_is_used_up_on_disk_too(daemon, ledger):
    assert daemon.submit(score("one", [plain(1)]), before="1")["status"] == "paused"
    stored = daemon.loop.call(daemon.house.store.records.stored_run, "one")
    assert (len(stored.holds), stored.breakpoints) == (1, [])
    daemon.rpc("job.resume", job_id="one")
    daemon.wait_for("one", "completed")
    ledger.once(1)


def test_of_a_submission_that_the_disk_refuses_nothing_is_left(house, ledger):
    house.configure("max_attempts = 1\n")
    daemon = house.start()
    database, away = daemon.home / "marianne.db", daemon.home / "away.db"
    database.rename(away)
    with pytest.raises(Refused, match="the database can't be written"):
        daemon.submit(score("one", [plain(1)]))
    away.rename(database)
    conductor = daemon.house.conductor
    assert (conductor.jobs, conductor.flights(), conductor.services.scheduler.used) == ({}, [], 0)
    daemon.submit(score("one", [plain(1)]))
    daemon.wait_for("one", "completed")
    ledger.once(1)

"""The anyio client against a real daemon."""

import anyio
import pytest
from anyio import to_thread
from kit.daemon import gated, plain, score

from marianne_cli.client import aconnect
from marianned.errors import NoDaemon, NoSuchJob
from marianned.protocol import (
    DaemonStatus,
    GetDaemon,
    GetJob,
    ListJobs,
    Pause,
    Submit,
    Validate,
    WaitFor,
)

pytestmark = [pytest.mark.anyio, pytest.mark.one_daemon]
SCORE = "name: a\nworkspace: ./out\ninstrument: cli\nsheet: {size: 1, total_items: 1}\nprompt: {template: 'true'}\n"


@pytest.fixture
def daemon(house):
    return str(house.socket)


async def test_requests_run_side_by_side_and_events_come_as_they_are_committed(daemon, tmp_path):
    with anyio.fail_after(30):
        async with aconnect(daemon, name="test") as client:
            status = await client.call("daemon.status", GetDaemon())
            assert isinstance(status, DaemonStatus)
            directory = str(tmp_path)
            ask = Submit(text=SCORE, directory=directory, submit_directory=directory)
            submitted = await client.call("job.submit", ask)
            async for event in client.events(after=status.event, job_id=submitted.job_id):
                if event.type == "job.completed":
                    break
            jobs = await client.call("job.list", ListJobs())
            assert [job.status for job in jobs.jobs] == ["completed"]


async def test_a_refusal_is_raised_as_what_it_is(daemon):
    with pytest.raises(NoSuchJob):
        async with aconnect(daemon) as client:
            await client.call("job.status", GetJob(job_id="nope"))


async def test_nobody_there_is_no_daemon(tmp_path):
    with pytest.raises(NoDaemon):
        async with aconnect(str(tmp_path / "s")):
            pass


@pytest.mark.own_daemon("it is killed")
async def test_what_is_in_progress_goes_on_over_a_kill_of_the_daemon_and_has_its_effect_once(house):
    house.gate(1)
    house.submit(score("a", [gated(1), plain(2)]))
    house.ledger.wait_for("start 1")
    seen, paused = [], []

    async def watch(client):
        async for event in client.events(after=0, job_id="a"):
            seen.append(event)
            if event.type == "job.paused":
                return

    async def pause(client):
        paused.append(await client.call("job.pause", Pause(job_id="a", wait=True, reason="mine")))

    async def wait(client):
        assert (
            await client.call("job.wait", WaitFor(job_id="a", words=["paused"], timeout=30))
        ).status == "paused"

    with anyio.fail_after(60):
        async with aconnect(str(house.socket)) as client:
            async with anyio.create_task_group() as tasks:
                for ask in (watch, pause, wait):
                    tasks.start_soon(ask, client)
                await to_thread.run_sync(house.event, "a", "job.pausing")
                await to_thread.run_sync(house.kill)
                await to_thread.run_sync(house.start)
                house.gate(1).open()
            assert paused[0].status == "paused"
            numbers = [event.event for event in seen]
            assert numbers == sorted(set(numbers))
            assert [event.type for event in seen if event.reason == "mine"] == ["job.pausing"]
            assert [event.event for event in seen] == [e["event"] for e in house.journal("a")][: len(seen)]


@pytest.mark.own_daemon("it is killed")
async def test_a_daemon_that_stays_away_is_told(house, monkeypatch):
    monkeypatch.setattr("marianne_cli.client.session.RECONNECT_SECONDS", 0.1)
    with anyio.fail_after(30):
        async with aconnect(str(house.socket)) as client:
            await to_thread.run_sync(house.kill)
            with pytest.raises(NoDaemon):
                await client.call("job.list", ListJobs())


async def test_calls_side_by_side_are_all_answered(daemon, tmp_path):
    big = f"{SCORE}#{'x' * 3_000_000}\n"
    answers = []

    async def ask(client, request):
        answers.append(await client.ask(request))

    with anyio.fail_after(60):
        async with aconnect(daemon) as client, anyio.create_task_group() as tasks:
            validate = Validate(text=big, directory=str(tmp_path), submit_directory=str(tmp_path))
            tasks.start_soon(ask, client, validate)
            for _ in range(40):
                tasks.start_soon(ask, client, ListJobs())
    assert len(answers) == 41


async def test_a_call_that_is_cancelled_while_it_is_sent_hinders_no_other(daemon, tmp_path):
    big = Validate(
        text=f"name: x\n#{'x' * 6_000_000}", directory=str(tmp_path), submit_directory=str(tmp_path)
    )
    with anyio.fail_after(60):
        async with aconnect(daemon) as client:
            for seconds in (0.0, 0.001, 0.002, 0.005):
                with anyio.move_on_after(seconds):
                    await client.ask(big)
                assert (await client.ask(ListJobs())).jobs == []


async def test_calls_that_wait_and_are_cancelled_leave_room_for_others(house):
    house.gate(1)
    house.submit(score("a", [gated(1)]))
    house.ledger.wait_for("start 1")
    with anyio.fail_after(60):
        async with aconnect(house.socket) as client:
            for _ in range(40):
                with anyio.move_on_after(0.005):
                    await client.wait("a")
            assert (await client.pause("a", reason="mine")).status == "pausing"
            assert (await client.daemon_status()).total_jobs_active == 1


async def test_a_moved_daemon_is_found_by_its_lock_file(house, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(house.state))
    monkeypatch.delenv("MARIANNE_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nobody-is-here")
    async with aconnect() as client:
        assert (await client.daemon_status()).status == "ready"
        assert client.path == str(house.socket)

"""What keeps a job back that is none of its own: status and why name it, and nothing is called safe that is not."""

import re
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
from kit.conducting import DEADLINE, ME, conducting
from kit.memory import NOBODY, MemoryExecutor

from marianne_cli.screens.jobs import jobs_table
from marianne_cli.times import running_times
from marianned.conductor.capacity.disk import DiskMonitor
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.queries.why import WhyQueries
from marianned.conductor.requests.shutdown import ShutdownCoordinator
from marianned.conductor.run import strangers
from marianned.errors import Unavailable, WaitTimeout
from marianned.executors.base import Spec, WaitReason, Whereabouts
from marianned.protocol import ExplainJob, GetDaemon, GetJob, Pause, SafeTo, Stop
from marianned.systemd.notify import Notifier
from marianned.systemd.watchdog import Watchdog

SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "true"}
"""
NOTHING_SAFE = SafeTo(edit_files=False, stop_daemon=False, switch_off=False)


class Asking:
    """Asks a house as clients would."""

    def __init__(self, house, tasks):
        self.queries = JobQueries(house.conductor, 0)
        self._why = WhyQueries(house.services, self.queries)
        watchdog = Watchdog(Notifier(None), house.conductor.summary)
        self.stopper = ShutdownCoordinator(house.conductor, tasks, watchdog)

    async def status(self):
        return await self.queries.job_status(ME, GetJob(job_id="a"))

    async def why(self):
        return await self._why.job_why(ME, ExplainJob(job_id="a"))

    async def daemon(self):
        return await self.queries.daemon_status(ME, GetDaemon())


async def with_the_database_away(path):
    executor = MemoryExecutor()
    async with conducting(path, executor) as house, anyio.create_task_group() as tasks:
        ask = Asking(house, tasks)
        await house.submit(SCORE)
        entry = await executor.started(1)
        (path / "marianne.db").rename(path / "away.db")
        told = {"job": await ask.status(), "why": await ask.why(), "daemon": await ask.daemon()}
        refusals = []
        for mode in ("detach", "drain", "kill"):
            try:
                refusals.append(await ask.stopper.stop(ME, Stop(mode=mode)))
            except Unavailable as refused:
                refusals.append(refused)
        forced = await ask.stopper.stop(ME, Stop(lose_jobs=True))
        (path / "away.db").rename(path / "marianne.db")
        executor.finish(entry)
    return told, refusals, forced


def test_where_the_database_is_gone_a_stop_is_not_safe_and_is_refused_and_the_way_out_is_said(loop, tmp_path):
    told, refusals, forced = loop.call(with_the_database_away, tmp_path)
    way_out = ["mzt backup FILE", "mzt stop --lose-jobs"]
    for reply in told.values():
        assert reply.hints == way_out
        assert (reply.safe_to.stop_daemon, reply.safe_to.switch_off) == (False, False)
    job, why = told["job"], told["why"]
    assert job.hindered_by[0].startswith("degraded: the database can't be written: ")
    assert job.hindered_by[0] in job.message
    assert (why.reasons[0].code, why.reasons[0].hints) == ("degraded", way_out)
    assert not any(reason.hints for reason in why.reasons[1:]), "what they hint at is refused"
    assert [(getattr(refusal, "code", "none"), refusal.hints) for refusal in refusals] == [
        ("E508", way_out)
    ] * 3
    assert forced.status == "stopping"


async def hindered(path, text):
    executor = MemoryExecutor()
    executor.hinders = text
    async with conducting(path, executor) as house, anyio.create_task_group() as tasks:
        ask = Asking(house, tasks)
        await house.submit(SCORE)
        entry = await executor.started(1)
        with anyio.fail_after(DEADLINE):
            while not (await ask.status()).hindered_by:
                await anyio.lowlevel.checkpoint()
        told = [await ask.status(), await ask.why()]
        paused = await house.control.pause(ME, Pause(job_id="a"))
        with pytest.raises(WaitTimeout) as late:
            await house.control.pause(ME, Pause(job_id="a", wait=True, timeout=0.01))
        executor.finish(entry)
        await house.until("a", "completed", "paused")
        after = await ask.status()
    return *told, paused, late.value, after


def test_a_job_that_waits_until_it_can_be_known_how_an_attempt_ended_says_so_and_promises_no_time(
    loop, tmp_path
):
    text = "how it ended can't be known: '/x' is not there; bring it back, or, where it is gone, type: mkdir -p /x"
    job, why, paused, late, after = loop.call(hindered, tmp_path, text)
    assert job.hindered_by == [f"sheet 1 waits: {text}"]
    assert job.safe_to.stop_daemon
    first = why.reasons[0]
    assert (first.text, first.unblocked_by) == (job.hindered_by[0], "caller")
    assert first.hints == ["mkdir -p /x"]
    assert (job.to_type, job.hints[0], paused.hints[0]) == (["mkdir -p /x"], "mkdir -p /x", "mkdir -p /x")
    assert (job.next.latest_at, paused.next.latest_at) == (None, None)
    assert text in paused.message
    assert "at most" not in paused.message + late.message
    assert (after.hindered_by, after.to_type) == ([], [])


@asynccontextmanager
async def at_a_cluster(path, wait):
    """Have a sheet wait at a cluster; yield the house, who asks it, the executor and the attempt."""
    executor = MemoryExecutor()
    executor.queue_wait = lambda _attempt: wait
    async with conducting(path, executor) as house, anyio.create_task_group():
        ask = Asking(house, None)
        await house.submit(SCORE + "executor: {type: slurm}\n")
        entry = await executor.started(1)
        yield house, ask, executor, entry


async def held_at_a_cluster(path, wait):
    async with at_a_cluster(path, wait) as (house, ask, executor, entry):
        told = await ask.status()
        executor.finish(entry)
        await house.until("a", "completed")
        after = await ask.status()
    return told, after


@pytest.mark.parametrize(
    ("wait", "to_type"),
    [
        (WaitReason("held", "scontrol release 7", queued=True), ["scontrol release 7"]),
        (
            WaitReason("too wide", "scontrol show job 7", "score"),
            ["mzt modify a -c FILE -r", "scontrol show job 7"],
        ),
        (WaitReason("held", "scontrol release 7_3", queued=True, own=("7_3", "7")), ["scontrol release 7_3"]),
        (WaitReason("others go first", queued=True), []),
        (WaitReason("Slurm does not answer", shows="scontrol ping"), []),
    ],
)
def test_what_helps_where_somebody_has_to_act_comes_before_all_that_is_usually_typed(
    loop, tmp_path, wait, to_type
):
    told, after = loop.call(held_at_a_cluster, tmp_path, wait)
    assert told.to_type == to_type
    shows = [wait.shows] if wait.shows else []
    assert told.hints == [*to_type, *shows, "mzt logs a -F", "mzt pause a"]
    assert after.to_type == []
    listed = jobs_table([{**msgspec.to_builtins(told), "in_flight": []}])[1]
    assert ("type: " + to_type[0] if to_type else "  sheet 1 begins") in listed


async def two_at_a_cluster(path, wait):
    """Tell of a sheet before it has begun, of the same where a pause takes it back, and where it has begun."""
    async with at_a_cluster(path, wait) as (house, ask, executor, entry):
        queued = [await ask.status(), await ask.why()]
        executor.queue_wait = lambda _attempt: None
        await house.control.pause(ME, Pause(job_id="a"))
        taken = [await ask.status(), await ask.why()]
        executor.finish(entry)
        await house.until("a", "paused", "completed")
    return queued, taken


def test_what_a_pause_takes_back_has_not_begun_until_it_is_out_of_the_queue(loop, tmp_path):
    for status, why in loop.call(two_at_a_cluster, tmp_path, WaitReason("others go first", queued=True)):
        (flight,) = status.in_flight
        assert running_times(msgspec.to_builtins(flight)).endswith(", not begun")
        assert status.next.latest_at is None
        assert "in_flight" not in [reason.code for reason in why.reasons]


async def suspended(path):
    executor = MemoryExecutor()
    wait = WaitReason("its job 7 is suspended", "scontrol resume 7", stopped=True, suspended=True)
    executor.queue_wait = lambda _attempt: wait
    begun = anyio.Event()

    async def whereabouts(_place, known=None):
        if known is not None:
            await anyio.sleep_forever()
        await begun.wait()
        return Whereabouts("n1", "7")

    executor.whereabouts = whereabouts
    async with conducting(path, executor) as house, anyio.create_task_group():
        ask = Asking(house, None)
        await house.submit(SCORE + "executor: {type: slurm}\n")
        entry = await executor.started(1)
        begun.set()
        with anyio.fail_after(DEADLINE):
            while (await ask.status()).in_flight[0].cluster_job is None:
                await anyio.lowlevel.checkpoint()
        told = [await ask.status(), await ask.why()]
        executor.finish(entry)
        await house.until("a", "completed")
    return told


def test_what_has_begun_and_is_suspended_says_so_with_its_limit_and_is_in_flight(loop, tmp_path):
    status, why = loop.call(suspended, tmp_path)
    (flight,) = status.in_flight
    assert re.fullmatch(r"since \S+, suspended, limit \S+", running_times(msgspec.to_builtins(flight)))
    assert status.next.latest_at is None, "nobody knows when it goes on"
    told = [(reason.code, reason.unblocked_by, reason.sheets, reason.until_at) for reason in why.reasons]
    assert told == [("slurm", "caller", [1], None), ("in_flight", "sheet", [1], None)]


async def with_a_held_child(path):
    executor = MemoryExecutor()
    child = (
        SCORE.replace("name: a", "name: b")
        .replace("./out", "./out-b")
        .replace("total_items: 1", "total_items: 2")
    )
    (path / "b.yaml").write_text(child)
    async with conducting(path, executor) as house, anyio.create_task_group():
        ask = Asking(house, None)
        at_once = "concert: {cooldown_between_jobs_seconds: 0.01}\n"
        await house.submit(SCORE + "on_success: [{type: run_job, job_path: b.yaml}]\n" + at_once)
        executor.finish(await executor.started(1))
        entry = await executor.started(1)
        await house.control.pause(ME, Pause(job_id="b"))
        pausing = await ask.status()
        executor.finish(entry)
        await house.until("b", "paused", "completed")
        return pausing, await ask.status()


def test_where_a_job_that_it_waits_for_is_held_the_command_that_lets_that_go_comes_first(loop, tmp_path):
    pausing, paused = loop.call(with_a_held_child, tmp_path)
    assert [one.hints[0] for one in (pausing, paused)] == ["mzt resume b", "mzt resume b"]


async def beside_a_stranger(path):
    executor = MemoryExecutor()
    async with conducting(path, executor) as house, anyio.create_task_group() as tasks:
        ask = Asking(house, tasks)
        top = f"{house.store.daemon_id}-99-cafe"
        spec = Spec(
            id=f"{top}-1-1-1",
            argv=["true"],
            cwd="/",
            env={"MARIANNE_JOB": "a", "MARIANNE_RUN": "1", "MARIANNE_SHEET": "1"},
            timeout_seconds=None,
        )
        directory = house.services.attempts / top / "1" / "1-1"
        await executor.start(directory, spec)
        (directory / "spec.json").write_bytes(msgspec.json.encode(spec))
        stranger = executor.entries[spec.id]
        await strangers.report_strangers(house.services, house.conductor.flights())
        tasks.start_soon(strangers.watch_strangers, house.services)
        daemon = await ask.daemon()
        await house.submit(SCORE)

        async def both_told():
            return len((await ask.status()).hindered_by) == 2

        with anyio.fail_after(DEADLINE):
            await house.until_so(both_told)
        job = await ask.status()
        starts = executor.starts["1"]
        executor.finish(stranger)
        with anyio.fail_after(DEADLINE):
            entry = await executor.started(1)
        after = await ask.status()
        executor.finish(entry)
        await house.until("a", "completed")
    return daemon, job, starts, after


def test_an_attempt_that_the_database_does_not_know_is_told_and_its_sheet_is_not_started_beside_it(
    loop, tmp_path
):
    daemon, job, starts, after = loop.call(beside_a_stranger, tmp_path)
    (stranger,) = daemon.strangers
    assert (stranger.job_id, stranger.run, stranger.sheet, stranger.pid) == ("a", 1, 1, NOBODY)
    assert not daemon.safe_to.edit_files
    assert not daemon.safe_to.switch_off
    assert job.safe_to == NOTHING_SAFE
    assert job.hints[0] == f"kill {NOBODY}"
    assert f"(pid {NOBODY})" in job.hindered_by[0]
    assert job.hindered_by[1].startswith("sheet 1 waits: it runs already")
    assert starts == 1, "the stranger's own"
    assert (after.hindered_by, after.safe_to.stop_daemon) == ([], True)


async def taken_up_again(path):
    executor = MemoryExecutor()
    async with conducting(path, executor) as house:
        await house.submit(SCORE)
        await executor.started(1)
    async with conducting(path, executor) as house:
        await strangers.report_strangers(house.services, [])
        found = list(house.services.strangers)
        executor.play()
        await house.until("a", "completed")
    return found


def test_what_the_database_knows_is_no_stranger(loop, tmp_path):
    assert loop.call(taken_up_again, tmp_path) == []


async def over_a_place_that_goes(path):
    place = path / "mount"
    place.mkdir()
    async with conducting(path, MemoryExecutor()) as house, anyio.create_task_group() as tasks:
        disk = house.services.disk = DiskMonitor((place,), 0, house.scheduler)
        reopened = anyio.Event()
        tasks.start_soon(disk.watch, reopened.set)
        found = [disk.trouble]
        place.rename(path / "away")
        disk.check()
        found += house.services.degraded_by()
        (path / "away").rename(place)
        with anyio.fail_after(DEADLINE):
            await reopened.wait()
        tasks.cancel_scope.cancel()
    return [*found, disk.trouble]


def test_of_a_place_that_is_gone_it_is_not_said_that_the_disk_is_full(loop, tmp_path):
    gone = f"'{tmp_path / 'mount'}' can't be looked at: No such file or directory; bring it back"
    assert loop.call(over_a_place_that_goes, tmp_path) == [None, gone, None]

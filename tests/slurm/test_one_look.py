"""From one look nothing follows: a list with a gap, an answer that is none, files that are away for a moment."""

import errno
import os
import shutil
import subprocess

import anyio
import pytest
from kit.daemon import DEADLINE, LOST_AFTER
from kit.executors import watched
from kit.loopback import LONG
from trying import said, until

from marianned import accidents
from marianned.executors.base import AttemptPlace, AttemptWithdrawn, Presence
from marianned.executors.clusters import executor as executor_module
from marianned.executors.clusters import submitting
from marianned.executors.clusters.engine import EngineBusy, EngineUnavailable
from marianned.executors.clusters.slurm import SlurmEngine
from marianned.score.expanded import Resources

pytestmark = [pytest.mark.anyio, pytest.mark.slurm]


@pytest.fixture
def runs_on(cluster):
    """Slurm alone."""
    return "slurm"


@pytest.fixture
def shared(trial):
    return trial.root.parent


class Doubtful(SlurmEngine):
    """A cluster whose answers to looks are, in turn, those that are given; then its own."""

    def __init__(self, *answers):
        self.answers = [*answers]

    async def list_jobs(self):
        if not self.answers:
            return await super().list_jobs()
        if (answer := self.answers.pop(0)) is EngineUnavailable:
            raise EngineUnavailable("it has just been started again")
        return answer


class Forgetful(SlurmEngine):
    """A cluster that lists nothing any more, once it is `forgetful`; `looks`: when it was looked at since, in seconds."""

    def __init__(self):
        self.forgetful = False
        self.looks = []

    async def list_jobs(self):
        if not self.forgetful:
            return await super().list_jobs()
        self.looks.append(anyio.current_time())
        return {}


class Silent(SlurmEngine):
    """A cluster that, once it is `silent`, answers no look before it is `heard`; `asked`: it has been, meanwhile."""

    def __init__(self):
        self.silent = False
        self.asked, self.heard = anyio.Event(), anyio.Event()

    async def list_jobs(self):
        if self.silent:
            self.asked.set()
            await self.heard.wait()
        return await super().list_jobs()


class Limited(SlurmEngine):
    """A cluster that takes at most so many in one submission, and nothing of the account `full`."""

    def __init__(self, most=1000):
        self.most = most
        self.open = False

    async def submit(self, name, script, count, resources, seconds):
        full = resources.account == "full" and not self.open
        if full or (count or 1) > self.most:
            raise EngineBusy(
                "Batch job submission failed: Job violates accounting/QOS policy (job submit limit)"
            )
        resources = Resources()
        return await super().submit(name, script, count, resources, seconds)


def named(trial, count):
    """Return places of one run, by the names that they have in a daemon."""
    return [
        AttemptPlace(trial.root / "1" / f"{n}-1", f"{trial.root.name}-1-{n}-1", trial.root)
        for n in range(count)
    ]


def places(trial, count):
    named = [f"{trial.id}-{number}" for number in range(count)]
    return [
        AttemptPlace(trial.root / "1" / f"{number}-1", one, trial.root) for number, one in enumerate(named)
    ]


@pytest.mark.usefixtures("usual_looks")  # so much time has to lie between them
async def test_what_a_node_prints_before_it_begins_does_not_fail_what_the_list_leaves_out(trial, shared):
    slow = trial.workspace / "python"
    slow.write_text('#!/bin/sh\necho "warning: setlocale" >&2; sleep 3; exec python3 "$@"\n')
    slow.chmod(0o700)
    async with watched(Doubtful({}, {}), shared, python=str(slow)) as executor:
        with anyio.fail_after(DEADLINE):
            await executor.start(trial.directory, trial.script("exit 7"))
            record = await executor.wait(trial.place)
    assert (record.exit_code, record.error) == (7, None)


@pytest.mark.usefixtures("usual_looks")  # so much time has to lie between them
async def test_what_was_missing_before_the_engine_was_away_counts_anew(trial, shared):
    async with watched(
        Doubtful({}, EngineUnavailable, {}, EngineUnavailable, {}), shared, lost_after=2.0
    ) as executor:
        with anyio.fail_after(DEADLINE):
            await executor.start(trial.directory, trial.script("sleep 11; exit 7"))
            record = await executor.wait(trial.place)
    assert (record.asked, record.exit_code) == (False, 7)


async def test_what_is_missing_is_looked_for_as_often_as_what_waits(trial, shared):
    engine = Forgetful()
    async with watched(engine, shared, lost_after=3.0) as executor:
        with anyio.fail_after(DEADLINE):
            await executor.start(trial.directory, trial.script("echo begun >&9; sleep 1000"))
            await trial.leash.line()
            await executor.whereabouts(trial.place)
            engine.forgetful = True
            record = await executor.wait(trial.place)
    assert record.asked, "it runs, and hears of its end by a file"
    first, second, *_ = engine.looks
    assert second - first < executor_module._USUAL_LOOK_SECONDS


async def test_an_engine_that_does_not_answer_delays_no_end(trial, shared):
    engine, go = Silent(), trial.workspace / "go"
    os.mkfifo(go)
    async with watched(engine, shared) as executor:
        with anyio.fail_after(DEADLINE):
            await executor.start(trial.directory, trial.script("read _ <go; exit 7"))
            await executor.whereabouts(trial.place)
            engine.silent = True
            await engine.asked.wait()
            await anyio.to_thread.run_sync(go.write_text, "go\n", abandon_on_cancel=True)
            record = await executor.wait(trial.place)
        engine.heard.set()
    assert record.exit_code == 7


async def test_what_begins_and_ends_while_the_engine_does_not_answer_is_seen(cluster, trial, shared):
    engine, held = Silent(), Resources(arguments=("--hold",))
    async with watched(engine, shared) as executor:
        with anyio.fail_after(DEADLINE):
            await executor.start(trial.directory, trial.script("exit 7", resources=held))
            await until(lambda: "JobHeldUser" in said(executor, trial.id))
            engine.silent = True
            await engine.asked.wait()
            await anyio.to_thread.run_sync(cluster.command, "scontrol", "release", f"JobName=m-{trial.id}")
            record = await executor.wait(trial.place)
        engine.heard.set()
    assert record.exit_code == 7


async def test_what_is_taken_up_while_its_files_are_away_is_known_once_they_are_back(trial):
    await trial.start(trial.script("echo begun >&9; sleep 14; exit 7"))
    await trial.leash.line()
    aside = trial.root.with_name("aside")
    trial.root.rename(aside)
    async with trial.executor() as executor, anyio.create_task_group() as tasks:
        records = []

        async def wait():
            records.append(await executor.wait(trial.place))

        tasks.start_soon(wait)
        await until(lambda: executor._earliest > float("-inf"))
        aside.rename(trial.root)
        await until(lambda: records)
    assert (records[0].asked, records[0].exit_code) == (False, 7)


async def test_what_runs_is_not_taken_back_while_its_files_are_away(trial):
    aside = trial.root.with_name("aside")
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9; sleep 2; exit 7"))
        await trial.leash.line()
        trial.root.rename(aside)
        await executor.withdraw(trial.place)
        assert not trial.root.exists()
        aside.rename(trial.root)
        with anyio.fail_after(DEADLINE):
            record = await executor.wait(trial.place)
    assert record.exit_code == 7


@pytest.mark.parametrize("emptied", [False, True])
async def test_what_runs_is_not_taken_back_where_its_files_were_deleted(trial, emptied):
    async with trial.executor() as executor:
        await executor.start(
            trial.directory, trial.script(f"echo begun >&9; read _ <{trial.gate('go')}; echo ended >&9")
        )
        await trial.leash.line()
        shutil.rmtree(trial.directory)
        if emptied:
            trial.directory.mkdir(mode=0o700)
        with anyio.fail_after(DEADLINE):
            await executor.withdraw(trial.place)
            await executor.whereabouts(trial.place)
            await trial.open("go")
            assert await trial.leash.line() == "ended"
            assert await executor.wait(trial.place) is None


async def test_what_waits_is_taken_back_once_its_files_are_there_again(cluster, trial):
    aside = trial.root.with_name("aside")
    async with trial.executor() as executor:
        held = Resources(arguments=("--hold",))
        await executor.start(trial.directory, trial.script("echo begun >&9", resources=held))
        trial.root.rename(aside)
        await executor.withdraw(trial.place)
        aside.rename(trial.root)
        await until(lambda: not cluster.queue())


async def test_of_what_is_too_much_at_once_goes_as_much_as_is_taken(trial, shared):
    every = places(trial, 10)
    async with watched(Limited(3), shared) as executor:
        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                for place in every:
                    tasks.start_soon(executor.start, place.directory, trial.spec("true", id=place.id))
            ends = [(await executor.wait(place)).exit_code for place in every]
    assert ends == [0] * 10


async def test_what_one_account_may_have_no_more_of_does_not_hold_up_others(trial, shared):
    full, *free = places(trial, 3)
    engine = Limited()
    async with watched(engine, shared) as executor, anyio.create_task_group() as tasks:
        spec = trial.spec("true", id=full.id, resources=Resources(account="full"))
        tasks.start_soon(executor.start, full.directory, spec)
        await until(lambda: executor.queue_wait(full.id))
        with anyio.fail_after(DEADLINE):
            for place in free:
                await executor.start(place.directory, trial.spec("true", id=place.id))
                assert (await executor.wait(place)).exit_code == 0
            engine.open = True
            assert (await executor.wait(full)).exit_code == 0


async def test_nothing_waits_for_the_pause_of_what_another_account_may_have_no_more_of(
    trial, shared, monkeypatch
):
    monkeypatch.setattr(submitting, "PAUSES", (1000.0,))
    full, *free = places(trial, 4)
    async with watched(Limited(), shared) as executor, anyio.create_task_group() as tasks:
        with anyio.fail_after(DEADLINE):
            spec = trial.spec("true", id=full.id, resources=Resources(account="full"))
            tasks.start_soon(executor.start, full.directory, spec)
            await until(lambda: executor._submitter._kinds[spec.resources].failures)
            for place in free:
                await executor.start(place.directory, trial.spec("true", id=place.id))
            for place in free:
                assert (await executor.wait(place)).exit_code == 0
            tasks.cancel_scope.cancel()


@pytest.fixture
def mounted(trial):
    """The directory of attempts as one that is mounted, and what takes it away and brings it back."""
    there = trial.root.parent.with_name("elsewhere")
    (there / trial.root.name).mkdir(mode=0o700, parents=True)
    place = trial.root.parent
    trial.root.rmdir()
    bring, take = ["mount", "--bind", str(there), str(place)], ["umount", "--lazy", str(place)]
    done = subprocess.run(bring, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
    yield bring, take
    subprocess.run(take, capture_output=True, check=False)


async def test_while_a_mounted_directory_is_away_nothing_is_concluded_of_what_runs_or_waits(
    cluster, trial, mounted
):
    bring, take = mounted
    running, waiting, later = places(trial, 3)
    for place in (running, waiting, later):
        place.directory.mkdir(mode=0o700, parents=True)
    held = Resources(arguments=("--hold",))
    records = {}

    async def wait(executor, place):
        try:
            records[place.id] = await executor.wait(place)
        except AttemptWithdrawn as why:
            records[place.id] = why

    async with trial.executor() as executor, anyio.create_task_group() as tasks:
        ends = trial.script("echo begun >&9; sleep 3; exit 7", id=running.id)
        await executor.start(running.directory, ends)
        await executor.start(waiting.directory, trial.spec("true", id=waiting.id, resources=held))
        await executor.start(later.directory, trial.spec("true", id=later.id, resources=held))
        await trial.leash.line()
        for place in (running, waiting, later):
            tasks.start_soon(wait, executor, place)
        await anyio.to_thread.run_sync(subprocess.check_call, take)
        await executor.withdraw(running)
        await executor.withdraw(waiting)
        await anyio.sleep(30 if LONG else 8)  # longer than it takes, and than what is gone is waited for
        assert records == {}
        assert [*trial.root.parent.iterdir()] == []
        await anyio.to_thread.run_sync(subprocess.check_call, bring)
        await until(lambda: len(records) == 2)
        assert records[running.id].exit_code == 7
        assert isinstance(records[waiting.id], AttemptWithdrawn)
        await executor.withdraw(later)
        await until(lambda: len(records) == 3 and not cluster.queue())


async def test_what_was_deleted_before_it_began_is_not_made_again(cluster, trial):
    held = Resources(arguments=("--hold",))
    async with trial.executor() as executor:
        await executor.start(trial.directory, trial.script("echo begun >&9", resources=held))
        for file in trial.directory.iterdir():
            file.unlink()
        trial.directory.rmdir()
        cluster.command("scancel", "--me")
        with anyio.fail_after(DEADLINE), pytest.raises(AttemptWithdrawn, match="was cancelled"):
            await executor.wait(trial.place)


class Unheard(SlurmEngine):
    """A cluster that does not answer looks."""

    async def list_jobs(self):
        raise EngineUnavailable("it is being upgraded")


async def test_what_runs_is_known_by_its_name_where_its_files_were_deleted(trial):
    await trial.start(trial.script(f"echo begun >&9; read _ <{trial.gate('go')}; exit 7"))
    await trial.leash.line()
    shutil.rmtree(trial.directory)
    async with trial.executor() as executor:
        with anyio.fail_after(DEADLINE):
            assert await executor.presence(trial.place) is Presence.RUNNING
            await trial.open("go")
            assert await executor.wait(trial.place) is None
            assert await executor.presence(trial.place) is Presence.RUNNING  # its claim is taken
    await trial.leash.gone()


async def test_what_runs_is_ended_where_its_files_were_deleted(trial):
    await trial.start(trial.script("echo begun >&9; sleep 1000"))
    await trial.leash.line()
    shutil.rmtree(trial.directory)
    async with trial.executor() as executor:
        with anyio.fail_after(DEADLINE):
            assert await executor.presence(trial.place) is Presence.RUNNING
            await executor.end(trial.place)
            assert await executor.wait(trial.place) is None
    await trial.leash.gone()


async def test_of_an_array_whose_list_was_deleted_too_none_is_called_over_before_all_are(trial, shared):
    every = named(trial, 4)
    async with trial.executor() as executor:
        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                for place in every:
                    gate = trial.gate(place.id)
                    script = trial.script(f"echo begun >&9; read _ <{gate}; echo ended >&9", id=place.id)
                    tasks.start_soon(executor.start, place.directory, script)
            for _ in every:
                await trial.leash.line()
    shutil.rmtree(every[0].directory.parent)
    ends = {}

    async def wait(executor, place):
        ends[place.id] = await executor.wait(place)

    async with trial.executor() as executor, anyio.create_task_group() as tasks:

        def of_an_array():
            return [one for one in every if "its files were deleted" in said(executor, one.id)]

        with anyio.fail_after(DEADLINE):
            for place in every:
                assert await executor.presence(place) is Presence.RUNNING
                tasks.start_soon(wait, executor, place)
            await until(lambda: len(of_an_array()) > 1)  # the first can have been submitted alone
            unsure = of_an_array()
            await executor.end(unsure[0])  # whichever job it has: the others' are not ended in its place
            for place in [one for one in every if one != unsure[-1]]:
                await trial.open(place.id)
                assert await trial.leash.line() == "ended"
            looked = executor._earliest
            await until(lambda: executor._earliest > looked)
            assert not {place.id for place in unsure} & ends.keys()
            await trial.open(unsure[-1].id)
            await until(lambda: len(ends) == len(every))
    assert ends == {place.id: None for place in every}


async def test_what_was_never_submitted_is_known_only_while_the_engine_answers(trial, shared):
    async with trial.executor() as executor:
        assert await executor.presence(trial.place) is Presence.NEVER_STARTED
    async with watched(Unheard(), shared) as executor:
        assert await executor.presence(trial.place) is Presence.RUNNING


async def test_what_is_to_end_does_not_wait_for_files_that_are_away(trial):
    trial.directory.mkdir(mode=0o700, parents=True)  # of what an earlier daemon has never submitted
    trial.root.rename(trial.root.with_name("aside"))
    async with trial.executor() as executor:
        with anyio.fail_after(DEADLINE):
            assert await executor.presence(trial.place) is Presence.RUNNING
            await executor.end(trial.place)
            assert await executor.wait(trial.place) is None


async def test_what_runs_is_ended_while_its_files_are_away(trial):
    await trial.start(trial.script("echo begun >&9; sleep 1000"))
    await trial.leash.line()
    trial.root.rename(trial.root.with_name("aside"))
    async with trial.executor() as executor:
        with anyio.fail_after(2 * DEADLINE):
            await executor.end(trial.place)
            assert await executor.wait(trial.place) is None
    await trial.leash.gone()


async def test_what_could_not_be_submitted_can_be_given_up_while_files_are_away(trial, monkeypatch):
    async with trial.executor() as executor:
        asked = anyio.Event()

        def refuse(*_):
            anyio.from_thread.run_sync(asked.set)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(executor._submitter, "_files", refuse)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(executor.start, trial.directory, trial.spec("true"))
            await asked.wait()
            await until(lambda: executor._submitter._queue)
            tasks.cancel_scope.cancel()
        trial.root.rename(trial.root.with_name("aside"))
        assert await executor.claim(trial.place)
        assert not await executor.claim(trial.place._replace(id="of an earlier daemon"))


async def test_all_that_are_taken_up_together_ask_once_whether_or_not_the_engine_answers(trial, shared):
    for answers, expected in (([{}], Presence.NEVER_STARTED), ([EngineUnavailable], Presence.RUNNING)):
        async with watched(Doubtful(), shared) as executor:
            await until(lambda: executor._queue_checked)  # what it looks for by itself at its start is over
            executor._engine.answers = [*answers, AssertionError]
            for place in places(trial, 3):
                assert await executor.presence(place) is expected
            assert executor._engine.answers == [AssertionError]
            executor._engine.answers = []


@pytest.mark.usefixtures("usual_looks")  # so much time has to lie between them
async def test_what_was_never_submitted_while_nobody_knew_is_over_and_not_submitted(cluster, trial, shared):
    async with watched(Doubtful(EngineUnavailable, EngineUnavailable), shared) as executor:
        with anyio.fail_after(2 * DEADLINE):
            trial.directory.mkdir(mode=0o700, parents=True)
            assert await executor.presence(trial.place) is Presence.RUNNING
            assert await executor.wait(trial.place) is None
    assert not cluster.queue()


async def starting(executor, trial, place, patience):
    """Start an attempt that `Limited` does not take yet; `patience` hears what it waits for."""
    accidents.current_wait.set(patience)
    spec = trial.script("echo begun >&9", id=place.id, resources=Resources(account="full"))
    await executor.start(place.directory, spec, root=place.root)


async def test_what_loses_its_files_before_it_is_submitted_is_lost_and_holds_up_nothing(trial, shared):
    gone, free = places(trial, 2)
    engine, patience = Limited(), accidents.HelperWait()
    async with watched(engine, shared, lost_after=LOST_AFTER) as executor, anyio.create_task_group() as tasks:
        tasks.start_soon(starting, executor, trial, gone, patience)
        await until(lambda: patience.waits_for)
        shutil.rmtree(gone.directory)
        engine.open = True
        with anyio.fail_after(DEADLINE):
            assert await executor.wait(gone) is None
            await executor.start(free.directory, trial.spec("true", id=free.id), root=free.root)
            assert (await executor.wait(free)).exit_code == 0


async def test_what_is_to_be_submitted_makes_nothing_where_all_files_are_away(trial, shared, mounted):
    bring, take = mounted
    (place,) = places(trial, 1)
    engine, patience = Limited(), accidents.HelperWait()
    async with watched(engine, shared) as executor, anyio.create_task_group() as tasks:
        tasks.start_soon(starting, executor, trial, place, patience)
        await until(lambda: patience.waits_for)
        await anyio.to_thread.run_sync(subprocess.check_call, take)
        engine.open = True
        await until(lambda: patience.waits_for.startswith("its files can't be written"))
        assert [*shared.iterdir()] == []
        await anyio.to_thread.run_sync(subprocess.check_call, bring)
        assert await trial.leash.line() == "begun"
        assert (await executor.wait(place)).exit_code == 0

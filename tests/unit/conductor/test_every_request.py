"""Each request in each status, through a real conductor and store: what it does, again, and after a restart."""

from collections import Counter, defaultdict
from functools import cache
from typing import NamedTuple

import pytest
from kit.conducting import ENDED, ME, conducting
from kit.memory import MemoryExecutor

from marianned.errors import MarianneError
from marianned.protocol import Cancel, Modify, Obstacle, Pause, Resume, Retry

SCORE = """\
name: a
workspace: ./out
instrument: cli
retry: {max_retries: 0}
sheet: {size: 1, total_items: 3, dependencies: {2: [1], 3: [2]}}
prompt: {template: "true {{ sheet_num }}"}
"""
NEW = SCORE.replace("true", "false ||")
STATUSES = ("queued", "running", "pausing", "paused", "cancelling", "completed", "failed", "cancelled")
REQUESTS = {
    "pause": (Pause, {}),
    "pause --now": (Pause, {"now": True}),
    "pause --before": (Pause, {"before": "3"}),
    "resume": (Resume, {}),
    "resume --from": (Resume, {"from_": "1"}),
    "resume --skip/--accept": (Resume, {"accept": "3"}),
    "modify": (Modify, {"text": NEW, "directory": "/tmp"}),
    "modify -r": (Modify, {"text": NEW, "directory": "/tmp", "resume": True}),
    "modify --discard": (Modify, {"discard": True}),
    "cancel": (Cancel, {}),
    "retry": (Retry, {}),
}
ANSWERS = {
    "pause": "paused pausing pausing E502 E502 E502 E502 E502",
    "pause --now": "paused pausing pausing E502 E502 E502 E502 E502",
    "pause --before": "queued running pausing paused E502 E502 failed cancelled",
    "resume": "E502 E502 running running E502 E502 running running",
    "resume --from": "E502 E502 E502 running E502 running running running",
    "resume --skip/--accept": "E502 E502 running running E502 E502 running running",
    "modify": "paused pausing pausing paused E502 E502 failed cancelled",
    "modify -r": "queued pausing pausing running E502 E502 running running",
    "modify --discard": "E502 E502 E502 E502 E502 E502 E502 E502",
    "cancel": "cancelled cancelling cancelling cancelled cancelling E502 E502 E502",
    "retry": "E502 E502 E502 E502 E502 E502 E502 E502",
}
"""The status or error that a request is answered with, in the order of the statuses."""


async def brought_to(house, job, status):
    """Bring a new job to a status."""
    executor, control = house.executor, house.control
    score = SCORE.replace("name: a", f"name: {job}").replace("./out", f"./{job}")
    if status == "queued":
        house.scheduler.close(Obstacle.DRAINING)
        await house.submit(score)
    elif status in ("completed", "failed"):
        executor.outcome = lambda _spec: 0 if status == "completed" else 3
        await house.submit(score)
    else:
        await house.submit(score)
        entry = await first_of(executor, job)
        if status in ("pausing", "paused"):
            await control.pause(ME, Pause(job_id=job))
        if status == "paused":
            executor.finish(entry)
        if status in ("cancelling", "cancelled"):
            executor.stubborn = status == "cancelling"
            await control.cancel(ME, Cancel(job_id=job))
    await house.until(job, status)
    executor.outcome = lambda _spec: None


def job_of(spec):
    return spec.env["MARIANNE_JOB"]


async def first_of(executor, job):
    """Wait until a command of a job runs; return it."""
    while not (found := [one for one in executor.running_now() if job_of(one.spec) == job]):
        await executor.news()
    return found[0]


async def answer_of(house, job, request):
    """Ask under one key; return the status, or the error's code, and the number of the answer's event."""
    kind, params = REQUESTS[request]
    ask = getattr(house.control, kind.__name__.lower())
    if "text" in params:
        params = params | {"text": NEW.replace("name: a", f"name: {job}").replace("./out", f"./{job}")}
    try:
        reply = await ask(ME, kind(job_id=job, key=f"k of {job}", **params))
    except MarianneError as refused:
        return refused.code, 0
    return reply.status, reply.event


class Played(NamedTuple):
    """What became of a request: its answers, how the job ended after a restart, starts by sheet, the most at once."""

    answer: str
    again: str
    same_event: bool
    journal_grew: bool
    end: str
    starts: dict[str, int]
    at_once: dict[str, int]


class Counting(MemoryExecutor):
    """Counts by job and sheet."""

    def __init__(self):
        super().__init__()
        self.by_job = defaultdict(Counter)
        self.most = defaultdict(Counter)

    async def start(self, directory, spec, *given):
        await super().start(directory, spec, *given)
        own = self.entries[spec.id]
        job = job_of(spec)
        self.by_job[job][own.sheet] += 1
        beside = [one for one in self.running_now(own.sheet) if job_of(one.spec) == job and one is not own]
        self.most[job][own.sheet] = max(self.most[job][own.sheet], 1 + len(beside))


async def journal(house, job):
    """Return the newest run of a job, and how many events that has."""
    run_id = (await house.run(job)).run_id
    return run_id, len(await house.store.records.events(0, run_id, 1_000))


async def played(path, status):
    """Bring a job for each request to the status, ask it, restart, and let all come to their ends."""
    jobs = {request: f"job-{number}" for number, request in enumerate(REQUESTS)}
    executor = Counting()
    asked = {}
    async with conducting(path, executor) as house:
        for job in jobs.values():
            await brought_to(house, job, status)
        for request, job in jobs.items():
            before = await journal(house, job)
            answer, event = await answer_of(house, job, request)
            grew = await journal(house, job) != before
            again, event_again = await answer_of(house, job, request)
            asked[request] = (answer, again, event == event_again, grew)
    executor.play()
    found = {}
    async with conducting(path, executor) as house:
        for request, job in jobs.items():
            while (row := await house.until(job, "paused", *ENDED)).status == "paused":
                await house.control.resume(ME, Resume(job_id=job))
            counted = dict(executor.by_job[job]), dict(executor.most[job])
            found[request] = Played(*asked[request], row.status, *counted)
    return found


@pytest.fixture(scope="module")
def world(loop, tmp_path_factory):
    """What became of each request in a status; it is played when the first asks."""
    return cache(lambda status: loop.call(played, tmp_path_factory.mktemp(status), status))


def test_each_request_has_an_answer_in_each_status():
    assert {request: len(words.split()) for request, words in ANSWERS.items()} == dict.fromkeys(
        REQUESTS, len(STATUSES)
    )


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_request_is_answered_as_the_contract_says_and_after_a_restart_the_job_comes_to_its_end(
    world, status, request_
):
    """Again under its key it is answered the same; refused it leaves no trace; nothing is done twice."""
    found = world(status)[request_]
    assert found.answer == ANSWERS[request_].split()[STATUSES.index(status)]
    assert (found.again, found.same_event) == (found.answer, True)
    if found.answer == "E502":
        assert not found.journal_grew
    stands = status if found.answer == "E502" else found.answer
    assert found.end == {"cancelling": "cancelled", "cancelled": "cancelled", "failed": "failed"}.get(
        stands, "completed"
    )
    assert set(found.at_once.values()) <= {1}
    if found.end == "completed":
        again = request_ == "resume --from" and found.answer == "running"
        interrupted = request_ == "pause --now" and status in {"running", "pausing"}
        accepted = request_ == "resume --skip/--accept" and found.answer == "running"
        if accepted:
            assert set(found.starts) == {"1", "2"}, "what was accepted is not done by anybody"
        elif again or interrupted or status in {"failed", "cancelled"}:
            assert set(found.starts) == {"1", "2", "3"}
        else:
            assert found.starts == {"1": 1, "2": 1, "3": 1}

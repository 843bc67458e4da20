"""Each request in each status, through a real conductor and store: what it does, again, and after a restart."""

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


async def brought_to(house, status):
    """Bring a new job to a status."""
    executor, control = house.executor, house.control
    if status == "queued":
        house.scheduler.close(Obstacle.DRAINING)
        await house.submit(SCORE)
    elif status in ("completed", "failed"):
        executor.outcome = lambda _spec: 0 if status == "completed" else 3
        await house.submit(SCORE)
    else:
        await house.submit(SCORE)
        entry = await executor.started(1)
        if status in ("pausing", "paused"):
            await control.pause(ME, Pause(job_id="a"))
        if status == "paused":
            executor.finish(entry)
        if status in ("cancelling", "cancelled"):
            executor.stubborn = status == "cancelling"
            await control.cancel(ME, Cancel(job_id="a"))
    await house.until("a", status)
    executor.outcome = lambda _spec: None


async def answer_of(house, request):
    """Ask under one key; return the status, or the error's code, and the number of the answer's event."""
    kind, params = REQUESTS[request]
    ask = getattr(house.control, kind.__name__.lower())
    try:
        reply = await ask(ME, kind(job_id="a", key="k", **params))
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


async def played(path, request, status):
    executor = MemoryExecutor()
    async with conducting(path, executor) as house:
        await brought_to(house, status)
        before = house.store.last_event
        answer, event = await answer_of(house, request)
        grew = house.store.last_event > before
        again, event_again = await answer_of(house, request)
    executor.play()
    async with conducting(path, executor) as house:
        while (row := await house.until("a", "paused", *ENDED)).status == "paused":
            await house.control.resume(ME, Resume(job_id="a"))
        end = row.status
    same = event == event_again
    return Played(answer, again, same, grew, end, dict(executor.starts), dict(executor.at_once))


CELLS = [(request, status) for request in ANSWERS for status in STATUSES]
_ANSWER = {
    (request, status): word
    for request, words in ANSWERS.items()
    for status, word in zip(STATUSES, words.split(), strict=True)
}


@pytest.mark.parametrize(("request_", "status"), CELLS)
def test_a_request_is_answered_as_the_contract_says_and_after_a_restart_the_job_comes_to_its_end(
    loop, tmp_path, request_, status
):
    """Again under its key it is answered the same; refused it leaves no trace; nothing is done twice."""
    found = loop.call(played, tmp_path, request_, status)
    assert found.answer == _ANSWER[request_, status]
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

"""Those who look at a job in the same moment share a reply, as long as nothing was committed in between."""

import threading
from contextlib import ExitStack

import anyio
import pytest
from kit.daemon import DEADLINE, gated, plain, score

from marianned.conductor.queries.jobs import JobQueries

MANY = 16


@pytest.fixture
def connections(daemon):
    with ExitStack() as stack:
        yield [stack.enter_context(daemon.connect()) for _ in range(MANY)]


@pytest.fixture
def views(monkeypatch):
    """The views of jobs that are made, each of which waits until it is let go."""

    class Views:
        made = 0
        go = threading.Event()

    whole = JobQueries.view

    async def view(self, state):
        Views.made += 1
        assert await anyio.to_thread.run_sync(Views.go.wait, DEADLINE)
        return await whole(self, state)

    monkeypatch.setattr(JobQueries, "view", view)
    yield Views
    Views.go.set()


def looking(connections, job):
    """Have each look at it; return their requests, all of which are under way."""
    asked = [one.send("job.status", job_id=job) for one in connections]
    for one in connections:
        one.rpc("daemon.hello", name="test")
    return asked


def test_one_reply_is_made_for_all(daemon, connections, views):
    daemon.submit(score("one", [plain(1)]), before="1")
    asked = looking(connections, "one")
    views.go.set()
    replies = [one.reply(number) for one, number in zip(connections, asked, strict=True)]
    assert replies == [replies[0]] * MANY
    assert replies[0]["job_id"] == "one"
    assert views.made == 1


def test_who_asks_behind_a_commit_is_not_told_what_was_before_it(daemon, connections, views):
    daemon.submit(score("one", [gated(1)]), before="1")
    looking(connections[:1], "one")
    paused = daemon.rpc("job.resume", job_id="one")
    (number,) = looking(connections[1:2], "one")
    views.go.set()
    told = connections[1].reply(number)
    assert told["event"] >= paused["event"]
    assert told["status"] == "running"
    daemon.gate(1).open()


def test_who_leaves_while_it_is_made_takes_no_reply_along(daemon, connections, views):
    daemon.submit(score("one", [plain(1)]), before="1")
    looking(connections[:1], "one")
    (number,) = looking(connections[1:2], "one")
    connections[0].close()
    views.go.set()
    assert connections[1].reply(number)["job_id"] == "one"

"""A command that is asked to stop, by a signal or a file, before it is ended: how long it has, and who is not."""

import signal
from pathlib import Path

import pytest
from attempts import Attempt, soon

from marianned.executors.base import GracefulStop
from marianned.paths import make_private_directory

pytestmark = [pytest.mark.anyio, pytest.mark.both(forked=True, in_each_run=True)]
LONG = 600.0
"""Seconds that nothing here takes: whoever waited for them would meet a test's deadline."""
POLITE = "trap 'echo put down; exit 0' INT; trap 'echo hurried; exit 1' TERM; echo begun >&9"
FOREVER = "while :; do sleep 0.05; done"


def by_signal(seconds: float = LONG) -> GracefulStop:
    return GracefulStop(number=signal.SIGINT, seconds=seconds)


async def test_it_is_asked_by_its_signal_and_has_time_to_go(attempt: Attempt) -> None:
    await attempt.start(attempt.script(f"{POLITE}; {FOREVER}", stop=by_signal()))
    await attempt.leash.line()
    await soon(attempt.executor.end(attempt.place))
    record = await attempt.wait()
    assert record is not None
    assert (record.asked, record.exit_code) == (True, 0)
    assert attempt.output() == "put down\n"


async def test_it_is_asked_by_its_file(attempt: Attempt) -> None:
    for place in (attempt.directory, attempt.directory / "out"):
        make_private_directory(place)
    wait = f'until [ -e "{attempt.directory}/out/stop" ]; do sleep 0.02; done; echo seen'
    await attempt.start(
        attempt.script(f"echo begun >&9; {wait}", stop=GracefulStop(file="stop", seconds=LONG)),
    )
    await attempt.leash.line()
    await soon(attempt.executor.end(attempt.place))
    record = await attempt.wait()
    assert record is not None
    assert (record.asked, record.exit_code, attempt.output()) == (True, 0, "seen\n")


async def test_one_that_does_not_go_is_ended_as_ever(attempt: Attempt) -> None:
    deaf = "trap '' INT; trap 'echo hurried; exit 1' TERM; echo begun >&9"
    await attempt.start(attempt.script(f"{deaf}; {FOREVER}", stop=by_signal(0.3)))
    await attempt.leash.line()
    await soon(attempt.executor.end(attempt.place))
    record = await attempt.wait()
    assert record is not None
    assert (record.asked, record.exit_code, attempt.output()) == (True, 1, "hurried\n")


async def test_one_whose_work_is_dropped_is_not_asked(attempt: Attempt) -> None:
    await attempt.start(attempt.script(f"{POLITE}; {FOREVER}", stop=by_signal()))
    await attempt.leash.line()
    await soon(attempt.executor.end(attempt.place, drop=True))
    record = await attempt.wait()
    assert record is not None
    assert (record.asked, record.exit_code, attempt.output()) == (True, 1, "hurried\n")


async def test_one_that_is_asked_already_is_ended_once_its_work_is_dropped(attempt: Attempt) -> None:
    slow = "trap 'echo asked >&9' INT; trap 'echo hurried; exit 1' TERM; echo begun >&9"
    await attempt.start(attempt.script(f"{slow}; {FOREVER}", stop=by_signal()))
    await attempt.leash.line()
    await soon(attempt.executor.end(attempt.place))
    assert await attempt.leash.line() == "asked"
    await soon(attempt.executor.end(attempt.place, drop=True))
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, attempt.output()) == (1, "hurried\n")


async def test_a_time_limit_does_not_ask(attempt: Attempt) -> None:
    await attempt.start(attempt.script(f"{POLITE}; {FOREVER}", stop=by_signal(), timeout_seconds=0.4))
    record = await attempt.wait()
    assert record is not None
    assert (record.timed_out, attempt.output()) == (True, "hurried\n")


@pytest.mark.parametrize("there", ["nothing", "a link", "a file", "a link of that name"])
async def test_nothing_that_a_command_put_in_the_place_of_its_file_is_followed(
    attempt: Attempt, tmp_path: Path, there: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    make_private_directory(attempt.directory)
    out = attempt.directory / "out"
    if there == "a link":
        out.symlink_to(elsewhere)
    elif there == "a file":
        out.touch()
    elif there == "a link of that name":
        out.mkdir()
        (out / "stop").symlink_to(elsewhere / "stop")
    seconds = 0.3 if there == "a link of that name" else LONG
    await attempt.start(
        attempt.script(f"{POLITE}; {FOREVER}", stop=GracefulStop(file="stop", seconds=seconds))
    )
    await attempt.leash.line()
    await soon(attempt.executor.end(attempt.place))
    record = await attempt.wait()
    assert record is not None
    assert attempt.output() == "hurried\n"
    assert not any(elsewhere.iterdir())

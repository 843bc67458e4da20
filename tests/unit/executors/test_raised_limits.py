"""A time limit that is raised while its command runs: the supervisor reads it when the limit it had is over."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from attempts import Attempt, soon

from marianned.executors import limit

pytestmark = [pytest.mark.anyio, pytest.mark.both(forked=True, in_each_run=True)]
FIRST = 0.6
"""Seconds: the limit that an attempt starts with."""


async def test_a_raised_limit_lets_the_command_end_by_itself(attempt: Attempt) -> None:
    await attempt.start(
        attempt.script(f"echo begun >&9; sleep {2 * FIRST}; echo done", timeout_seconds=FIRST)
    )
    await attempt.leash.line()
    await soon(attempt.executor.raise_limit(attempt.place, 600))
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.timed_out, record.limit_seconds) == (0, False, None)
    assert attempt.output() == "done\n"
    assert stat.S_IMODE((attempt.directory / limit.NAME).stat().st_mode) == 0o600


async def test_a_limit_that_was_raised_twice_ends_at_the_last_and_says_which_that_was(
    attempt: Attempt,
) -> None:
    await attempt.start(attempt.script("echo begun >&9; sleep 1000", timeout_seconds=FIRST))
    await attempt.leash.line()
    for seconds in (2 * FIRST, 3 * FIRST):
        await soon(attempt.executor.raise_limit(attempt.place, seconds))
    record = await attempt.wait()
    assert record is not None
    assert (record.timed_out, record.limit_seconds) == (True, pytest.approx(3 * FIRST))
    assert record.ended_at - record.started_at >= 3 * FIRST * 1000


async def test_what_is_raised_before_the_start_counts(attempt: Attempt) -> None:
    await soon(attempt.executor.raise_limit(attempt.place, 600))
    record = await attempt.run(attempt.script(f"sleep {2 * FIRST}", timeout_seconds=FIRST))
    assert (record.exit_code, record.timed_out) == (0, False)


async def test_a_directory_of_that_name_is_no_way_to_refuse(attempt: Attempt) -> None:
    await attempt.start(
        attempt.script(
            f'mkdir -p "{attempt.directory}/limit/x"; echo begun >&9; sleep {2 * FIRST}',
            timeout_seconds=FIRST,
        )
    )
    await attempt.leash.line()
    await soon(attempt.executor.raise_limit(attempt.place, 600))
    record = await attempt.wait()
    assert record is not None
    assert (record.exit_code, record.timed_out) == (0, False)


FOUND: dict[str, Callable[[Path, str], object]] = {
    "nothing": lambda _path, _own: None,
    "a smaller limit": lambda path, own: path.write_bytes(limit.text(own, FIRST / 2)),
    "the same limit": lambda path, own: path.write_bytes(limit.text(own, FIRST)),
    "another attempt's": lambda path, own: path.write_bytes(limit.text(f"{own}x", 600)),
    "no attempt's": lambda path, _own: path.write_bytes(b"600000\n"),
    "no number": lambda path, own: path.write_bytes(f"{own} soon\n".encode()),
    "for ever": lambda path, own: path.write_bytes(f"{own} inf\n".encode()),
    "a number without end": lambda path, own: path.write_bytes(f"{own} {'9' * 200}\n".encode()),
    "bytes that are no text": lambda path, own: path.write_bytes(f"{own} ".encode() + b"\xff\xfe\n"),
    "something huge": lambda path, own: path.write_bytes(limit.text(own, 600) + b" " * 10_000_000),
    "an empty file": lambda path, _own: path.touch(),
    "a pipe": lambda path, _own: os.mkfifo(path),
    "a directory": lambda path, _own: path.mkdir(),
    "a link to one that counts": lambda path, own: _linked(path, limit.text(own, 600)),
    "a link to itself": lambda path, _own: path.symlink_to(path.name),
    "one that may not be read": lambda path, own: _closed(path, limit.text(own, 600)),
}


def _linked(path: Path, content: bytes) -> None:
    path.with_name("elsewhere").write_bytes(content)
    path.symlink_to("elsewhere")


def _closed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0)


@pytest.mark.parametrize("found", FOUND)
def test_what_can_not_be_believed_is_ignored(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if found == "one that may not be read" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    monkeypatch.chdir(tmp_path)
    FOUND[found](tmp_path / limit.NAME, "own")
    assert limit.read("own") <= FIRST


def test_what_the_daemon_writes_is_what_the_runner_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for attempt in ("own", "nightly@1.3.2", "a" * 200):
        (tmp_path / limit.NAME).write_bytes(limit.text(attempt, 3600.5))
        assert limit.read(attempt) == 3600.5


async def test_a_pipe_in_its_place_holds_nothing_up(attempt: Attempt) -> None:
    await attempt.start(
        attempt.script(
            f'mkfifo "{attempt.directory}/limit"; echo begun >&9; sleep 1000', timeout_seconds=FIRST
        )
    )
    await attempt.leash.line()
    record = await attempt.wait()
    assert record is not None
    assert (record.timed_out, record.limit_seconds) == (True, FIRST)

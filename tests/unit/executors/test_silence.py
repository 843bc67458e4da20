"""A limit of silence: what shows no sign of life is ended; each kind of sign keeps it alive."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attempts import Attempt, soon

from marianned.executors.base import SilenceLimit
from marianned.executors.silence import SilenceWatch as Watch

pytestmark = [pytest.mark.anyio, pytest.mark.both]


def limit(attempt: Attempt, idle: float = 0.3) -> SilenceLimit:
    return SilenceLimit(idle=idle, interval=0.1, directories=[str(attempt.workspace)])


async def test_what_shows_no_sign_of_life_is_ended(attempt: Attempt) -> None:
    record = await attempt.run(attempt.script("echo begun; sleep 1000 & sleep 1000", silence=limit(attempt)))
    assert (record.stale, record.timed_out, record.asked, record.signal) == (True, False, False, 15)
    await attempt.leash.gone()


async def test_what_ends_in_time_is_not_stale(attempt: Attempt) -> None:
    record = await attempt.run(attempt.script("exit 3", silence=limit(attempt, 60.0)))
    assert (record.stale, record.exit_code) == (False, 3)


def alive_after(sign: Callable[[int], object], places: list[Path], output: list[int]) -> bool:
    """Give a sign at every look, for longer than the limit; tell whether it was seen each time."""
    watch = Watch(0.2, 0.1, [str(place) for place in places], output)
    for number in range(4):
        sign(number)
        while time.monotonic() < watch.due:
            time.sleep(max(0.0, watch.due - time.monotonic()))  # the clock itself is what is waited for
        if not watch.poll():
            return False
    return True


@pytest.mark.parametrize(
    "sign", ["none", "output", "new file", "changed file", "file far below", "link there"]
)
def test_each_sign_counts(sign: str, tmp_path: Path) -> None:
    below = tmp_path / "a ü" / "b"
    below.mkdir(parents=True)
    (tmp_path / "link").symlink_to("/proc")  # never followed
    file = tmp_path / "file"
    file.touch()
    stdout = os.open(tmp_path.parent / f"{tmp_path.name}.out", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    signs: dict[str, Callable[[int], object]] = {
        "none": lambda number: number,
        "output": lambda _: os.write(stdout, b"."),
        "new file": lambda number: (tmp_path / f"new {number}").touch(),
        "changed file": lambda number: file.write_text("x" * number),
        "file far below": lambda number: (below / "file").write_text(str(number)),
        "link there": lambda number: (tmp_path / f"link {number}").symlink_to("nowhere"),
    }
    try:
        assert alive_after(signs[sign], [tmp_path, tmp_path / "gone"], [stdout]) is (sign != "none")
    finally:
        os.close(stdout)


async def test_work_of_a_silent_descendant_counts_and_its_end_is_stale(attempt: Attempt) -> None:
    busy = "import time; end = time.monotonic() + 1.6\nwhile time.monotonic() < end: pass"
    script = f"(sh -c 'exec python3 -I -S -c \"{busy}\"; exit' ; exec sleep 1000)"
    began = time.monotonic()
    record = await attempt.run(attempt.script(script, silence=limit(attempt, 1.0)))
    assert record.stale
    assert time.monotonic() - began > 1.6


def test_entries_beyond_the_most_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marianned.executors.silence._ENTRIES", 1)
    (tmp_path / "deep").mkdir()
    for name in ("0", "1", "2", "3"):
        (tmp_path / "deep" / name).touch()
    assert not alive_after(lambda number: (tmp_path / "deep" / str(number)).write_text("x"), [tmp_path], [])


async def test_a_raised_limit_lets_a_silent_command_end_by_itself(attempt: Attempt) -> None:
    await attempt.start(attempt.script("echo begun >&9; sleep 1.8; echo done", silence=limit(attempt, 1.2)))
    await attempt.leash.line()
    await soon(attempt.executor.raise_limit(attempt.place, 600, silence=True))
    record = await attempt.wait()
    assert record is not None
    assert (record.stale, record.exit_code, attempt.output()) == (False, 0, "done\n")


async def test_a_limit_of_silence_says_which_it_was_in_the_end(attempt: Attempt) -> None:
    await attempt.start(attempt.script("echo begun >&9; sleep 1000", silence=limit(attempt, 1.2)))
    await attempt.leash.line()
    await soon(attempt.executor.raise_limit(attempt.place, 1.5, silence=True))
    record = await attempt.wait()
    assert record is not None
    assert (record.stale, record.limit_seconds) == (True, pytest.approx(1.5))
    assert record.ended_at - record.started_at >= 1500

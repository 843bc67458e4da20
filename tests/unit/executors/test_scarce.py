"""Full disks, file systems without hard links, kernels without subreapers: refused, or done another way."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Attempt, refuse_calls, soon

from marianned.executors import shim
from marianned.executors.base import CannotStart, Presence

pytestmark = [pytest.mark.anyio, pytest.mark.both]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount program")
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Use up all the room but `leave` bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
        file.truncate(file.tell() - leave)
    return filler


@pytest.mark.this_host("on a cluster one submits for all, and waits for room")
@pytest.mark.parametrize("room", [0, 4096, 8192])
async def test_on_a_full_disk_nothing_starts_and_with_room_again_it_does(
    attempt: Attempt, small_disk: Path, room: int
) -> None:
    """There is room for nothing; for the spec; for the spec and the claim, but not for the identity."""
    attempt.directory = small_disk / "1"
    filler = fill(small_disk, leave=room)
    spec = attempt.script("exit 5")
    if room < 8192:
        with pytest.raises(CannotStart, match="No space left"):
            await attempt.start(spec)
        assert await attempt.executor.presence(attempt.place) is Presence.NEVER_STARTED
        filler.unlink()
        record = await attempt.run(spec)
        assert record.exit_code == 5
    else:
        record = await attempt.run(spec)
        assert record.error == "cannot supervise: No space left on device"
    assert [path.name for path in attempt.directory.iterdir() if path.name.startswith("spec.json.")] == []


async def test_a_disk_that_fills_up_costs_the_command_its_output_but_not_its_record(
    attempt: Attempt, small_disk: Path
) -> None:
    attempt.directory = small_disk / "1"
    script = "head -c 2000000 /dev/zero || exit 7"
    record = await attempt.run(attempt.script(script, timeout_seconds=60.0))
    assert record.exit_code == 7
    assert 0 < (attempt.directory / "stdout").stat().st_size < 2_000_000
    (attempt.directory / "stdout").unlink()
    attempt.directory = small_disk / "2"
    assert (await attempt.run(attempt.spec("true"))).exit_code == 0


async def test_without_hard_links_the_record_is_renamed(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_calls(attempt, monkeypatch, "link")
    record = await attempt.run(attempt.spec("sh", "-c", "exit 5"))
    assert (record.exit_code, record.writer) == (5, "runner")
    assert (attempt.directory / shim.RECORD).stat().st_nlink == 1
    assert json.loads((attempt.directory / shim.CLAIM).read_bytes())["exit_code"] == 5
    assert sorted(one.name for one in attempt.directory.glob(f"{shim.RECORD}*")) == [shim.RECORD]


async def test_without_hard_links_the_keeper_can_tell_of_a_killed_runner(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_calls(attempt, monkeypatch, "link")
    await attempt.start(attempt.script("echo ready >&9; sleep 1000"))
    await attempt.leash.line()
    os.kill((await attempt.running()).runner_pid, signal.SIGKILL)
    record = await attempt.wait()
    assert record is not None
    assert record.writer == "keeper"


@pytest.mark.this_host("there it is the end of the attempt that tells: tests/slurm/test_cluster_faults.py")
async def test_without_subreapers_nothing_starts(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_calls(attempt, monkeypatch, "prctl")
    with pytest.raises(CannotStart, match="cannot claim the attempt: prctl: Invalid argument"):
        await attempt.start(attempt.spec("true"))
    assert await soon(attempt.executor.presence(attempt.place)) is Presence.NEVER_STARTED


@pytest.mark.this_host("it asks for the kernel of the daemon, not for that of a node")
async def test_without_pidfds_nothing_starts(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(CannotStart, match="not implemented"):
        await attempt.start(attempt.spec("true"))
    assert not attempt.directory.exists()

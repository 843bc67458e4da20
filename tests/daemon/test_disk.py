"""Disks without room: nothing starts, nothing acknowledged is lost, and with room work goes on by itself."""

import subprocess

import pytest
from kit.daemon import DEADLINE, Refused, gated, gone, plain, score


def test_below_the_minimum_nothing_starts_and_why_says_so(house, ledger):
    house.configure(f"min_free_disk = {2**60}\n")
    house.start()
    house.submit(score("solo", [plain(1)]))
    assert house.status("solo")["status"] == "queued"
    assert "disk" in str(house.rpc("job.why", job_id="solo"))
    assert house.rpc("daemon.status")["status"] == "degraded"
    assert ledger.lines() == []
    house.stop()
    house.configure("")
    house.start()
    house.wait_for("solo", "completed")
    ledger.once(1)


@pytest.fixture
def small(house):
    """A daemon whose state lies on a file system of 16 MiB."""
    state = house.home / "state"
    state.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(state)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount program")
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    house.configure("min_free_disk = 0\nmax_attempts = 1\n")
    house.may_log = ["disk is full", "No space left"]
    try:
        yield house.start()
    finally:
        (house.state / "filler").unlink(missing_ok=True)
        try:
            house.end_jobs()
        finally:
            subprocess.run(["umount", "-l", str(state)], check=True)


def fill(directory):
    """Take all room there is; return the file that takes it."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


@pytest.mark.parametrize("meanwhile", ["it stays", "it is killed and started"])
def test_on_a_full_disk_nothing_acknowledged_is_lost_and_with_room_all_completes(small, ledger, meanwhile):
    small.gate(1)
    small.submit(score("first", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    filler = fill(small.state)
    accepted = ["first"]
    for number in range(1_000):
        name = f"more{number}"
        try:
            small.submit(score(name, [plain(name)], variables={"padding": "x" * 20_000}))
        except Refused as told:
            refused = told
            break
        accepted.append(name)
    assert refused.code == "E508"
    assert small.rpc("daemon.status")["status"] == "degraded"
    if meanwhile == "it is killed and started":
        small.kill()
        small.start()
    small.gate(1).open()
    while left := small.processes("MARIANNE_SHEET=1", "MARIANNE_JOB=first"):
        assert all(gone(pid, DEADLINE) for pid in left)
    assert ledger.lines() == ["start 1", "end 1"]
    filler.unlink()
    for name in accepted:
        assert small.wait_for(name, "ended")["status"] == "completed"
    assert sorted(job["job_name"] for job in small.rpc("job.list", runs=True)["jobs"]) == sorted(accepted)
    ledger.once(1, 2, *accepted[1:])

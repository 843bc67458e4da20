"""The power may go at any moment: the end of a sheet is told once its record, and the record's name, are on disk.

That holds for a sheet whose supervisors were made for it, and for one that takes over those of the sheet before.
"""

import json
import os
import signal
import threading

import pytest
from kit.daemon import DEADLINE, gone, kill_all, plain, score
from kit.kernel import Kernel, available


class Disk:
    """One that takes its time with a part of the record of a sheet's first attempt, until it is told to go on."""

    def __init__(self, sheet, part):
        self._ending = f"/{sheet}-1{part}"
        self.asked = threading.Event()
        self.asked_again = threading.Event()
        self.goes_on = threading.Event()

    def decide(self, call):
        supervises = b"/proc/self/fd/" in call.program()  # supervisors run from what the daemon holds open
        if supervises and call.file().endswith(self._ending):
            (self.asked_again if self.asked.is_set() else self.asked).set()
            self.goes_on.wait(DEADLINE)
        return 0


@pytest.mark.crash
@pytest.mark.parametrize("part", ["/claim", ""], ids=["its content", "its name"])
@pytest.mark.parametrize("sheet", [1, 2], ids=["forked for it", "of the sheet before"])
def test_an_end_is_told_once_its_record_is_on_disk(house, sheet, part):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    disk = Disk(sheet, part)
    with Kernel(house.home / "kernel", ["fsync"], disk.decide) as kernel:
        house.start(*kernel.before)
        house.submit(score("job", [plain(1), plain(2)]))
        assert disk.asked.wait(DEADLINE)
        assert house.ledger.lines()[-1] == f"end {sheet}"
        (attempt,) = house.attempts("job", sheet)
        assert attempt["outcome"] is None
        assert house.status("job")["status"] == "running"
        disk.goes_on.set()
        house.wait_for("job", "completed")
        pids = {house.attempts("job", number)[0]["pid"] for number in (1, 2)}
        house.end_jobs()
    assert len(pids) == 1, "both sheets had the same supervisors"


LEFT = {
    "nothing": lambda file, _content: file.write_bytes(b""),
    "zeros": lambda file, content: file.write_bytes(bytes(len(content))),
    "the room that was kept for it": lambda file, _content: file.write_bytes(bytes(4096)),
    "a part": lambda file, content: file.write_bytes(content[: len(content) // 2]),
    "all of it": lambda _file, _content: None,
}


def ended_but_not_synced(house, kernel, disk):
    """Let the command of a job's first sheet end, up to the sync of its record; return the attempt's directory."""
    house.start(*kernel.before)
    house.submit(score("job", [plain(1), plain(2)]))
    assert disk.asked.wait(DEADLINE)
    assert house.ledger.lines() == ["start 1", "end 1"]
    return house.attempt_directory()


@pytest.mark.crash
@pytest.mark.parametrize("named", [True, False], ids=["its name", "not its name"])
@pytest.mark.parametrize("left", LEFT)
def test_whatever_a_power_cut_leaves_of_a_record_counts_only_where_it_is_whole(house, left, named):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    disk = Disk(1, "/claim")
    with Kernel(house.home / "kernel", ["fsync"], disk.decide) as kernel:
        directory = ended_but_not_synced(house, kernel, disk)
        record = directory / "exit.json"
        content = record.read_bytes()  # it has its name before it is synced
        pair = json.loads((directory / "identity.json").read_bytes())
        pids = [pair["runner_pid"], pair["pid"]]
        house.kill()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        kill_all(pids)
        disk.goes_on.set()
        assert all(gone(pid) for pid in pids)
    LEFT[left](record, content)
    if not named:
        record.unlink()
    house.start()
    house.wait_for("job", "completed")
    outcomes = [attempt["outcome"] for attempt in house.attempts("job", 1)]
    whole = left == "all of it"  # the claim, which it is a name of, is looked at, too
    assert outcomes == (["succeeded"] if whole else ["lost", "succeeded"])
    assert house.ledger.lines() == [*["start 1", "end 1"] * (1 if whole else 2), "start 2", "end 2"]
    house.end_jobs()


@pytest.mark.crash
def test_where_a_runner_is_killed_before_its_record_is_on_disk_the_keeper_sees_to_that(house):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    disk = Disk(1, "/claim")
    with Kernel(house.home / "kernel", ["fsync"], disk.decide) as kernel:
        directory = ended_but_not_synced(house, kernel, disk)
        os.kill(json.loads((directory / "identity.json").read_bytes())["runner_pid"], signal.SIGKILL)
        disk.goes_on.set()
        assert disk.asked_again.wait(DEADLINE)
        house.wait_for("job", "completed")
        assert [attempt["outcome"] for attempt in house.attempts("job", 1)] == ["succeeded"]
        house.end_jobs()

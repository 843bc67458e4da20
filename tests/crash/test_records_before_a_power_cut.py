"""The power may go at any moment: the end of a sheet is told once its record, and the record's name, are on disk.

That holds for a sheet whose supervisors were made for it, and for one that takes over those of the sheet before.
"""

import itertools
import json
import os
import signal
import threading

import pytest
from kit.daemon import DEADLINE, gone, kill_all, plain, score
from kit.kernel import UNANSWERED, Kernel, available


class Stop:
    """Where the disk takes its time until it is told to go on."""

    def __init__(self):
        self.asked = threading.Event()
        self.asked_again = threading.Event()
        self.goes_on = threading.Event()


class Disk:
    """One that takes its time with these files of attempts, each named by the end of its path."""

    def __init__(self, *endings):
        self.stops = {ending: Stop() for ending in endings}

    def decide(self, call):
        supervises = b"/proc/self/fd/" in call.program()  # supervisors run from what the daemon holds open
        for ending, stop in self.stops.items():
            if supervises and call.file().endswith(ending):
                (stop.asked_again if stop.asked.is_set() else stop.asked).set()
                stop.goes_on.wait(DEADLINE)
        return 0


CONTENT, NAME = "/claim", ""
"""The parts of a record that are synced: the file that it is a name of, then its directory."""


@pytest.mark.crash
def test_an_end_is_told_once_its_record_is_on_disk_content_and_name_whoever_supervises(house):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    parts = [(sheet, part) for sheet in (1, 2) for part in (CONTENT, NAME)]
    disk = Disk(*(f"/1/{sheet}-1{part}" for sheet, part in parts), f"/2/1-1{CONTENT}")
    with Kernel(house.home / "kernel", ["fsync"], disk.decide) as kernel:
        house.start(*kernel.before)
        house.submit(score("job", [plain(1), plain(2)]))
        for sheet, part in parts:
            stop = disk.stops[f"/1/{sheet}-1{part}"]
            assert stop.asked.wait(DEADLINE), (sheet, part)
            assert house.ledger.lines()[-1] == f"end {sheet}"
            (attempt,) = house.attempts("job", sheet)
            assert attempt["outcome"] is None, (sheet, part)
            assert house.status("job")["status"] == "running", (sheet, part)
            stop.goes_on.set()
        house.wait_for("job", "completed")
        pids = {house.attempts("job", number)[0]["pid"] for number in (1, 2)}
        assert len(pids) == 1, "both sheets had the same supervisors"
        a_runner_is_killed_before_its_record_is_on_disk(house, disk.stops[f"/2/1-1{CONTENT}"])
        house.end_jobs()


def a_runner_is_killed_before_its_record_is_on_disk(house, stop):
    """Its keeper sees to that: the end is told once that has asked for the same, and with its outcome."""
    house.submit(score("again", [plain("again")]))
    assert stop.asked.wait(DEADLINE)
    assert house.ledger.lines()[-1] == "end again"
    pair = json.loads((house.attempt_directory(2) / "identity.json").read_bytes())
    os.kill(pair["runner_pid"], signal.SIGKILL)
    stop.goes_on.set()
    assert stop.asked_again.wait(DEADLINE)
    house.wait_for("again", "completed")
    assert [attempt["outcome"] for attempt in house.attempts("again", 1)] == ["succeeded"]


class StoppedDisk:
    """One that never is done with these files, each named by the end of its path."""

    def __init__(self, *endings):
        self.asked = {ending: threading.Event() for ending in endings}

    def decide(self, call):
        file = call.file()
        held = [event for ending, event in self.asked.items() if file.endswith(ending)]
        for event in held:
            event.set()
        return UNANSWERED if held else 0


LEFT = {
    "nothing": lambda file, _content: file.write_bytes(b""),
    "zeros": lambda file, content: file.write_bytes(bytes(len(content))),
    "its-room": lambda file, _content: file.write_bytes(bytes(4096)),
    "a-part": lambda file, content: file.write_bytes(content[: len(content) // 2]),
    "all": lambda _file, _content: None,
}
CUTS = {
    f"{left}-{'named' if named else 'unnamed'}": (left, named)
    for left, named in itertools.product(LEFT, (True, False))
}
"""By the name of the job: what is left of its first sheet's record, and whether the record's name is."""


def ended_but_not_synced(house, kernel, disk):
    """Let the command of each job's first sheet end, up to the sync of its record; return their directories."""
    house.start(*kernel.before)
    for job in CUTS:
        house.submit(score(job, [plain(f"{job}-1"), plain(f"{job}-2")]))
    for run_id, event in enumerate(disk.asked.values(), 1):
        assert event.wait(DEADLINE), run_id
    written = sorted(f"{word} {job}-1" for job in CUTS for word in ("start", "end"))
    assert sorted(house.ledger.lines()) == written
    return {job: house.attempt_directory(run_id) for run_id, job in enumerate(CUTS, 1)}


def cut_off(house, directories):
    """End the daemon and all of these attempts so that none of them does anything more."""
    pairs = [json.loads((place / "identity.json").read_bytes()) for place in directories]
    pids = [pid for pair in pairs for pid in (pair["runner_pid"], pair["pid"])]
    house.kill()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    kill_all(pids)
    assert all(gone(pid) for pid in pids)


@pytest.mark.crash
def test_whatever_a_power_cut_leaves_of_a_record_counts_only_where_it_is_whole(house):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    disk = StoppedDisk(*(f"/{run_id}/1-1{CONTENT}" for run_id, _ in enumerate(CUTS, 1)))
    with Kernel(house.home / "kernel", ["fsync"], disk.decide) as kernel:
        places = ended_but_not_synced(house, kernel, disk)
        records = {job: place / "exit.json" for job, place in places.items()}
        contents = {job: record.read_bytes() for job, record in records.items()}  # named before it is synced
        cut_off(house, places.values())
    for job, (left, named) in CUTS.items():
        LEFT[left](records[job], contents[job])
        if not named:
            records[job].unlink()
    house.start()
    for job, (left, _) in CUTS.items():
        house.wait_for(job, "completed")
        outcomes = [attempt["outcome"] for attempt in house.attempts(job, 1)]
        whole = left == "all"  # the claim, which it is a name of, is looked at, too
        assert outcomes == (["succeeded"] if whole else ["lost", "succeeded"]), job
        lines = [line.replace(job, "job") for line in house.ledger.lines() if f" {job}-" in line]
        first = ["start job-1", "end job-1"] * (1 if whole else 2)
        assert lines == [*first, "start job-2", "end job-2"], job
    house.end_jobs()

"""The power may go at any moment: the end of a sheet is told once its record, and the record's name, are on disk.

That holds for a sheet whose supervisors were made for it, and for one that takes over those of the sheet before.
"""

import threading

import pytest
from kit.daemon import DEADLINE, plain, score
from kit.kernel import Kernel, available


class Disk:
    """One that takes its time with a part of the record of a sheet's first attempt, until it is told to go on."""

    def __init__(self, sheet, part):
        self._ending = f"/{sheet}-1{part}"
        self.asked = threading.Event()
        self.goes_on = threading.Event()

    def decide(self, call):
        supervises = b"/proc/self/fd/" in call.program()  # supervisors run from what the daemon holds open
        if supervises and call.file().endswith(self._ending):
            self.asked.set()
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

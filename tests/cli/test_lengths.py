"""What takes long grows with what is asked for, not with what there is, and never with its square."""

import time

import pytest

from marianne_cli.commands.status import job_details
from marianne_cli.options import job_list
from marianne_cli.screens.transcript import Transcript
from marianned.errors import BadRequest

pytestmark = pytest.mark.one_daemon

PIECE = b"x" * 65_536


def seconds_of(pieces):
    """Return the processor's time for one line in so many pieces."""
    told = Transcript(None)
    began = time.process_time()
    for _ in range(pieces):
        assert told.feed(0, PIECE) == []
    took = time.process_time() - began
    assert len(told.finish()) == 1
    return took


def test_a_long_line_takes_time_in_proportion():
    small = seconds_of(64)
    assert seconds_of(512) < 8 * 4 * max(small, 0.01)  # in the square it would be 64 times


def test_a_line_in_pieces_is_the_line():
    told = Transcript(None)
    lines = [line for piece in (b"a", b"b\nc\xc3", b"\xa4", b"", b"d\n\ne") for line in told.feed(0, piece)]
    assert lines == ["ab", "cäd", ""]
    assert told.finish() == ["e"]
    assert told.finish() == []


class Asked:
    """A daemon with so many jobs, and what was fetched of it."""

    def __init__(self, total):
        self.total = total
        self.fetched = 0

    def ask(self, method, *, offset=0, limit=1000):
        assert method == "job.list"
        jobs = list(range(self.total))[offset : offset + limit]
        self.fetched += len(jobs)
        return {"jobs": jobs, "total": self.total}


def test_the_last_jobs_are_fetched_and_no_others():
    for total, last, wanted in ((2500, 5, 5), (3, 5, 3), (0, 5, 0), (2500, 1200, 1200), (5, 5, 5)):
        daemon = Asked(total)
        assert job_list(daemon, last)["jobs"] == list(range(total))[total - wanted :]
        assert daemon.fetched <= wanted + 1
    daemon = Asked(2500)
    assert len(job_list(daemon)["jobs"]) == 2500


class Counted:
    """Asks a daemon as a command does; `needs` counts what was told of what sheets need."""

    def __init__(self, house, *, knows=True):
        self._house = house
        self._knows = knows
        self.needs = 0

    def ask(self, method, **params):
        if not self._knows and (method == "job.graph" or "without" in params):
            raise BadRequest("it is a daemon of before")
        told = self._house.rpc(method, **params)
        for sheet in told["sheets"]:
            self.needs += len(sheet["needs"]) if sheet.get("needs") else 0
        return told


WIDE = """\
name: wide
workspace: ./wide-work
instrument: cli
sheet:
  size: 1
  total_items: 5
  fan_out: {1: 90, 2: 90, 4: 90, 5: 3}
  dependencies: {2: [1], 3: [2], 4: [2], 5: [1, 4]}
prompt: {template: "true"}
"""


def test_what_the_sheets_of_a_large_job_need_is_asked_by_stages_and_told_of_each(house):
    house.submit(WIDE, before="1.all")
    house.wait_for("wide", "paused")
    asked = Counted(house)
    details = job_details(asked, "wide")
    whole = house.status("wide")["sheets"]
    every = [sheet["needs"] for sheet in whole]
    assert [sheet["needs"] for sheet in details["sheets"]] == every
    assert len(every) == details["total_sheets"] == 274
    assert sum(map(len, every)) > 10 * asked.needs
    assert job_details(Counted(house, knows=False), "wide")["sheets"] == whole, (
        "a daemon of before has no graph"
    )

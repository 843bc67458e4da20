"""Workspace life (docs/reference/score-format.md §19): a fresh start moves what lies in the workspace, all of it or nothing."""

from contextlib import suppress

import pytest
from kit.archiving import archived, files, work
from kit.daemon import DEADLINE, gated, plain

pytestmark = pytest.mark.both


def test_a_paused_run_gives_way_to_a_fresh_one_and_a_kill_in_the_middle_moves_back(house, ledger):
    house.may_fall = True
    house.start(MARIANNE_FAULT="archive.entry:2")
    house.gate(1)
    text = archived("arch", [gated(1), plain(2)])
    house.submit(text)
    ledger.wait_for("start 1")
    house.rpc("job.pause", job_id="arch")
    for name in ("a", "b", "c"):
        (work(house) / name).write_text(name)
    house.gate(1).open()
    house.wait_for("arch", "paused")
    with suppress(ConnectionError):
        house.submit(text, fresh=True)
    house.process.wait(DEADLINE)
    assert len(files(work(house) / "archive")) == 2
    house.start()
    assert files(work(house)) == {"a": "a", "b": "b", "c": "c"}
    assert house.status("arch")["run"] == 1
    house.submit(text, fresh=True)
    house.gate(1).open()
    house.wait_for("arch", "completed")
    assert house.status("arch")["run"] == 2
    assert len(files(work(house) / "archive")) == 3

"""The power goes while a sheet runs: whatever the disk kept of its unsynced spec.json, it runs once more.

`spec.json` is not synced: what starts the attempt is the row in the database, and the file is written anew from
it. So of the file there may be nothing, its name alone, zeros, or a part. The daemon and all of the attempt are
killed at once, as a cut does.
"""

import json
import os
import signal

import pytest
from kit.daemon import gated, gone, kill_all, plain, score

LEFT = {
    "nothing": lambda file, _content: file.unlink(),
    "its name": lambda file, _content: file.write_bytes(b""),
    "zeros": lambda file, content: file.write_bytes(bytes(len(content))),
    "a part": lambda file, content: file.write_bytes(content[: len(content) // 2]),
    "all of it": lambda _file, _content: None,
}


def cut_off(house, identity):
    """End the daemon and all of an attempt so that none of them does anything more."""
    house.kill()
    pair = [identity["pid"], identity["runner_pid"]]
    for pid in pair:
        os.kill(pid, signal.SIGSTOP)
    kill_all([*pair[::-1], *house.processes("MARIANNE_JOB=cut")])
    assert all(gone(pid) for pid in pair)


@pytest.mark.crash
@pytest.mark.parametrize("claimed", [True, False], ids=["claimed", "no claim on disk"])
@pytest.mark.parametrize("left", LEFT)
def test_whatever_a_power_cut_leaves_of_a_spec_the_sheet_runs_once_more(house, left, claimed):
    house.start()
    house.gate(1)
    house.submit(score("cut", [gated(1), plain(2)]))
    house.ledger.wait_for("start 1")
    directory = house.attempt_directory()
    spec = directory / "spec.json"
    content = spec.read_bytes()
    cut_off(house, json.loads((directory / "identity.json").read_bytes()))
    LEFT[left](spec, content)
    if not claimed:  # it was not synced either: then nothing of the attempt is
        for name in ("claim", "identity.json", "stdout", "stderr"):
            (directory / name).unlink(missing_ok=True)
    house.start()
    house.ledger.wait_for("start 1", times=2)
    house.gate(1).open()
    house.wait_for("cut", "completed")
    outcomes = [attempt["outcome"] for attempt in house.attempts("cut", 1)]
    assert outcomes == (["lost", "succeeded"] if claimed else ["succeeded"])
    assert house.ledger.lines() == ["start 1", "start 1", "end 1", "start 2", "end 2"]

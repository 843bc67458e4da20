"""The power goes while sheets run: whatever the disk kept of an unsynced spec.json, its sheet runs once more.

`spec.json` is not synced: what starts the attempt is the row in the database, and the file is written anew from
it. So of the file there may be nothing, its name alone, zeros, or a part. The daemon and all of the attempts are
killed at once, as a cut does; each job has had something else left of it.
"""

import itertools
import json
import os
import signal

import pytest
from kit.daemon import gated, gone, kill_all, plain, score

LEFT = {
    "nothing": lambda file, _content: file.unlink(),
    "name": lambda file, _content: file.write_bytes(b""),
    "zeros": lambda file, content: file.write_bytes(bytes(len(content))),
    "part": lambda file, content: file.write_bytes(content[: len(content) // 2]),
    "all": lambda _file, _content: None,
}
CUTS = {
    f"{left}-{'claimed' if claimed else 'unclaimed'}": (left, claimed)
    for left, claimed in itertools.product(LEFT, (True, False))
}
"""By the name of the job: what is left of its spec, and whether its claim is on disk, which is not synced either."""


def cut_off(house, directories):
    """End the daemon and all of these attempts so that none of them does anything more."""
    house.kill()
    pairs = [json.loads((place / "identity.json").read_bytes()) for place in directories]
    pids = [pid for pair in pairs for pid in (pair["runner_pid"], pair["pid"])]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    kill_all([*pids, *house.processes(f"MARIANNE_SOCKET={house.socket}")])
    assert all(gone(pid) for pid in pids)


@pytest.mark.crash
def test_whatever_a_power_cut_leaves_of_a_spec_the_sheet_runs_once_more(house):
    house.start()
    for job in CUTS:
        house.gate(f"{job}-1")
        house.submit(score(job, [gated(f"{job}-1"), plain(f"{job}-2")]))
    for job in CUTS:
        house.ledger.wait_for(f"start {job}-1")
    places = {job: house.attempt_directory(run_id) for run_id, job in enumerate(CUTS, 1)}
    contents = {job: (place / "spec.json").read_bytes() for job, place in places.items()}
    cut_off(house, places.values())
    for job, (left, claimed) in CUTS.items():
        LEFT[left](places[job] / "spec.json", contents[job])
        if not claimed:  # then nothing of the attempt is on disk
            for name in ("claim", "identity.json", "stdout", "stderr"):
                (places[job] / name).unlink(missing_ok=True)
    house.start()
    for job, (_, claimed) in CUTS.items():
        house.ledger.wait_for(f"start {job}-1", times=2)
        house.gate(f"{job}-1").open()
        house.wait_for(job, "completed")
        outcomes = [attempt["outcome"] for attempt in house.attempts(job, 1)]
        assert outcomes == (["lost", "succeeded"] if claimed else ["succeeded"]), job
        lines = [line.replace(job, "job") for line in house.ledger.lines() if f" {job}-" in line]
        assert lines == ["start job-1", "start job-1", "end job-1", "start job-2", "end job-2"], job

"""Runs are forgotten: removed by request, or by age once there are more than are kept."""

import pytest
from kit.daemon import DEADLINE, plain, score


def run(daemon, name, body, word="completed"):
    daemon.submit(score(name, [body]), fresh=True)
    daemon.wait_for(name, word)


def test_what_was_removed_is_gone_over_a_kill_with_its_output(daemon):
    run(daemon, "solo", plain(1))
    outputs = daemon.state / "attempts"
    assert list(outputs.glob("*/*"))
    reply = daemon.rpc("job.remove", job_id="solo", key="r")
    assert reply["removed"] == ["solo@1"]
    daemon.kill()
    daemon.start()
    assert daemon.refusal("job.status", job_id="solo").code == "E501"
    assert list(outputs.glob("*/*")) == []
    assert [event["type"] for event in daemon.journal()] == ["job.removed"]
    run(daemon, "solo", plain(1))
    assert len([one for one in outputs.iterdir() if not one.name.startswith(".")]) == 1  # beside their mark


@pytest.mark.parametrize("older", [False, True])
def test_a_kill_between_a_removal_and_its_output_leaves_none_of_it(house, older):
    house.may_fall = True
    house.start()
    run(house, "other", plain(1))
    run(house, "solo", plain(1))
    house.stop()
    house.start()  # its attempts are those of a daemon before, as are those of the run that is removed
    if older:
        run(house, "solo", plain(2))
    house.stop()
    house.start(MARIANNE_FAULT="remove.committed")
    with pytest.raises(ConnectionError):
        house.rpc("job.remove", job_id="solo@1", key="r")
    house.process.wait(DEADLINE)
    assert len(list((house.state / "attempts").glob("*/2"))) == 1
    house.start()
    assert house.rpc("job.remove", job_id="solo@1", key="r")["removed"] == ["solo@1"]
    left = {path.name for path in (house.state / "attempts").glob("*/*")}
    assert left == ({"1", "3"} if older else {"1"})
    house.stop()
    house.start()
    assert {path.name for path in (house.state / "attempts").glob("*/*")} == left

"""A daemon that is started while the directory of attempts is not there, or loses its own part of it meanwhile."""

import re
import shutil
import subprocess

import pytest
from kit.daemon import plain, score


def completes(daemon, name, sheet):
    daemon.submit(score(name, [plain(sheet)]))
    assert daemon.wait_for(name, "ended")["status"] == "completed"


@pytest.fixture
def place(house):
    """The directory of attempts, which is not beside the database; a job has run there."""
    place = house.home / "mount" / "attempts"
    house.configure(f'attempts_dir = "{place}"\n')
    house.start()
    completes(house, "before", 1)
    house.stop()
    return place


def test_a_start_makes_nothing_where_attempts_are_away_says_so_and_goes_on_when_they_are_back(
    house, ledger, place
):
    away = house.home / "away"
    place.rename(away)
    place.mkdir(mode=0o755)  # where something is to be mounted
    house.start()
    house.submit(score("after", [plain(2)]))
    told = house.rpc("daemon.status")
    assert told["status"] == "degraded"
    (why,) = told["degraded_by"]
    assert why.startswith(
        f"'{place}' has nothing of this daemon in it, as where its file system is not mounted; "
    )
    assert house.status("after")["hindered_by"] == [f"nothing starts: {why}"]
    (reason,) = [one for one in house.rpc("job.why", job_id="after")["reasons"] if "type: " in one["text"]]
    assert (reason["code"], reason["unblocked_by"]) == ("away", "caller")
    assert reason["hints"] == [f"findmnt -T {place}"]
    assert any(why in check["message"] for check in house.checks() if not check["passed"])
    assert "its files can't be deleted" in house.refusal("job.remove", job_id="before").message
    assert [*place.iterdir()] == []
    place.rmdir()
    away.rename(place)
    assert house.wait_for("after", "ended")["status"] == "completed"
    ledger.once(1, 2)
    assert house.rpc("daemon.status")["status"] == "ready"
    assert len([*place.glob("*/*/*-1/exit.json")]) == 2


def test_doctor_says_what_stands_where_attempts_lie_also_without_a_daemon(house, place):
    away = house.home / "away"
    for stands, told in (
        ("nothing", "is not there"),
        ("an empty directory", "has nothing of this daemon in it"),
    ):
        place.rename(away)
        if stands == "an empty directory":
            place.mkdir(mode=0o700)
        for runs in (False, True):
            if runs:
                house.start()
            checks = house.checks()
            found = [check for check in checks if f"'{place}' {told}" in check["message"]]
            assert found, (stands, runs)
            assert not any(check["passed"] for check in found), (stands, runs)
            assert f"findmnt -T {place}" in found[0]["hints"], (stands, runs)
            assert ("attempts", True) not in [(check["name"], check["passed"]) for check in checks], stands
            if stands == "nothing":
                shown = house.mzt("doctor").stdout
                assert f"'{place}' {told}" in shown, runs
                assert f"      findmnt -T {place}\n" in shown, runs
                assert "ok  attempts " not in shown, runs
        house.stop()
        if place.is_dir():
            place.rmdir()
        away.rename(place)
    house.configure(f'attempts_dir = "{place}"\nexecutor = "slurm"\n')
    lie = [
        one["message"]
        for one in house.checks()
        if f"attempts lie in '{place}' (mounted at '" in one["message"]
    ]
    assert lie, house.checks()


def test_where_they_are_gone_for_good_what_it_says_to_type_lets_it_go_on(house, ledger, place):
    shutil.rmtree(place)
    house.start()
    house.submit(score("after", [plain(2)]))
    (why,) = house.rpc("daemon.status")["degraded_by"]
    assert why.partition(" type: ")[2] == f"findmnt -T {place}", "what is typed first does no harm"
    (made,) = re.findall("mkdir [^;]*", why)
    subprocess.run(made, shell=True, check=True, umask=0o022)
    assert house.wait_for("after", "ended")["status"] == "completed"
    house.stop()
    house.start()
    completes(house, "later", 3)
    ledger.once(1, 2, 3)


def test_beside_the_database_a_deleted_one_is_made_at_once(house, ledger):
    house.start()
    completes(house, "before", 1)
    house.stop()
    shutil.rmtree(house.state / "attempts")
    house.start()
    completes(house, "after", 2)
    ledger.once(1, 2)


def test_a_daemon_whose_own_directory_vanishes_alone_makes_it_again(house, ledger, place):
    house.start()
    completes(house, "first", 2)
    for directory in place.glob("*-*"):
        shutil.rmtree(directory)
    completes(house, "second", 3)
    ledger.once(1, 2, 3)


def test_a_daemon_that_loses_all_of_them_meanwhile_makes_nothing_in_their_place(house, ledger, place):
    house.start()
    completes(house, "first", 2)
    away = house.home / "away"
    place.rename(away)
    place.mkdir(mode=0o700)
    house.submit(score("second", [plain(3)]))
    house.event("second", "job.submitted")
    house.until(lambda: house.status("second")["hindered_by"])
    assert [*place.iterdir()] == []
    place.rmdir()
    away.rename(place)
    assert house.wait_for("second", "ended")["status"] == "completed"
    ledger.once(1, 2, 3)

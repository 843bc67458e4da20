"""A copy of the database has its name only when it is whole."""

import sqlite3

import pytest
from kit.daemon import DEADLINE, plain, score

pytestmark = pytest.mark.one_daemon


@pytest.mark.own_daemon("a fault is put in")
def test_a_copy_that_a_kill_cuts_short_has_not_its_name_and_is_made_anew(house):
    house.start()
    house.submit(score("solo", [plain(1)]))
    house.wait_for("solo", "completed")
    house.stop()
    copy = house.home / "copy.db"
    house.start(MARIANNE_FAULT="backup.filled")
    with house.connect() as connection:
        connection.send("backup.write", file=str(copy))
        assert connection.message() is None
    house.process.wait(DEADLINE)
    assert not copy.exists()
    house.start()
    size = house.rpc("backup.write", file=str(copy))["bytes"]
    assert copy.stat().st_size == size
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in house.home.glob("*copy.db*")] == ["copy.db"]
    assert sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert house.refusal("backup.write", file=str(copy)).code == "E510"


def test_two_copies_of_one_name_are_one(daemon):
    copy = daemon.home / "copy.db"
    with daemon.connect() as one, daemon.connect() as other:
        one.send("backup.write", file=str(copy))
        other.send("backup.write", file=str(copy))
        answers = [one.message(), other.message()]
    assert sum("result" in answer for answer in answers) >= 1
    assert sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchone() == ("ok",)

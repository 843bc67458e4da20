"""A stop or restart with which all jobs would be lost is refused, by whatever way it would be carried out."""

import pytest
from home_for_tests import GATED

from marianne_cli.service import launch, units
from marianned.errors import Unavailable

WAY_OUT = ["mzt backup FILE", "mzt stop --lose-jobs"]


def test_where_the_database_is_gone_stop_and_restart_are_refused_until_it_is_said_that_jobs_may_go(home):
    pid = home.json("start")["pid"]
    home.mzt("run", home.score("gated", GATED))
    for file in (home.path / "state").glob("marianne.db*"):
        file.unlink()
    for arguments in (["stop"], ["stop", "--drain"], ["stop", "--kill", "-y"], ["restart"]):
        told = home.mzt(*arguments, code=4).stderr
        assert told.startswith("mzt: the daemon is not stopped, its jobs would be lost: "), arguments
        assert "(E508)" in told
        assert [line.strip() for line in told.splitlines()[-2:]] == WAY_OUT
    assert home.json("status")["pid"] == pid
    assert home.json("stop", "--lose-jobs")["pid"] == pid


STATUS = {
    "safe_to": {"edit_files": False, "stop_daemon": False, "switch_off": False},
    "degraded_by": ["the database can't be written: '/s/marianne.db' is gone"],
    "hints": WAY_OUT,
    "attempts_in_flight": 1,
}


class Client:
    """A connection to a daemon that a unit of systemd's runs."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def request(self, method, _params, **_how):
        return {"daemon.hello": {"pid": 7}, "daemon.status": STATUS}[method]


class Call:
    socket = None

    def ask(self, method):
        return Client().request(method, {})


@pytest.fixture
def asked(monkeypatch):
    """What systemd is asked to do."""
    asked = []
    monkeypatch.setattr(units, "listening_unit", lambda _socket: None)
    monkeypatch.setattr(units, "unit_of", lambda _pid: "marianned.service")
    monkeypatch.setattr(launch, "_connect", lambda *_words, **_how: Client())
    monkeypatch.setattr(launch, "_run_systemctl", lambda _call, _unit, word, _timeout: asked.append(word))
    return asked


@pytest.mark.parametrize("word", ["stop", "restart"])
def test_systemd_which_asks_no_daemon_is_not_asked_either(asked, word):
    act = {"stop": launch.stop, "restart": launch.restart}[word]
    with pytest.raises(Unavailable, match="its jobs would be lost: the database can't be written") as refused:
        act(Call(), 5)
    assert refused.value.hints == WAY_OUT
    assert asked == []


def test_who_says_that_jobs_may_go_has_systemd_stop_it(asked):
    assert launch.stop(Call(), 5, lose_jobs=True) == (7, 1)
    assert asked == ["stop"]

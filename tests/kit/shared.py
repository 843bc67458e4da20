"""One daemon that tests of a process take in turn, where each would start its own only to have one.

To start and to stop one costs more than most of what tests ask of it. The tests of a module that is marked
`one_daemon` get it by the same fixtures (`daemon`, `house`, `home`); `own_daemon` takes a test out and says why: it
sets its daemon up, gives it an environment or another database, or counts all that it has ever
done. A test may stop it, kill it and start it again: whoever has it next, finds it serving.

`one_daemon(settings)` is another one, whose config.toml says this from its start on.

What a test leaves is ended and forgotten behind it, and looked for as behind a daemon of its own. One that a test
has failed with, or that can't be made as new, is not handed on.
"""

import itertools
import os
import shutil
import signal
import sqlite3
from contextlib import closing, suppress
from types import MappingProxyType

import pytest

from kit.daemon import DEADLINE, Daemon, Refused, children, described, gone, kill_all
from kit.secrets import leaks

_KEPT = {"bin", "config", "daemon.log", "ledger", "news", "run", "runtime", "state"}
"""What of its home stays: the rest is its tests'."""


_RUNS = "SELECT seq FROM sqlite_sequence WHERE name = 'runs'"
"""The number of the newest run that there ever was; the number of one that was removed is never used again."""


class Shared(Daemon):
    """A daemon of these settings, with an empty directory first on its PATH, which is started where it does not run."""

    def __init__(self, settings=""):
        super().__init__()
        self.settings = settings
        if settings:
            super().configure(settings)
        self._programs = self.home / "bin"
        self._programs.mkdir()
        self.environment["PATH"] = f"{self._programs}:{self.environment['PATH']}"
        self.environment = self._given = MappingProxyType({**self.environment, "TZ": "UTC"})
        self._begun = 0
        self._used = self._special = False

    def start(self, *before, **environment):
        """Let it serve; it may do so since long ago."""
        assert self.environment is self._given, "its environment is of its start"
        assert not before, "it is as others want it"
        self._used = True
        if self._runs_now():
            assert not environment, "it has been started"
            return self
        self._ended_as_asked()
        self._special = bool(environment)
        return super().start(**environment)

    def _runs_now(self):
        return self.process is not None and self.process.poll() is None

    def _ended_as_asked(self):
        """See that it was stopped or killed, where it has ended: one that fell would be started again unseen."""
        how = self.process.poll() if self.process is not None else None
        assert self.may_fall or how in {None, 0, -signal.SIGKILL}, (
            f"it has fallen: {how} {self.log.read_text()}"
        )

    def install(self, name, script):
        """Put a program of this name first on its PATH."""
        (self._programs / name).write_text(script)
        (self._programs / name).chmod(0o755)

    def events(self, after=0, job=None):
        """Yield the events since a test has it; an earlier job of the same name has left that it was removed."""
        return super().events(max(after, self._begun), job)

    def journal(self, job=None):
        return [event for event in super().journal(job) if event["event"] > self._begun]

    def attempt_directory(self, run_id=1, name="1-1"):
        """Return the directory of an attempt; runs are counted since a test has it."""
        return super().attempt_directory(self.earlier_runs + run_id, name)

    def configure(self, *_, **__):
        raise AssertionError("its settings are of its start: own_daemon")

    run_sheets_on_slurm = configure

    def lend(self):
        """Let a test have it, which may start it."""
        self._used = False
        return self

    def take_back(self):
        """Be as new: end and forget all that a test has left, and say what must not be."""
        if not self._used:
            self._clear()
            return
        self._used = False
        self._ended_as_asked()
        self.may_fall = False
        if self._special and self._runs_now():
            self.stop()
        self._special = False
        if not self._runs_now():
            super().start()
        leaked = leaks(self.home)
        self._forget()
        tree = [self.process.pid]
        for pid in tree:
            tree += children(pid)
        left = [pid for pid in self.processes() if pid not in tree]
        alive = [described(pid) for pid in left if not gone(pid)]
        kill_all(left)
        self._clear()
        assert not alive, f"left behind: {alive}"
        assert not leaked, f"a secret stands in {leaked}"
        told = self.log.read_text()
        os.truncate(self.log, 0)  # it is appended to, and who has it next finds nothing there of earlier ones
        expected = any(words in told for words in self.may_log)
        self.may_log = []
        assert expected or "Traceback" not in told, told

    def _forget(self):
        with self.connect() as asked:
            for job in asked.rpc("job.list", statuses=["active", "held"])["jobs"]:
                with suppress(Refused):  # it may have ended meanwhile
                    asked.rpc("job.cancel", job_id=job["job_name"], wait=True, timeout=DEADLINE)
            asked.rpc("job.remove", older_than=0)
            if asked.rpc("daemon.status")["rate_limits"]:
                asked.rpc("instrument.clear_limits")
            names = asked.rpc("job.list", runs=True, names=True)["names"]
            told = asked.rpc("daemon.status")
        assert names == [], "not all is ended and forgotten"
        self._begun = told["event"]
        with closing(sqlite3.connect(f"file:{self.state}/marianne.db?mode=ro", uri=True)) as database:
            self.earlier_runs = (database.execute(_RUNS).fetchone() or (0,))[0]
        assert told["status"] == "ready", told
        assert told["rate_limits"] == [], "what is started behind a limit is held up"
        assert (told["attempts_in_flight"], told["strangers"], told["damaged"]) == (0, [], []), told

    def _clear(self):
        """Remove what tests have put into its home."""
        for gate in self.gates.values():
            gate.close()
        self.gates.clear()
        self.ledger.clear()
        given = self.home / "config" / "marianne" / "config.toml"
        kept = {given, *given.parents} if self.settings else set()
        found = [
            self.home.iterdir(),
            self._programs.iterdir(),
            *map(self.home.glob, ("config/*", "config/*/*")),
        ]
        for place in itertools.chain(*found):
            if (
                place in kept
                or (place.parent == self.home and place.name in _KEPT)
                or not os.path.lexists(place)
            ):
                continue
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()


def is_shared(request):
    """Tell whether this test takes the daemon that others have."""
    return bool(request.node.get_closest_marker("one_daemon")) and not request.node.get_closest_marker(
        "own_daemon"
    )


@pytest.fixture(scope="session")
def _standing():
    """The daemons of this process by their settings; one is there once a test needs it, and not behind one that spoilt it."""
    made = {}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture
def in_turn(request, _standing):
    """The daemon that all tests of this process have in turn, as new."""
    (settings,) = request.node.get_closest_marker("one_daemon").args or ("",)
    if settings not in _standing:
        _standing[settings] = Shared(settings)
    one = _standing[settings]
    failed = request.session.testsfailed
    yield one.lend()
    try:
        one.take_back()
    except BaseException:
        del _standing[settings]
        with suppress(Exception):
            one.close()
        raise
    if request.session.testsfailed > failed:
        del _standing[settings]
        one.close()

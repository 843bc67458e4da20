"""One daemon that tests of a process take in turn, where each would start its own only to have one.

To start and to stop one costs more than most of what tests ask of it. The tests of a module that is marked
`one_daemon` get it by the same fixtures (`daemon`, `house`, `home`); `own_daemon` takes a test out and says why: it
stops or kills its daemon, sets it up, gives it an environment, meets a rate limit, or counts all that it has ever done.

What a test leaves is ended and forgotten behind it, and looked for as behind a daemon of its own. One that a test
has failed with, or that can't be made as new, is not handed on.
"""

import shutil
from contextlib import suppress
from types import MappingProxyType

import pytest

from kit.daemon import DEADLINE, Daemon, Refused, children, described, gone, kill_all

_KEPT = {"bin", "config", "daemon.log", "ledger", "news", "run", "runtime", "state"}
"""What of its home stays: the rest is its tests'."""


class Shared(Daemon):
    """A daemon that is started once, as nobody has set it up, with an empty directory first on its PATH."""

    def __init__(self):
        super().__init__()
        self._programs = self.home / "bin"
        self._programs.mkdir()
        self.environment["PATH"] = f"{self._programs}:{self.environment['PATH']}"
        self.environment = self._given = MappingProxyType({**self.environment, "TZ": "UTC"})
        self._read = self._begun = 0
        self._lent = self._used = False

    def start(self, *before, **environment):
        """Let it serve; it may do so since long ago."""
        assert self.environment is self._given, "its environment is of its start"
        assert not before, "it has been started"
        assert not environment, "it has been started"
        self._used = True
        return self if self.process else super().start()

    def install(self, name, script):
        """Put a program of this name first on its PATH."""
        (self._programs / name).write_text(script)
        (self._programs / name).chmod(0o755)

    def events(self, after=0, job=None):
        """Yield the events since a test has it; an earlier job of the same name has left that it was removed."""
        return super().events(max(after, self._begun), job)

    def journal(self, job=None):
        return [event for event in super().journal(job) if event["event"] > self._begun]

    def stop(self):
        assert not self._lent, "others use it, too: own_daemon"
        super().stop()

    kill = configure = run_sheets_on_slurm = stop

    def lend(self):
        """Let a test have it, which may start it."""
        self._lent, self._used = True, False
        return self

    def take_back(self):
        """Be as new: end and forget all that a test has left, and say what must not be."""
        self._lent = False
        if not self._used:
            self._clear()
            return
        self._forget()
        tree = [self.process.pid]
        for pid in tree:
            tree += children(pid)
        left = [pid for pid in self.processes() if pid not in tree]
        alive = [described(pid) for pid in left if not gone(pid)]
        kill_all(left)
        self._clear()
        assert not alive, f"left behind: {alive}"
        with self.log.open() as log:
            log.seek(self._read)
            told = log.read()
            self._read = log.tell()
        expected = any(words in told for words in self.may_log)
        self.may_log = []
        assert expected or "Traceback" not in told, told

    def _forget(self):
        with self.connect() as asked:
            for job in asked.rpc("job.list", statuses=["active", "held"])["jobs"]:
                with suppress(Refused):  # it may have ended meanwhile
                    asked.rpc("job.cancel", job_id=job["job_name"], wait=True, timeout=DEADLINE)
            asked.rpc("job.remove", older_than=0)
            names = asked.rpc("job.list", runs=True, names=True)["names"]
            told = asked.rpc("daemon.status")
        assert names == [], "not all is ended and forgotten"
        self._begun = told["event"]
        assert told["status"] == "ready", told
        assert told["rate_limits"] == [], "what is started behind a limit is held up: own_daemon"
        assert (told["attempts_in_flight"], told["strangers"], told["damaged"]) == (0, [], []), told

    def _clear(self):
        """Remove what tests have put into its home."""
        for gate in self.gates.values():
            gate.close()
        self.gates.clear()
        self.ledger.clear()
        for place in [*self.home.iterdir(), *self._programs.iterdir(), *self.home.glob("config/*")]:
            if place.parent == self.home and place.name in _KEPT:
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
    """The daemon of this process, as a list; empty until a test needs it, and behind one that spoilt it."""
    made = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
def in_turn(request, _standing):
    """The daemon that all tests of this process have in turn, as new."""
    if not _standing:
        _standing.append(Shared())
    (one,) = _standing
    failed = request.session.testsfailed
    yield one.lend()
    try:
        one.take_back()
    except BaseException:
        _standing.clear()
        with suppress(Exception):
            one.close()
        raise
    if request.session.testsfailed > failed:
        _standing.clear()
        one.close()

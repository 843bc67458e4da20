"""A client that outlives every daemon: starts it again after each crash, repeats its request by its key."""

import os
import select
import signal

from audit import AnsweredRequest, nothing_lives
from kit.daemon import DEADLINE, score

_BODY = (
    'exec 9>>"$HOME/lock-$MARIANNE_JOB-$MARIANNE_SHEET"; flock -n 9 || note twice {0} $MARIANNE_ATTEMPT_ID; '
    "note start {0} $MARIANNE_ATTEMPT_ID; {1}note end {0} $MARIANNE_ATTEMPT_ID"
)


def plain(name):
    """Return a shell sheet that the audit can follow."""
    return _BODY.format(name, "")


def gated(name):
    """Return one that stops at its gate."""
    return _BODY.format(name, f'read _ < "$HOME/gate-{name}"; ')


def fails_until(name, file):
    """Return one that fails until there is such a file in the home."""
    return _BODY.format(name, f'test -e "$HOME/{file}" || exit 1; ')


def hook(name, between=""):
    """Return a hook that the audit can follow."""
    told = f"{name} $MARIANNE_ATTEMPT_ID"
    return {"type": "run_command", "command": f"note hook {told}; {between}note done {told}"}


class Crashing:
    """A daemon that meets one fault after the other, and what its client was told."""

    def __init__(self, house, faults):
        self.house = house
        self.answered = []
        self.met = []
        self.killed = 0
        self._faults = list(faults)
        self._armed = None
        self._keys = 0

    @property
    def left(self):
        """The faults that have not been met yet."""
        return [self._armed, *self._faults] if self._armed else self._faults

    def start(self):
        """Start the daemon with the next fault, again if it falls before it serves."""
        while True:
            self._armed = self._faults.pop(0) if self._faults else None
            self.house.start(**({"MARIANNE_FAULT": self._armed} if self._armed else {}))
            if self.house.serves:
                return
            self._fallen()

    def _fallen(self):
        process = self.house.process
        assert process.wait(DEADLINE) == -signal.SIGKILL, self.house.log.read_text()
        if self._armed:
            self.met.append(self._armed)
        else:
            self.killed += 1
        self._armed = None

    def kill(self):
        """Kill it between two requests, and start it again; the fault it has not met comes later."""
        if self._armed:
            self._faults.insert(0, self._armed)
            self._armed = None
        self.house.kill()
        self.start()

    def _through(self, call):
        """Repeat a call until a daemon has answered it."""
        while True:
            try:
                return call()
            except (ConnectionError, FileNotFoundError):
                self._fallen()
                self.start()

    def ask(self, method, **params):
        """Change something, under a key of its own; return the reply."""
        self._keys += 1
        params = {**params, "key": f"k{self._keys}", "reason": f"k{self._keys}"}
        reply = self._through(lambda: self.house.rpc(method, **params))
        self.answered.append(AnsweredRequest(method, params, reply))
        return reply

    def submit(self, job, bodies, *, fresh=False, **top):
        """Submit a score of these sheets."""
        where = {"directory": str(self.house.home), "submit_directory": str(self.house.home)}
        return self.ask("job.submit", text=score(job, bodies, **top), fresh=fresh, **where)

    def modify(self, job, bodies, **params):
        """Give a job these sheets."""
        return self.ask(
            "job.modify", job_id=job, text=score(job, bodies), directory=str(self.house.home), **params
        )

    def reaches(self, job, word):
        """Wait until the job is so; what is paused or ended has no process left."""
        reply = self._through(lambda: self.house.wait_for(job, word))
        if word in ("paused", "completed", "failed", "cancelled"):
            nothing_lives(self.house, job)
        return reply

    def tells(self, job, kind, **fields):
        """Wait for an event of a job with these fields."""
        return self._through(lambda: self.house.event(job, kind, **fields))

    def stands(self):
        """Have a daemon that serves, whatever has become of the last."""
        self._through(lambda: self.house.rpc("daemon.hello"))

    def status(self, job):
        """Look at a job: the daemon may fall under a look too."""
        return self._through(lambda: self.house.status(job))

    def journal(self, job):
        """Read what has happened to a job."""
        return self._through(lambda: self.house.journal(job))

    def says(self, line, times=1):
        """Wait until the ledger has so many lines that begin like this."""
        news = self.house.ledger.descriptor
        while sum(found.startswith(f"{line} ") for found in self.house.ledger.lines()) < times:
            watched = os.pidfd_open(self.house.process.pid)
            try:
                ready, _, _ = select.select([news, watched], [], [], DEADLINE)
            finally:
                os.close(watched)
            assert ready, f"no '{line}' after {self.house.ledger.lines()}: {self.house.log.read_text()}"
            if watched in ready:
                self._fallen()
                self.start()
            elif news in ready:
                os.read(news, 65_536)

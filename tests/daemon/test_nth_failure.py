"""The n-th write, descriptor, fork, fsync fails: n = 0, 1, 2, … until a job gets through untroubled.

The limits are the system's own (prlimit on the daemon), the failures the kernel's (a seccomp filter over the
daemon and its supervisors), so nothing of the daemon knows of the test. With each n a job is submitted under a key until it is accepted, and must run once; MARIANNE_NTH takes every n.
"""

import errno
import os
import resource
from pathlib import Path

import pytest
from kit.daemon import Refused, plain, score
from kit.kernel import Kernel, available

EVERY = "MARIANNE_NTH" in os.environ
PAGE = 4_096 + 24
"""What SQLite appends to its log at once: a page and its header."""
PATIENCE = 1.0


class Scarce:
    """One resource of the daemon, limited and let go."""

    def __init__(self, daemon, kind):
        self._pid = daemon.process.pid
        self._kind = kind
        self._before = resource.prlimit(self._pid, kind)

    def most(self, limit):
        resource.prlimit(self._pid, self._kind, (limit, self._before[1]))

    def plenty(self):
        resource.prlimit(self._pid, self._kind, self._before)


def alone(sheet):
    """Return a shell sheet that does all by itself: a fork of it that a signal breaks into would fail."""
    return f'for word in start end; do echo $word {sheet} >> "$HOME/ledger"; done'


def play(daemon, asking, scarce, job):
    """Submit a job and let it end, the shortage lifted when it stands in the way; tell whether it did not."""
    asked = {
        "text": score(job, [alone(job)], validations=[{"type": "command_succeeds", "command": ":"}]),
        "directory": str(daemon.home),
        "submit_directory": str(daemon.home),
        "key": job,
    }
    accepted = gets_through(asking, ("E508", "E505", "E514"), "job.submit", **asked)
    if not accepted:
        scarce.plenty()
        # a degraded store looks every second whether there is room again
        daemon.until(lambda: gets_through(asking, ("E508",), "job.submit", **asked))
    ended = gets_through(asking, ("E504",), "job.wait", job_id=job, words=["ended"], timeout=PATIENCE)
    scarce.plenty()
    assert asking.rpc("job.wait", job_id=job, words=["ended"], timeout=30)["status"] == "completed"
    return accepted and ended


def gets_through(asking, codes, method, **params):
    """Ask; tell whether it was answered and not refused with one of these codes."""
    try:
        asking.rpc(method, **params)
    except Refused as refused:
        if refused.code not in codes:
            raise
        return False
    return True


def test_whichever_write_of_the_store_fails_each_job_runs_once(daemon, ledger):
    daemon.may_log = ["disk", "database"]
    daemon.submit(score("warm", [plain("warm")]))
    daemon.wait_for("warm", "completed")
    log = daemon.state / "marianne.db-wal"
    scarce = Scarce(daemon, resource.RLIMIT_FSIZE)
    jobs = ["warm"]
    with daemon.connect() as asking:
        for pages in range(200) if EVERY else (0, 1, 5, 12, 200):
            jobs.append(f"job-{pages}")
            scarce.most(log.stat().st_size + pages * PAGE + 100)
            if play(daemon, asking, scarce, jobs[-1]):
                break
        else:
            pytest.fail("no job ever got through")
    assert len(jobs) > 2
    ledger.once(*jobs)
    daemon.kill()
    daemon.start()
    assert {job["status"] for job in daemon.rpc("job.list")["jobs"]} == {"completed"}


def test_whichever_descriptor_can_not_be_had_each_job_runs_once(daemon, ledger):
    daemon.may_log = ["Too many open files"]
    daemon.submit(score("warm", [plain("warm")]))
    daemon.wait_for("warm", "completed")
    scarce = Scarce(daemon, resource.RLIMIT_NOFILE)
    jobs = ["warm"]
    with daemon.connect() as asking:
        asking.rpc("daemon.hello")
        for more in range(40) if EVERY else (0, 1, 2, 4, 40):
            jobs.append(f"job-{more}")
            scarce.most(first_free(daemon) + more)
            if play(daemon, asking, scarce, jobs[-1]):
                break
        else:
            pytest.fail("no job ever got through")
    assert len(jobs) > 2
    ledger.once(*jobs)


def first_free(daemon):
    """Return the number that the daemon's next descriptor has."""
    used = {int(entry.name) for entry in Path(f"/proc/{daemon.process.pid}/fd").iterdir()}
    return next(number for number in range(len(used) + 1) if number not in used)


class Failing:
    """Lets one call of the daemon and its supervisors fail, or all from one on, until there is plenty again."""

    def __init__(self, error):
        self._error = error
        self._for_good = False
        self._left = None
        self.failed = 0

    def after(self, more, *, for_good):
        """Let the next `more` calls pass, and the one after them fail, or all."""
        self._left = more
        self._for_good = for_good
        self.failed = 0

    def plenty(self):
        self._left = None

    def decide(self, call):
        program = call.program()
        ours = (
            b"marianned" in program or b"/proc/self/fd/" in program
        )  # supervisors run from what the daemon holds open
        if self._left is None or not ours:
            return 0
        self._left -= 1
        if self._left >= 0:
            return 0
        if not self._for_good:
            self._left = None
        self.failed += 1
        return self._error


FAILURES = {
    "fork": (["fork"], errno.EAGAIN, (0, 1, 2, 5, 12)),
    "fsync": (["fsync", "fdatasync"], errno.EIO, (0, 2, 5, 9, 60)),
}
"""The calls that fail, how, and some n."""


@pytest.mark.parametrize("name", FAILURES)
def test_whichever_fork_or_fsync_fails_each_job_runs_once(house, ledger, name):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    calls, error, some = FAILURES[name]
    house.may_log = ["disk", "database"]
    failing = Failing(error)
    with Kernel(house.home / "kernel", calls, failing.decide) as kernel:
        house.start(*kernel.before)
        house.submit(score("warm", [alone("warm")]))
        house.wait_for("warm", "completed")
        jobs = ["warm"]
        with house.connect() as asking:
            for how in ("once", "from-then-on"):
                for more in range(80) if EVERY else some:
                    jobs.append(f"{how}-{more}")
                    house.until_none_rests()  # what rests needs no fork
                    failing.after(more, for_good=how != "once")
                    play(house, asking, failing, jobs[-1])
                    if not failing.failed:
                        break
                else:
                    pytest.fail("no job ever got through")
        ledger.once(*jobs)
        assert len(jobs) > 6
        house.end_jobs()
    print(f"{name} failing: {len(jobs) - 1} jobs, each ran once: {', '.join(jobs[1:])}")

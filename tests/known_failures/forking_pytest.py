"""A pytest that collects the tests it is given, and runs one of them, with a failure put back, whenever it is asked.

A test that calls the function itself runs in a fork of this process, which has the failure in what it has loaded. One
that starts daemons runs in this very process, whose zygote (kit/zygote.py) forks them: they alone have the failure.

A line of JSON on its standard input asks for a run: `failure`, `caught_by`, `in_programs` and `room`, an empty
directory, where the file `said` gets what it prints. The line that answers on its standard output lists what has
failed; it is the exit status of a fork that has not come so far, as one that takes more than 100 seconds.
"""

import atexit
import gc
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path

import pytest

_SECONDS = 100


class _Runs:
    """A plugin that runs tests as it is asked to, and not all that are collected."""

    def __init__(self) -> None:
        self._asked, self._answers = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "w")
        self._wrong: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.collect()
        gc.freeze()
        while line := self._asked.readline():
            print(json.dumps(self._answer(session, **json.loads(line))), file=self._answers, flush=True)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what goes wrong: `failure` in a test's own body, else `error`."""
        if report.failed:
            where = "failure" if report.when == "call" else f"error on {report.when}"
            crash = getattr(report.longrepr, "reprcrash", None)
            self._wrong.append(f"{where}: {crash.message if crash else report.longreprtext}")

    def _answer(
        self, session: pytest.Session, failure: str, caught_by: str, room: str, *, in_programs: bool
    ) -> list[str] | int:
        items = [one for one in session.items if caught_by in (one.nodeid, one.nodeid.partition("[")[0])]
        if not in_programs:
            return self._in_a_fork(items, failure, Path(room))
        from kit import putting_back

        os.environ[putting_back.VARIABLE] = failure
        return self._run(items, Path(room))

    def _run(self, items: list[pytest.Item], room: Path) -> list[str]:
        """Run tests; return what goes wrong in them."""
        with (room / "said").open("wb") as said:
            for standard in (1, 2):
                os.dup2(said.fileno(), standard)
        self._wrong.clear()
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return self._wrong

    def _in_a_fork(self, items: list[pytest.Item], failure: str, room: Path) -> list[str] | int:
        pid = os.fork()
        if not pid:
            atexit._clear()  # what it has is its parent's
            from kit import putting_back

            os.environ.pop(putting_back.VARIABLE, None)  # of the run before: programs here have no failure
            try:
                putting_back.put_back(failure, room)
                (room / "wrong").write_text(json.dumps(self._run(items, room)))
                atexit._run_exitfuncs()  # zygotes end, for one
            except BaseException:  # noqa: BLE001  whatever it is, it is told, and this fork ends
                (room / "said").write_text(traceback.format_exc())
                os._exit(1)  # else there would be two that read what is asked
            os._exit(0)  # what is loaded would be copied to be taken down
        status = _ended(pid)
        return json.loads((room / "wrong").read_text()) if status == 0 else status


def _ended(pid: int) -> int:
    """Wait for a child; return its exit status, a signal's number negative."""
    process = os.pidfd_open(pid)
    if not select.select([process], [], [], _SECONDS)[0]:
        os.kill(pid, signal.SIGKILL)
    os.close(process)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    pytest.main(["-s", *sys.argv[1:]], plugins=[_Runs()])

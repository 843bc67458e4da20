"""The methods of protocol.METHODS by name, for whoever uses the client from Python."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a simple command of `mzt` needs no types of the wire, and they cost it 6 ms
    from marianned import protocol as p


class Calls:
    """Named methods over `call`; each raises MarianneError when it is refused."""

    def call(self, method: str, params: "p.Ask") -> Any:
        """Send one request of protocol.METHODS; return its result as that table's type."""
        raise NotImplementedError

    def _ask(self, method: str, **params: Any) -> Any:
        from marianned.protocol import METHODS

        return self.call(method, METHODS[method].params(**params))

    def daemon_status(self) -> "p.DaemonStatus":
        """Return the state of the daemon."""
        result: p.DaemonStatus = self._ask("daemon.status")
        return result

    def stop(self, *, mode: str = "detach", reason: str | None = None) -> "p.Stopping":
        """Stop the daemon (`detach`, `drain`, `kill`), or give a drain up (`stay`)."""
        result: p.Stopping = self._ask("daemon.stop", mode=mode, reason=reason)
        return result

    def submit(
        self,
        text: str,
        *,
        directory: str,
        file: str | None = None,
        workspace: str | None = None,
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
        before: str | None = None,
        auto_resume: bool = True,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Submitted":
        """Start a run of the score `text`, whose relative paths count from `directory`."""
        result: p.Submitted = self._ask(
            "job.submit",
            text=text,
            directory=directory,
            file=file,
            submit_directory=os.getcwd(),  # noqa: PTH109  pathlib is not wanted here
            workspace=workspace,
            env=dict(env or {}),
            umask=current_umask(),
            fresh=fresh,
            before=before,
            auto_resume=auto_resume,
            reason=reason,
            key=key,
        )
        return result

    def status(self, job_id: str, *, sheets: str | None = None) -> "p.JobDetails":
        """Ask for one job with its first sheets (PAGE_LIMIT); `sheets` brings their attempts."""
        result: p.JobDetails = self._ask("job.status", job_id=job_id, sheets=sheets)
        return result

    def list(self, *, runs: bool = False, statuses: Sequence[str] = ()) -> "p.JobList":
        """Ask for the jobs: active, held, ended within a day; `runs`: every run of every job."""
        result: p.JobList = self._ask("job.list", runs=runs, statuses=[*statuses])
        return result

    def wait(
        self,
        job_id: str,
        *,
        words: Sequence[str] = ("ended",),
        timeout: float | None = None,
        after: int | None = None,
    ) -> "p.Waited":
        """Wait until the job reaches one of the words, a status or `ended`; seconds, null for no limit."""
        result: p.Waited = self._ask("job.wait", job_id=job_id, words=[*words], timeout=timeout, after=after)
        return result

    def pause(
        self,
        job_id: str,
        *,
        wait: bool = False,
        timeout: float = 60.0,
        force: bool = False,
        now: bool = False,
        before: str | None = None,
        clear: bool = False,
        deadline: float | None = None,
        for_: float | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Paused":
        """Pause a job at its next sheet boundary; `wait` returns when it is paused.

        `now` interrupts, as `deadline` does after that many seconds; `for_` seconds after it is paused it
        goes on. `before` (`4`, `3.all`) sets breakpoints instead, `clear` drops them.
        """
        result: p.Paused = self._ask(
            "job.pause",
            job_id=job_id,
            wait=wait,
            timeout=timeout,
            force=force,
            now=now,
            before=before,
            clear=clear,
            deadline=deadline,
            for_=for_,
            reason=reason,
            key=key,
        )
        return result

    def resume(
        self,
        job_id: str,
        *,
        wait: bool = False,
        timeout: float = 60.0,
        from_: str | None = None,
        plan: bool = False,
        over_budget: float | None = None,
        env: Mapping[str, str] | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Resumed":
        """Go on with a paused, failed or cancelled job; `env` replaces variables given at submission.

        `from_` names sheets that run again with all that depend on them (`plan` only shows that);
        `over_budget` (USD) is added to the score's cost limit.
        """
        result: p.Resumed = self._ask(
            "job.resume",
            job_id=job_id,
            wait=wait,
            timeout=timeout,
            from_=from_,
            plan=plan,
            over_budget=over_budget,
            env=dict(env or {}),
            reason=reason,
            key=key,
        )
        return result

    def modify(
        self,
        job_id: str,
        text: str | None = None,
        *,
        directory: str | None = None,
        file: str | None = None,
        revision: int | None = None,
        rerun: str | None = None,
        resume: bool = False,
        wait: bool = False,
        timeout: float = 60.0,
        plan: bool = False,
        expect: int | None = None,
        discard: bool = False,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Modified":
        """Give a job a new score (`text`, `directory`), only look (`plan`), or take a staged one back.

        `revision` takes that one's text again; `rerun` names completed sheets that run again, or `changed`.
        """
        result: p.Modified = self._ask(
            "job.modify",
            job_id=job_id,
            text=text,
            directory=directory,
            file=file,
            revision=revision,
            rerun=rerun,
            resume=resume,
            wait=wait,
            timeout=timeout,
            plan=plan,
            expect=expect,
            discard=discard,
            reason=reason,
            key=key,
        )
        return result

    def cancel(
        self,
        job_id: str,
        *,
        wait: bool = False,
        timeout: float = 60.0,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Cancelled":
        """End a job now; `wait` returns when nothing of it runs any more."""
        result: p.Cancelled = self._ask(
            "job.cancel", job_id=job_id, wait=wait, timeout=timeout, reason=reason, key=key
        )
        return result

    def history(self, job_id: str, *, sheets: str | None = None, limit: int = 50) -> "p.History":
        """Ask for the newest `limit` entries of a job's journal."""
        result: p.History = self._ask("job.history", job_id=job_id, sheets=sheets, limit=limit)
        return result

    def why(self, job_id: str, *, sheets: str | None = None) -> "p.Why":
        """Ask why a job does not move, or why it failed."""
        result: p.Why = self._ask("job.why", job_id=job_id, sheets=sheets)
        return result

    def revisions(self, job_id: str, revision: int | None = None) -> "p.Revisions":
        """Ask for the versions of a job's score, and the text of one."""
        result: p.Revisions = self._ask("job.revisions", job_id=job_id, revision=revision)
        return result

    def remove(
        self,
        job_id: str | None = None,
        *,
        older_than: float | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Removed":
        """Forget an ended run, or all that ended `older_than` seconds ago."""
        result: p.Removed = self._ask(
            "job.remove", job_id=job_id, older_than=older_than, reason=reason, key=key
        )
        return result

    def backup(self, file: str) -> "p.BackedUp":
        """Copy the database to a file that is not there yet; an absolute path."""
        result: p.BackedUp = self._ask("backup.write", file=file)
        return result


def current_umask() -> int:
    """Return this process's umask; it can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask

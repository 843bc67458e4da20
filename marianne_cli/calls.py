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
        """Ask how the daemon does."""
        result: p.DaemonStatus = self._ask("daemon.status")
        return result

    def stop(self, *, reason: str | None = None) -> "p.Stopping":
        """Stop the daemon; what is in flight goes on without it."""
        result: p.Stopping = self._ask("daemon.stop", reason=reason)
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
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Paused":
        """Pause a job at its next sheet boundary; `wait` returns when it is paused."""
        result: p.Paused = self._ask(
            "job.pause", job_id=job_id, wait=wait, timeout=timeout, force=force, reason=reason, key=key
        )
        return result

    def resume(
        self,
        job_id: str,
        *,
        wait: bool = False,
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Resumed":
        """Go on with a paused, failed or cancelled job; `env` replaces variables given at submission."""
        given = dict(env or {})
        result: p.Resumed = self._ask(
            "job.resume", job_id=job_id, wait=wait, timeout=timeout, env=given, reason=reason, key=key
        )
        return result

    def modify(
        self,
        job_id: str,
        text: str | None = None,
        *,
        directory: str | None = None,
        file: str | None = None,
        resume: bool = False,
        wait: bool = False,
        timeout: float = 60.0,
        plan: bool = False,
        expect: int | None = None,
        discard: bool = False,
        reason: str | None = None,
        key: str | None = None,
    ) -> "p.Modified":
        """Give a job a new score (`text`, `directory`), only look (`plan`), or take a staged one back."""
        result: p.Modified = self._ask(
            "job.modify",
            job_id=job_id,
            text=text,
            directory=directory,
            file=file,
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


def current_umask() -> int:
    """Return this process's umask; it can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask

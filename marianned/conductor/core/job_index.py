"""The runs in memory, found by what each step asks of them: number, address, workspace, whether queued.

None of that may take a look at every run: thousands of paused ones can be here.
"""

from collections.abc import Iterator

from marianned.conductor.core.job import JobActor
from marianned.protocol import JobStatus


class JobIndex:
    """Every run that is served, from before it is on disk until it is evicted."""

    def __init__(self) -> None:
        self._by_run: dict[int, JobActor] = {}
        self._by_address: dict[tuple[str, int], JobActor] = {}
        self._by_workspace: dict[str, dict[int, JobActor]] = {}
        self._queued: set[int] = set()

    def __iter__(self) -> Iterator[JobActor]:
        return iter(self._by_run.values())

    def put(self, job: JobActor) -> None:
        """Take in a run that nobody serves yet."""
        run = job.state.run
        assert run.run_id not in self._by_run, "a run that is served twice does everything twice"
        self._by_run[run.run_id] = self._by_address[run.job_name, run.run] = job
        self._by_workspace.setdefault(run.workspace, {})[run.run_id] = job

    def drop(self, job: JobActor) -> bool:
        """Take a run out; false: it is not here."""
        run = job.state.run
        if self._by_run.get(run.run_id) is not job:
            return False
        del self._by_run[run.run_id], self._by_address[run.job_name, run.run]
        beside = self._by_workspace[run.workspace]
        del beside[run.run_id]
        if not beside:
            del self._by_workspace[run.workspace]
        self._queued.discard(run.run_id)
        return True

    def note(self, job: JobActor) -> None:
        """Note whether a run is queued now, once something of it was committed."""
        if job.status is JobStatus.QUEUED and job.run_id in self._by_run:
            self._queued.add(job.run_id)
        else:
            self._queued.discard(job.run_id)

    def of(self, run_id: int) -> JobActor | None:
        """Return the job that serves a run, by its number over all jobs."""
        return self._by_run.get(run_id)

    def at(self, name: str, number: int) -> JobActor | None:
        """Return the job that serves a run, by its name and its number there."""
        return self._by_address.get((name, number))

    def within(self, workspace: str) -> list[JobActor]:
        """Return the jobs whose runs work in a directory."""
        return list(self._by_workspace.get(workspace, {}).values())

    def queued(self) -> list[JobActor]:
        """Return the jobs whose runs are queued."""
        return [self._by_run[run_id] for run_id in self._queued]

"""The state that `mzt top` shows: all jobs, the sheets of the open ones, the daemon; fed by streams, pure.

Values are replaced and never changed, so a copy of the maps is a snapshot: a frozen screen shows one.
All texts are made harmless for a terminal where they come in (`marianne_cli.terminal`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from marianne_cli import terminal
from marianne_cli.faces.groups import JobGroup, group_of

Value = Mapping[str, Any]
"""A JOB, SHEET or other object of docs/design/cli.md §2.0."""


def sanitized(value: Any) -> Any:
    """Return a struct or object of the wire as maps and lists whose texts a terminal may have."""
    return terminal.reply(msgspec.to_builtins(value))


class StateStore:
    """The newest state that the daemon has told; `changes` counts its updates."""

    def __init__(self) -> None:
        self.jobs: dict[str, Value] = {}
        """The newest run of each job, by its job_id."""
        self.sheets: dict[str, tuple[Value, ...]] = {}
        """The sheets of jobs that are looked at, by number; those of another run are not kept."""
        self.hooks: dict[str, tuple[Value, ...]] = {}
        self.needs: dict[str, dict[int, tuple[int, ...]]] = {}
        """Of those jobs: which stages each stage needs."""
        self.gone: dict[str, str] = {}
        """Why a job that is open can't be shown."""
        self._runs: dict[str, int] = {}
        self.daemon: Value | None = None
        self.broken: str | None = None
        """Why what is known may be old: nobody answers; null: it is live."""
        self.changes = 0

    def frozen_copy(self) -> "StateStore":
        """Return the state as it is now, which stays so."""
        kept = StateStore()
        kept.jobs, kept.sheets, kept.hooks = dict(self.jobs), dict(self.sheets), dict(self.hooks)
        kept.needs, kept.daemon, kept.broken = dict(self.needs), self.daemon, self.broken
        kept.gone, kept.changes = dict(self.gone), self.changes
        return kept

    # --- what comes -------------------------------------------------------------------------------

    def replace_jobs(self, jobs: Iterable[Any], keep: Collection[str] = ()) -> None:
        """Take the jobs of a snapshot; all others are forgotten, but for those in `keep`."""
        self.jobs = {name: job for name, job in self.jobs.items() if name in keep}
        for job in jobs:
            self.put_job(job)
        for known in (self.sheets, self.hooks, self.needs):
            for gone in known.keys() - self.jobs.keys():
                del known[gone]
        self.changes += 1

    def put_job(self, job: Any) -> None:
        """Take the newer of what is known of a job and what came."""
        told: dict[str, Any] = sanitized(job)
        name = told["job_id"]
        known = self.jobs.get(name)
        if known is not None and (known["run"], known["event"]) > (told["run"], told["event"]):
            return
        self.gone.pop(name, None)
        if known is not None and known["run"] != told["run"]:
            self._forget_sheets(name)
        self.jobs[name] = told
        self.changes += 1

    def remove_run(self, job_name: str, run: int) -> None:
        """Forget a run that was removed."""
        for name, job in list(self.jobs.items()):
            if (job["job_name"], job["run"]) == (job_name, run):
                del self.jobs[name]
                self._forget_sheets(name)
        self.changes += 1

    def put_unavailable(self, job_id: str, why: str) -> None:
        """Take the reason why a job can't be shown."""
        self.gone[job_id] = terminal.line(why)
        self.changes += 1

    def _forget_sheets(self, job_id: str) -> None:
        for known in (self.sheets, self.hooks, self.needs):
            known.pop(job_id, None)
        self._runs.pop(job_id, None)

    def put_sheets(self, job_id: str, run: int, sheets: Iterable[Any], total: int) -> None:
        """Take the sheets that have changed; there are so many in all."""
        if self._runs.get(job_id) != run:
            self._forget_sheets(job_id)
            self._runs[job_id] = run
        known = {sheet["sheet"]: sheet for sheet in self.sheets.get(job_id, ())}
        known.update({sheet["sheet"]: sheet for sheet in map(sanitized, sheets)})
        self.sheets[job_id] = tuple(known[number] for number in sorted(known) if number <= total)
        self.changes += 1

    def put_hooks(self, job_id: str, hooks: Iterable[Any]) -> None:
        """Take the hooks of a job."""
        self.hooks[job_id] = tuple(map(sanitized, hooks))
        self.changes += 1

    def put_output(self, job_id: str, run: int, in_flight: Iterable[Any]) -> None:
        """Take what is in flight and has printed something: the rest is as it was."""
        job = self.jobs.get(job_id)
        if job is None or job["run"] != run:
            return
        told = {_flight_key(one): one for one in map(sanitized, in_flight)}
        flights = [told.get(_flight_key(one), one) for one in job["in_flight"]]
        self.jobs[job_id] = {**job, "in_flight": flights}
        self.changes += 1

    def put_needs(self, job_id: str, needs: Mapping[int, Sequence[int]]) -> None:
        """Take which stages each stage of a job needs."""
        self.needs[job_id] = {stage: tuple(others) for stage, others in needs.items()}
        self.changes += 1

    def put_daemon(self, told: Any) -> None:
        """Take the daemon's facts: they replace those that were known."""
        self.daemon = sanitized(told)
        self.changes += 1

    def put_broken(self, why: str | None) -> None:
        """Take the reason why the daemon does not answer (null: it answers)."""
        if why != self.broken:
            self.broken = why
            self.changes += 1

    # --- what is read -----------------------------------------------------------------------------

    def jobs_by_group(self) -> list[tuple[JobGroup, list[Value]]]:
        """Return the jobs by group, those that need a person first; in a group the oldest run first."""
        groups: dict[JobGroup, list[Value]] = {group: [] for group in JobGroup}
        for job in self.jobs.values():
            groups[group_of(job)].append(job)
        for jobs in groups.values():
            jobs.sort(key=lambda job: (job["timing"]["created_at"], job["job_id"]))
        groups[JobGroup.ENDED].reverse()
        return [(group, jobs) for group, jobs in groups.items() if jobs]

    def sheet(self, job_id: str, number: int | None) -> Value | None:
        """Return a sheet, null: it is not known."""
        return next((sheet for sheet in self.sheets.get(job_id, ()) if sheet["sheet"] == number), None)

    def cost(self) -> tuple[float, bool]:
        """Return what all jobs that are shown have cost in USD, and whether all of it is known."""
        costs = [job["cost"] for job in self.jobs.values()]
        return sum(cost["usd"] for cost in costs), all(cost["known"] for cost in costs)


def _flight_key(one: Value) -> tuple[Any, ...]:
    """Return what tells something in flight from the rest of its job."""
    return one["sheet"], one["hook"], one["attempt"], one["job_id"]

"""A bench for jobs with hooks: they end, chain, and what they chain to ends."""

from typing import Any

from kit.scores import Bench, chain
from marianned.progress.deciding.draft import Decision
from marianned.progress.state.triggers import ChainedJobEnded, ChainedJobsReady, HookEnded
from marianned.protocol import JobStatus, Outcome
from marianned.rows import Exit
from marianned.score.expanded import Concert, ExpandedScore, HookDefinition


def command(name: str, **fields: Any) -> HookDefinition:
    """A hook that runs a command."""
    given: dict[str, Any] = {"argv": ("bash", "-c", name), "timeout_seconds": 300.0}
    return HookDefinition(type="run_command", working_directory="/home/ann/rel/out", **given | fields)


def job(name: str, **fields: Any) -> HookDefinition:
    """A hook that starts a job."""
    given: dict[str, Any] = {"files": (f"/home/ann/rel/{name}.yaml",), "timeout_seconds": None}
    return HookDefinition(type="run_job", working_directory="/home/ann/rel/out", **given | fields)


def hooked(*hooks: HookDefinition, sheets: int = 1, cooldown: float = 0.0, **concert: Any) -> ExpandedScore:
    """A chain of sheets with these hooks after it."""
    return chain(sheets, hooks=hooks, concert=Concert(cooldown_seconds=cooldown, **concert))


class HookBench(Bench):
    """A bench that knows hooks; `hooks` tells of each what it waits for, else its status."""

    @property
    def hooks(self) -> list[str]:
        return [row.waiting_for or row.status for row in self.state.hooks]

    def hook_ends(self, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> Decision:
        """The hook in flight ends."""
        row = next(row for row in self.state.hooks if row.status == "running")
        seen = Exit(**{name: fields.pop(name) for name in Exit.__struct_fields__ if name in fields})
        return self.step(HookEnded(hook=row.hook, flight=row.flight, outcome=outcome, exit=seen, **fields))

    def chains(self, *refused: int) -> Decision:
        """The hook in flight submits its job, or at the end all that were kept; these are refused."""
        row = next(row for row in self.state.hooks if row.status == "running")
        kept = [row, *(other for other in self.state.hooks if other.waiting_for == "end")]
        return self.step(
            ChainedJobsReady(
                hook=row.hook,
                flight=row.flight,
                started={one.hook: f"next@{one.hook}" for one in kept if one.hook not in refused},
                refused=dict.fromkeys(refused, "its name is taken"),
            )
        )

    def chained_ends(self, hook: int, status: JobStatus | None = JobStatus.COMPLETED) -> Decision:
        """The job that a hook waits for has ended."""
        return self.step(ChainedJobEnded(hook=hook, chained=f"next@{hook}", status=status))

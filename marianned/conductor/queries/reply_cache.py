"""The last replies about jobs, given again as long as nothing that they say can have changed.

A commit makes the job's `moment` another. All else that a reply depends on is either asked for anew with
each look, which costs little (whether the database is in its place, what hinders the job, how much was
printed), or it keeps the reply from being kept at all: time, files of a workspace, other jobs, long pages.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import anyio
import msgspec

from marianned.conductor.core import drift
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.job import JobActor
from marianned.conductor.queries.live_output import Key, LiveOutput, LiveOutputReader, OutputSummary, key_of
from marianned.progress.state.run import RunState
from marianned.progress.views.time_independent import is_time_independent
from marianned.protocol import GetJob, InFlight, JobDetails, Obstacle

_KEPT_MOST = 256
_SHEETS_MOST = 50
"""On longer pages the sheets are most of the work, and of the memory."""


class ReplyConditions(NamedTuple):
    """What a reply depends on: while it is the same, so is all of the reply that is not read from files."""

    moment: object
    closed_for: Obstacle | None


class _CachedReply(NamedTuple):
    """A reply as it was sent, and in which conditions; `encoded` is the reply as JSON."""

    job_name: str
    conditions: ReplyConditions
    outputs: Mapping[Key, LiveOutput]
    summaries: Mapping[Key, OutputSummary]
    reply: JobDetails
    encoded: msgspec.Raw


class JobReplyCache:
    """The last replies about jobs in memory, by what was asked."""

    def __init__(self, conductor: Conductor, live_outputs: LiveOutputReader) -> None:
        self._conductor = conductor
        self._services = conductor.services
        self._live_outputs = live_outputs
        self._known: dict[bytes, _CachedReply] = {}
        self._made: dict[bytes, anyio.Event] = {}

    def lookup(self, params: GetJob) -> msgspec.Raw | None:
        """Return the reply as JSON, as it was but for its event; None: it has to be made anew."""
        key = msgspec.json.encode(params)
        cached = self._known.get(key)
        if cached is None:
            return None
        job = self._conductor.jobs.get(cached.job_name)
        if (
            job is None
            or self.conditions(job) != cached.conditions
            or not self._services.store.records.knows_last_request(job.state.run)
        ):
            del self._known[key]
            return None
        if cached.outputs and self._live_outputs.known_if_unchanged(cached.outputs) != cached.summaries:
            return None
        if (event := job.true_at) != cached.reply.event:
            reply = msgspec.structs.replace(cached.reply, event=event)
            cached = self._known[key] = cached._replace(reply=reply, encoded=_encode(reply))
        return cached.encoded

    @contextmanager
    def making(self, params: GetJob, state: RunState) -> Iterator[None]:
        """Let those who ask the same meanwhile wait for this reply (`made_meanwhile`), if it may be kept."""
        if not _may_be_kept(params, state):
            yield
            return
        key, done = msgspec.json.encode(params), anyio.Event()
        self._made.setdefault(key, done)
        try:
            yield
        finally:
            if self._made.get(key) is done:
                del self._made[key]
            done.set()

    async def made_meanwhile(self, params: GetJob) -> msgspec.Raw | None:
        """Wait for the reply that is being made for somebody else; return it as JSON if it holds for us, too.

        It was begun before we were asked: `lookup` finds out whether anything was committed since.
        """
        done = self._made.get(msgspec.json.encode(params))
        if done is None:
            return None
        await done.wait()
        return self.lookup(params)

    def conditions(self, job: JobActor | None) -> ReplyConditions | None:
        """Return those in which a job is told now; None: it is not in memory, or something hinders it."""
        services = self._services
        if (
            job is None
            or services.strangers
            or services.ran_since
            or services.limits.rows
            or any(job.blockers())
            or services.store.degraded
        ):
            return None
        return ReplyConditions(job.moment, services.scheduler.closed_for)

    def keep(
        self,
        params: GetJob,
        job: JobActor | None,
        before: ReplyConditions | None,
        reply: JobDetails,
        flights: Sequence[InFlight],
    ) -> JobDetails:
        """Return a reply about a job, with these `flights`; keep it if it holds until something is another.

        `before` are the conditions from before it was looked up, in which others had their turn.
        """
        if (
            job is None
            or before is None
            or self.conditions(job) != before
            or not _may_be_kept(params, job.state)
        ):
            return reply
        outputs = self._live_outputs.outputs_of(job.state)
        summaries = self._live_outputs.known_if_unchanged(outputs) if outputs else {}
        if summaries is not None and _still_match(flights, summaries):
            if len(self._known) >= _KEPT_MOST:
                self._known.clear()
            cached = _CachedReply(job.state.run.job_name, before, outputs, summaries, reply, _encode(reply))
            self._known[msgspec.json.encode(params)] = cached
        return reply

    async def is_unchanged(self, state: RunState, event: int) -> bool:
        """Tell whether nothing of a run, nor of those it waits for, has been committed since an event."""
        if event > self._services.store.last_event:
            return False  # of another journal
        runs = [state.run.run_id, *(child.run.run_id for child in state.awaited)]
        return not await self._services.store.records.has_changed(runs, event)


def _may_be_kept(params: GetJob, state: RunState) -> bool:
    """Tell whether a reply stays right, whatever comes with time, until something is committed."""
    return (
        params.sheets is None
        and params.newer_than is None
        and state.score.isolation is None
        and min(len(state.sheets), params.limit) <= _SHEETS_MOST
        and is_time_independent(state)
        and not drift.is_watched(state)
    )


def _still_match(flights: Iterable[InFlight], summaries: Mapping[Key, OutputSummary]) -> bool:
    """Tell whether this was said of what is in flight; more may have been printed since."""
    said = {
        key_of(one): OutputSummary(one.stdout_bytes or 0, one.last_output_at, one.last_line)
        for one in flights
    }
    return all(said.get(key) == one for key, one in summaries.items())


def _encode(reply: JobDetails) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(reply))

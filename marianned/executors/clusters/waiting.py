"""What keeps an attempt on a cluster from beginning, from going on, or from being known, in words.

Source: docs/design/executors.md "Reasons".
"""

import shlex
from collections.abc import Sequence

import anyio

from marianned.executors.base import AttemptPlace, WaitReason, describe_missing_root
from marianned.executors.clusters.engine import ClusterJob, Engine, EngineUnavailable, ReasonExplanation
from marianned.executors.clusters.entries import AttemptEntry
from marianned.executors.clusters.submitting import OF_ALL

_GONE_SECONDS = 5.0
"""How long what the list has nothing of any more is left before that is told: most ends are seen by then."""
_ANSWER_SECONDS = 15.0
"""How long somebody waits who asks whether the engine answers; squeue says after nine that it does not."""


def wait_reason(
    entry: AttemptEntry, engine: Engine, away: EngineUnavailable | None, arguments: Sequence[str]
) -> WaitReason | None:
    """Say what keeps it from beginning, from going on, or from being known; null: nothing does.

    `away` says what the engine says where it does not answer; `arguments` are those of all submissions.
    """
    if away is not None or entry.away:
        return _wait_of_unknown(entry.place, engine, away)
    if entry.unsure and entry.job is not None:
        return WaitReason(f"its files were deleted; it is over when {engine.name}'s job {entry.job.id} is")
    if entry.submitting:
        return WaitReason(
            f"{engine.name} is to take it", queued=True, of_many=f"{engine.name} is to take them"
        )
    if entry.placed or (entry.job is not None and not entry.job.waits):
        return _wait_of_begun(entry, engine)
    return _wait_of_queued(entry, engine, arguments)


def _wait_of_begun(entry: AttemptEntry, engine: Engine) -> WaitReason | None:
    """Say what is so of what has begun and does not run: it is suspended, or the list has nothing of it.

    What is suspended and is to end does so as it is: then nobody has to let it go on.
    """
    if entry.missing is None:
        if entry.job is None or not entry.job.suspended or entry.ending is not None:
            return None
        return _suspended(entry.job, engine)
    if anyio.current_time() < entry.missing + _GONE_SECONDS:
        return None
    which = "it" if entry.job is None else f"its job {entry.job.id}"
    text = f"{engine.name} lists {which} no more, and its end is not seen"
    if entry.ending is None:
        text += "; where nothing comes of it any more it is lost, and runs again"
    return WaitReason(text, stopped=True)


def _suspended(job: ClusterJob, engine: Engine) -> WaitReason:
    """Say which job stands still, where, and how it goes on."""
    why = engine.explain_reason(job.reason or "None")
    typed = None if why.typed is None else why.typed.format(job=job.id)
    node = "" if job.node is None else f" on {job.node}"
    text = f"its job {job.id} of {engine.name} is suspended{node} ({why.text})"
    return WaitReason(text, typed, stopped=True, suspended=True, own=_job_for_commands(job, why))


def _wait_of_queued(entry: AttemptEntry, engine: Engine, arguments: Sequence[str]) -> WaitReason:
    """Say why something has not begun, as far as the list says; before it does that is not known."""
    if entry.job is None:
        asked = f"{engine.name} is asked whether"
        return WaitReason(f"{asked} it has begun", of_many=f"{asked} they have begun")
    why = engine.explain_reason(entry.job.reason or "None")
    typed = None if why.typed is None else why.typed.format(job=entry.job.id)
    text, change = f"in {engine.name}'s queue ({why.text})", None
    if why.change:
        of_all = arguments and not entry.wants_something
        text, change = (f"{text}; {OF_ALL}", "config") if of_all else (text, "score")
    shows = None if why.shows is None else why.shows.format(job=entry.job.id)
    of_many, own = f"they wait {text}", _job_for_commands(entry.job, why)
    return WaitReason(f"it waits {text}", typed, change, queued=True, of_many=of_many, shows=shows, own=own)


def _job_for_commands(job: ClusterJob, why: ReasonExplanation) -> tuple[str, str] | None:
    """Return how a job is named where several are typed in one command: by itself, and with its array."""
    return (job.id, job.id.partition("_")[0]) if why.many else None


def _wait_of_unknown(place: AttemptPlace, engine: Engine, away: EngineUnavailable | None) -> WaitReason:
    """Say why nothing is known of it: no answer, or no files, which a person may have to bring back."""
    if away is not None:
        silent = f"{engine.name} does not answer, so nothing is known of"
        shows = engine.ping if away.typed is None else None
        return WaitReason(f"{silent} it ({away})", away.typed, of_many=f"{silent} them ({away})", shows=shows)
    if place.root is None:
        return WaitReason("its files can't be looked at", of_many="their files can't be looked at")
    typed, why = f"findmnt -T {shlex.quote(str(place.root.parent))}", describe_missing_root(place.root)
    return WaitReason(f"nothing is known of it: {why}", typed, of_many=f"nothing is known of them: {why}")


async def engine_trouble(engine: Engine) -> str | None:
    """Ask the engine for its list; say what keeps it from answering, null: it answers."""
    try:
        with anyio.fail_after(_ANSWER_SECONDS):
            await engine.list_jobs()
    except TimeoutError:
        return f"{engine.name} has not answered for {_ANSWER_SECONDS:.0f} s"
    except EngineUnavailable as why:
        return f"{engine.name} does not answer: {why}"
    return None

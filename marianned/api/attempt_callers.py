"""Requests from inside an attempt: known by the mark of the peer or its ancestors, and what they may do.

A confused agent is stopped by this, and history says who asked. A hostile one can leave the tree of its
attempt: this is a rule and no wall (docs/security.md).
"""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from anyio import to_thread

from marianned.conductor.core.conductor import Conductor
from marianned.errors import NotPermitted
from marianned.executors.shim import MARK
from marianned.progress.views.messages import flight_name
from marianned.protocol import METHODS, Caller, Modify, Pause, Query, Remove, Resume, Submit

_ANCESTORS_MOST = 64
_PREFIX = f"{MARK}=".encode()


class Peer(NamedTuple):
    """Who is at the other end; `run_id` and `attempt` name the flight that it is inside of, if any."""

    caller: Caller
    run_id: int | None = None
    attempt: str = ""


async def identify_peer(conductor: Conductor, caller: Caller) -> Peer:
    """Return the caller with the sheet, hook or check that it is inside of, if it is."""
    marks = [] if caller.pid is None else await to_thread.run_sync(_marks_of, caller.pid)
    if not marks:
        return Peer(caller)
    known = {
        conductor.services.attempt_id(flight): (job.state, flight)
        for job in conductor.jobs.values()
        for flight in job.state.flights
    }
    for mark in reversed(marks):
        attempt = mark.partition("-check-")[0]
        state, flight = known.get(attempt, (None, None))
        if state is not None and flight is not None:
            name = state.run.job_name
            inside = f"{flight_name(state, flight)} of {name}"
            told = msgspec.structs.replace(caller, inside=inside, job=name)
            return Peer(told, state.run.run_id, attempt)
    return Peer(msgspec.structs.replace(caller, inside="an attempt that has ended"))


async def check_permitted(conductor: Conductor, caller: Caller, method: str, params: Query[Any]) -> None:
    """See that a request from inside an attempt is one that the setting allows.

    Raises:
        NotPermitted: it is not.
    """
    allowed = conductor.services.settings.security.sheets_may
    if caller.inside is None or allowed == "all" or _changes_nothing(method, params):
        return
    if allowed == "ask" and await _is_ask_allowed(conductor, caller, params):
        return
    raise NotPermitted(
        f"{caller.inside} asks for {method}, and the setting security.sheets_may is '{allowed}'",
        hints=["mzt config"],
    )


def check_read_only(method: str, params: Query[Any]) -> None:
    """See that a request changes nothing: its connection was to take questions only.

    Raises:
        NotPermitted: it changes something.
    """
    if not _changes_nothing(method, params):
        said = f"{method} changes something; this connection takes questions only (read_only)"
        raise NotPermitted(said, hints=["mzt rpc"])


def _changes_nothing(method: str, params: Query[Any]) -> bool:
    if isinstance(params, Modify | Resume | Remove) and params.plan:
        return True
    return not METHODS[method].changes


async def _is_ask_allowed(conductor: Conductor, caller: Caller, params: Query[Any]) -> bool:
    """Tell whether it is a new run beside the others, or a plain pause of a job of the caller's own."""
    if isinstance(params, Submit):
        return not params.fresh
    if isinstance(params, Pause) and not (params.force or params.clear or params.now):
        return await _is_its_own(conductor, caller, params.job_id)
    return False


async def _is_its_own(conductor: Conductor, caller: Caller, job_id: str) -> bool:
    """Tell whether a job is the caller's own, or one that it has submitted."""
    name = job_id.partition("@")[0]
    if caller.job is None or name == caller.job:
        return caller.job is not None
    run = await conductor.services.store.records.run(name)
    first = None if run is None else await conductor.services.store.records.revision(run.run_id, 1)
    return first is not None and first.caller is not None and first.caller.job == caller.job


def _marks_of(pid: int) -> list[str]:
    """Return the marks that a process and its ancestors carry, the outermost last: that one counts.

    The keeper's is the daemon's own word; what is below it can write what it likes into its environment.
    """
    found: list[str] = []
    for _ in range(_ANCESTORS_MOST):
        try:
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            words = []
        marks = [
            word.removeprefix(_PREFIX).decode(errors="replace") for word in words if word.startswith(_PREFIX)
        ]
        found += [mark for mark in marks if mark.strip("-")]  # the fork server's is room for one
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
        if pid <= 1:
            break
    return found

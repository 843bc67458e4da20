"""From a method's name to who does it, checked by its types; every reply and error leaves from here."""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from marianned import wire
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.queries.graphs import GraphQueries
from marianned.conductor.queries.instruments import InstrumentQueries
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.queries.on_record import RecordQueries
from marianned.conductor.queries.search import SearchQueries
from marianned.conductor.queries.why import WhyQueries
from marianned.conductor.requests.control import ControlRequests
from marianned.conductor.requests.retention import Retention
from marianned.conductor.requests.submit import Submissions
from marianned.errors import BadRequest, InternalError, MarianneError
from marianned.protocol import Caller, Query, Reply

Handler = Callable[[Caller, Any], Awaitable[Reply]]
_logger = logging.getLogger(__name__)


class WireAnswer(NamedTuple):
    """A reply as it is sent, and whether it is a refusal."""

    message: bytes
    refused: bool


def handlers(
    conductor: Conductor,
    submissions: Submissions,
    queries: JobQueries,
    retention: Retention,
    stop: Handler,
    reload: Handler,
) -> dict[str, Handler]:
    """Return who does what; the methods of streams belong to a connection and are not here."""
    control = ControlRequests(conductor)
    on_record = RecordQueries(conductor.services, queries)
    instruments = InstrumentQueries(conductor)
    return {
        "daemon.hello": queries.daemon_hello,
        "daemon.status": queries.daemon_status,
        "daemon.stop": stop,
        "daemon.reload": reload,
        "job.submit": submissions.submit,
        "job.status": queries.job_status,
        "job.graph": GraphQueries(queries).job_graph,
        "job.list": queries.job_list,
        "job.wait": queries.job_wait,
        "job.pause": control.pause,
        "job.resume": control.resume,
        "job.modify": control.modify,
        "job.cancel": control.cancel,
        "job.retry": control.retry,
        "job.history": queries.job_history,
        "job.attempts": on_record.job_attempts,
        "job.why": WhyQueries(conductor.services, queries).job_why,
        "job.revisions": on_record.job_revisions,
        "job.remove": retention.remove,
        "backup.write": retention.backup,
        "log.read": queries.log_read,
        "log.search": SearchQueries(queries).log_search,
        "instrument.list": instruments.list,
        "instrument.check": instruments.check,
        "instrument.clear_limits": instruments.clear_limits,
        "events.read": queries.events_read,
        "score.validate": queries.score_validate,
    }


async def answer(handler: Handler, caller: Caller, request: wire.Request, params: Query[Any]) -> WireAnswer:
    """Do what is asked; return the reply, or the error, as bytes."""
    try:
        return WireAnswer(wire.reply(request.id, await handler(caller, params)), refused=False)
    except MarianneError as error:
        return WireAnswer(wire.refusal(request.id, error, request.method), refused=True)
    except Exception:
        incident = os.urandom(4).hex()
        _logger.exception("incident %s: %s failed", incident, request.method)
        failed = InternalError(f"internal error; the daemon's log has incident {incident}")
        return WireAnswer(wire.refusal(request.id, failed), refused=True)


def refuse_one_too_many(request: wire.Request, what: str) -> bytes:
    """Refuse a request that is one too many."""
    return wire.refusal(request.id, BadRequest(what), request.method)

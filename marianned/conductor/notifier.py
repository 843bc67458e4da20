"""Sends the notifications that scores ask for, after the commit; no job ever waits for it.

Source: docs/reference/score-format.md §21.
"""

import logging
from collections.abc import Iterator

import anyio
import msgspec
from anyio.abc import TaskGroup

from marianned import notifications, workers
from marianned.accidents import Accident
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.job import JobActor
from marianned.protocol import AttemptKind, Event
from marianned.score.expanded import Notification

WAITING_MOST = 256
"""Messages that wait to be sent; more are dropped, with a line in the log."""
_GRACE_SECONDS = 5.0
"""What a worker may take beside the time that the notification itself has for each try."""
_PLAIN = {
    "sheet.completed": "sheet_complete",
    "sheet.failed": "sheet_failed",
    "job.completed": "job_complete",
    "job.failed": "job_failed",
    "job.paused": "job_paused",
}

_logger = logging.getLogger(__name__)


class NotificationSender:
    """Listens to the journal and sends; what is not sent when the daemon stops is not sent at all."""

    def __init__(self, conductor: Conductor, tasks: TaskGroup) -> None:
        self._conductor = conductor
        self._tasks = tasks
        self._turns = anyio.CapacityLimiter(2)
        self._waiting = 0
        conductor.services.store.on_commit(self._on_commit)

    def _on_commit(self, events: list[Event]) -> None:
        for event in events:
            job = self._conductor.serving(event.job_id, event.run)
            if job is not None and job.state.score.notifications:
                for number, notification in _wanted_notifications(job, event):
                    self._enqueue(job, number, notification, event)

    def _enqueue(self, job: JobActor, number: int, notification: Notification, event: Event) -> None:
        name = f"notification {number} of '{event.job_id}' ({notification.type}, {event.type})"
        if self._waiting >= WAITING_MOST:
            _logger.warning("%s is dropped: %d wait already", name, self._waiting)
            return
        self._waiting += 1
        environ = {**self._conductor.services.environ, **job.state.run.env}
        self._tasks.start_soon(self._send, name, notification, event, environ)

    async def _send(
        self, name: str, notification: Notification, event: Event, environ: dict[str, str]
    ) -> None:
        try:
            async with self._turns:
                await self._send_with_retries(name, notification, event, environ)
        except Exception:
            _logger.exception("%s failed", name)
        finally:
            self._waiting -= 1

    async def _send_with_retries(
        self, name: str, notification: Notification, event: Event, environ: dict[str, str]
    ) -> None:
        body = msgspec.json.encode(event)
        for tried in range(notification.max_retries + 1):
            if tried:
                await anyio.sleep(2 ** (tried - 1))
            try:
                await workers.call_within(
                    notification.timeout_seconds + _GRACE_SECONDS,
                    notifications.send,
                    *(notification, event, body, environ),
                )
            except notifications.Undelivered as problem:
                _logger.warning("%s: %s", name, problem.message)
                if not problem.again:
                    return
            except (workers.WorkerLimit, Accident) as problem:
                _logger.warning("%s: %s", name, problem.message)
            else:
                return


def _wanted_notifications(job: JobActor, event: Event) -> Iterator[tuple[int, Notification]]:
    """Yield what is to be sent, each with its place in the score (from 1)."""
    said = _event_name(job, event)
    for number, notification in enumerate(job.state.score.notifications, 1):
        if said in notification.on_events:
            yield number, notification


def _event_name(job: JobActor, event: Event) -> str | None:
    """Return the format's name of an event; the job's state is still that of before it."""
    if event.type == "attempt.started" and event.sheet is not None:
        row = job.state.sheets.get(event.sheet)
        return "sheet_start" if row is not None and row.next_kind == AttemptKind.FIRST else None
    if event.type == "job.running":
        return "job_start" if job.state.run.started_at is None else None
    return _PLAIN.get(event.type)

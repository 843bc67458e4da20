"""The concert log: a JSON line for each hook that has ended, appended where the score says.

Written after the commit and by best effort: what the file can't take is in the journal all the same.
Source: docs/reference/score-format.md §20.
"""

import logging
import os
from collections.abc import Sequence

import msgspec
from anyio import to_thread

from marianned.clock import timestamp
from marianned.progress.state.job import JobState
from marianned.rows import HookRow

_logger = logging.getLogger(__name__)


async def tell(state: JobState, ended: Sequence[HookRow]) -> None:
    """Append a line for each of these hooks, if the score has a log."""
    path = state.score.concert.log_path
    if path is None or not ended:
        return
    try:
        lines = b"".join(_line(state, row) + b"\n" for row in ended)
        await to_thread.run_sync(_append, path, lines, 0o666 & ~state.run.umask)
    except OSError as error:
        _logger.warning("the concert log '%s' can't be written: %s", path, error)


def _line(state: JobState, row: HookRow) -> bytes:
    definition = state.hook_definition(row.hook)
    run = state.run
    return msgspec.json.encode(
        {
            "ended_at": timestamp(row.ended_at or 0),
            "started_at": None if row.started_at is None else timestamp(row.started_at),
            "job": run.job_name,
            "run": run.run,
            "depth": run.depth,
            "hook": row.hook,
            "attempt": row.attempts,
            "type": definition.type,
            "label": definition.label,
            "success": row.status == "completed",
            "outcome": row.outcome,
            "message": row.error_message,
            "exit_code": row.exit_code,
            "signal": row.signal,
            "chained": row.chained,
        }
    )


def _append(path: str, lines: bytes, mode: int) -> None:
    """Append; agents write in that directory, so that a pipe of this name must not hold the daemon up."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    try:
        os.write(descriptor, lines)
    finally:
        os.close(descriptor)

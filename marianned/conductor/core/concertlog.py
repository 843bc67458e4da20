"""The concert log: a JSON line for each hook that has ended, appended where the score says.

Written after the commit and by best effort: what the file can't take is in the journal all the same.
Source: docs/reference/score-format.md §20.
"""

import logging
from collections.abc import Sequence

import msgspec
from anyio import to_thread

from marianned import files
from marianned.clock import timestamp
from marianned.progress.state.run import RunState
from marianned.protocol import HookStatus
from marianned.rows import HookRow
from marianned.score.read.reader import is_below

_logger = logging.getLogger(__name__)


async def append_hooks(state: RunState, ended: Sequence[HookRow]) -> None:
    """Append a line for each of these hooks, if the score has a log."""
    path = state.score.concert.log_path
    if path is None or not ended:
        return
    try:
        lines = b"".join(_log_line(state, row) + b"\n" for row in ended)
        below = state.run.workspace if is_below(path, state.run.workspace) else None
        await to_thread.run_sync(_append, path, lines, 0o666 & ~state.run.umask, below)
    except OSError as error:
        _logger.warning("the concert log '%s' can't be written: %s", path, error)


def _log_line(state: RunState, row: HookRow) -> bytes:
    definition = state.hook_definition(row.hook)
    run = state.run
    return msgspec.json.encode(
        {
            "ended_at": timestamp(row.ended_at or 0),
            "started_at": timestamp(row.started_at),
            "job": run.job_name,
            "run": run.run,
            "depth": run.depth,
            "hook": row.hook,
            "attempt": row.attempts,
            "type": definition.type,
            "label": definition.label,
            "success": row.status == HookStatus.COMPLETED,
            "outcome": row.outcome,
            "message": row.error_message,
            "exit_code": row.exit_code,
            "signal": row.signal,
            "chained": row.chained,
        }
    )


def _append(path: str, lines: bytes, mode: int, below: str | None) -> None:
    """Append; agents write in that directory: neither a pipe nor a link of this name leads out of it."""
    files.append(path, lines, mode, below=below)

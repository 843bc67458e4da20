"""The pause file: a pause by whoever can write into the workspace but not reach the socket.

Agents write there, so only a regular file is read, a little of it, and never on the event loop.
Source: docs/design/control.md §2.
"""

import os
import shlex
import stat
from pathlib import Path

from marianned import files
from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.progress.state.triggers import ChainedJobsReady, JobRequest, Supersede, Trigger

_READ_BYTES = 200
UNREADABLE = "unreadable"
_LET_GO_ON = (Action.BREAK, Action.DISCARD, Action.MODIFY, Action.RETRY)
"""Requests that remove no pause file and may bring no hold: a sheet may start with them."""


def precedes(trigger: Trigger) -> bool:
    """Tell whether the file is looked for before this trigger is decided: something may start with it."""
    if isinstance(trigger, JobRequest):
        return trigger.action in _LET_GO_ON and not trigger.plan
    return not isinstance(trigger, Supersede | ChainedJobsReady)


def pause_file(workspace: str, job_name: str) -> Path:
    """Return where the pause file of a job is looked for."""
    return Path(workspace) / f".marianne-pause-{job_name}"


def read_pause_file(path: Path) -> str | None:
    """Return the reason a pause file gives: its first line, "" for none; None: there is no such file."""
    try:
        data, _ = files.head(path, _READ_BYTES, below=path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return UNREADABLE if os.path.lexists(path) else None
    except OSError:
        return UNREADABLE
    return _first_line(data.decode(errors="replace"))


def _first_line(text: str) -> str:
    first = text.splitlines()[0] if text.strip() else ""
    return "".join(char for char in first if char.isprintable()).strip()


def remove_pause_file(path: Path) -> bool:
    """Remove the pause file; tell whether there was one.

    Raises:
        OSError: it is there and can't be removed.
    """
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            path.rmdir()
        else:
            path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def clear(path: Path, job_name: str, status: str | None = None) -> bool:
    """Remove the pause file before a job may start or go on; tell whether there was one.

    Raises:
        WrongStatus: it can't be removed; the hint is the command that does it.
    """
    try:
        return remove_pause_file(path)
    except OSError as error:
        whole = ["-r"] if path.is_dir() and not path.is_symlink() else []
        raise WrongStatus(
            f"'{job_name}' is held by '{path}', which can't be removed: {error.strerror}",
            job_id=job_name,
            status=status,
            hints=[shlex.join(["rm", *whole, str(path)])],
        ) from None

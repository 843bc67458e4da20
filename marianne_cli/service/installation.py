"""What the daemon's own program finds out about this installation: its checks and its settings."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from marianned.decoding import Undecodable, from_json
from marianned.errors import InternalError

START_CHECKS = frozenset({"configuration", "state", "state files", "database", "runtime", "socket"})
"""The checks of which each keeps a daemon from its start where it fails."""


def daemon_check_report(environment: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Return what `marianned --check --json` prints.

    `environment` is what the daemon will find other than this process does; null: a variable is not there.

    Raises:
        InternalError: it prints nothing of use.
    """
    seen = {**os.environ, **(environment or {})}
    checked = subprocess.run(
        [sys.executable, "-P", "-m", "marianned", "--check", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={name: value for name, value in seen.items() if value is not None},
    )
    try:
        found: dict[str, Any] = from_json(checked.stdout)
    except Undecodable:
        said = checked.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InternalError(f"marianned can't check itself: {said or 'it says nothing'}") from None
    return found

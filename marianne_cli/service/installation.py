"""What the daemon's own program finds out about this installation: its checks and its settings."""

import subprocess
import sys
from typing import Any

from marianned.decoding import Undecodable, from_json
from marianned.errors import InternalError


def daemon_check_report() -> dict[str, Any]:
    """Return what `marianned --check --json` prints.

    Raises:
        InternalError: it prints nothing of use.
    """
    checked = subprocess.run(
        [sys.executable, "-P", "-m", "marianned", "--check", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    try:
        found: dict[str, Any] = from_json(checked.stdout)
    except Undecodable:
        said = checked.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InternalError(f"marianned can't check itself: {said or 'it says nothing'}") from None
    return found

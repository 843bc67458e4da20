"""The addresses of the page: where a running `mzt dashboard` is asked for one, and what it opens at."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from marianned import paths
from marianned.errors import NoDaemon

_SUFFIX = ".address"
_PATIENCE_SECONDS = 6.0


def directory_of(daemon_socket: str) -> Path:
    """Return the private directory beside the daemon's socket, made if need be."""
    place = Path(daemon_socket).parent / "dashboard"
    paths.make_private_directory(place)
    return place


def place_of(directory: Path, pid: int) -> Path:
    """Return the socket at which a running dashboard tells a new address to whoever asks."""
    return directory / f"{pid}{_SUFFIX}"


def running(directory: Path) -> str:
    """Return a new address of the server that was started last: good once, and for a minute.

    Raises:
        NoDaemon: none runs.
    """
    found = sorted(directory.glob(f"*{_SUFFIX}"), key=lambda place: place.stat().st_mtime)
    for place in reversed(found):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PATIENCE_SECONDS)
            asking.connect(os.fspath(place))
            with asking.makefile("r") as lines:
                if address := lines.readline().strip():
                    return address
    raise NoDaemon("no dashboard of yours runs here", hints=["mzt dashboard"])


def at(address: str, job_id: str | None, sheet: int | None = None) -> str:
    """Return an address that opens at a job, and a sheet of it; null: at what the page begins with."""
    if job_id is None:
        return address
    where = f"/job/{quote(job_id, safe='')}" + ("" if sheet is None else f"?sheet={sheet}")
    return f"{address}&go={quote(where, safe='/')}"

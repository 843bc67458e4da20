"""The addresses of the page: where a running `mzt dashboard` is asked for one, and what it opens at."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from marianned import paths
from marianned.errors import NoDaemon

READ_ONLY = "read-only"
_SUFFIX = ".address"
_PATIENCE_SECONDS = 6.0


def directory_of(daemon_socket: str) -> Path:
    """Return the private directory beside the daemon's socket, made if need be."""
    place = Path(daemon_socket).parent / "dashboard"
    paths.make_private_directory(place)
    return place


def socket_of(directory: Path, pid: int) -> Path:
    """Return the socket at which a running dashboard tells a new address to whoever asks."""
    return directory / f"{pid}{_SUFFIX}"


def running_address(directory: Path, *, port: int | None = None, read_only: bool = False) -> str:
    """Return a new address of the server that was started last: good once, and for a minute.

    Of those at a port, and of those that only show, where that is asked for.

    Raises:
        NoDaemon: none runs that is such a one.
    """
    others: list[str] = []
    for place in _sockets(directory):
        address, kind = _ask_for_address(place)
        if (port is None or urlsplit(address).port == port) and (kind == READ_ONLY or not read_only):
            if address:
                return address
        elif address:
            others.append(f"{urlsplit(address).port}{kind and f' ({kind})'}")
    such = f"{' read-only' * read_only}{'' if port is None else f' at port {port}'}"
    if others:
        options = f"{' --read-only' * read_only}{'' if port is None else f' --port {port}'}"
        raise NoDaemon(
            f"no dashboard of yours runs here that is{such}; others do at {', '.join(others)}",
            hints=[f"mzt dashboard{options}", "mzt dashboard --url"],
        )
    raise NoDaemon("no dashboard of yours runs here", hints=["mzt dashboard"])


def remove_stale_sockets(directory: Path) -> None:
    """Remove the sockets of dashboards that were killed."""
    for place in _sockets(directory):
        with suppress(OSError, ValueError):
            try:
                os.kill(int(place.name.removesuffix(_SUFFIX)), 0)
            except ProcessLookupError:
                place.unlink()


def address_message(address: str, *, read_only: bool) -> bytes:
    """Return the bytes that a running dashboard sends to whoever asks for an address."""
    return f"{address}\n{READ_ONLY if read_only else ''}\n".encode()


def _sockets(directory: Path) -> list[Path]:
    """Return the sockets at which dashboards tell their addresses, or told them, the newest first."""
    found = []
    for place in directory.glob(f"*{_SUFFIX}"):
        with suppress(OSError):
            found.append((place.stat().st_mtime, place))
    return [place for _, place in sorted(found, reverse=True)]


def _ask_for_address(place: Path) -> tuple[str, str]:
    """Ask a dashboard for an address; return it, and whether it is read-only. Empty: none answers."""
    with suppress(OSError, UnicodeError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_PATIENCE_SECONDS)
        asking.connect(os.fspath(place))
        with asking.makefile("r") as lines:
            return lines.readline().strip(), lines.readline().strip()
    return "", ""


def address_of_job(address: str, job_id: str | None, sheet: int | None = None) -> str:
    """Return an address that opens the page at a job and a sheet of it; null: at the list of jobs."""
    if job_id is None:
        return address
    where = f"/job/{quote(job_id, safe='')}" + ("" if sheet is None else f"?sheet={sheet}")
    return f"{address}&go={quote(where, safe='/')}"

"""`mzt version`: both sides of the socket."""

from typing import Any

from marianne_cli import options
from marianne_cli.client.session import PROTOCOL
from marianne_cli.context import CommandOutcome, Invocation
from marianned import __version__
from marianned.errors import NoDaemon, NotPermitted
from marianned.formatting import versions_apart


@options.command("version", "mzt version", "mzt version --json=version,daemon")
def command(call: Invocation) -> CommandOutcome:
    """Print the version of mzt, and of the daemon that runs."""
    lines = [f"mzt {__version__}, protocol {PROTOCOL}"]
    hints: list[str] = []
    daemon: dict[str, Any] | None = None
    unknown = "no daemon runs"
    try:
        daemon = _daemon_version(call)
    except NotPermitted as error:
        unknown, hints = error.message, error.hints
    if daemon is None:
        lines.append(unknown)
    else:
        lines.append(f"marianned {daemon['version']} (pid {daemon['pid']}), protocol {daemon['protocol']}")
        apart = versions_apart(daemon["version"], __version__)
        if apart is not None:
            hints = apart[1]
            lines.append(f"{apart[0]}; type: {' · '.join(hints)}")
    return CommandOutcome(
        {
            "message": "; ".join(lines[:2]),
            "hints": hints,
            "version": __version__,
            "protocol": PROTOCOL,
            "daemon": daemon,
        },
        text="\n".join(lines),
        short=__version__,
    )


def _daemon_version(call: Invocation) -> dict[str, Any] | None:
    """Return what the daemon says of itself; null: none answers."""
    try:
        with call.connect(any_protocol=True) as client:
            status = client.request("daemon.status", {}, once=True)
    except NoDaemon:
        return None
    return {key: status.get(key) for key in ("version", "pid", "protocol", "started_at")}

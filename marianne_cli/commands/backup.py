"""`mzt backup`: copy the daemon's database while it runs."""

import os

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines.misuse import Misuse

_PATIENCE_SECONDS = 3_600.0
"""How long the copy of a large database may take."""


@options.command("backup", "mzt backup marianne-$(date +%F).db")
@options.argument("file", metavar="FILE", kind=options.FILE)
def command(call: Invocation, *, file: str) -> CommandOutcome:
    """Copy the daemon's database, while it runs, to a FILE that does not exist yet."""
    path = os.path.abspath(file)  # noqa: PTH100  links stay as they were typed
    if os.path.lexists(path):
        raise Misuse(f"'{file}' exists already; a backup overwrites nothing")
    with call.connect(timeout=_PATIENCE_SECONDS) as client:
        return CommandOutcome(
            call.for_people("backup.write", client.request("backup.write", {"file": path}, once=True)),
            short="",
        )

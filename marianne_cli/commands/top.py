"""`mzt top`: all jobs live in the terminal; its screens are `marianne_cli.top`, which is loaded only here."""

import gc
import os

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.faces import extras
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianne_cli.process import interrupts
from marianned.errors import InternalError

_YOUNG = (50_000, 20, 20)
"""What is known of a wide job is a hundred thousand objects: to look through them takes as long as a draw."""


@options.command("top", "mzt top", "mzt top release-notes", "mzt top --read-only", as_json=False)
@options.argument("job", metavar="[JOB]", required=False, kind=kinds.JobName())
@options.flag("--read-only", help="Look only: nothing that changes something is sent.")
def command(call: Invocation, *, job: str | None, read_only: bool) -> CommandOutcome:
    """Watch all jobs live in the terminal, and act on them; with JOB, open that one.

    Jobs that need a person come first. A job shows its sheets, and beside them what the sheet at the cursor
    prints. Each action shows the `mzt` line that it is; `?` shows the keys.
    """
    extras.require("mzt top", "top", "textual")
    if not all(os.isatty(number) for number in range(3)):
        raise Misuse("top draws on the terminal: its input, output and errors must be one")
    if os.environ.get("TERM") == "dumb":
        raise Misuse(
            "top draws on the terminal: TERM says that this one can't be drawn on", "mzt list --watch"
        )
    for name in ("COLUMNS", "LINES"):  # what an environment says of the size would outlast each change of it
        os.environ.pop(name, None)
    from marianne_cli.top.app import TopApp

    gc.set_threshold(*_YOUNG)
    app = TopApp(call.socket, job, read_only=read_only)
    interrupts.leave_to_asyncio()
    why = app.run()
    if why is not None:
        raise why
    if app.return_code:
        raise InternalError("mzt top has ended by a fault of its own, which is shown above")
    return CommandOutcome({"message": ""}, printed=True)

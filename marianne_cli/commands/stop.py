"""`mzt stop`: stop the daemon; attempts in flight go on without it."""

import click

from marianne_cli import options
from marianne_cli.context import Answer, Invocation
from marianne_cli.service import launch
from marianned.formatting import plural

_ENDS = {
    "detach": ("goes on without it", "go on without it"),
    "drain": ("was waited for", "were waited for"),
    "kill": ("was interrupted", "were interrupted"),
}
"""What becomes of one attempt in flight, and of several."""


@options.command("stop", "mzt stop", "mzt stop --drain -t 1h")
@click.option("--drain", "mode", flag_value="drain", help="Start nothing more; wait for what is in flight.")
@click.option("--kill", "mode", flag_value="kill", help="Interrupt what is in flight; it runs again later.")
@options.timeout_option(60.0, "Longest time to wait.")
def command(call: Invocation, *, mode: str | None, timeout: float) -> Answer:
    """Stop the daemon; return when it is gone. Attempts in flight go on without it."""
    mode = mode or "detach"
    pid, attempts = launch.stopped(call, timeout, mode)
    if pid is None:
        message = "no daemon runs"
    else:
        said = f"; {plural(attempts, 'attempt')} {_ENDS[mode][attempts != 1]}"
        message = f"marianned (pid {pid}): stopped{said if attempts else ''}"
    left = attempts if mode == "detach" else 0
    return Answer({"message": message, "pid": pid, "attempts_in_flight": left}, short="")

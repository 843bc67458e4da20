"""`mzt restart`: stop and start the daemon; attempts in flight go on."""

from marianne_cli import options
from marianne_cli.commands import start
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.service import launch


@options.command("restart", "mzt restart")
@options.timeout_option(60.0, "Longest time to wait.")
def command(call: Invocation, *, timeout: float) -> CommandOutcome:
    """Stop the daemon, if one runs, and start it; attempts in flight go on."""
    launch.restart(call, timeout)
    return start.daemon_text(launch.start_answer(call))

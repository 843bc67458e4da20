"""`mzt start`: start the daemon."""

from marianne_cli import options
from marianne_cli.context import Answer, Invocation
from marianne_cli.service import launch


@options.command("start", "mzt start")
@options.timeout_option(10.0, "Longest time to wait.")
def command(call: Invocation, *, timeout: float) -> Answer:
    """Start the daemon; return when it answers. A running daemon is left alone; a drain is called off."""
    if not launch.running(call, timeout):
        launch.kept(call)
    return Answer(launch.said(call), short="")

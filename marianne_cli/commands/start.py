"""`mzt start`: start the daemon."""

from marianne_cli import options
from marianne_cli.invocation import Answer, Invocation
from marianne_cli.service import launch


@options.command("start", "mzt start")
@options.timeout_option(10.0, "How long it may take.")
def command(call: Invocation, *, timeout: float) -> Answer:
    """Start the daemon; return when it answers. One that runs already is left alone, but for its drain."""
    if not launch.running(call, timeout):
        launch.kept(call)
    return Answer(launch.said(call), short="")

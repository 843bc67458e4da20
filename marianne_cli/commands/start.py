"""`mzt start`: start the daemon."""

from typing import Any

from marianne_cli import options, terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.service import launch


@options.command("start", "mzt start")
@options.timeout_option(10.0, "Longest time to wait.")
def command(call: Invocation, *, timeout: float) -> CommandOutcome:
    """Start the daemon; return when it answers. A running daemon is left alone; a drain is called off."""
    if not launch.ensure_running(call, timeout):
        launch.call_off_drain(call)
    return daemon_text(launch.start_answer(call))


def daemon_text(told: dict[str, Any]) -> CommandOutcome:
    """Show the daemon's own words, and below them what runs, or ran, that its database does not know."""
    from marianne_cli.screens import jobs as screens

    return CommandOutcome(
        told, text="\n".join([terminal.line(told["message"]), *screens.stranger_lines(told)]), short=""
    )

"""`mzt mcp`: an agents' door on standard input and output, which is `marianne_cli.mcp`, loaded only here."""

import os

import anyio

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines.misuse import Misuse
from marianne_cli.process import interrupts


@options.command("mcp", "mzt mcp", "mzt mcp --read-only", "claude mcp add marianne -- mzt mcp", as_json=False)
@options.flag("--read-only", help="Offer no tool that changes something; the daemon sees to it, too.")
def command(call: Invocation, *, read_only: bool) -> CommandOutcome:
    """Serve the Model Context Protocol on standard input and output, for an agent that looks after jobs.

    Its tools are look, output, plan and change. A program starts it; it ends with its input. There is no
    other transport: nothing listens.
    """
    if os.isatty(0):
        raise Misuse("mcp is for programs: an agent starts it, and speaks to it on its input")
    from marianne_cli.mcp.stdio import McpServer
    from marianne_cli.mcp.tools import INSTRUCTIONS, JobTools

    job_tools = JobTools(call.socket, read_only=read_only)
    interrupts.leave_to_asyncio()
    anyio.run(McpServer(job_tools.handlers, INSTRUCTIONS).serve)
    return CommandOutcome({"message": ""}, printed=True)

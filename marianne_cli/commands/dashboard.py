"""`mzt dashboard`: the jobs in the browser, as long as this terminal lets it run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from marianne_cli import exits, options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.faces import addresses, extras
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianned.formatting import typed

if TYPE_CHECKING:
    from marianne_cli.web.server import DashboardServer

_PORT_MOST = 65_535


@options.command(
    "dashboard",
    "mzt dashboard",
    "mzt dashboard release-notes",
    "mzt dashboard --no-open --port 8137",
    "mzt dashboard --read-only",
    as_json=False,
)
@options.argument("job", metavar="[JOB]", required=False, kind=kinds.JobName())
@options.option("--port", metavar="INT", kind=kinds.WholeNumber(1, _PORT_MOST), help="Listen at this port.")
@options.option(
    "--uds",
    metavar="PATH",
    kind=options.FILE,
    help="Listen at this Unix socket; --port is the forwarded one.",
)
@options.flag("--no-open", help="Print the address; open no browser.")
@options.flag("--read-only", help="Show everything, change nothing.")
@options.flag("--url", help="Print a new address of the dashboard that runs already (of the one at --port).")
def command(
    call: Invocation,
    *,
    job: str | None,
    port: int | None,
    uds: str | None,
    no_open: bool,
    read_only: bool,
    url: bool,
) -> CommandOutcome:
    """Show the jobs in the browser: watch, pause, change, resume. It ends with this terminal."""
    extras.require("mzt dashboard", "web", "starlette", "uvicorn")
    if url and (uds is not None or no_open):
        raise Misuse("'--url' asks a dashboard that runs; choose it by '--port' or '--read-only'")
    if uds is not None and port is None:
        raise Misuse("'--uds' needs '--port': the one that ssh -L forwards, which the browser names")
    if job is not None:
        job = str(call.ask("job.status", job_id=job, limit=1)["job_id"])
    directory = addresses.directory_of(call.client.path)
    if url:
        address = addresses.running_address(directory, port=port, read_only=read_only)
        return CommandOutcome({}, text=addresses.address_of_job(address, job))
    from marianne_cli.web import server

    listener = server.listen(port or 0) if uds is None else server.listen_at(uds)
    made = server.DashboardServer(
        listener,
        listener.getsockname()[1] if port is None else port,
        directory=directory,
        read_only=read_only,
        daemon=call.socket,
    )

    def ready() -> None:
        exits.print_text("\n".join(_address_lines(made, job, uds)))
        if not no_open and uds is None:
            made.open_browser(job)

    try:
        made.serve(ready)
    finally:
        if uds is not None:
            Path(uds).unlink(missing_ok=True)
    return CommandOutcome({}, text="")


def _address_lines(made: "DashboardServer", job: str | None, uds: str | None) -> list[str]:
    lines = [f"dashboard at {made.base_url}; Ctrl-C ends it"]
    if uds is not None:
        place = typed(os.path.abspath(uds))  # noqa: PTH100  as text, as it was typed
        lines.append(f"from elsewhere: ssh -L {made.port}:{place} HOST")
    return [
        *lines,
        f"open within a minute: {made.url(job)}",
        f"another address: mzt dashboard --url --port {made.port}",
    ]

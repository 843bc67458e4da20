"""`mzt doctor`: check this installation."""

from marianne_cli import options
from marianne_cli.context import Answer, Invocation


@options.command("doctor", "mzt doctor", "mzt doctor -j")
def command(call: Invocation) -> Answer:  # noqa: ARG001  the daemon's program checks, whether one runs or not
    """Check this installation: directories, database, instruments, socket, and what the service sees."""
    from marianne_cli.screens import jobs as screens
    from marianne_cli.screens import render
    from marianne_cli.service.installation import examined
    from marianne_cli.service.unit_checks import service_checks

    checks = [*examined()["checks"], *service_checks()]
    wanting = [check for check in checks if not check["passed"]]
    message = (
        f"{len(wanting)} of {len(checks)} checks need you" if wanting else f"all {len(checks)} checks pass"
    )
    hints = [hint for check in wanting for hint in check["hints"]]
    return Answer(
        {"message": message, "hints": hints, "checks": checks},
        text=render.fitted([*screens.checks_table(checks), message]),
        finding="E516" if wanting else None,
    )

"""`mzt doctor`: check this installation."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from marianne_cli import options
from marianne_cli.context import CommandOutcome, Invocation
from marianned.errors import NotPermitted
from marianned.places import SLURM


@options.command("doctor", "mzt doctor", "mzt doctor -j")
def command(call: Invocation) -> CommandOutcome:
    """Check this installation: directories, database, instruments, socket, and what the service sees."""
    from marianne_cli.screens import jobs as screens
    from marianne_cli.screens import render
    from marianne_cli.service.installation import daemon_check_report
    from marianne_cli.service.unit_checks import service_checks

    found = daemon_check_report({} if call.socket is None else {"MARIANNE_SOCKET": call.socket})
    checks = [*found["checks"], *service_checks(), *_shell_checks(call), *_slurm_checks(call, found)]
    wanting = [check for check in checks if not check["passed"]]
    message = (
        f"{len(wanting)} of {len(checks)} checks need you" if wanting else f"all {len(checks)} checks pass"
    )
    hints = [hint for check in wanting for hint in check["hints"]]
    return CommandOutcome(
        {"message": message, "hints": hints, "checks": checks},
        text=render.fit_lines([*screens.checks_table(checks), message], "ok", nested=True),
        finding="E516" if wanting else None,
    )


def _shell_checks(call: Invocation) -> Iterator[dict[str, Any]]:
    """Yield checks of what this shell has and the running daemon lacks; a service has checks of its own."""
    from marianne_cli.service import missing_in_daemon, units

    for lack in [] if units.USER.is_installed else missing_in_daemon.missing_for_instruments(call, None):
        yield {"name": "daemon's shell", "passed": False, "message": lack.said, "hints": lack.hints}


def _slurm_checks(call: Invocation, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield checks of what keeps the running daemon from Slurm, if the settings say that sheets run there."""
    from marianne_cli.service import launch, missing_in_daemon

    if not any((one["name"], one["value"]) == ("executor", SLURM) for one in found["settings"]):
        return
    with suppress(NotPermitted):  # a finding of its own
        pid = launch.holder_pid()
        if pid is None:
            return
        lacks = list(missing_in_daemon.missing_for_slurm(pid))
        if not lacks and (why := missing_in_daemon.slurm_problem(call)) is not None:
            answers_here = all(one["passed"] for one in found["checks"] if one["name"] == SLURM)
            hints = missing_in_daemon.slurm_cure(pid) if answers_here else []
            lacks = [missing_in_daemon.MissingInDaemon(f"the daemon says: {why}", hints)]
        for lack in lacks:
            yield {"name": "daemon's Slurm", "passed": False, "message": lack.said, "hints": lack.hints}

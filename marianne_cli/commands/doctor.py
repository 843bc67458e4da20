"""`mzt doctor`: check this installation."""

from marianne_cli import options
from marianne_cli.invocation import Answer, Invocation


@options.command("doctor", "mzt doctor", "mzt doctor -j")
def command(call: Invocation) -> Answer:  # noqa: ARG001  the daemon's program checks, whether one runs or not
    """Check this installation: directories, database, instruments, socket."""
    import subprocess
    import sys

    import msgspec

    from marianne_cli import render, screens
    from marianned.errors import InternalError

    checked = subprocess.run(
        [sys.executable, "-m", "marianned", "--check", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    try:
        found = msgspec.json.decode(checked.stdout)
    except msgspec.DecodeError:
        said = checked.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InternalError(f"marianned can't check itself: {said or 'it says nothing'}") from None
    checks = found["checks"]
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

"""An output handed to the pager: `mzt logs` in a process of its own, whose stdout the pager reads."""

import os
import subprocess
import sys
from collections.abc import Sequence

from marianne_cli.pagers import words_of


def show_in_pager(line: str, socket: str | None, arguments: Sequence[str]) -> str | None:
    """Show what `mzt logs` prints in $PAGER, by default less; return what went wrong, null: nothing.

    Less begins at the end, where the output was looked at.
    """
    called = os.environ.get("PAGER") or "less"
    pager = words_of(called)
    if not pager:
        return f"there is no pager '{called}'; set PAGER"
    named = [] if socket is None else ["--socket", socket]
    mzt = [sys.executable, "-P", "-m", "marianne_cli", *named, *arguments]
    environment = {"LESS": "RX+G", "LESSHISTFILE": "-", **os.environ}
    with subprocess.Popen(
        mzt, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as logs:
        try:
            subprocess.run(pager, stdin=logs.stdout, env=environment, check=False)
        except OSError as error:
            return f"the pager of '{line}' can't be started: {error}"
        finally:
            if logs.stdout is not None:
                logs.stdout.close()
            logs.terminate()
    return None

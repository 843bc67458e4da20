"""`mzt demo`: see pause, modify and resume work, on a daemon of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from marianne_cli import exits, options
from marianne_cli.context import CommandOutcome, Invocation
from marianned.errors import CheckFailed, WaitTimeout

_GIVES_UP_SECONDS = 120
_JOB = "demo"
_SHEETS = 4
_SCORE = """\
# The demo: {sheets} shell sheets, one after the other; each leaves a line in ran.txt.
name: demo
workspace: ./out
instrument: cli
sheet:
  size: 1
  total_items: {sheets}
  dependencies: {{{needs}}}
prompt:
  template: |
    echo "sheet {{{{ sheet_num }}}} runs{words}"
    sleep 1
    echo {{{{ sheet_num }}}} >> "{{{{ workspace }}}}/ran.txt"
validations:
  - {{type: file_exists, path: "{{workspace}}/ran.txt"}}
"""


class _Demo:
    """A directory with two scores, a daemon that lives in it, and the commands so far."""

    def __init__(self, call: Invocation, directory: Path) -> None:
        self._call = call
        self._ends = time.monotonic() + _GIVES_UP_SECONDS
        self._directory = directory
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "MARIANNE_ATTEMPT_ID"},
            "MARIANNE_SOCKET": str(directory / "socket"),
            "STATE_DIRECTORY": str(directory / "state"),
            "CONFIGURATION_DIRECTORY": str(directory / "config"),
        }
        # where a score finds profiles the search upwards ends: nothing beside the demo plays in it
        (directory / ".marianne" / "instruments").mkdir(parents=True)
        self.steps: list[dict[str, Any]] = []
        self.write("demo.yaml", "", _SHEETS)
        self.write("new.yaml", ", in new words", _SHEETS + 1)

    def write(self, name: str, words: str, sheets: int) -> None:
        needs = ", ".join(f"{n}: [{n - 1}]" for n in range(2, sheets + 1))
        text = _SCORE.format(sheets=sheets, needs=needs, words=words)
        (self._directory / name).write_text(text)

    def mzt(self, *arguments: str, shown: bool = True) -> str:
        """Run a command as it would be typed; print it with its real output."""
        done = subprocess.run(
            [sys.executable, "-m", "marianne_cli", *arguments],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=max(0.1, self._ends - time.monotonic()),
            text=True,
            check=False,
        )
        if shown:
            command = " ".join(["mzt", *(f'"{a}"' if " " in a else a for a in arguments)])
            self.steps.append({"command": command, "exit_code": done.returncode, "output": done.stdout})
            if not self._call.as_json and not self._call.quiet:
                exits.print_text(f"$ {command}\n{done.stdout}")
            if done.returncode:
                raise CheckFailed(f"the demo stopped: {command} ended with {done.returncode}")
        return done.stdout

    def play(self) -> None:
        self.mzt("run", "demo.yaml")
        self.mzt("pause", _JOB, "--wait", "--reason", "to change it")
        self.mzt("modify", _JOB, "-c", "new.yaml", "--plan")
        self.mzt("modify", _JOB, "-c", "new.yaml", "-r")
        self.mzt("wait", _JOB)
        self.mzt("history", _JOB)

    def once(self) -> bool:
        """Tell whether each sheet left exactly one line."""
        ran = (self._directory / "out" / "ran.txt").read_text().split()
        return sorted(ran) == [str(number) for number in range(1, _SHEETS + 2)]

    def end(self, *, cancel: bool) -> None:
        """Leave no process behind."""
        self._ends = time.monotonic() + _GIVES_UP_SECONDS
        if cancel:
            self.mzt("cancel", _JOB, "--wait", shown=False)
        self.mzt("stop", shown=False)


@options.command("demo", "mzt demo", "mzt demo --keep")
@options.flag("--keep", help="Keep the demo's files.")
def command(call: Invocation, *, keep: bool) -> CommandOutcome:
    """Watch pause, modify and resume work, in 15 seconds, on shell sheets.

    It starts a daemon of its own in a temporary directory; your daemon and its jobs are not touched.
    """
    import shutil
    import tempfile

    directory = Path(tempfile.mkdtemp(prefix="mzt-demo-"))
    call.note(f"a daemon of the demo's own, in {directory}")
    started = time.monotonic()
    try:
        demo = _Demo(call, directory)
        done = False
        try:
            demo.play()
            done = True
        except subprocess.TimeoutExpired:
            raise WaitTimeout(f"the demo is not through after {_GIVES_UP_SECONDS}s; it gives up") from None
        finally:
            demo.end(cancel=not done)
        once = demo.once()
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
    return _result(demo, time.monotonic() - started, once=once, kept=directory if keep else None)


def _result(demo: _Demo, seconds: float, *, once: bool, kept: Path | None) -> CommandOutcome:
    message = "each sheet ran once" if once else "some sheet did not run exactly once"
    text = f"paused, changed, gone on in {seconds:.1f}s: {message}"
    if kept is not None:
        text += f"\nits files: {kept}"
    result = {"message": message, "steps": demo.steps, "duration_seconds": round(seconds, 3)}
    return CommandOutcome(result, text=text, finding=None if once else "E516")

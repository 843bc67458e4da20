"""A real one-line prompt to an instrument: a job of one sheet, forgotten afterwards."""

import os
import shlex
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from marianne_cli.context import Invocation
from marianne_cli.screens import outputs
from marianned.errors import MarianneError, WaitTimeout
from marianned.places import SLURM

_SECONDS = 120.0
_SHOWN = 200
_ENDED = ("completed", "failed", "cancelled")
_TELL_SECONDS = 2.0
"""How often it is told what a job of a cluster waits for."""
_STUCK_SECONDS = 15.0
"""How long that may be something that does not pass by itself: no answer, or that a person has to act."""


def ask_instrument(call: Invocation, instrument: str) -> tuple[str, str | None]:
    """Return what the instrument answers to one line, and what went wrong; null: nothing.

    The daemon runs it as it runs any sheet, with the profiles that lie where `mzt` was called. No job is
    left, whatever comes.
    """
    name = f"check-{instrument}-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="mzt-check-") as directory:
        text = _SCORE.format(name=name, instrument=instrument, seconds=_SECONDS)
        places = {"directory": os.getcwd(), "submit_directory": directory, "workspace": directory}  # noqa: PTH109  no pathlib here
        call.change("job.submit", text=text, **places, auto_resume=False)
        try:
            words = ["ended", "paused"]
            result = call.ask("job.wait", job_id=name, words=words, timeout=_SECONDS + 30)
            if result["status"] == "completed":
                details = call.ask("job.status", job_id=name, sheets="1")["sheets"][0]
                read, _ = outputs.read_output(
                    call, name, outputs.TrackedOutput.of(details, details["attempt_count"], "result")
                )
                return " ".join(read.decode(errors="replace").split())[:_SHOWN], None
            if result["holds"]:
                return "", str(result["holds"][0]["reason"])
            errors = call.ask("job.why", job_id=name)["errors"]
            return "", str(errors[0]["error_message"]) if errors else str(result["message"])
        finally:
            _remove_job(call, name)


def _remove_job(call: Invocation, name: str) -> None:
    """Cancel the job, if it has not ended, and remove it, with what of it waits for a cluster."""
    try:
        if call.ask("job.status", job_id=name)["status"] not in _ENDED:
            call.change("job.cancel", job_id=name, wait=True, timeout=30.0)
        call.change("job.remove", job_id=name)
    except MarianneError as error:
        call.note(f"'{name}' stays: {error.message}")


_SCORE = """\
name: {name}
workspace: .
instrument: {instrument}
instrument_config: {{timeout_seconds: {seconds}}}
sheet: {{size: 1, total_items: 1}}
retry: {{max_retries: 0}}
prompt:
  template: "Answer with the one word OK; use no tools."
"""


_CLOCK_SECONDS = 5
"""How far the clock of a node may be off, as far as that can be told: records are compared with ours."""
_MARK = "found:"


def check_on_node(call: Invocation, executable: str | None) -> tuple[str, str | None]:
    """Run a job on the cluster that looks for an instrument; return what it found, and what is wrong.

    That the job runs at all says that the node sees the directory of attempts and has the interpreter.
    Nothing of it is left in the queue, as far as that can be known.
    """
    name = f"check-slurm-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix=".mzt-check-", dir=os.getcwd()) as directory:  # noqa: PTH109  as above
        text = _NODE_SCORE.format(name=name, tool=shlex.quote(executable or "sh"), seconds=_SECONDS)
        places = {"directory": directory, "submit_directory": directory, "workspace": directory}
        began = time.time()
        call.change("job.submit", text=text, **places, executor=SLURM, auto_resume=False)
        ended = False
        try:
            call.note(f"{name} is submitted to Slurm, to look from a node; at most {_SECONDS:.0f} s")
            result = _wait_for_end(call, name)
            if isinstance(result, str):
                return "", result
            ended = True
            if result["status"] != "completed":
                errors = call.ask("job.why", job_id=name)["errors"]
                return "", str(errors[0]["error_message"] if errors else result["message"])
            details = call.ask("job.status", job_id=name, sheets="1")["sheets"][0]
            source = outputs.TrackedOutput.of(details, details["attempt_count"], "stdout")
            here = os.path.exists(os.path.join(directory, "seen"))  # noqa: PTH110, PTH118  no pathlib here
            return _node_findings(outputs.read_output(call, name, source)[0], executable, began, here=here)
        finally:
            _remove_job(call, name)
            if not ended:
                _note_unknown_queue(call, name)


def _note_unknown_queue(call: Invocation, name: str) -> None:
    """Note if it is unknown whether the queue still has something of a job that was cancelled."""
    if _slurm_problem(call) is not None:
        call.note(
            f"whether Slurm has something of {name} can't be known now; the daemon takes it out of the queue "
            "when Slurm answers again; to see it then: squeue --me"
        )


def _slurm_problem(call: Invocation) -> str | None:
    """Say, within seconds, why Slurm can't be used now; null: it answers."""
    problem = call.ask("instrument.check", name="cli", executor=SLURM)["instruments"][0]["problem"]
    return None if problem is None else str(problem)


def _wait_for_end(call: Invocation, name: str) -> Mapping[str, Any] | str:
    """Wait for the end of a job, and say meanwhile what it waits for; return its result, or why not."""
    until, told, stuck = time.monotonic() + _SECONDS, list[str](), float("inf")
    asked = time.monotonic()
    while True:
        left = until - time.monotonic()
        try:
            return call.ask(
                "job.wait", job_id=name, words=["ended", "paused"], timeout=max(0.1, min(left, _TELL_SECONDS))
            )
        except WaitTimeout as late:
            if left <= _TELL_SECONDS:
                return late.message
        blocked = [one["text"] for one in call.ask("job.why", job_id=name)["reasons"] if _is_stuck(one)]
        stuck = min(stuck, time.monotonic()) if blocked else float("inf")
        if time.monotonic() > stuck + _STUCK_SECONDS:
            return _of_itself(blocked[0])
        if time.monotonic() > asked + _STUCK_SECONDS:
            if (problem := _slurm_problem(call)) is not None:
                return problem
            asked = time.monotonic()
        if (waits := call.ask("job.status", job_id=name)["hindered_by"]) != told:
            told = waits
            for line in waits:
                call.note(_of_itself(line))


def _of_itself(text: str) -> str:
    """Leave out which of its sheets: it has one."""
    return text.removeprefix("sheet 1: ").removeprefix("sheet 1 ")


def _is_stuck(reason: Mapping[str, Any]) -> bool:
    """Tell whether a job waits for what does not pass by itself: no answer, or somebody who has to act."""
    return reason["code"] == "accident" or bool(reason["unblocked_by"] == "caller")


def _node_findings(
    said: bytes, executable: str | None, began: float, *, here: bool
) -> tuple[str, str | None]:
    line = next(
        (one for one in said.decode(errors="replace").splitlines() if one.startswith(_MARK)), f"{_MARK}||0"
    )
    node, place, clock = line.removeprefix(_MARK).split("|", 2)
    off = max(began - float(clock), float(clock) - time.time())
    if executable is not None and not place:
        return node, f"'{executable}' is not on the PATH on {node}"
    if not here:
        return node, f"what {node} writes to '{os.getcwd()}' is not seen here"  # noqa: PTH109  as above
    if off > _CLOCK_SECONDS:
        return node, f"the clock of {node} is {off:.0f} s off"
    return f"{node}: {place}", None


_NODE_SCORE = """\
name: {name}
workspace: .
instrument: cli
instrument_config: {{timeout_seconds: {seconds}}}
sheet: {{size: 1, total_items: 1}}
retry: {{max_retries: 0}}
prompt:
  template: |
    touch seen
    echo "found:${{SLURMD_NODENAME:-$(hostname)}}|$(command -v {tool})|$(date +%s)"
"""

"""A real one-line prompt to an instrument: a job of one sheet, forgotten afterwards."""

import os
import tempfile

from marianne_cli.context import Invocation
from marianne_cli.screens import outputs
from marianned.errors import MarianneError

_SECONDS = 120.0
_SHOWN = 200


def answer_of(call: Invocation, instrument: str) -> tuple[str, str | None]:
    """Return what the instrument answers to one line, and what went wrong; null: nothing.

    The daemon runs it as it runs any sheet, with the profiles that lie where `mzt` was called; an interrupt
    leaves the job, which ends by itself.
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
                read, _ = outputs.read(
                    call, name, outputs.Source.of(details, details["attempt_count"], "result")
                )
                return " ".join(read.decode(errors="replace").split())[:_SHOWN], None
            if result["holds"]:
                return "", str(result["holds"][0]["reason"])
            errors = call.ask("job.why", job_id=name)["errors"]
            return "", str(errors[0]["error_message"]) if errors else str(result["message"])
        finally:
            _forget(call, name)


def _forget(call: Invocation, name: str) -> None:
    try:
        if call.ask("job.status", job_id=name)["status"] == "paused":
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

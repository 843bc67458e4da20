"""Messages to people about a job: on the desktop, to a webhook, to Slack; each by best effort.

`send` blocks, for as long as its caller lets it; the conductor calls it in a worker process, which is killed
when the daemon has no more time. Source: docs/reference/score-format.md §21.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from marianned import __version__
from marianned.instruments.command_line import fill_variables
from marianned.protocol import Event
from marianned.score.expanded import Notification

_REFUSED = range(300, 500)
"""Redirects, too: the headers may be secrets, and are for the address they were given for alone."""
_TOO_MANY = 429


class Undelivered(Exception):
    """A message did not get through; `again`: it may, later. It never says where to, for that is a secret."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.message = message
        self.again = again


def send(notification: Notification, event: Event, body: bytes, environ: Mapping[str, str]) -> None:
    """Tell of an event, once.

    Args:
        notification: whom to tell.
        event: what to tell of.
        body: its JSON.
        environ: the variables that `url_env` and the headers mean.

    Raises:
        Undelivered: it could not be delivered.
    """
    if notification.type == "desktop":
        _show(event, notification.timeout_seconds)
        return
    if notification.type == "slack":
        body = json.dumps({"text": _plain(f"{_title(event)}: {event.text}")}).encode()
    headers = {name: fill_variables(value, environ) for name, value in notification.headers.items()}
    address = notification.url or environ.get(notification.url_env or "")
    if not address:
        raise Undelivered(f"the variable {notification.url_env} is not set", again=False)
    _post(address, body, headers, notification.timeout_seconds)


def _plain(text: str) -> str:
    """Return a text in which nothing is markup: no link, no call to everybody in the channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _title(event: Event) -> str:
    return f"Marianne, {event.job_id}"


def _show(event: Event, timeout: float) -> None:
    program = shutil.which("notify-send")
    if program is None:
        return
    command = [program, "--app-name=Marianne", "--", _title(event), _plain(event.text)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Undelivered(f"notify-send: {type(problem).__name__}", again=False) from None
    if ended.returncode:
        raise Undelivered(f"notify-send ended with exit code {ended.returncode}", again=False)


def _no_redirects() -> Any:
    import urllib.request  # noqa: PLC0415  as below

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return NoRedirects


def _post(address: str, body: bytes, headers: Mapping[str, str], timeout: float) -> None:
    import http.client  # noqa: PLC0415  these three are only for a worker: they make a daemon start slower
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    given = {"Content-Type": "application/json", "User-Agent": f"marianned/{__version__}", **headers}
    if not address.lower().startswith(("http://", "https://")):
        raise Undelivered("the url is neither http nor https", again=False)
    try:
        request = urllib.request.Request(address, data=body, headers=given, method="POST")  # noqa: S310  looked at above
        with urllib.request.build_opener(_no_redirects()).open(request, timeout=timeout):
            return
    except urllib.error.HTTPError as answer:
        answer.close()
        again = answer.code not in _REFUSED or answer.code == _TOO_MANY
        raise Undelivered(f"the answer was HTTP {answer.code}", again=again) from None
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", problem)
        raise Undelivered(f"no answer: {type(reason).__name__}", again=True) from None
    except ValueError:
        raise Undelivered("the url or a header can't be sent as it is", again=False) from None

"""One call of `mzt`: what was asked of its output, its connection, and its requests."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from marianne_cli import terminal
from marianned import __version__

if TYPE_CHECKING:
    from marianne_cli.client.blocking import RawClient
    from marianne_cli.lines.forms import CommandForm

GOES_ON = "it goes on"
"""What an interrupt says of a job that was only watched, if that is so."""


class CommandOutcome(NamedTuple):
    """The outcome of a command: the keys of its JSON object, and the text that people read instead.

    `text` null: the result's `message`; `short` is all that -q prints, null: the text; `finding` is the
    code of an exit 1 (E505, E515, E516), of several jobs that of the first that was not done, with
    `exit_status`; `printed`: all there is to print is printed already.
    """

    result: Mapping[str, Any]
    text: str | None = None
    short: str | None = None
    finding: str | None = None
    exit_status: int = 1
    printed: bool = False


class Invocation:
    """The options every command has, and the connection that is made when it is needed."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        fields: tuple[str, ...] | None = None,
        paged: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        socket: str | None = None,
        reason: str | None = None,
        key: str | None = None,
        typed: frozenset[str] = frozenset(),
        form: "CommandForm | None" = None,
    ) -> None:
        self.as_json = as_json
        self.fields = fields
        """Of JSON objects only these keys; null: all."""
        self.paged = paged
        """Whether what is too long for the terminal is shown in a pager."""
        self.quiet = quiet
        self.verbose = verbose
        self.socket = socket
        self.typed = typed
        """The parameters that were typed: the others have their defaults."""
        self.form = form
        """The command that was called; null: `mzt` alone."""
        self._reason = reason
        self._key = key
        self._client: RawClient | None = None
        self.waiting_on: str | None = None
        """The job that is waited for: an interrupt tells where it stands."""
        self.stays = "the request stays in force"
        """What an interrupt leaves as it is."""
        self.jobs_given = 1
        """Over how many jobs a key is spread."""

    @property
    def client(self) -> "RawClient":
        """The connection to the daemon.

        Raises:
            NoDaemon: nobody answers.
        """
        if self._client is None:
            self._client = self.connect()
        return self._client

    @property
    def open_client(self) -> "RawClient | None":
        """The connection, where one was made."""
        return self._client

    def connect(self, *, any_protocol: bool = False, timeout: float | None = None) -> "RawClient":
        """Make a connection of its own; `timeout` is the patience with a reply in seconds."""
        from marianne_cli.client.blocking import connect_raw

        return connect_raw(self.socket, name=f"mzt {__version__}", any_protocol=any_protocol, timeout=timeout)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Send a request that changes nothing."""
        from marianne_cli.client.session import stated_params

        return self.for_people(method, self.client.request(method, stated_params(params)))

    def change(self, method: str, **params: object) -> dict[str, Any]:
        """Send a request that changes something, with the caller's reason and key."""
        return self.for_people(
            method, self.client.request(method, self.with_reason_and_key(params), changes=True)
        )

    def for_people(self, method: str, result: dict[str, Any]) -> dict[str, Any]:
        """Return a result as people may see it; as JSON, and the text of a score, it is what came."""
        if self.as_json:
            return result
        stored = {"text": result["text"]} if method == "job.revisions" and "text" in result else {}
        return {**terminal.reply(result), **stored}

    def with_reason_and_key(self, params: Mapping[str, object]) -> dict[str, object]:
        """Add the caller's reason and key; a key that several jobs share is made each one's own."""
        from marianne_cli.client.session import stated_params

        key = self._key
        if key is not None and self.jobs_given > 1:
            key = f"{key}/{params.get('job_id')}"
        return stated_params({**params, "reason": self._reason, "key": key})

    def request_for_job(self, method: str, **params: object) -> CommandOutcome:
        """Send a request about one job; -q prints nothing, an interrupt tells that it stays in force."""
        if params.get("wait"):
            self.waiting_on = str(params["job_id"])
        result = self.change(method, **params)
        if params.get("plan"):
            result = self._with_whole_plan(method, params, result)
        answer = CommandOutcome(result, short="")
        self.waiting_on = None
        self.note_warnings(answer.result)
        return answer

    def _with_whole_plan(
        self, method: str, params: Mapping[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        """Return a reply to a request that changes nothing with all pages of its plan."""
        lines = list(result["plan"])
        while len(lines) < result.get("plan_total", 0):
            page = self.ask(method, **{**params, "offset": len(lines)})["plan"]
            if not page:
                break
            lines += page
        return {**result, "plan": lines}

    def note_warnings(self, result: Mapping[str, Any]) -> None:
        """Print the warnings of a score that was accepted."""
        if result.get("problems"):
            from marianne_cli.exits import problem_text

            for problem in result["problems"]:
                self.note(*problem_text(problem).split("\n"))

    def note_version(self) -> None:
        """Note on stderr if the daemon that answered is of another version than this program."""
        from marianned.formatting import versions_apart

        server = self._client.server if self._client is not None else None
        apart = versions_apart(server["version"], __version__) if server else None
        if apart is not None:
            self.note(f"{apart[0]}; type: {' · '.join(apart[1])}")

    def note(self, *lines: str) -> None:
        """Print a note beside the result, on stderr."""
        if not self.quiet and not self.as_json:
            said = "\n".join(map(terminal.line, lines))
            print(said, file=sys.stderr, flush=True)  # noqa: T201  the one way of `mzt` to say things

    @property
    def draws_live_line(self) -> bool:
        """Whether a line may be drawn over again on stderr."""
        return not self.quiet and not self.as_json and wants_colours(sys.stderr)


def wants_colours(stream: TextIO) -> bool:
    """Tell whether a terminal is there that wants colours and live lines."""
    return has_width(stream) and "NO_COLOR" not in os.environ


def has_width(stream: TextIO) -> bool:
    """Tell whether a terminal is there to whose width lines are fitted."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"

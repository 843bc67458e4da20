"""What can go wrong, as codes: one table of exit statuses, one tree of exceptions.

MarianneError
├── NoSuchJob         E501  no such job
├── WrongStatus       E502  wrong status for this request; another revision than expected
├── WaitTimeout       E504  time ran out while waiting; the request stays in force
├── InvalidScore      E505  the score has errors
├── NameTaken         E507  the name's newest run is neither completed nor cancelled
├── Unavailable       E508  queue full, disk full, the database can't be written, no wall
├── NotPermitted      E509  another user's daemon; more than a sheet, or a read-only connection, may ask
├── BadRequest        E510  unknown method or sheet, wrong parameters, too large
├── NoDaemon          E511  nobody answers (said by the client)
├── ProtocolMismatch  E512  the two sides speak different protocols
├── WaitOverridden    E513  what was waited for can no longer come
├── InternalError     E514  a defect of ours, with an incident id
├── JobFailed         E515  the job waited for ended failed (said by the client)
└── CheckFailed       E516  a check found something (said by the client)

Source: docs/design/control.md §10.
"""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from marianned.problem import Problem as Problem  # noqa: PLC0414  that it is public

USAGE_EXIT = 2
INTERRUPTED_EXIT = 130
PIPE_EXIT = 141
OUTPUT_EXIT = 1
"""Of what could not be printed, as the coreutils have it."""


def __getattr__(name: str) -> object:
    """Load Problem when it is asked for: it is a Struct, which few errors need, and slow to load."""
    if name != "Problem":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from marianned.problem import Problem  # noqa: PLC0415

    return Problem


class MarianneError(Exception):
    """A refused or failed request: what is wrong, then what to type next.

    `status` is the job's status where the error is about a job; `hints` are commands to be typed as
    they are; `problems` are those of a score, warnings too.
    """

    code: ClassVar[str] = "E514"
    exit_status: ClassVar[int] = 4
    usual_hint: ClassVar[str | None] = "mzt bug-report"
    """What is typed next where the refusal names nothing nearer; of one about a job `usual_job_hint`.

    Null: what was asked decides. The daemon names the method's schema then, `mzt` the help of its command.
    """
    usual_job_hint: ClassVar[str] = "mzt status"

    def __init__(
        self,
        message: str,
        *,
        job_id: str | None = None,
        status: str | None = None,
        hints: Sequence[str] = (),
        problems: "Sequence[Problem]" = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.job_id = job_id
        self.status = status
        self.hints = list(hints) or self._usual_hints()
        self.problems = list(problems)

    def _usual_hints(self) -> list[str]:
        if self.job_id is not None:
            return [f"{self.usual_job_hint} {shlex.quote(self.job_id)}"]
        return [] if self.usual_hint is None else [self.usual_hint]

    @property
    def rpc_code(self) -> int:
        """The JSON-RPC error code: -33000 - nnn of Ennn; -32603 for what is a defect of ours."""
        return -32603 if self.code == "E514" else -33000 - int(self.code[1:])


class NoSuchJob(MarianneError):
    """No job of that name, or no such run of it."""

    code = "E501"
    usual_hint = "mzt list --all"


class WrongStatus(MarianneError):
    """The job's status does not allow this request; nothing has changed."""

    code = "E502"
    usual_hint = "mzt status"


class WaitTimeout(MarianneError):
    """The caller's timeout ran out; the request stays in force."""

    code = "E504"
    exit_status = 124
    usual_hint = "mzt status"
    usual_job_hint = "mzt why"


class InvalidScore(MarianneError):
    """The score has errors; `problems` lists all of them, and the warnings."""

    code = "E505"
    usual_hint = None


class NameTaken(MarianneError):
    """The newest run of that name is neither completed nor cancelled."""

    code = "E507"
    usual_hint = "mzt list"


class Unavailable(MarianneError):
    """What it takes can't be had: a place in the queue, disk, the database, a wall; nothing has changed."""

    code = "E508"
    usual_hint = "mzt doctor"


class NotPermitted(MarianneError):
    """The caller may not: another user, a sheet that asks for more than it may, a read-only connection."""

    code = "E509"
    usual_hint = "mzt doctor"


class BadRequest(MarianneError):
    """The request itself is wrong: an unknown method, sheet or parameter, or too large."""

    code = "E510"
    usual_hint = None


class NoDaemon(MarianneError):
    """No daemon answers at the socket."""

    code = "E511"
    exit_status = 3
    usual_hint = "mzt doctor"


class ProtocolMismatch(MarianneError):
    """Daemon and client speak different protocol versions; the hint names the side to upgrade."""

    code = "E512"
    exit_status = 3
    usual_hint = "mzt version"


class WaitOverridden(MarianneError):
    """What was waited for can no longer happen: somebody or something took it back."""

    code = "E513"
    exit_status = 5
    usual_hint = "mzt status"


class InternalError(MarianneError):
    """A defect in Marianne; the incident id in the message is in the daemon's log with its traceback."""

    code = "E514"


class JobFailed(MarianneError):
    """The job that was waited for ended failed."""

    code = "E515"
    exit_status = 1
    usual_hint = "mzt list"
    usual_job_hint = "mzt why"


class CheckFailed(MarianneError):
    """A check (`doctor`, `config check`, ...) found something."""

    code = "E516"
    exit_status = 1
    usual_hint = "mzt doctor"


BY_CODE: dict[str, type[MarianneError]] = {cls.code: cls for cls in MarianneError.__subclasses__()}

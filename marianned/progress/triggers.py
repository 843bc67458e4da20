"""What can happen to a job: the triggers of a decision. Clock and chance come in as values."""

from typing import Any

import msgspec

from marianned.lifecycle import Action
from marianned.progress.state import Version
from marianned.protocol import CheckReport, Outcome
from marianned.rows import RequestRow


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended, validations included.

    `message` is one line about the attempt, `evidence` one about the sheet (the first failed check);
    `passed` and `applicable` count its checks; `chance` (0 to 1) moves the retry delay.
    """

    uid: int
    attempt: int
    outcome: Outcome
    category: str | None = None
    message: str | None = None
    evidence: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    pid: int | None = None
    model: str | None = None
    session_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    validations: list[CheckReport] = []
    result: str | None = None
    chance: float = 0.5


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A score that passed validation and may become the next revision."""

    version: Version
    """Its row has the number 0 until it is accepted."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's request. `wait`: the answer comes when the wish is true; `plan`: nothing is changed."""

    action: Action
    request: RequestRow
    reason: str | None = None
    wait: bool = False
    plan: bool = False
    proposal: Proposal | None = None
    expect: int | None = None
    env: dict[str, str] = {}
    file: str | None = None
    extra: dict[str, Any] = {}


class PauseFile(msgspec.Struct, frozen=True):
    """A pause file lies in the workspace; `reason` is its first line, or `unreadable`."""

    reason: str | None


class SlotFree(msgspec.Struct, frozen=True):
    """A slot may be had now, or the job has just been loaded."""


class TimeReached(msgspec.Struct, frozen=True):
    """A moment has come that the last decision wanted to be woken for."""


Trigger = Asked | Ending | PauseFile | SlotFree | TimeReached

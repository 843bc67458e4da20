"""The values read from the outputs of an attempt, and the verdict on its end: types without logic.

Source: docs/reference/score-format.md §15.2, §23.4.
"""

from typing import Literal, NamedTuple

import msgspec

from marianned.protocol import ErrorCategory, Outcome

CAPTURE_BYTES = 1024 * 1024
"""Bytes kept of the end of a result, unless `max_output_capture_bytes` says otherwise."""

EndReason = Literal["timed_out", "stale", "final", "asked"]
"""Why the daemon ended a process: a time limit, its silence, its final event, a request."""


class ParsedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The values read from the output of an attempt.

    `result` is the result text (§23.4); `error` the tool's own words about a failure; `failed`: one of
    the profile's signs of failure is there; `no_result`: a result was due and is not there; `parsed`:
    the output is of the profile's format; `rate_limited`: the profile's event for it was seen. `searched`
    is the part of stdout in which failures are looked for: the end of what did not parse, or is text.
    `final`: the final event has come, and says so; null: the tool has none, or has not come to it.
    `resets_at` (seconds since 1970) is when the limit of the profile's event is over. `cached_tokens` were
    read from a cache, `written_tokens` written to it; some tools count them among `input_tokens`, others
    beside. `unread` says, in a line each, which outputs could not be read: they count as empty; and which
    amounts: they count as unknown.
    """

    result: str
    error: str | None = None
    failed: bool = False
    no_result: bool = False
    parsed: bool = True
    rate_limited: bool = False
    resets_at: float | None = None
    final: Literal["success", "failure"] | None = None
    searched: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    written_tokens: int | None = None
    cost_usd: float | None = None
    session_id: str | None = None
    model: str | None = None
    unread: list[str] = []


class Verdict(NamedTuple):
    """How an attempt's process has ended (§15.2): the outcome, why, and one line for people.

    `resets_in`: in how many seconds a rate limit is over, where the tool says it; `quota`: it speaks of a
    quota, which lasts longer than a rate. `doubt`: the final event was a success, and how the process ended
    was none: then checks decide. `warning` is for people.
    """

    outcome: Outcome
    category: ErrorCategory | None
    message: str
    resets_in: float | None = None
    quota: bool = False
    doubt: bool = False
    warning: str | None = None


def text_of(data: bytes, keep: int) -> str:
    """Decode the end of an output without the blanks behind it; a cut never leaves half a character."""
    data = data.rstrip()
    return data[-keep:].decode(errors="ignore" if len(data) > keep else "replace")

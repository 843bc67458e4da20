"""From a tool's output to what it means: result, tokens, cost, and how the attempt has ended.

An exit code alone is never the answer: several tools exit with 0 after a refusal, or without having printed
anything. Source: docs/reference/score-format.md §15.2, §16.3, §23.3-§23.5.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from marianned.instruments import pick
from marianned.instruments.dialect import FORMATS
from marianned.instruments.profile import Errors, Failure, Output, Profile
from marianned.instruments.resets import resets_in
from marianned.instruments.verdict import Reading, Verdict
from marianned.protocol import Outcome
from marianned.words import duration

CAPTURE_BYTES = 1024 * 1024
"""How much of a result is kept where `max_output_capture_bytes` says nothing: its end."""
RATE_LIMIT_PATTERNS = ("rate.?limit", "usage.?limit", "too many requests", r"\b429\b", "try again later")
"""What means a rate limit where neither profile nor score says it."""

_SEARCHED_STDERR = 256 * 1024
_SEARCHED_STDOUT = 4 * 1024
_MESSAGE_LENGTH = 200
_HTTP_OUTPUT = Output(
    format="json",
    result_path="result",
    error_path="error",
    failure_when=[Failure(path="error", exists=True)],
    input_tokens_path="usage.input_tokens",
    output_tokens_path="usage.output_tokens",
    model_path="model",
)
_HTTP_ERRORS = Errors(
    auth_error_patterns=[
        "unauthorized",
        "not authenticated",
        "invalid.*api.?key",
        r"(error|status|code)\W*40[13]",
    ],
    rate_limit_patterns=["rate.?limit", "too many requests", r"status 429"],
    capacity_patterns=["overloaded", r"(error|status|code)\W*503"],
)


_AMOUNT_MOST = 2**53
"""More than this is no number of tokens or dollars, and could not be stored."""


def output_of(profile: Profile, settings: Mapping[str, Any]) -> Output:
    """Return how the output of a sheet with these settings is read: its own `output_format` goes first."""
    output = profile.cli.output if profile.cli else _HTTP_OUTPUT
    wanted = settings.get("output_format")
    return msgspec.structs.replace(output, format=FORMATS[wanted][1]) if wanted in FORMATS else output


def read_output(profile: Profile, settings: Mapping[str, Any], stdout: bytes, stderr: bytes) -> Reading:
    """Read what a tool has printed, by its profile; nothing that is printed makes this fail."""
    output = output_of(profile, settings)
    form = output.format
    keep = settings.get("max_output_capture_bytes") or CAPTURE_BYTES
    if form == "text":
        return Reading(
            result=_text(stdout, keep), no_result=bool(output.require_result) and not stdout.strip()
        )
    events = _events(stdout) if form == "jsonl" else _document(stdout, output)
    if events is None:
        return Reading(result=_text(stdout, keep), parsed=False, searched=_text(stdout, _SEARCHED_STDOUT))
    return _read_events(profile, output, events, stdout, stderr, keep)


def _read_events(
    profile: Profile, output: Output, events: list[Any], stdout: bytes, stderr: bytes, keep: int
) -> Reading:
    kind, filters = output.completion_event_type, output.completion_event_filter
    final = [event for event in events if _is_event(event, kind, filters)]
    given = _result(output, final)
    require = output.require_result is not False
    result = given if given is not None and (given or require) else ("" if require else _text(stdout, keep))
    failed = any(_holds(rule, events, final) for rule in output.failure_when)
    error = None
    if failed or not output.failure_when or not final:
        error = _error(output, final[-1:]) or _error(output, events) or _error(output, _tail(stderr))
    errors = profile.cli.errors if profile.cli else _HTTP_ERRORS
    tokens_in, tokens_out = (
        _amount(events, path, added=output.aggregate_tokens)
        for path in (output.input_tokens_path, output.output_tokens_path)
    )
    return Reading(
        result=_text(result.encode(errors="replace"), keep),
        error=error,
        failed=failed,
        no_result=require and not result.strip(),
        rate_limited=errors.rate_limit_event_type is not None
        and any(_is_event(e, errors.rate_limit_event_type, errors.rate_limit_event_filter) for e in events),
        input_tokens=None if tokens_in is None else int(tokens_in),
        output_tokens=None if tokens_out is None else int(tokens_out),
        cost_usd=_amount(events, output.cost_path, added=output.aggregate_tokens),
        session_id=_last_text(events, output.session_path),
        model=_last_text(events, output.model_path),
    )


def _text(data: bytes, keep: int) -> str:
    """Decode the end of an output without the blanks behind it; a cut never leaves half a character."""
    data = data.rstrip()
    return data[-keep:].decode(errors="ignore" if len(data) > keep else "replace")


def _events(stdout: bytes) -> list[Any] | None:
    """Return the objects of JSON lines, or of one array; other lines are passed over, None: only such."""
    events = []
    for line in stdout.splitlines():
        if line.lstrip().startswith(b"{"):
            found = pick.decoded(line)
            if isinstance(found, dict):
                events.append(found)
    if not events and stdout.lstrip().startswith(b"["):
        found = pick.decoded(stdout)
        return found if isinstance(found, list) else None
    return events if events or not stdout.strip() else None


def _document(stdout: bytes, output: Output) -> list[Any] | None:
    """Return the one JSON document, or the events of an array; lines in front of it are passed over."""
    if not stdout.strip():
        return []
    found = pick.decoded(stdout)
    start = re.search(rb"^[\[{]", stdout, re.MULTILINE)
    if found is None and start:
        found = pick.decoded(stdout[start.start() :])
    if found is None:
        return None
    return found if isinstance(found, list) and output.completion_event_type else [found]


def _tail(stderr: bytes) -> list[Any]:
    """Return the JSON object that ends stderr, if one does: some tools say their error there."""
    start = stderr.rfind(b"\n{") + 1 if b"\n{" in stderr else 0
    found = pick.decoded(stderr[start:]) if stderr[start : start + 1] == b"{" else None
    return [found] if isinstance(found, dict) else []


def _is_event(event: Any, kind: str | None, filters: Mapping[str, Any]) -> bool:
    if kind is not None and pick.matches(event, "type") != [kind]:
        return False
    return all(pick.matches(event, path)[:1] == [value] for path, value in filters.items())


def _result(output: Output, final: list[Any]) -> str | None:
    """Return what `result_path` gives, None when it leads nowhere; what a `*` finds is joined."""
    if output.result_path is None:
        return None
    records = final if output.result_join == "concat" else final[-1:]
    found = [value for record in records for value in pick.matches(record, output.result_path)]
    return "".join(_words(value) for value in found if value is not None) if found else None


def _words(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _holds(rule: Failure, events: list[Any], final: list[Any]) -> bool:
    among = final if rule.event is None else [e for e in events if _is_event(e, rule.event, {})]
    found = pick.matches(among[-1], rule.path) if among else []
    if rule.exists:
        return any(value is not None for value in found)
    if rule.matches is not None:
        return any(isinstance(value, str) and re.search(rule.matches, value) for value in found)
    if rule.is_not is not msgspec.UNSET:
        return bool(found) and found[0] != rule.is_not
    return bool(found) and found[0] == rule.is_ and isinstance(found[0], bool) == isinstance(rule.is_, bool)


def _error(output: Output, records: list[Any]) -> str | None:
    """Join what the error paths find, each in the last record that has it; a bare number is named."""
    said: list[str] = []
    for path in (output.error_path or "").split():
        found = next((f for record in reversed(records) if (f := _some(record, path))), None)
        if found is not None:
            name = path.rsplit(".", 1)[-1]
            said.append(f"{name} {found[0]}" if isinstance(found[0], int | float) else _words(found[0]))
    return "; ".join(dict.fromkeys(said)) or None


def _some(record: Any, path: str) -> list[Any]:
    return [value for value in pick.matches(record, path) if value is not None and value != ""]


def _amount(events: list[Any], path: str | None, *, added: bool) -> float | None:
    """Return the last number found by `path` over all events, or the sum of all; None: none was found."""
    if path is None:
        return None
    found = [number for event in events for number in pick.numbers(event, path)]
    if not found:
        return None
    amount = sum(found) if added else found[-1]
    return amount if 0 <= amount <= _AMOUNT_MOST else None


def _last_text(events: list[Any], path: str | None) -> str | None:
    if path is None:
        return None
    found = [value for event in reversed(events) for value in pick.matches(event, path)]
    return next((value for value in found if isinstance(value, str) and value), None)


def classify(
    profile: Profile,
    reading: Reading,
    *,
    exit_code: int | None,
    signal: str | None,
    timed_out: bool,
    stderr: bytes,
    timeout_seconds: float = 0.0,
    detection_patterns: Sequence[str] = (),
    now: datetime | None = None,
) -> Verdict:
    """Judge the end of a process (§15.2, from "own timeout" on); what went before is the caller's.

    Args:
        profile: the instrument's.
        reading: of its output.
        exit_code: null when a signal ended it.
        signal: the name, `SIGSEGV`.
        timed_out: our time limit ended it.
        stderr: its end is searched.
        timeout_seconds: the limit, for the message.
        detection_patterns: the score's own for rate limits (§16.3).
        now: the moment, in the local zone, for reset times; without it none are read.
    """
    if timed_out:
        return Verdict(Outcome.TIMED_OUT, "timeout", f"timed out after {duration(timeout_seconds)}")
    errors = profile.cli.errors if profile.cli else _HTTP_ERRORS
    ended_well = signal is None and exit_code in errors.success_exit_codes
    if ended_well and not reading.failed and not reading.no_result:
        return Verdict(Outcome.SUCCEEDED, None, "")
    where = [stderr[-_SEARCHED_STDERR:].decode(errors="replace"), reading.error or "", reading.searched]
    message = _message(reading, errors, where, exit_code, signal, ended_well=ended_well)
    limits = [*errors.rate_limit_patterns, *detection_patterns] or RATE_LIMIT_PATTERNS
    rows = (
        (_any(errors.auth_error_patterns, where), Outcome.FAILED, "auth"),
        (reading.rate_limited or _any(limits, where), Outcome.RATE_LIMITED, "rate_limit"),
        (_any(errors.capacity_patterns, where), Outcome.FAILED, "capacity"),
        (signal is not None, Outcome.FAILED, "signal"),
        (ended_well and not reading.failed, Outcome.FAILED, "no_result"),
        (True, Outcome.FAILED, "exit"),
    )
    outcome, category = next((outcome, category) for holds, outcome, category in rows if holds)
    limited = outcome is Outcome.RATE_LIMITED and now is not None
    resets = (resets_in(text, now) for text in where) if limited and now is not None else iter(())
    quota = limited and any("quota" in text.lower() for text in where)
    ends = next((found for found in resets if found is not None), None)
    return Verdict(outcome, category, message, ends, quota)


def _any(patterns: Iterable[str], where: Iterable[str]) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in where if text)


def _message(
    reading: Reading,
    errors: Errors,
    where: list[str],
    exit_code: int | None,
    signal: str | None,
    *,
    ended_well: bool,
) -> str:
    """Say how it ended, then what the tool itself says, in one line."""
    if signal is not None:
        said = f"killed by {signal}"
    elif not ended_well:
        said = "no exit code" if exit_code is None else f"exit code {exit_code}"
    else:
        said = "the output says that it failed" if reading.failed else "the output has no result"
    refinements = {
        "a time limit of the tool's own": errors.timeout_patterns,
        "a crash": errors.crash_patterns,
        "no progress": errors.stale_patterns,
    }
    said += "".join(f", {why}" for why, patterns in refinements.items() if _any(patterns, where))
    if reading.error:
        line = " ".join(reading.error.split())
        said += f": {line if len(line) <= _MESSAGE_LENGTH else line[: _MESSAGE_LENGTH - 1] + '…'}"
    return said

"""From a tool's output to what it means: result, tokens, cost, and how the attempt has ended.

An exit code alone is never the answer: several tools exit with 0 after a refusal, or without having printed
anything. Source: docs/reference/score-format.md §15.2, §16.3, §23.3-§23.5.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from marianned.formatting import time_asked
from marianned.instruments import json_path, printed_json, usage
from marianned.instruments.command_line import effective_output_format
from marianned.instruments.profile import ErrorPatterns, FailureRule, OutputFormat, Profile
from marianned.instruments.recognising import (
    RefusalKind,
    RefusalMatch,
    error_lines,
    recognise,
    recognise_in_output,
    service_refusal,
)
from marianned.instruments.refusals import is_refusal
from marianned.instruments.resets import resets_in
from marianned.instruments.result import CAPTURE_BYTES, EndReason, ParsedOutput, Verdict, text_of
from marianned.protocol import ErrorCategory, Outcome

RATE_LIMIT_PATTERNS = ("rate.?limit", "usage.?limit", "too many requests", r"\b429\b", "try again later")
"""What means a rate limit, in a tool's own error, where neither profile nor score says it."""

_SEARCHED_STDERR = 256 * 1024
_SEARCHED_STDOUT = 4 * 1024
_MESSAGE_LENGTH = 200
_HTTP_ERRORS = ErrorPatterns(service_messages=True)


_LINES = re.IGNORECASE | re.MULTILINE
_MILLISECONDS_FROM = 10**11
_TOKENS_OF_A_SENTENCE = 200


def read_output(profile: Profile, settings: Mapping[str, Any], stdout: bytes, stderr: bytes) -> ParsedOutput:
    """Read what a tool has printed, by its profile; nothing that is printed makes this fail."""
    output = effective_output_format(profile, settings)
    form = output.format
    keep = settings.get("max_output_capture_bytes") or CAPTURE_BYTES
    if form == "text":
        return _read_text_output(profile, output, stdout, keep)
    plain = printed_json.without_noise(stdout)
    events = printed_json.json_events(plain) if form == "jsonl" else _json_document(plain, output)
    if events is None:
        return msgspec.structs.replace(
            _read_text_output(profile, output, stdout, keep), parsed=False, no_result=False
        )
    return _read_events(profile, output, events, stdout, stderr, keep)


def _read_text_output(profile: Profile, output: OutputFormat, stdout: bytes, keep: int) -> ParsedOutput:
    """Read an output without a form; of a shell script's nothing but the exit code tells of a failure."""
    patterns = profile.cli.errors.failure_patterns if profile.cli else []
    searched = "" if profile.raw_prompt else text_of(stdout, _SEARCHED_STDOUT)
    found = next((hit for pattern in patterns if (hit := re.search(pattern, searched, _LINES))), None)
    refused = _is_refusal(profile, searched)
    return ParsedOutput(
        result=text_of(stdout, keep),
        error=searched.strip() if refused else None if found is None else searched[found.start() :].strip(),
        failed=refused or found is not None,
        no_result=bool(output.require_result) and not stdout.strip(),
        searched=searched,
        **msgspec.structs.asdict(usage.usage_from_text(output, stdout)),
    )


def _read_events(
    profile: Profile, output: OutputFormat, events: list[Any], stdout: bytes, stderr: bytes, keep: int
) -> ParsedOutput:
    final = _final_records(output, events)
    given = _result_text(output, final)
    require = output.require_result is not False
    result = given if given is not None and (given or require) else ("" if require else text_of(stdout, keep))
    signs = [rule for rule in output.failure_when if _rule_holds(rule, events, final)]
    failed = bool(signs)
    error = None
    if failed or not output.failure_when or not final:
        error = (
            _error_text(output, final[-1:])
            or _error_text(output, events)
            or _error_text(output, printed_json.last_object(stderr))
            or next((said for rule in signs if rule.matches and (said := _last_text(final, rule.path))), None)
        )
    errors = _errors(profile)
    reported = usage.usage_from_events(output, events)
    if not failed and _is_refusal(
        profile, result, worked=_has_worked(output, events, reported.output_tokens)
    ):
        failed, error = True, result.strip()
    no_result = require and not result.strip()
    limit = _limit_event(errors, events)
    return ParsedOutput(
        result=text_of(result.encode(errors="replace"), keep),
        error=error,
        failed=failed,
        no_result=no_result,
        rate_limited=limit is not None,
        resets_at=_parse_moment(limit, errors.rate_limit_reset_path),
        final=_final_state(output, events, failed=failed or no_result),
        session_id=_last_text(events, output.session_path),
        model=_last_text(events, output.model_path),
        **msgspec.structs.asdict(reported),
    )


def _errors(profile: Profile) -> ErrorPatterns:
    return profile.cli.errors if profile.cli else _HTTP_ERRORS


def _is_refusal(profile: Profile, answer: str, *, worked: bool = False) -> bool:
    """Tell whether an agent's whole answer is a service's refusal, whatever the tool says of its end."""
    return _errors(profile).service_messages and is_refusal(answer, worked=worked)


def _has_worked(output: OutputFormat, events: list[Any], tokens_out: int | None) -> bool:
    """Tell whether a tool says that more was done than a sentence takes: in tokens, turns, calls of tools."""
    tokens = 0 if output.tokens_of_session or tokens_out is None else tokens_out
    turns = usage.find_amount(events, output.turns_path, added=False) or 0
    return tokens > _TOKENS_OF_A_SENTENCE or turns > 1 or _tool_calls(output, events) > 1


def _tool_calls(output: OutputFormat, events: list[Any]) -> int:
    """Count the calls of tools that the profile shows to people."""
    return sum(
        all(json_path.matches(part, path)[:1] == [value] for path, value in rule.where.items())
        for rule in output.live
        if rule.show == "tool"
        for event in events
        if rule.event is None or _is_event(event, rule.event, {})
        for part in (json_path.matches(event, rule.each) if rule.each else [event])
    )


def _final_records(output: OutputFormat, events: list[Any]) -> list[Any]:
    """Return the records that hold the result, by the profile; a document that is no event is one itself.

    With `result_join: run` these are the last that come one behind the other, however many came before.
    """
    kind, filters = output.completion_event_type, output.completion_event_filter
    if output.result_join != "run":
        found = [event for event in events if _is_event(event, kind, filters)]
    else:
        found = []
        for event in reversed(events):
            if _is_event(event, kind, filters):
                found.insert(0, event)
            elif found:
                break
    if found or any(isinstance(event, dict) and "type" in event for event in events):
        return found
    return events


def _final_state(
    output: OutputFormat, events: list[Any], *, failed: bool
) -> Literal["success", "failure"] | None:
    """Tell whether the final event has come, with no event after it that goes on, and what it says."""
    rule = output.final_event
    if rule is None:
        return None
    for event in reversed(events):
        if _is_event(event, rule.event, rule.where):
            return "failure" if failed else "success"
        if json_path.matches(event, "type")[:1] in [[kind] for kind in rule.goes_on]:
            return None
    return None


def _limit_event(errors: ErrorPatterns, events: list[Any]) -> Any:
    """Return the event that tells of a rate limit, unless a later one of its type tells of none."""
    kind = errors.rate_limit_event_type
    last = next((event for event in reversed(events) if kind and _is_event(event, kind, {})), None)
    told = last is not None and _is_event(last, kind, errors.rate_limit_event_filter)
    return last if told else None


def _parse_moment(event: Any, path: str | None) -> float | None:
    """Read a moment as services write it, in seconds since 1970."""
    found = json_path.matches(event, path)[:1] if event is not None and path else []
    if not found or isinstance(found[0], bool):
        return None
    if isinstance(found[0], str):
        try:
            moment = datetime.fromisoformat(found[0])
        except ValueError:
            return float(found[0]) if re.fullmatch(r"\d{10}", found[0]) else None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isinstance(found[0], int | float):
        return None
    return found[0] / 1000 if found[0] > _MILLISECONDS_FROM else float(found[0])


def _json_document(stdout: bytes, output: OutputFormat) -> list[Any] | None:
    """Return the one JSON document, or the events of an array; None: there is none."""
    if not stdout.strip():
        return []
    found = printed_json.json_document(stdout)
    if found is None:
        return None
    return found if isinstance(found, list) and output.completion_event_type else [found]


def _is_event(event: Any, kind: str | None, filters: Mapping[str, Any]) -> bool:
    if kind is not None and json_path.matches(event, "type") != [kind]:
        return False
    return all(json_path.matches(event, path)[:1] == [value] for path, value in filters.items())


def _result_text(output: OutputFormat, final: list[Any]) -> str | None:
    """Return what `result_path` gives, None when it leads nowhere; what a `*` finds is joined."""
    if output.result_path is None:
        return None
    records = final[-1:] if output.result_join == "last" else final
    for path in output.result_path.split():
        found = [value for record in records for value in json_path.matches(record, path)]
        if found:
            return "".join(json_path.value_text(value) for value in found if value is not None)
    return None


def _rule_holds(rule: FailureRule, events: list[Any], final: list[Any]) -> bool:
    among = final if rule.event is None else [e for e in events if _is_event(e, rule.event, {})]
    found = json_path.matches(among[-1], rule.path) if among else []
    if rule.exists:
        return any(value is not None for value in found)
    if rule.matches is not None:
        return any(isinstance(value, str) and re.search(rule.matches, value) for value in found)
    if rule.is_not is not msgspec.UNSET:
        return bool(found) and found[0] != rule.is_not
    return bool(found) and found[0] == rule.is_ and isinstance(found[0], bool) == isinstance(rule.is_, bool)


def _error_text(output: OutputFormat, records: list[Any]) -> str | None:
    """Join what the error paths find, each in the last record that has it; a bare number is named."""
    said: list[str] = []
    for path in (output.error_path or "").split():
        found = next((f for record in reversed(records) if (f := _matches_at(record, path))), None)
        if found is not None:
            name = path.rsplit(".", 1)[-1]
            said.append(
                f"{name} {found[0]}"
                if re.fullmatch(r"[\d.]+", str(found[0]))
                else json_path.value_text(found[0])
            )
    return "; ".join(dict.fromkeys(said)) or None


def _matches_at(record: Any, path: str) -> list[Any]:
    return [value for value in json_path.matches(record, path) if value is not None and value != ""]


def _last_text(events: list[Any], path: str | None) -> str | None:
    if path is None:
        return None
    found = [value for event in reversed(events) for value in json_path.matches(event, path)]
    return next((value for value in found if isinstance(value, str) and value), None)


def classify(
    profile: Profile,
    reading: ParsedOutput,
    *,
    exit_code: int | None,
    signal: str | None,
    timed_out: bool,
    stderr: bytes,
    timeout_seconds: float = 0.0,
    detection_patterns: Sequence[str] = (),
    ended: EndReason | None = None,
    now: datetime | None = None,
) -> Verdict:
    """Judge the end of a process (§15.2); what goes before its output is the caller's.

    Args:
        profile: the instrument's.
        reading: of its output.
        exit_code: null when a signal ended it.
        signal: the name, `SIGSEGV`.
        timed_out: our time limit ended it.
        stderr: its end is searched.
        timeout_seconds: the limit of time (or of silence, where that ended it), for the message.
        detection_patterns: the score's own for rate limits (§16.3).
        ended: why else we have ended it, if we have.
        now: the moment, in the local zone, for reset times; without it none are read.
    """
    errors = _errors(profile)
    ended = "timed_out" if timed_out else ended
    ended_well = ended is None and signal is None and exit_code in errors.success_exit_codes
    if ended_well and not reading.failed and not reading.no_result:
        return Verdict(Outcome.SUCCEEDED, None, "")
    where = _error_texts(reading, stderr)
    plain = _verdict_without_pattern(ended, timeout_seconds, signal, ended_well=ended_well, reading=reading)
    by_us = None if ended is None else plain[2]
    message = _ending_message(reading, errors, where, exit_code, signal, ended_well=ended_well, by_us=by_us)
    if reading.final == "success":
        return _verdict_after_final_event(ended, message)
    found = _recognise_refusal(profile, reading, where, detection_patterns)
    if found is None and ended is None and exit_code in errors.auth_exit_codes:
        found = RefusalMatch("auth", _last_line(stderr))
    if ended is not None and found is not None and found.kind == "capacity":
        found = None  # that alone is no reason to hang: the limit is the news
    kind = None if found is None else found.kind
    if found is not None and not reading.error:
        message = _ending_with_line(message, found.line)
    if ended is not None and kind is None and not reading.failed:
        return Verdict(*plain)
    outcome, category = _KINDS[kind] if kind is not None else (Outcome.FAILED, plain[1])
    if ended is not None and kind is None:
        category = ErrorCategory.EXIT
    limited = outcome is Outcome.RATE_LIMITED and now is not None
    quota = limited and any("quota" in text.lower() for text in where)
    return Verdict(
        outcome, category, message, _seconds_until_reset(reading, where, now) if limited else None, quota
    )


_KINDS: dict[RefusalKind, tuple[Outcome, ErrorCategory]] = {
    "auth": (Outcome.FAILED, ErrorCategory.AUTH),
    "rate_limit": (Outcome.RATE_LIMITED, ErrorCategory.RATE_LIMIT),
    "capacity": (Outcome.FAILED, ErrorCategory.CAPACITY),
}


def _verdict_after_final_event(ended: EndReason | None, message: str) -> Verdict:
    if ended is not None:
        said = "it did not end after its final event, and was ended; that event and the checks decide"
        return Verdict(Outcome.SUCCEEDED, None, "", warning=said)
    return Verdict(
        Outcome.FAILED,
        ErrorCategory.EXIT,
        message,
        doubt=True,
        warning=f"{message}, although its final event says success; all checks pass",
    )


def _verdict_without_pattern(
    ended: EndReason | None, seconds: float, signal: str | None, *, ended_well: bool, reading: ParsedOutput
) -> tuple[Outcome, ErrorCategory, str]:
    """Return outcome, category and message of an end that no pattern says more about."""
    match ended:
        case "timed_out":
            return Outcome.TIMED_OUT, ErrorCategory.TIMEOUT, f"timed out after {time_asked(seconds)}"
        case "stale":
            silent = f"silent for {time_asked(seconds)}: nothing printed, no file changed, no CPU time used"
            return Outcome.FAILED, ErrorCategory.STALE, silent
        case "asked" | "final":
            return Outcome.FAILED, ErrorCategory.EXIT, "ended"
        case None if signal is not None:
            return Outcome.FAILED, ErrorCategory.SIGNAL, ""
        case None:
            fell_short = ended_well and not reading.failed
            return Outcome.FAILED, ErrorCategory.NO_RESULT if fell_short else ErrorCategory.EXIT, ""


def _error_texts(reading: ParsedOutput, stderr: bytes) -> list[str]:
    """Return the texts that may say what is wrong: the tool's own error alone, if it has one."""
    if reading.error:
        return [reading.error]
    return [stderr[-_SEARCHED_STDERR:].decode(errors="replace"), reading.searched]


def _recognise_refusal(
    profile: Profile, reading: ParsedOutput, where: list[str], detection: Sequence[str]
) -> RefusalMatch | None:
    """Return the kind of refusal, and its line, by the profile's patterns and by what services say.

    Two sources. `known`: what the table of messages recognises, in the tool's own error as a message, in
    stderr and text outputs only in lines that look like errors. `own`: the profile's patterns, over the
    same lines where the table is used, over everything where it is not. The score's own patterns for rate
    limits are looked for everywhere. Of several kinds the first of the rows counts: refused credentials
    before limits before capacity, for a retry mends the later ones.
    """
    errors = _errors(profile)
    known: RefusalMatch | None = None
    if errors.service_messages:
        known = next(
            (found for text in where if (found := _recognise_in_text(text, reading)) is not None), None
        )
    own = where
    if errors.service_messages and not reading.error:
        own = ["\n".join(error_lines(text)) for text in where]
    limits: Sequence[str] = errors.rate_limit_patterns
    refusal = None
    if not (limits or detection or errors.service_messages):  # of talk, only the voice of a service counts
        limits = RATE_LIMIT_PATTERNS if reading.error else ()
        talk = () if reading.error else where
        refusal = next((line for text in talk if (line := service_refusal(text)) is not None), None)
    of_event = "" if reading.rate_limited and known is None else None
    rows: tuple[tuple[RefusalKind, Sequence[str | None]], ...] = (
        ("auth", [_matching_line(errors.auth_error_patterns, own)]),
        ("rate_limit", [_matching_line(limits, own), _matching_line(detection, where), refusal, of_event]),
        ("capacity", [_matching_line(errors.capacity_patterns, own)]),
    )
    for kind, lines in rows:
        if known is not None and known.kind == kind:
            return known
        line = next((line for line in lines if line is not None), None)
        if line is not None:
            return RefusalMatch(kind, line)
    return None


def _recognise_in_text(text: str, reading: ParsedOutput) -> RefusalMatch | None:
    if not reading.error:
        return recognise_in_output(text)
    kind = recognise(text)
    return None if kind is None else RefusalMatch(kind, text)


def _matching_line(patterns: Iterable[str], where: Iterable[str]) -> str | None:
    """Return the line in which one of the patterns is found first; None: nowhere."""
    for pattern in patterns:
        for text in where:
            if text and (found := re.search(pattern, text, re.IGNORECASE)):
                start = text.rfind("\n", 0, found.start()) + 1
                start = max(start, found.start() - _MESSAGE_LENGTH // 2)
                return text[start:].split("\n", 1)[0]
    return None


def _seconds_until_reset(reading: ParsedOutput, where: list[str], now: datetime | None) -> float | None:
    """Return in how many seconds the limit ends: as an event says, else as the texts do."""
    if now is None:
        return None
    if reading.resets_at is not None and reading.resets_at > now.timestamp():
        return reading.resets_at - now.timestamp()
    return next((found for text in where if (found := resets_in(text, now)) is not None), None)


def _last_line(output: bytes) -> str:
    """Return the last line that says anything; empty: none does."""
    lines = output[-_SEARCHED_STDOUT:].decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _any_matches(patterns: Iterable[str], where: Iterable[str]) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in where if text)


def _ending_with_line(how: str, line: str) -> str:
    """Join how the process ended and what the tool says of it, in one line of bounded length."""
    line = " ".join(line.split())
    if not line:
        return how
    return f"{how}: {line if len(line) <= _MESSAGE_LENGTH else line[: _MESSAGE_LENGTH - 1] + '…'}"


def _ending_message(
    reading: ParsedOutput,
    errors: ErrorPatterns,
    where: list[str],
    exit_code: int | None,
    signal: str | None,
    *,
    ended_well: bool,
    by_us: str | None,
) -> str:
    """Say how it ended, then what the tool itself says, in one line.

    `by_us`: we have ended it, so that how the process ended says nothing of the tool, and why.
    """
    if by_us is not None:
        said = "the output says that it failed" if reading.failed else by_us
    elif signal is not None:
        said = f"killed by {signal}"
    elif not ended_well:
        said = "no exit code" if exit_code is None else f"exit code {exit_code}"
        if exit_code in errors.exit_codes:
            said += f", {errors.exit_codes[exit_code]}"
            last = "" if reading.error else _last_line(where[0].encode())
            said = _ending_with_line(said, last)
    else:
        said = "the output says that it failed" if reading.failed else "the output has no result"
    refinements = {
        "a time limit of the tool's own": errors.timeout_patterns,
        "a crash": errors.crash_patterns,
        "no progress": errors.stale_patterns,
    }
    said += "".join(f", {why}" for why, patterns in refinements.items() if _any_matches(patterns, where))
    if reading.error:
        said = _ending_with_line(said, reading.error)
    if by_us is not None and reading.failed:
        said += "; it did not end after that, and was ended"
    return said

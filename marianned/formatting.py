"""How durations and sheets are said, for people: the same words on both sides of the socket.

Source: docs/design/cli.md §4.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

MASK = "***"
"""What stands for a secret."""
CONTROLS = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Of a pattern's class: control characters but tab and newline, and those that turn the direction of text."""
_CONTROL = re.compile(f"[{CONTROLS}]")
_UNTYPED = re.compile(f"[{CONTROLS}\t\n]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_NAMED_MOST = 5
_FILES_SAID = 5
_VALUE_MOST = 80
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_DURATION_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION_MOST = 2_500_000 * 86_400
"""Seconds of the longest duration: from today on it ends in a year that can be written (9999 is the last)."""
DURATION_MOST_SAID = "2500000d"


def duration(seconds: float) -> str:
    """Say a duration with its two largest units: `40s`, `3m12s`, `1h30m`, `3d4h`."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in _UNITS:
        count, remainder = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
            rest = remainder
        if len(parts) == 2:  # noqa: PLR2004  the two largest units
            break
    return "".join(parts) or "0s"


def time_asked(seconds: float) -> str:
    """Say a time that somebody has set, and so as exactly as it was set: `0.5s`, `2.5s`, `1h30m`."""
    return duration(seconds) if seconds >= 60 or seconds == round(seconds) else f"{seconds:g}s"  # noqa: PLR2004


def read_duration(text: str) -> float:
    """Read a duration into seconds: `90`, `500ms`, `90s`, `5m`, `1h30m`, `2d`.

    Raises:
        ValueError: the text is not a duration, is negative, or longer than any time can be.
    """
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped):
        seconds = float(stripped)
    else:
        pieces = _DURATION_PARTS.findall(stripped)
        if not pieces or "".join(n + u for n, u in pieces) != stripped:
            raise ValueError(f"'{text}' is not a duration; write 90, 90s, 5m, 1h30m or 2d")
        seconds = sum(float(n) * _UNIT_SECONDS[u] for n, u in pieces)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"'{text}' is not a duration from now on; write 90, 90s, 5m, 1h30m or 2d")
    if seconds > DURATION_MOST:
        raise ValueError(f"'{text}' is longer than any time there is; at most {DURATION_MOST_SAID}")
    return seconds


def listing(items: Sequence[str]) -> str:
    """List names: `2, 3`; after five `and N more`."""
    if len(items) <= _NAMED_MOST:
        return ", ".join(items)
    return f"{', '.join(items[:_NAMED_MOST])} and {len(items) - _NAMED_MOST} more"


def ranges(numbers: Iterable[int]) -> str:
    """List numbers in order, three neighbours or more as a range: `1-3, 7, 8`; after five `and N more`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts: list[tuple[str, int]] = []
    for run in runs:
        whole = len(run) > 2  # noqa: PLR2004  two are no shorter as a range
        parts += [(f"{run[0]}-{run[-1]}", len(run))] if whole else [(str(number), 1) for number in run]
    more = sum(count for _, count in parts[_NAMED_MOST:])
    return ", ".join(said for said, _ in parts[:_NAMED_MOST]) + (f" and {more} more" if more else "")


def did_you_mean(word: str, words: Iterable[str]) -> str | None:
    """Suggest the nearest of some words, as a hint; null: none is near."""
    from difflib import get_close_matches  # noqa: PLC0415  a command that is right needs none

    near = get_close_matches(word, list(words), 1)
    return f"did you mean '{near[0]}'?" if near else None


def sheet_name(sheet: int, stage: int, instance: int, name: str | None, *, fan_out: bool) -> str:
    """Name one sheet: `sheet 2 (2.1 review)`, without fan-out `sheet 2 (review)`; `name` is its stage's."""
    place = " ".join(part for part in (f"{stage}.{instance}" if fan_out else None, name) if part)
    return f"sheet {sheet} ({place})" if place else f"sheet {sheet}"


def sheet_list(sheets: Iterable[int]) -> str:
    """Name several sheets by number: `sheets 2, 3`; one: `sheet 2`."""
    numbers = set(sheets)
    return f"sheet{'s' if len(numbers) != 1 else ''} {ranges(numbers)}"


def plural(count: int, noun: str) -> str:
    """Count things: `1 sheet`, `4 sheets`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def visible(text: str) -> str:
    """Return a text as a terminal may have it: in lines, control characters as escapes."""
    return _CONTROL.sub(escaped, text.replace("\r\n", "\n"))


def visible_json(text: str) -> str:
    """Return JSON with the characters escaped that JSON lets through and a terminal obeys."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def escaped(found: re.Match[str]) -> str:
    """Return the escape that a character which was found is shown as."""
    char = found[0]
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) <= 0xFF else f"\\u{ord(char):04x}")  # noqa: PLR2004  one byte


def as_utf8(text: str) -> str:
    """Return a text that UTF-8 can hold: bytes that were none, and lone surrogates, as escapes."""
    return text.encode(errors="backslashreplace").decode()


def dollars(amount: float, *, known: bool) -> str:
    """Say what something has cost: `$1.20`; where the price of a part is not known, `at least $1.20`.

    What is less than a cent has as many digits as show it: `$0.0042`; `cost unknown` where nothing is known.
    """
    if not known and not amount:
        return "cost unknown"
    part = 0 < amount < 0.01  # noqa: PLR2004  a cent
    digits = next((n for n in range(4, 7) if amount >= 10.0 ** (1 - n)), 6) if part else 2
    least = 10.0**-digits
    said = f"${amount:.{digits}f}" if not part or amount >= least else f"<${least:.{digits}f}"
    return said if known else f"at least {said}"


def of_limit(spent: float, most: float, *, known: bool) -> str:
    """Say how much of a limit (USD) was spent, in digits that show where it is over: `$0.020 of $0.015`."""
    near = 1e-9
    digits = next((n for n in range(2, 6) if abs(round(most, n) - most) < near < round(spent, n) - most), 6)
    if digits == 2 or spent < 0.01 or spent <= most:  # noqa: PLR2004  as amounts are said elsewhere
        return f"{dollars(spent, known=known)} of {dollars(most, known=True)}"
    return f"{'' if known else 'at least '}${spent:.{digits}f} of ${most:.{digits}f}"


def assignments(values: Mapping[str, object]) -> str:
    """Say the values of variables, each as it is typed: `version=1.2, files=["a","b"]`; long ones cut."""
    said = (f"{name}={_value(value)}" for name, value in values.items())
    return ", ".join(one if len(one) <= _VALUE_MOST else f"{one[:_VALUE_MOST]}…" for one in said)


def _value(value: object) -> str:
    import json  # noqa: PLC0415  the client says no such value in most calls, and starts sooner without

    plain = isinstance(value, str) and value.isprintable()
    return str(value) if plain else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _can_be_typed(value: object) -> bool:
    return value != MASK and (
        value.isprintable() if isinstance(value, str) else isinstance(value, int | float)
    )


def given_again(values: Mapping[str, object]) -> str:
    """Write the options that give a run these values again, each behind a blank; empty for none."""
    if all(_can_be_typed(value) for value in values.values()):
        return "".join(f" --var {shlex.quote(f'{name}={_value(value)}')}" for name, value in values.items())
    return " --vars-file FILE"


def versions_apart(daemon: str, program: str) -> tuple[str, list[str]] | None:
    """Say which of the two is older, and what to type then; null where their versions are the same."""
    if daemon == program:
        return None
    if is_older(daemon, program):
        return f"the daemon that runs is older than this program: {daemon}, not {program}", ["mzt restart"]
    return f"this program is older than the daemon that runs: {program}, not {daemon}", ["type -a mzt"]


def is_older(version: str, other: str) -> bool:
    """Tell whether a version came before another."""
    return _release(version) < _release(other)


def _release(version: str) -> tuple[list[int], int, list[int]]:
    """Return what versions are ordered by: 0.2.0rc1 comes before 0.2.0, and 0.2.0.post1 behind it."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers, rest = (found[0], version[found.end() :]) if found else ("0", version)
    rank = (
        0
        if not rest or rest.startswith("+")
        else 1
        if rest.startswith(".post")
        else -1 - rest.startswith(".dev")
    )
    return list(map(int, numbers.split("."))), rank, list(map(int, re.findall(r"[0-9]+", rest)))


def typed(file: str | None) -> str:
    r"""Write a file as it is typed into a shell, in the hints; without one, `FILE`.

    What has control characters is quoted with their escapes: it stays one line, `$'a\u000ab'`.
    """
    if not file:
        return "FILE"
    if not _UNTYPED.search(file):
        return shlex.quote(file)
    quoted = file.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + _UNTYPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted) + "'"


_FILE_WORDS = {"changed": "", "added": " (new)", "removed": " (gone)"}


def file_list(changes: Iterable[tuple[str, str]], total: int) -> str:
    """Say which files were changed, and how: `a.py, b.txt (new) (+3 more)`; `total` is how many there are."""
    named = [f"{path}{_FILE_WORDS.get(how, f' ({how})')}" for path, how in changes][:_FILES_SAID]
    more = f" (+{total - len(named)} more)" if total > len(named) else ""
    return ", ".join(named) + more

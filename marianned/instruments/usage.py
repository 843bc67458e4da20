"""Tokens and cost as a tool tells them: in its events, or in lines of text.

Source: docs/reference/score-format.md §16.4, §23.3.
"""

import re
from typing import Any

import msgspec

from marianned.instruments import json_path
from marianned.instruments.profile import OutputFormat, TextAmounts

_SHOWN_LENGTH = 40
_AMOUNTS = {"tokens": "number of tokens", "cost": "amount in USD"}
_WITHOUT_IT = {
    "tokens": "they are unknown, and what the run has cost may be told as 'at least'",
    "cost": "it is reckoned by tokens and prices, and where these are unknown told as 'at least'",
}
_AMOUNT = re.compile(r"(\d{1,15}(?:,\d{3})*(?:\.\d{1,15})?)([kKmM]?)")
_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000}
_AMOUNT_MOST = 2**53
"""More than this is no number of tokens or dollars, and could not be stored."""


class ReportedUsage(msgspec.Struct, frozen=True):
    """The tokens and the cost that an output reports; null: it does not, or the value is no amount.

    `unread` has a line for each value that is no amount.
    """

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None = None
    written_tokens: int | None = None
    cost_usd: float | None = None
    unread: list[str] = []


def usage_from_events(output: OutputFormat, events: list[Any]) -> ReportedUsage:
    """Return the usage that events report, at the paths of a profile."""
    tokens = (
        output.input_tokens_path,
        output.output_tokens_path,
        output.cached_tokens_path,
        output.written_tokens_path,
    )
    added = output.aggregate_tokens
    fresh, spoken, cached, written = (_token_count(find_amount(events, path, added=added)) for path in tokens)
    total = _token_count(find_amount(events, output.total_tokens_path, added=added))
    if fresh is not None and spoken is not None and total is not None:
        spoken = max(spoken, total - fresh)
    looked = [*(("tokens", path) for path in tokens), ("cost", output.cost_path)]
    unread = [line for what, path in looked if (line := _unread_amount(events, path, what, added=added))]
    return ReportedUsage(
        fresh, spoken, cached, written, find_amount(events, output.cost_path, added=added), unread
    )


def usage_from_text(output: OutputFormat, stdout: bytes) -> ReportedUsage:
    """Return the usage that an output in text form reports, by the patterns of a profile."""
    told = output.text_amounts or TextAmounts()
    text = stdout.decode(errors="replace") if output.text_amounts else ""
    costs = _amounts_in_text(text, told.cost)
    return ReportedUsage(
        _sum_of_tokens(_amounts_in_text(text, told.input_tokens)),
        _sum_of_tokens(_amounts_in_text(text, told.output_tokens)),
        cost_usd=costs[-1] if costs else None,
    )


def _amounts_in_text(text: str, pattern: str | None) -> list[float]:
    """Return the amounts that are written in a text: `4.6k`, `1,234`, `0.05`."""
    found: list[float] = []
    for hit in re.finditer(pattern, text, re.MULTILINE) if pattern else ():
        if (said := _AMOUNT.fullmatch(hit[1] or "")) is not None:
            amount = float(said[1].replace(",", "")) * _THOUSANDS[said[2].lower()]
            found += [amount] if amount <= _AMOUNT_MOST else []
    return found


def _sum_of_tokens(amounts: list[float]) -> int | None:
    return round(sum(amounts)) if amounts else None


def find_amount(events: list[Any], path: str | None, *, added: bool) -> float | None:
    """Return the last number found over all events, or the sum of all; None: none was found.

    Of several paths in `path`, the first counts that finds any.
    """
    each = (
        [n for event in events for n in json_path.matching_numbers(event, one)]
        for one in (path or "").split()
    )
    found = next((numbers for numbers in each if numbers), [])
    if not found:
        return None
    told = sum(found) if added else found[-1]
    return told if 0 <= told <= _AMOUNT_MOST else None


def _unread_amount(events: list[Any], path: str | None, what: str, *, added: bool) -> str | None:
    """Say that something stands where an amount is due, and is none."""
    if path is None or find_amount(events, path, added=added) is not None:
        return None
    for one in path.split():
        found = [value for event in events for value in json_path.matches(event, one) if value is not None]
        if found:
            shown = json_path.value_text(found[-1])
            shown = shown if len(shown) <= _SHOWN_LENGTH else f"{shown[: _SHOWN_LENGTH - 1]}…"
            return f"'{one}' of its output is no {_AMOUNTS[what]}: '{shown}'; {_WITHOUT_IT[what]}"
    return None


def _token_count(amount: float | None) -> int | None:
    return None if amount is None else int(amount)

"""What an attempt has cost: as its tool tells, else by tokens and prices.

Source: docs/reference/score-format.md §16.4.
"""

from collections.abc import Iterable

import msgspec

from marianned.instruments.profile import InstrumentModel, OutputFormat
from marianned.instruments.result import ParsedOutput
from marianned.rows import AttemptRow
from marianned.score.expanded import CostLimits


def cost_of(
    output: OutputFormat, reading: ParsedOutput, model: InstrumentModel | None, limits: CostLimits | None
) -> float | None:
    """Return USD: what the tool says; else each price is the model's, or the score's; None: unknown.

    A cost of 0 beside tokens says that the tool knows no price; that they are free, the model's prices say.
    """
    of_cache, to_cache = reading.cached_tokens or 0, reading.written_tokens or 0
    used = (reading.input_tokens or 0) + (reading.output_tokens or 0) + of_cache + to_cache
    if reading.cost_usd is not None and (reading.cost_usd > 0 or not used):
        return reading.cost_usd
    if reading.input_tokens is None or reading.output_tokens is None:
        return None
    fresh = None if model is None else model.cost_per_1k_input
    spoken = None if model is None else model.cost_per_1k_output
    if limits is not None:
        fresh = limits.cost_per_1k_input_tokens if fresh is None else fresh
        spoken = limits.cost_per_1k_output_tokens if spoken is None else spoken
    if fresh is None or spoken is None:
        return None
    cached = (
        fresh if model is None or model.cost_per_1k_cached_input is None else model.cost_per_1k_cached_input
    )
    written = (
        fresh if model is None or model.cost_per_1k_cache_write is None else model.cost_per_1k_cache_write
    )
    others = reading.input_tokens
    if output.cached_in_input:
        others = max(0, others - of_cache - to_cache)
    amounts = ((others, fresh), (of_cache, cached), (to_cache, written), (reading.output_tokens, spoken))
    return sum(tokens * price for tokens, price in amounts) / 1000


def subtract_earlier(reading: ParsedOutput, earlier: Iterable[AttemptRow]) -> ParsedOutput:
    """Return a reading, whose tokens are those of a whole session, without those of its earlier attempts."""
    rows = [row for row in earlier if row.session_id == reading.session_id]
    own = {}
    for name in ("input_tokens", "output_tokens", "cached_tokens"):  # what a cache was told is in no row
        total = getattr(reading, name)
        counted = sum(getattr(row, name) or 0 for row in rows)
        if total is not None and total >= counted:
            own[name] = total - counted
    return msgspec.structs.replace(reading, **own)

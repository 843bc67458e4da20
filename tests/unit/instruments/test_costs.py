"""What an attempt has cost: cached tokens at their price, a session's tokens once."""

import msgspec
import pytest
from kit.tables import each

from marianned.instruments.costs import cost_of, subtract_earlier
from marianned.instruments.loader import builtin_profiles
from marianned.instruments.output import read_output
from marianned.instruments.profile import InstrumentModel, OutputFormat
from marianned.instruments.result import ParsedOutput
from marianned.rows import AttemptRow
from marianned.score.expanded import CostLimits

PRICED = InstrumentModel(
    name="m", cost_per_1k_input=1.0, cost_per_1k_output=10.0, cost_per_1k_cached_input=0.1
)
READ = ParsedOutput(result="", input_tokens=1000, output_tokens=100, cached_tokens=900)


@each(
    ("output", "model", "usd"),
    [
        (OutputFormat(), PRICED, 0.1 + 0.09 + 1.0),
        (OutputFormat(cached_in_input=False), PRICED, 1.0 + 0.09 + 1.0),
        (OutputFormat(), InstrumentModel(name="m", cost_per_1k_input=1.0, cost_per_1k_output=10.0), 2.0),
    ],
)
def test_cached_tokens_have_their_own_price(output: OutputFormat, model: InstrumentModel, usd: float) -> None:
    assert cost_of(output, READ, model, None) == pytest.approx(usd)


@each(
    ("output", "price", "usd"),
    [
        (OutputFormat(), 1.25, 0.1 + 0.05 + 1.0 + 0.625),
        (OutputFormat(cached_in_input=False), 1.25, 1.0 + 0.05 + 1.0 + 0.625),
        (OutputFormat(), None, 0.1 + 0.05 + 1.0 + 0.5),
    ],
)
def test_tokens_written_to_a_cache_have_their_own_price(output, price, usd) -> None:
    model = msgspec.structs.replace(PRICED, cost_per_1k_cache_write=price)
    reading = ParsedOutput(
        result="", input_tokens=1100 - 500, output_tokens=100, cached_tokens=500, written_tokens=500
    )
    if output.cached_in_input:
        reading = msgspec.structs.replace(reading, input_tokens=1100)
    else:
        reading = msgspec.structs.replace(reading, input_tokens=1000)
    assert cost_of(output, reading, model, None) == pytest.approx(usd)


def test_what_claude_writes_to_the_cache_is_paid_where_it_prints_no_cost() -> None:
    profile = builtin_profiles()["claude-code"]
    usage = (
        '"usage": {"input_tokens": 10, "output_tokens": 100, "cache_read_input_tokens": 20000, '
        '"cache_creation_input_tokens": 40000}'
    )
    line = f'{{"type": "result", "subtype": "success", "is_error": false, "result": "ok", {usage}}}\n'
    reading = read_output(profile, {}, line.encode(), b"")
    assert profile.cli is not None
    (model,) = [model for model in profile.models if model.name == "claude-sonnet-4-5"]
    expected = (10 * 3 + 100 * 15 + 20_000 * 0.3 + 40_000 * 3.75) / 1e6
    assert cost_of(profile.cli.output, reading, model, None) == pytest.approx(expected)


def test_what_the_tool_says_goes_first_and_without_a_price_it_is_unknown() -> None:
    told = ParsedOutput(result="", input_tokens=1, output_tokens=1, cost_usd=3.5)
    assert cost_of(OutputFormat(), told, PRICED, None) == 3.5
    assert cost_of(OutputFormat(), READ, None, None) is None
    assert cost_of(OutputFormat(), READ, None, CostLimits()) == pytest.approx(0.003 + 0.0015)


@each(
    ("model", "limits", "usd"),
    [
        (InstrumentModel(name="m"), None, None),
        (InstrumentModel(name="m"), CostLimits(), 0.003 + 0.0015),
        (InstrumentModel(name="m", cost_per_1k_input=1.0), None, None),
        (InstrumentModel(name="m", cost_per_1k_input=1.0), CostLimits(), 1.0 + 0.0015),
        (InstrumentModel(name="m", cost_per_1k_output=10.0), CostLimits(), 0.003 + 1.0),
        (InstrumentModel(name="m", cost_per_1k_input=0.0, cost_per_1k_output=0.0), CostLimits(), 0.0),
    ],
)
def test_a_model_without_a_price_is_no_free_model(
    model: InstrumentModel, limits: CostLimits | None, usd: float | None
) -> None:
    assert cost_of(OutputFormat(), READ, model, limits) == (None if usd is None else pytest.approx(usd))


@each(
    ("model", "usd"),
    [
        (None, None),
        (InstrumentModel(name="m"), None),
        (PRICED, 0.1 + 0.09 + 1.0),
        (InstrumentModel(name="m", cost_per_1k_input=0.0, cost_per_1k_output=0.0), 0.0),
    ],
)
def test_a_cost_of_nothing_beside_tokens_is_no_cost(model: InstrumentModel | None, usd: float | None) -> None:
    told = msgspec.structs.replace(READ, cost_usd=0.0)
    assert cost_of(OutputFormat(), told, model, None) == (None if usd is None else pytest.approx(usd))


def test_a_cost_of_nothing_for_nothing_is_one() -> None:
    for tokens in (None, 0):
        told = ParsedOutput(result="", input_tokens=tokens, output_tokens=tokens, cost_usd=0.0)
        assert cost_of(OutputFormat(), told, None, None) == 0.0


def row(attempt: int, session: str, tokens: int) -> AttemptRow:
    return AttemptRow(
        run_id=1, uid=1, attempt=attempt, sheet=1, stage=1, instance=1, kind="first", revision=1,
        instrument="codex-cli", started_at=0, time_limit_at=0, session_id=session, input_tokens=tokens,
        output_tokens=tokens, cached_tokens=tokens,
    )  # fmt: skip


def test_a_session_that_goes_on_is_not_charged_twice() -> None:
    assert builtin_profiles()["codex-cli"].cli.output.tokens_of_session  # type: ignore[union-attr]
    whole = ParsedOutput(result="", input_tokens=4400, output_tokens=68, cached_tokens=2000, session_id="s")
    own = subtract_earlier(whole, [row(1, "s", 34), row(2, "other", 9000), row(3, "s", 30)])
    assert (own.input_tokens, own.output_tokens, own.cached_tokens) == (4336, 4, 1936)
    smaller = subtract_earlier(whole, [row(1, "s", 100)])
    assert smaller.output_tokens == 68  # it did not count the session after all

"""How durations and sheets are said and read."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.tables import each

from marianned import formatting

SAID = [
    (40, "40s"),
    (192, "3m12s"),
    (5400, "1h30m"),
    (3 * 86400 + 4 * 3600, "3d4h"),
    (708, "11m48s"),
    (707, "11m47s"),
    (7200, "2h"),
    (0, "0s"),
    (-3, "0s"),
    (0.4, "0s"),
    (59.6, "1m"),
    (3605, "1h"),
    (86400 + 59, "1d"),
    (86400 + 3600 + 60, "1d1h"),
]


@each(("seconds", "said"), SAID)
def test_a_duration_is_said_with_its_two_largest_units(seconds: float, said: str) -> None:
    assert formatting.duration(seconds) == said


@each("asked", ["500ms", "0.05s", "1.5s", "2.75", "59.5s", "40s", "90", "1h30m", "0"])
def test_a_time_that_was_asked_for_is_said_as_exactly(asked: str) -> None:
    seconds = formatting.read_duration(asked)
    assert formatting.read_duration(formatting.time_asked(seconds)) == seconds


@given(st.integers(0, 10**8))
def test_what_is_said_is_less_than_a_second_unit_away_from_what_is_so(seconds: int) -> None:
    said = formatting.read_duration(formatting.duration(seconds))
    assert 0 <= seconds - said < (60 if seconds < 86400 else 3600)


READ = [
    ("90", 90.0),
    ("500ms", 0.5),
    ("90s", 90.0),
    ("5m", 300.0),
    ("1h30m", 5400.0),
    ("2d", 172800.0),
    ("0", 0.0),
    (" 1.5h ", 5400.0),
    ("0.25", 0.25),
]


@each(("text", "seconds"), READ)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert formatting.read_duration(text) == seconds


@each(
    "text",
    [
        "",
        "soon",
        "-1",
        "-1s",
        "5 m",
        "1h 30m",
        "m5",
        "inf",
        "nan",
        "1e999",
        "5x",
        "9" * 400 + "s",
        "1_000",
        "٣",
    ],
)
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        formatting.read_duration(text)


@each("text", ["99999999999d", "2500001d", "9" * 17])
def test_what_no_time_can_last_is_refused_with_the_most(text: str) -> None:
    with pytest.raises(ValueError, match="longer than any time there is; at most 2500000d"):
        formatting.read_duration(text)
    assert formatting.read_duration(formatting.DURATION_MOST_SAID) == formatting.DURATION_MOST


@given(st.text(max_size=12))
def test_no_text_reads_as_anything_but_a_duration_or_an_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= formatting.read_duration(text) < float("inf")


def test_names_are_listed_up_to_five() -> None:
    assert formatting.listing([]) == ""
    assert formatting.listing(["2", "3"]) == "2, 3"
    assert formatting.listing(list("12345")) == "1, 2, 3, 4, 5"
    assert formatting.listing(list("1234567")) == "1, 2, 3, 4, 5 and 2 more"


def test_sheets_are_named() -> None:
    assert formatting.sheet_name(2, 2, 1, None, fan_out=True) == "sheet 2 (2.1)"
    assert formatting.sheet_name(2, 2, 1, "review", fan_out=True) == "sheet 2 (2.1 review)"
    assert formatting.sheet_name(2, 2, 1, "review", fan_out=False) == "sheet 2 (review)"
    assert formatting.sheet_name(2, 2, 1, None, fan_out=False) == "sheet 2"
    assert formatting.sheet_list([3, 2]) == "sheets 2, 3"
    assert formatting.sheet_list([4]) == "sheet 4"
    assert formatting.plural(1, "sheet") == "1 sheet"
    assert formatting.plural(0, "sheet") == "0 sheets"


def test_values_are_said_in_one_line_and_typed_again_where_that_can_be() -> None:
    values = {"version": "1.4", "dry": True, "files": ["a", "b"], "note": "two\nlines", "long": "x" * 200}
    said = formatting.assignments(values)
    assert said.startswith('version=1.4, dry=true, files=["a","b"], note="two\\nlines", long=xxx')
    assert said.endswith("x…")
    assert "\n" not in said
    assert (
        formatting.given_again({"version": "1.4", "n": 2, "dry": True})
        == " --var version=1.4 --var n=2 --var dry=true"
    )
    assert formatting.given_again({"who": "it's"}) == """ --var 'who=it'"'"'s'"""
    for value in (["a"], {"a": 1}, "two\nlines", "***", None):
        assert formatting.given_again({"a": value}) == " --vars-file FILE"
    assert formatting.given_again({}) == ""


def test_what_something_has_cost_is_said_as_far_as_it_is_known() -> None:
    assert formatting.dollars(1.2, known=True) == "$1.20"
    assert formatting.dollars(1.2, known=False) == "at least $1.20"
    assert [
        formatting.dollars(usd, known=True) for usd in (0.0, 0.01, 0.00999, 0.0042, 0.000_05, 1e-6, 1e-9)
    ] == [
        *("$0.00", "$0.01", "$0.0100", "$0.0042", "$0.000050", "$0.000001", "<$0.000001"),
    ]
    assert formatting.dollars(1e-9, known=False) == "at least <$0.000001"


@each(("spent", "most", "said"), [
    (1.2, 1.0, "$1.20 of $1.00"), (0.02, 0.015, "$0.020 of $0.015"), (0.0152, 0.015, "$0.0152 of $0.0150"),
    (1.004, 1.0, "$1.004 of $1.000"), (0.31, 0.1 + 0.2, "$0.31 of $0.30"), (0.0042, 0.0, "$0.0042 of $0.00"), (6.0, 10.0, "$6.00 of $10.00"),
])  # fmt: skip
def test_what_was_spent_of_a_limit_shows_that_it_is_over(spent, most, said):
    assert formatting.of_limit(spent, most, known=True) == said
    assert formatting.of_limit(spent, most, known=False) == f"at least {said}"


def test_a_cost_of_which_nothing_is_known_is_no_sum():
    assert formatting.dollars(0.0, known=False) == "cost unknown"
    assert formatting.dollars(0.5, known=False) == "at least $0.50"
    assert formatting.dollars(0.0, known=True) == "$0.00"

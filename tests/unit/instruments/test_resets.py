"""Reset times, in the words of the tools and services."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from marianned.instruments.resets import resets_in

NOW = datetime(2026, 11, 24, 14, 5, 12, tzinfo=ZoneInfo("Europe/Berlin"))
EPOCH = int(NOW.timestamp()) + 90


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached for gpt-5. Please try again in 1.926s. Visit https://example.com", 1.926),
        ("Please try again in 6m0s.", 360),
        ("try again in 20ms", 0.02),
        ("Please retry in 34.074824224s.", 34.074824224),
        ("Your quota will reset after 12h34m56s.", 45_296),
        ('"retryDelay": "34s"', 34),
        ("You've hit your usage limit. Try again in 3 days 4 hours 12 minutes.", 274_320),
        ("You've hit your usage limit. Upgrade to Pro, or try again in 59 minutes.", 3_540),
        ("Please wait 30 seconds before retrying", 30),
        ("retry-after: 30", 30),
        ("{'retry-after': '17'}", 17),
        ("Retry after 5 s", 5),
        ("status 429: slow down (retry after 120 s)", 120),
        (f"Claude AI usage limit reached|{EPOCH}", 90),
        ("5-hour limit reached ∙ resets 3pm", 55 * 60 - 12),
        ("You've hit your limit · resets 3am (UTC)", 13 * 3600 + 54 * 60 + 48),
        ("limit reached, resets at 15:30", 85 * 60 - 12),
        ("try again at 2:10 PM", 5 * 60 - 12),
        ("resets 9am (America/New_York)", 55 * 60 - 12),
        ("resets Nov 25, 2pm", 86_400 - 312),
        ("try again at Nov 24th, 2026 2:10 PM.", 5 * 60 - 12),
        ("try again at 2026-11-24T13:06:12Z", 60),
        ("limit resets 2026-11-24 13:06:12+00:00", 60),
    ],
)
def test_a_reset_is_read(text, seconds):
    assert resets_in(text, NOW) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Too many requests",
        "rate limit of 30000 tokens per min. Limit 30000, Used 29000",
        "try again later",
        "resets soon",
        "retry 3 of 10",
        "resets 2099",
        "resets 31:99",
        "try again at Foo 99, 3pm",
    ],
)
def test_what_does_not_say_is_not_guessed(text):
    assert resets_in(text, NOW) is None


def test_an_hour_that_has_passed_is_tomorrow_s():
    assert resets_in("resets 1pm", datetime(2026, 11, 24, 14, 0, tzinfo=UTC)) == 23 * 3600


def test_a_date_beyond_new_year_is_next_year_s():
    now = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
    assert resets_in("resets Jan 1, 12:00", now) == 86_400

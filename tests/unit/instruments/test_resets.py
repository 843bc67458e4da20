"""Reset times, in the words of the tools and services."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from kit.tables import each

from marianned.instruments.resets import resets_in

NOW = datetime(2026, 11, 24, 14, 5, 12, tzinfo=ZoneInfo("Europe/Berlin"))
EPOCH = int(NOW.timestamp()) + 90


@each(
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
        ("resets Monday 9am", 5 * 86_400 + 18 * 3600 + 54 * 60 + 48),
        ("resets Mon at 09:00 (Europe/Berlin)", 5 * 86_400 + 18 * 3600 + 54 * 60 + 48),
        ("resets on Mon, 9:00 AM UTC", 5 * 86_400 + 19 * 3600 + 54 * 60 + 48),
        ("resets Tue 1pm", 7 * 86_400 - 3_912),
        ("resets Tuesday 3pm", 55 * 60 - 12),
        ("resets Tue 2pm", 0),
        ("Weekly limit reached, resets Thursday, Nov 26 at 2pm", 2 * 86_400 - 312),
        ("Your limit resets at 9am on Monday", 5 * 86_400 + 18 * 3600 + 54 * 60 + 48),
        ("available again on Thursday", 86_400 + 9 * 3600 + 54 * 60 + 48),
        ("resets tomorrow at 2pm", 86_400 - 312),
        ("resets at midnight", 9 * 3600 + 54 * 60 + 48),
        ("resets at midnight UTC", 10 * 3600 + 54 * 60 + 48),
        ("Your premium requests reset on December 1, 2026.", 6 * 86_400 + 9 * 3600 + 54 * 60 + 48),
        ("resets 26 Nov at 14:00", 2 * 86_400 - 312),
        ("Retry-After: Tue, 24 Nov 2026 13:06:12 GMT", 60),
        ("retry-after: Tuesday, 24-Nov-2026 13:06:12 GMT", 60),
        ("retry_after_ms: 12000", 12),
        ('"retryAfterMs": 12500', 12.5),
        ("retry-after-ms: 1200.5", 1.2005),
        ("retry_after_seconds=12", 12),
        ('"resets_in_seconds":17787', 17_787),
        (f"resets_at: {EPOCH}500", 90.5),
        ("You are blocked until 2026-11-24T13:06:12Z", 60),
        ("limited until 2:10pm", 5 * 60 - 12),
        ("已达到 5 小时的使用上限。您的限额将在 2026-11-24 21:06:12 重置。", 60),
        ("请求过于频繁, 请在 5 分钟后重试", 300),
        ("请 2 小时之后再试", 7200),
        ("30秒後に再試行してください", 30),
        # NOW is 13:05:12 in UTC
        ("try again at 6:11 AM GMT-8", 3600 + 348),
        ("resets at 22:08 GMT+2", 7 * 3600 + 168),
        ("resets 9:11 PM UTC+1", 7 * 3600 + 348),
        ("resets at 19:39 UTC+5:30", 3600 + 228),
        ("resets 11am (GMT-5)", 3 * 3600 - 312),
        ("resets 11am (GMT-0500)", 3 * 3600 - 312),
        ("try again at Nov 25th, 2026 6:11 AM GMT-8", 86_400 + 3600 + 348),
        ("resets at 2026-11-25 06:11 GMT-8", 86_400 + 3600 + 348),
        ("resets at 11:05-05:00", 3 * 3600 - 12),
        ("Retry-After: Sunday, 29-Nov-26 13:05:12 GMT", 5 * 86_400),
        ("retry after Monday, 30-Nov-26 09:05:12 GMT", 6 * 86_400 - 4 * 3600),
        ("resets Mon, 30 Nov 2026 11:05:12 +0200", 6 * 86_400 - 4 * 3600),
        ("resets at 19:05 MSK", 3 * 3600 - 12),
        ("resets at 1:05am AEST", 2 * 3600 - 12),
        ("resets at 23:05 SGT", 2 * 3600 - 12),
        ("resets at 11:05 PM (Singapore Time)", 2 * 3600 - 12),
        ("resets at 7:05 AM Pacific Time", 2 * 3600 - 12),
        ("resets at 7:05 AM PT", 2 * 3600 - 12),
        ("resets at 7:05 AM PST", 2 * 3600 - 12),
        ("resets at 17:05 CEST", 2 * 3600 - 12),
        ("resets at 16:05 CET", 2 * 3600 - 12),
        ("resets at 16:05 BST", 2 * 3600 - 12),
        ("resets at 11:05 AM EDT", 2 * 3600 - 12),
        ("resets at 16:05 Local Time", 2 * 3600 - 12),
        ("try again in about an hour", 3600),
        ("try again in one hour", 3600),
        ("try again in half an hour", 1800),
        ("try again in an hour and 5 minutes", 3900),
        ("please wait two minutes", 120),
        ("try again in 1,800 seconds", 1800),
        ("quota resets 2026-12-03", 8 * 86_400 + 11 * 3600 - 312),
        ("limit reset date: 2026-12-03.", 8 * 86_400 + 11 * 3600 - 312),
    ],
)
def test_a_reset_is_read(text, seconds):
    assert resets_in(text, NOW) == pytest.approx(seconds, abs=0.01)


@each(
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
        "resets Foo 99",
        "resets Monday 9",
        "resets on 3 machines",
        "reset your password on sunday.example.com",
        "retry in may",
        "Retry-After: Wed, 99 Foo 2026 07:28:00 GMT",
        "retry_attempts: 3",
        "retry delay multiplier 2",
        "resets Wednesday, 12/02 at 9am UTC",
        "resets Wed 02/12/2026 09:00",
        "resets Mon 30.11.2026 09:00",
        "resets Monday, 30-11-26 09:00",
        "resets at 22:05 IST",
        "resets at 9:05 CST",
        "resets at 9:05 XYZT",
        "resets at 9pm (Foo/Bar)",
        "resets at 9pm Ruritanian Standard Time",
        "resets at 2026-11-25 09:00 IST",
        "resets Mon, 30 Nov 2026 11:05:12 +9900",
        "resets at 11pm GMT+99",
        "your limit resets every 5 hours",
        "requests are renewed each 5 hours",
        "try again with model x-2099-01-01",
    ],
)
def test_what_does_not_say_is_not_guessed(text):
    assert resets_in(text, NOW) is None


def test_an_hour_that_has_passed_is_tomorrow_s():
    assert resets_in("resets 1pm", datetime(2026, 11, 24, 14, 0, tzinfo=UTC)) == 23 * 3600


def test_a_date_beyond_new_year_is_next_year_s():
    now = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
    assert resets_in("resets Jan 1, 12:00", now) == 86_400


EVENING = datetime(2026, 11, 29, 20, 11, tzinfo=ZoneInfo("Asia/Kolkata"))


@each(
    ("said", "until"),
    [
        ("at midnight Pacific time", "2026-11-30T08:00+00:00"),
        ("at 5pm Pacific time", "2026-11-30T01:00+00:00"),
        ("at 5pm pacific standard time", "2026-11-30T01:00+00:00"),
        ("at 2 a.m. Pacific", "2026-11-30T10:00+00:00"),
        ("Dec 2 at 9pm Pacific", "2026-12-03T05:00+00:00"),
        ("at 9pm Pacific on Tuesday", "2026-12-02T05:00+00:00"),
        ("at 5pm EASTERN", "2026-11-29T22:00+00:00"),
        ("at 5pm New York time", "2026-11-29T22:00+00:00"),
        ("at 00:00 Beijing time", "2026-11-29T16:00+00:00"),
        ("at 9am local time in Tokyo", "2026-11-30T00:00+00:00"),
        ("at 9am Tokyo", "2026-11-30T00:00+00:00"),
        ("at 03:45 (your local time, UTC+05:30)", "2026-11-29T22:15+00:00"),
        ("at 5pm IST (UTC+02:00)", "2026-11-29T15:00+00:00"),
        ("at 2026-12-01 09:00 Pacific", "2026-12-01T17:00+00:00"),
        ("at 9pm (local time)", "2026-11-29T15:30+00:00"),
        ("in an hour and a half", "2026-11-29T16:11+00:00"),
        ("in 2 and a half hours", "2026-11-29T17:11+00:00"),
    ],
)
def test_a_time_of_a_place_is_that_of_the_place(said, until):
    expected = (datetime.fromisoformat(until) - EVENING).total_seconds()
    assert resets_in(f"Limit reached. Resets {said}.", EVENING) == expected


@each("said", ["5pm server time", "5pm Gotham time", "9am local time in Gotham", "5pm IST"])
def test_a_place_that_is_not_known_gives_no_time(said):
    assert resets_in(f"Limit reached. Resets at {said}", EVENING) is None


@each(
    ("said", "seconds"),
    [
        ("8:10pm", 0),
        ("7:42pm", 0),
        ("7:40pm", 84_540),
        ("8:12pm", 60),
        ("2:40pm (UTC)", 0),
        ("Sunday 8pm", 0),
        ("Nov 29 at 8pm", 0),
    ],
)
def test_an_hour_that_is_just_past_is_over_now(said, seconds):
    assert resets_in(f"You've hit your limit · resets {said}", EVENING) == seconds


def test_when_a_tool_tries_again_by_itself_is_no_reset():
    assert resets_in("litellm.RateLimitError: quota exceeded\nRetrying in 0.2 seconds...", NOW) is None
    assert resets_in("Retrying in 4 seconds... The limit resets in 3 hours.", NOW) == 10_800
    assert resets_in("Free usage exceeded [retrying in 32m 50s attempt #1]", NOW) == 1_970


def test_a_date_as_javascript_writes_it_is_read():
    text = "retry after Sun Nov 29 2026 22:45:00 GMT+0000 (Coordinated Universal Time)"
    assert resets_in(text, datetime(2026, 11, 29, 20, 11, tzinfo=UTC)) == 9_240

"""When a rate limit is over, read from what a tool says of it: in seconds, at an hour, at a date.

The forms are those of the services and tools themselves: `Please try again in 6m0s`, `retry-after: 30`,
`"retryDelay": "34s"`, `retry_after_ms: 12000`, `resets 3am (Europe/Berlin)`, `resets Mon at 09:00`,
`limit reached|1764043200`, `2026-02-10 14:25 +0800`, `Retry-After: Wed, 21 Oct 2026 07:28:00 GMT`.
An hour is found in its zone, and how long it is until then in UTC: a change of clocks may lie between.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from marianned.instruments.languages import in_english

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_UNIT = r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
_AMOUNT = rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?\s*{_UNIT}(?![a-z])"
_AMOUNTS = re.compile(_AMOUNT.replace("(ms", r"(?P<unit>ms", 1), re.IGNORECASE)
_CUE = (  # what a tool has waited already is said as "total retry wait time"
    r"(?<!total )(?<!total retry )"
    r"(?:try(?:ing)? again|retry(?:ing)?|reset(?:s|ting)?|wait(?:ing)?|available|retry.?delay|retry.?after|"
    r"regain(?:s|ed)? access|\buntil|renew(?:s|ed)?|refresh(?:es|ed)?|restored)"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_EPOCH = re.compile(r"\|(\d{10})\b|\breset\w*\W{1,6}(\d{10}|\d{13})\b", re.IGNORECASE)
_OFFSET = r"(?:(?:UTC|GMT)?[+-]\d\d:?\d\d(?!\d)|(?:UTC|GMT)[+-]\d{1,2}(?::?\d\d)?(?!\d))"
_ZONE_NAME = (  # what looks like a zone is taken up: where it is not known, the time is not
    rf"{_OFFSET}|z\b|(?-i:[A-Z][A-Za-z_]+/[A-Za-z_/+-]+\d*|(?:[A-Z][a-z]+ ){{1,3}}Time\b"
    r"|(?:[A-Z]{1,3}T|MSK|WIB)(?![\w:]))|utc\b|gmt\b"
)
_ISO = re.compile(
    rf"{_CUE}\D{{0,40}}(?P<day>\d{{4}}-\d\d-\d\d)(?:T|,? (?:at )?)(?P<time>\d\d:\d\d(?::\d\d)?)(?:\.\d+)?"
    rf"\s*\(?(?P<zone>{_ZONE_NAME})?",
    re.IGNORECASE,
)
_ISO_DAY = re.compile(
    rf"{_CUE}(?:[\s:=\"'(]|\b(?:at|on|by|again|date|time)\b){{0,8}}(\d{{4}}-\d\d-\d\d)(?![\w:-]| ?\d)",
    re.IGNORECASE,
)
_IN = re.compile(
    rf"{_CUE}(?:(?!\b(?:every|each|per|at)\b)[^.\n\d]){{0,40}}?((?:{_AMOUNT}[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_IN_DIGITS = re.compile(rf"{_CUE}\s+(?:in|after)\s+(\d{{1,3}}):(\d\d):(\d\d)\b", re.IGNORECASE)
_AND_A_HALF = re.compile(
    r"\b(an?|one|two|three|four|five|six|\d+) (minute|hour|day|week)s? and a half\b"
    r"|\b(one|two|three|four|five|six|\d+) and a half (minute|hour|day|week)s\b",
    re.IGNORECASE,
)
_IN_WORDS = re.compile(
    r"\b(in|after|for|wait|and)\s+(?:about |around |approximately |roughly |another )?"
    r"(half an|an?|one|two|three|four|five|six|seven|eight|nine|ten)\s+"
    r"(?=(?:second|minute|hour|day|week)s?\b)",
    re.IGNORECASE,
)
_NUMBERS = {
    "half an": "0.5",
    "a": "1",
    "an": "1",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_CHINESE_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?)\s*(?:之?后|时)?\s*(?:重置|恢复|解除|刷新)"
)
_CHINESE_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(毫秒|秒|分钟?|个?小时|天)\s*(?:之|以)?[后後]")
_CHINESE_UNITS = {"毫": "ms", "秒": "s", "分": "m", "个": "h", "小": "h", "天": "d"}
_CHINA = timezone(timedelta(hours=8))
_HEADER = re.compile(
    r"(?:retry.?after|ratelimit-reset(?:-after|-requests|-tokens)?|"
    r"(?:retry|resets?|try.?again)[-_ ]?(?:in|after|delay)(?=[-_ ]?[ms]))"
    r"(?:[-_ ]?(?P<unit>ms|millis(?:econds)?|s|secs?|seconds|m|mins?|minutes))?[\"']?"
    r"\s*[:=]?\s*[\"']?(?P<number>\d{1,9}(?:\.\d+)?)(?![\d.:]|\s*[a-z])",
    re.IGNORECASE,
)
_HTTP_DATE = re.compile(
    rf"{_CUE}[^\n\d]{{0,40}}?(?:{'|'.join(_WEEKDAYS)})[a-z]*,? "
    r"(?P<day>\d\d?)[ -](?P<month>[a-z]{3})[a-z]*[ -](?P<year>\d{4}|\d\d),? "
    rf"(?P<time>\d\d:\d\d:\d\d) (?P<zone>{_OFFSET}|GMT|UTC)",
    re.IGNORECASE,
)
_JS_DATE = re.compile(
    rf"{_CUE}[^\n\d]{{0,40}}?(?:{'|'.join(_WEEKDAYS)}) (?P<month>[a-z]{{3}}) (?P<day>\d\d?) "
    rf"(?P<year>\d{{4}}) (?P<time>\d\d:\d\d:\d\d) (?P<zone>{_OFFSET}|GMT|UTC)",
    re.IGNORECASE,
)
_CLOCK = (
    r"(?:(?P<hour>\d{1,2})(?:[:h](?P<minute>\d\d)(?::\d\d)?)?\s*(?P<half>[ap]\.?\s?m\b\.?)?(?!\d|/|-(?!\d\d:?\d\d)|\.\d)"
    r"|(?P<word>midnight|noon)\b)"
)
_ZONE = rf"(?:\s*\(?(?P<zone>{_ZONE_NAME})\)?)?"
_OFFSET_BEHIND = re.compile(
    rf"(?:[\s(,]|\b(?:your|local|time|in)\b){{0,9}}(?P<offset>{_OFFSET})\s*\)", re.IGNORECASE
)
_WORD = r"[a-z][\w'-]*"
_PLACE_BEHIND = re.compile(
    rf"\s*[(,]?\s*(?:(?:your )?local time in (?P<city>{_WORD}(?:[ _][A-Z][\w'-]*){{0,2}})"
    rf"|(?P<home>(?:in )?(?:your )?local time)\b"
    rf"|(?:in )?(?P<place>{_WORD}(?:[ _]{_WORD}){{0,2}}) time\b"
    r"|(?P<coast>pacific|mountain|central|eastern)\b|(?P<known>(?-i:[A-Z][\w'-]*(?:[ _][A-Z][\w'-]*){0,2})))",
    re.IGNORECASE,
)
_MONTH = rf"(?:{'|'.join(_MONTHS)})[a-z]*\b\.?"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th)?\b(?!:)"
_WEEKDAY = rf"\b(?:{'|'.join(_WEEKDAYS)})(?:day|s|sday|nesday|rs|rsday|urday)?\b\.?"
_DAY = (
    rf"(?:(?P<weekday>{_WEEKDAY}),?\s*)?(?:(?P<near>today|tomorrow)\b|(?P<date>(?:{_MONTH}\s+{_ORDINAL}"
    rf"|{_ORDINAL}\s+{_MONTH})(?:,?\s*(?P<year>\d{{4}})\b)?))?"
)
_JOIN = r"(?:,|\s|\b(?:at|on)\b)*"
_AGAIN = r"(?:\s+(?:at|on|by|again|daily|e(?:ach|very) day))*"
_AT = re.compile(rf"{_CUE}{_AGAIN}\s*:?\s+{_DAY}{_JOIN}(?:{_CLOCK}{_ZONE})?", re.IGNORECASE)
_UNREAD = re.compile(r"[\s,(]*(?:at |on )*\d")
_BEHIND = re.compile(rf"{_JOIN}{_DAY}", re.IGNORECASE)
_PLACES = {
    **dict.fromkeys(("PT", "PACIFIC TIME"), "America/Los_Angeles"),
    **dict.fromkeys(("MT", "MOUNTAIN TIME"), "America/Denver"),
    **dict.fromkeys(("CT", "CENTRAL TIME"), "America/Chicago"),
    **dict.fromkeys(("ET", "EASTERN TIME"), "America/New_York"),
    **dict.fromkeys(("SINGAPORE TIME", "SINGAPORE STANDARD TIME"), "Asia/Singapore"),
}
_HOURS_AHEAD = {  # what is the name of several zones, like CST and IST, is none
    "Z": 0.0,
    "UTC": 0.0,
    "GMT": 0.0,
    "WET": 0.0,
    "WEST": 1.0,
    "BST": 1.0,
    "CET": 1.0,
    "CEST": 2.0,
    "EET": 2.0,
    "EEST": 3.0,
    "MSK": 3.0,
    "PKT": 5.0,
    "WIB": 7.0,
    "SGT": 8.0,
    "HKT": 8.0,
    "AWST": 8.0,
    "JST": 9.0,
    "KST": 9.0,
    "ACST": 9.5,
    "AEST": 10.0,
    "ACDT": 10.5,
    "AEDT": 11.0,
    "NZST": 12.0,
    "NZDT": 13.0,
    "BRT": -3.0,
    "SAST": 2.0,
    "EDT": -4.0,
    "EST": -5.0,
    "CDT": -5.0,
    "MDT": -6.0,
    "MST": -7.0,
    "PDT": -7.0,
    "PST": -8.0,
    "AKDT": -8.0,
    "AKST": -9.0,
    "HST": -10.0,
    "PACIFIC STANDARD TIME": -8.0,
    "PACIFIC DAYLIGHT TIME": -7.0,
    "MOUNTAIN STANDARD TIME": -7.0,
    "MOUNTAIN DAYLIGHT TIME": -6.0,
    "CENTRAL STANDARD TIME": -6.0,
    "CENTRAL DAYLIGHT TIME": -5.0,
    "EASTERN STANDARD TIME": -5.0,
    "EASTERN DAYLIGHT TIME": -4.0,
    "INDIA STANDARD TIME": 5.5,
}
_LOCAL = ("LOCAL TIME", "YOUR LOCAL TIME")
_CITIES = {  # beside those that zones have their names of
    **dict.fromkeys(("beijing", "china", "shenzhen", "hangzhou"), "Asia/Shanghai"),
    **dict.fromkeys(("san francisco", "seattle", "california"), "America/Los_Angeles"),
    **dict.fromkeys(("boston", "washington", "miami", "atlanta"), "America/New_York"),
    **dict.fromkeys(("mumbai", "delhi", "new delhi", "bangalore", "india"), "Asia/Kolkata"),
    **dict.fromkeys(("munich", "frankfurt", "hamburg", "germany"), "Europe/Berlin"),
    **dict.fromkeys(("uk", "britain"), "Europe/London"),
}
_NO_PLACES = ("Etc", "US", "Canada", "Mexico", "Brazil", "Chile", "posix", "right", "SystemV")
_NOON = 12
_MIDNIGHT = 24
_SECONDS_DIGITS = 10
_JUST_PAST = 1800.0
"""Of an hour without a day: so little ago it was this one that was meant, not tomorrow's; it is over now."""
_WEEK = 7
_WHOLE_YEAR = 4


def resets_in(text: str, now: datetime) -> float | None:
    """Return in how many seconds the limit that a text tells of is over; None: it does not say.

    Args:
        text: what the tool says.
        now: the moment, with the zone that an hour without one is meant in.
    """
    text = in_english(text)
    ways: tuple[Callable[[str, datetime], float | None], ...] = (
        *(
            _reset_at_epoch,
            _reset_at_iso_time,
            _reset_at_http_date,
            _reset_after_amounts,
            _reset_in_header,
            _reset_at_clock_time,
            _reset_in_chinese,
        ),
    )
    found = (way(text, now) for way in ways)
    return next((seconds for seconds in found if seconds is not None and seconds >= 0), None)


def _reset_at_epoch(text: str, now: datetime) -> float | None:
    found = _EPOCH.search(text)
    if found is None:
        return None
    digits = found[1] or found[2]
    return int(digits) / (1 if len(digits) == _SECONDS_DIGITS else 1000) - now.timestamp()


def _reset_at_iso_time(text: str, now: datetime) -> float | None:
    found = _ISO.search(text)
    if found is None:
        day = _ISO_DAY.search(text)
        return None if day is None else _first_moment(day[1], _service_zone(text), now)
    try:
        zone, _end = _zone_behind(found, text)
        moment = datetime.fromisoformat(f"{found['day']}T{found['time']}")
    except ValueError:
        return None
    return _seconds_until(moment.replace(tzinfo=zone or _service_zone(text)), now)


def _first_moment(day: str, zone: tzinfo, now: datetime) -> float | None:
    try:
        return _seconds_until(datetime.fromisoformat(day).replace(tzinfo=zone), now)
    except ValueError:
        return None


def _reset_in_chinese(text: str, now: datetime) -> float | None:
    """Read what services in China say, in their own words and on their own clocks."""
    if found := _CHINESE_DATE.search(text):
        try:
            return _seconds_until(
                datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=_CHINA), now
            )
        except ValueError:
            return None
    amount = _CHINESE_AMOUNT.search(text)
    return None if amount is None else float(amount[1]) * _UNITS[_CHINESE_UNITS[amount[2][0]]]


def _service_zone(text: str) -> tzinfo:
    """Return the zone that a service means where it names none; most mean UTC."""
    return next((zone for named, zone in _HOMES if named.search(text)), UTC)


_HOMES = (
    (
        re.compile(r"\b(?:z\.ai|bigmodel|zhipu\w*|glm(?:-[\w.]+)?|1308|1310)\b", re.IGNORECASE),
        _CHINA,
    ),
)


def _seconds_until(moment: datetime, now: datetime) -> float:
    """Return how long it is until a moment; in UTC, for two times of one zone differ by what clocks show."""
    return (moment.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def _reset_after_amounts(text: str, _now: datetime) -> float | None:
    if digits := _IN_DIGITS.search(text):
        hours, minutes, seconds = map(int, digits.groups())
        return hours * _UNITS["h"] + minutes * _UNITS["m"] + seconds
    text = _AND_A_HALF.sub(_add_half, text)
    text = _IN_WORDS.sub(lambda word: f"{word[1]} {_NUMBERS[word[2].lower()]} ", text)
    for found in _IN.finditer(text):
        amounts = [
            (float(one[0][: -len(one["unit"])].replace(",", "")), one["unit"])
            for one in _AMOUNTS.finditer(found[1])
        ]
        total = sum(
            number * _UNITS["ms" if unit.lower().startswith(("ms", "mil")) else unit[0].lower()]
            for number, unit in amounts
        )
        if total >= _UNITS["m"] or not found[0].lower().startswith("retrying"):
            return total  # so soon as in seconds, a tool tries again by itself: no service has said so
    return None


def _add_half(found: re.Match[str]) -> str:
    number, unit = (found[1], found[2]) if found[1] else (found[3], found[4])
    return f"{_NUMBERS.get(number.lower(), number)}.5 {unit}s"


def _reset_in_header(text: str, _now: datetime) -> float | None:
    found = _HEADER.search(text)
    if found is None:
        return None
    unit = (found["unit"] or "s").lower()
    return float(found["number"]) * _UNITS["ms" if unit.startswith(("ms", "mil")) else unit[0]]


def _reset_at_http_date(text: str, now: datetime) -> float | None:
    found = _HTTP_DATE.search(text) or _JS_DATE.search(text)
    if found is None:
        return None
    try:
        number = _MONTHS.index(found["month"].lower()) + 1
        year = found["year"] if len(found["year"]) == _WHOLE_YEAR else f"20{found['year']}"
        moment = datetime.fromisoformat(f"{year}-{number:02}-{int(found['day']):02}T{found['time']}")
        return _seconds_until(moment.replace(tzinfo=_zone_by_name(found["zone"])), now)
    except ValueError:
        return None


def _reset_at_clock_time(text: str, now: datetime) -> float | None:
    """Read an hour, of today or tomorrow, of a weekday, of a date; a day alone is its first moment."""
    for found in _AT.finditer(text):
        if not (found["half"] or found["minute"] or found["word"]) and (found["hour"] or not _has_day(found)):
            continue
        hour, minute = _time_of(found)
        if not (found["hour"] or found["word"]) and _UNREAD.match(text, found.end()):
            return None  # a date or an hour in a form that is not read: its weekday alone says too little
        try:
            zone, end = _zone_behind(found, text)
            day = found if _has_day(found) else _BEHIND.match(text, end)
            there = now.astimezone(zone or now.tzinfo)
            moment = there.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
            if day is not None and _has_day(day):
                ahead = _seconds_until(_on_its_day(moment, there, day), now)
                return 0.0 if -_JUST_PAST < ahead <= 0 else ahead
        except ValueError:
            continue
        ahead = _seconds_until(moment, now)
        if -_JUST_PAST < ahead <= 0:
            return 0.0
        return ahead if ahead > 0 else _seconds_until(moment + timedelta(days=1), now)
    return None


def _has_day(found: re.Match[str]) -> bool:
    return bool(found["weekday"] or found["near"] or found["date"])


def _time_of(found: re.Match[str]) -> tuple[int, int]:
    if found["word"] or not found["hour"]:
        return _NOON if (found["word"] or "").lower() == "noon" else 0, 0
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % _NOON + (_NOON if found["half"].lower().startswith("p") else 0)
    return 0 if hour == _MIDNIGHT else hour, int(found["minute"] or 0)


def _on_its_day(moment: datetime, now: datetime, day: re.Match[str]) -> datetime:
    """Move a time of today to the day that is said: a date, today or tomorrow, the next of that name."""
    if day["date"]:
        month = re.search("|".join(_MONTHS), day["date"], re.IGNORECASE)
        number = re.search(r"\d{1,2}", day["date"])
        if month is None or number is None:
            raise ValueError(day["date"])
        return _on_date(moment, month[0], int(number[0]), day["year"])
    if day["near"]:
        return moment + timedelta(days=day["near"].lower() == "tomorrow")
    ahead = (_WEEKDAYS.index(day["weekday"][:3].lower()) - moment.weekday()) % _WEEK
    moment += timedelta(days=ahead)
    just_past = now - timedelta(seconds=_JUST_PAST)
    return moment if moment > just_past else moment + timedelta(days=_WEEK)


def _on_date(moment: datetime, month: str, day: int, year: str | None) -> datetime:
    number = _MONTHS.index(month.lower()) + 1
    dated = moment.replace(year=int(year) if year else moment.year, month=number, day=day)
    half_a_year = timedelta(days=183)
    return dated.replace(year=dated.year + 1) if not year and moment - dated > half_a_year else dated


def _zone_behind(found: re.Match[str], text: str) -> tuple[tzinfo | None, int]:
    """Return the zone of an hour, from its name or what stands behind it, and where that ends.

    A difference to UTC in brackets says more than a name. None: the place where the text is read.

    Raises:
        ValueError: it is not known, or is the name of several.
    """
    if exact := _OFFSET_BEHIND.match(text, found.end()):
        return _zone_by_name(exact["offset"]), exact.end()
    half = found.groupdict().get("half") or ""
    ended = half.endswith(".") and half.count(".") == 1  # the sentence, not the hour
    behind = None if found["zone"] or ended else _PLACE_BEHIND.match(text, found.end())
    if behind is None or (behind["known"] and behind["known"].lower() not in _zones_by_city()):
        return _zone_by_name(found["zone"]), found.end()
    if behind["home"]:
        return None, behind.end()
    name = behind["city"] or behind["known"] or f"{behind['place'] or behind['coast']} time"
    return _zone_by_name(name), behind.end()


@cache
def _zones_by_city() -> dict[str, str]:
    """Return the zones by the places that they have their names of, in small letters."""
    named = (name for name in sorted(available_timezones()) if name.split("/")[0] not in _NO_PLACES)
    return {name.rsplit("/", 1)[-1].replace("_", " ").lower(): name for name in named} | _CITIES


def _zone_by_name(name: str | None) -> tzinfo | None:
    """Return the zone of a name; None: the place where the text is read.

    Raises:
        ValueError: it is not known, or is the name of several.
    """
    if name is None:
        return None
    offset = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?", name, re.IGNORECASE)
    if offset:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(ahead if offset[1] == "+" else -ahead)
    known = name.upper()
    if known in _LOCAL:
        return None
    if known in _HOURS_AHEAD:
        return timezone(timedelta(hours=_HOURS_AHEAD[known])) if _HOURS_AHEAD[known] else UTC
    place = known.lower().removesuffix(" time").removesuffix(" local").replace("_", " ")
    try:
        return ZoneInfo(_PLACES.get(known) or (name if "/" in name else _zones_by_city().get(place, name)))
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(name) from None

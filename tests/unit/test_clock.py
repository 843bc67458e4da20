"""Moments: on the same boot its clock decides, after a reboot the UTC time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.tables import each

from marianned.clock import Instant, milliseconds, nearest, timestamp

instants = st.builds(Instant, st.integers(0, 2**42), st.sampled_from(["a", "b"]), st.integers(0, 2**40))


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    assert timestamp(1_795_529_112_000) == "2026-11-24T14:05:12.000Z"
    assert timestamp(1_795_529_112_007) == "2026-11-24T14:05:12.007Z"


def test_a_time_that_no_calendar_has_is_written_as_the_one_next_to_it() -> None:
    """A command may date its own output so (`touch -d @253402300800`): nobody could look at its job any more."""
    assert timestamp(nearest(2**63)) == "9999-12-31T23:59:59.999Z"
    assert timestamp(nearest(-(2**63))) == "0001-01-01T00:00:00.000Z"
    assert nearest(1_795_529_112_007) == 1_795_529_112_007


def test_a_time_that_no_year_has_is_told_as_the_last_that_can_be_written() -> None:
    assert timestamp(2**62) == "9999-12-31T23:59:59.999Z"


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_time_is_read_back_as_it_was_written(moment: int) -> None:
    assert milliseconds(timestamp(moment)) == moment


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    assert milliseconds("2026-11-24T15:05:12+01:00") == milliseconds("2026-11-24T14:05:12Z")


@each("text", ["2026-11-24T14:05:12", "yesterday", ""])
def test_a_time_without_its_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time zone|Invalid isoformat"):
        milliseconds(text)


@given(instants, st.integers(-(2**40), 2**40))
def test_so_much_later_is_so_long_until_then(now: Instant, much: int) -> None:
    later = now.plus(much)
    assert now.until(later) == much
    assert now.reached(later) is (much <= 0)
    assert later.plus(-much) == now


@given(instants, instants)
def test_the_boot_clock_decides_on_the_same_boot_and_utc_after_another(one: Instant, other: Instant) -> None:
    same = one.boot == other.boot
    assert one.until(other) == (other.boottime - one.boottime if same else other.at - one.at)
    assert one.until(other) == -other.until(one)


def test_a_moved_wall_clock_moves_no_wait() -> None:
    now = Instant(1_000_000, "a", 500)
    due = now.plus(10_000)
    assert not Instant(99_000_000, "a", 5_000).reached(due)
    assert Instant(0, "a", 10_500).reached(due)
    assert Instant(1_010_000, "b", 3).reached(due)

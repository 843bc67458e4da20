"""The words of the closed lists, on the wire: as they always were, and one that is newer is read all the same."""

import msgspec
import pytest

from marianned.protocol import ErrorCategory, Event, Hold, HoldCause, JobStatus, SheetStatus
from marianned.protocol.statuses import WireEnum
from marianned.rows import SheetRow


def test_a_word_is_its_text_and_nothing_else() -> None:
    hold = Hold(cause=HoldCause.RATE_LIMIT, owner=None, reason=None, held_at="now", ends_at=None)
    assert msgspec.json.encode(hold) == (
        b'{"cause":"rate_limit","owner":null,"reason":null,"held_at":"now","ends_at":null}'
    )
    assert msgspec.to_builtins(SheetStatus.PENDING) == "pending"
    assert f"{SheetStatus.PENDING}" == "pending"


def test_a_client_reads_the_words_of_a_newer_daemon() -> None:
    told = b'{"event": 1, "recorded_at": "now", "type": "job.dreaming", "status": "dreaming"}'
    event = msgspec.json.decode(told, type=Event)
    assert event.status == "dreaming"
    assert isinstance(event.status, JobStatus)
    assert event.status not in list(JobStatus)
    assert {event.status: 1}["dreaming"] == 1
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


def test_a_category_of_a_newer_daemon_or_of_an_old_database_is_kept_as_it_stands() -> None:
    told = b'{"event": 1, "recorded_at": "now", "type": "attempt.ended", "error_category": "%s"}'
    known, newer = (msgspec.json.decode(told % word, type=Event) for word in (b"stale", b"tired"))
    assert known.error_category is ErrorCategory.STALE
    assert isinstance(newer.error_category, ErrorCategory)
    assert b'"error_category":"tired"' in msgspec.json.encode(newer)
    row = msgspec.convert({"run_id": 1, "uid": 1, "sheet": 1, "error_category": "tired"}, SheetRow)
    assert row.error_category == "tired"


def test_what_is_no_text_is_no_word() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"3", type=JobStatus)
    with pytest.raises(ValueError, match="3 is not a valid JobStatus"):
        JobStatus(3)
    assert issubclass(JobStatus, WireEnum)

"""An attempt on a cluster whose whole job the daemon has ended: whatever its record says, it was asked to end."""

import signal
from pathlib import Path

import msgspec
from kit.tables import each

from marianned.executors.base import AttemptPlace, ExitRecord
from marianned.executors.clusters.cluster_files import cut_short_record
from marianned.executors.clusters.entries import AttemptEntry


def ended(**given: object) -> ExitRecord:
    """Return a record of an end of which nothing else is known."""
    return msgspec.structs.replace(
        cut_short_record(AttemptPlace(Path("/nowhere"), "one")), asked=False, **given
    )


@each(
    ("record", "noted", "asked"),
    [
        (ended(signal=signal.SIGTERM), True, True),
        (ended(), True, True),
        (ended(signal=signal.SIGTERM), False, False),
        (ended(exit_code=0), True, False),
        (ended(exit_code=3), True, False),
    ],
)
def test_what_was_cut_short_was_asked_to_end_unless_it_has_ended_by_itself(
    record: ExitRecord, noted: bool, asked: bool
) -> None:
    entry = AttemptEntry(AttemptPlace(Path("/nowhere"), "one"))
    entry.submission = msgspec.structs.replace(entry.submission, cut_short=noted)
    entry.settle(record)
    assert entry.record is not None
    assert entry.record.asked is asked

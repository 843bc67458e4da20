"""What an attempt's end is judged as where others may have brought it about, and its cluster says what they have."""

import signal
from pathlib import Path

import msgspec
import pytest

from marianned.conductor.run.ends import end_by_fate, ended_early, outside_cause
from marianned.executors.base import AttemptPlace, ExitRecord, Fate, FateKind, may_be_foreign
from marianned.executors.clusters.cluster_files import cut_short_record
from marianned.protocol import Outcome


def ended(**given: object) -> ExitRecord:
    """Return a record of an end of which nothing else is known."""
    return msgspec.structs.replace(
        cut_short_record(AttemptPlace(Path("/nowhere"), "one")), asked=False, **given
    )


AHEAD = ended(exit_code=128 + signal.SIGTERM)


@pytest.mark.parametrize(
    ("record", "foreign"),
    [
        (None, True),
        (ended(), True),
        (ended(signal=signal.SIGTERM), True),
        (ended(signal=signal.SIGSEGV), False),
        (AHEAD, True),
        (ended(exit_code=128 + signal.SIGKILL), True),
        (ended(exit_code=128 + signal.SIGSEGV), False),
        (ended(exit_code=143, timed_out=True), False),
        (ended(exit_code=1), False),
        (ended(exit_code=0), False),
    ],
)
def test_a_cluster_is_asked_of_an_end_that_a_signal_may_have_brought_about(
    record: ExitRecord | None, foreign: bool
) -> None:
    assert may_be_foreign(record) is foreign


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (FateKind.CANCELLED, Outcome.INTERRUPTED),
        (FateKind.DISPLACED, Outcome.INTERRUPTED),
        (FateKind.BROKEN, Outcome.LOST),
        (FateKind.ENDED, None),
    ],
)
def test_a_shell_that_was_ahead_of_its_own_signal_is_judged_by_what_the_cluster_says(
    kind: FateKind, outcome: Outcome | None
) -> None:
    assert ended_early(AHEAD, interrupted=False) is None
    early, record = end_by_fate(Fate(kind, "said"), None, AHEAD)
    assert (None if early is None else early[0], record) == (outcome, AHEAD)
    assert early is None or early[2] == "said", "nothing else is said beside what is known"


def test_one_that_a_time_limit_has_ended_is_a_try_that_timed_out() -> None:
    early, record = end_by_fate(Fate(FateKind.TIME, "said"), None, AHEAD)
    assert early is None
    assert record.timed_out
    assert end_by_fate(None, None, AHEAD) == (None, AHEAD)


@pytest.mark.parametrize(
    ("kind", "why", "said"),
    [
        (None, None, None),
        (None, "no record", "no record"),
        (FateKind.ENDED, None, None),
        (FateKind.ENDED, "no record", "said; no record"),
        (FateKind.BROKEN, None, "said"),
        (FateKind.TIME, None, "said"),
    ],
)
def test_a_check_whose_shell_was_ahead_of_its_own_signal_is_lost_where_the_cluster_says_so(
    kind: FateKind | None, why: str | None, said: str | None
) -> None:
    assert outside_cause(None if kind is None else Fate(kind, "said"), why) == said

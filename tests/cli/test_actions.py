"""What faces offer of a job is what the daemon takes in that status."""

import shlex

import pytest

from marianne_cli.faces.actions import offers, takes_score
from marianne_cli.tree import TABLE
from marianned import protocol
from marianned.lifecycle import TABLE as TAKEN
from marianned.lifecycle import Action, Refusal
from marianned.protocol import JobStatus

ACTIONS = {
    "pause": Action.PAUSE,
    "pause now": Action.PAUSE_NOW,
    "resume": Action.RESUME,
    "retry": Action.RETRY,
    "discard": Action.DISCARD,
    "cancel": Action.CANCEL,
}


def job(status, **fields):
    return {"job_id": "it's", "status": status, "waiting": [1], "staged_revision": 2} | fields


@pytest.mark.parametrize("status", JobStatus)
def test_nothing_is_offered_that_would_be_refused(status):
    for offer in offers(job(status)):
        if offer.name == "remove":
            assert status in protocol.ENDED
        else:
            assert not isinstance(TAKEN[ACTIONS[offer.name], status], Refusal), offer.name


@pytest.mark.parametrize("status", JobStatus)
def test_a_new_score_is_offered_where_it_is_taken(status):
    assert takes_score(status) is not isinstance(TAKEN[Action.MODIFY, status], Refusal)


@pytest.mark.parametrize("status", JobStatus)
def test_a_line_is_a_command_and_its_request_one_of_the_protocol(status):
    commands = {name for group in TABLE.values() for name in group}
    for offer in offers(job(status)):
        words = shlex.split(offer.line)
        assert words[0] == "mzt"
        assert words[1] in commands
        assert words[2] == "it's"
        kind = protocol.METHODS[offer.method].params
        assert set(offer.params) <= set(kind.__struct_encode_fields__)


def test_what_ends_or_discards_something_asks_first():
    asked = {o.name for status in JobStatus for o in offers(job(status)) if o.asks}
    assert asked == {"pause now", "discard", "cancel", "remove"}


def test_retry_and_discard_are_offered_only_where_there_is_something():
    names = {o.name for o in offers(job("pausing", waiting=[], staged_revision=None))}
    assert names == {"pause now", "resume", "cancel"}

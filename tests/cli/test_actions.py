"""What faces offer of a job is what the daemon takes in that status."""

import shlex

import click
from kit.tables import each

from marianne_cli.faces.actions import offers, sheet_offers, takes_score
from marianne_cli.top import action_runner
from marianne_cli.tree import click_commands, group
from marianne_cli.tree.table import TABLE, form_of
from marianned import protocol
from marianned.lifecycle import TABLE as TAKEN
from marianned.lifecycle import Action, Refusal
from marianned.protocol import JobStatus, SheetStatus

ACTIONS = {
    "pause": Action.PAUSE,
    "pause now": Action.PAUSE_NOW,
    "resume": Action.RESUME,
    "retry": Action.RETRY,
    "discard": Action.DISCARD,
    "cancel": Action.CANCEL,
    "run from here": Action.RESUME_FROM,
    "run it alone": Action.RESUME_FROM,
    "accept": Action.RESUME_MARK,
    "skip": Action.RESUME_MARK,
    "pause before it": Action.BREAK,
    "clear the breakpoint": Action.BREAK,
}


def job(status, **fields):
    return {
        "job_id": "it's",
        "job_name": "it's",
        "status": status,
        "waiting": [1],
        "staged_revision": 2,
    } | fields


@each("status", JobStatus)
def test_nothing_is_offered_that_would_be_refused(status):
    for offer in offers(job(status)):
        if offer.name == "remove":
            assert status in protocol.ENDED
        else:
            assert not isinstance(TAKEN[ACTIONS[offer.name], status], Refusal), offer.name


@each("status", JobStatus)
def test_a_new_score_is_offered_where_it_is_taken(status):
    assert takes_score(job(status)) is not isinstance(TAKEN[Action.MODIFY, status], Refusal)


@each("status", sorted(protocol.ENDED))
def test_an_earlier_run_is_done_with_and_can_only_be_removed(status):
    """A resume of one was offered, and refused."""
    earlier = job(status, job_id="it's@1", breakpoints=[])
    assert [offer.name for offer in offers(earlier)] == ["remove"]
    assert not takes_score(earlier)
    assert not any(sheet_offers(earlier, {"sheet": 3, "status": sheet}) for sheet in SheetStatus)


@each("status", JobStatus)
def test_a_line_is_a_command_and_its_request_one_of_the_protocol(status):
    commands = {name for group in TABLE.values() for name in group}
    for offer in offers(job(status)):
        words = shlex.split(offer.line)
        assert words[0] == "mzt"
        assert words[1] in commands
        assert words[2] == "it's"
        kind = protocol.METHODS[offer.method].params
        assert set(offer.params) <= set(kind.__struct_encode_fields__)


def reads(line):
    """Whether `mzt` reads a line, as far as that is told without a daemon."""
    mzt, name, *words = shlex.split(line)
    assert mzt == "mzt"
    root = click.Context(group.mzt, info_name="mzt")
    click_commands.click_command(form_of(name)).make_context(name, words, parent=root)


class Refusing:
    """All that is refused, by its line."""

    read_only = False

    def __init__(self):
        self.lines = []

    def log_refusal(self, line, *_said):
        self.lines.append(line)

    def start(self, _work):
        pass


@each("status", JobStatus)
def test_each_line_that_the_terminal_shows_is_one_of_mzt(status):
    """A breakpoint that could not be set was shown as `mzt pause before it JOB`."""
    top = Refusing()
    for offer in [*offers(job(status)), *sheets_of(status)]:
        for waits in {action_runner._is_waited_for(offer), False}:
            reads(action_runner._command_line(offer, "it's so", waits=waits))
    for sheet in SheetStatus:
        for word in ACTIONS.keys() | {"remove"}:
            action_runner.ActionRunner(top).run_offer(
                word, job(status, breakpoints=[]), {"sheet": 3, "status": sheet}
            )
    assert {*map(len, top.lines)} != {0}
    for line in {*top.lines}:
        reads(line)
        assert shlex.split(line)[2] == "it's"


def test_what_ends_or_discards_something_asks_first():
    asked = {o.name for status in JobStatus for o in offers(job(status)) if o.asks}
    assert asked == {"pause now", "discard", "cancel", "remove"}


def test_retry_and_discard_are_offered_only_where_there_is_something():
    names = {o.name for o in offers(job("pausing", waiting=[], staged_revision=None))}
    assert names == {"pause now", "resume", "cancel"}


def sheets_of(status, **fields):
    """All that is offered of sheets, in whatever status and with a breakpoint or without."""
    for sheet in SheetStatus:
        for marked in ([], [{"sheet": 3}]):
            yield from sheet_offers(job(status, breakpoints=marked), {"sheet": 3, "status": sheet})


@each("status", JobStatus)
def test_nothing_is_offered_of_a_sheet_that_would_be_refused(status):
    for offer in sheets_of(status):
        assert not isinstance(TAKEN[ACTIONS[offer.name], status], Refusal), offer.name
        kind = protocol.METHODS[offer.method].params
        assert set(offer.params) <= set(kind.__struct_encode_fields__)
        assert shlex.split(offer.line)[2] == "it's"
        assert "3" in offer.line.split()


def test_what_changes_which_sheets_run_has_a_plan():
    planned = {o.name for status in JobStatus for o in sheets_of(status) if o.planned}
    assert planned == {"run from here", "run it alone", "accept", "skip"}


def test_a_breakpoint_is_set_or_cleared():
    pending = {"sheet": 3, "status": "pending"}
    names = [o.name for o in sheet_offers(job("running", breakpoints=[]), pending)]
    assert names == ["pause before it"]
    names = [o.name for o in sheet_offers(job("running", breakpoints=[{"sheet": 3}]), pending)]
    assert names == ["clear the breakpoint"]

"""The status, starting, settling and the table of requests, against the contract's text, cell by cell."""

from itertools import product

import msgspec
from kit.tables import each

from marianned.lifecycle import (
    TABLE,
    Action,
    Effect,
    Guard,
    Refusal,
    SettlingContext,
    StatusFacts,
    Step,
    TransitionRule,
    may_start,
    may_start_hook,
    settle,
    status,
)
from marianned.protocol import JobStatus

ENDS = (None, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
ALL_FACTS = [
    StatusFacts(
        ended=ended, cancelling=cancelling, held=held, staged=staged, in_flight=in_flight, begun=begun
    )
    for ended, cancelling, held, staged, in_flight, begun in product(ENDS, *[(False, True)] * 5)
]

# The six lines of the contract, each: status, ended, cancel, hold, staged, in flight, begun; "." is either.
STATUS_LINES = """
    completed   completed . . . . .
    failed      failed    . . . . .
    cancelled   cancelled . . . . .
    cancelling  -         1 . . 1 .
    pausing     -         . 1 . 1 .
    pausing     -         . . 1 1 .
    paused      -         . 1 . 0 .
    queued      -         . . . 0 0
    running     -         . . . . .
"""


def by_the_contract(facts: StatusFacts) -> str:
    fields = [
        facts.ended or "-",
        *(
            str(int(fact))
            for fact in (facts.cancelling, facts.held, facts.staged, facts.in_flight, facts.begun)
        ),
    ]
    for line in STATUS_LINES.strip().splitlines():
        name, *wanted = line.split()
        if all(want in (".", field) for want, field in zip(wanted, fields, strict=True)):
            return name
    raise AssertionError(facts)


@each("facts", ALL_FACTS)
def test_the_status_is_the_first_line_of_the_contract_that_applies(facts: StatusFacts) -> None:
    assert status(facts) == by_the_contract(facts)


@each("facts", ALL_FACTS)
def test_a_job_starts_something_only_when_nothing_forbids_it(facts: StatusFacts) -> None:
    forbidden = [facts.ended is not None, facts.cancelling, facts.held, facts.staged]
    assert may_start(facts) is (not any(forbidden))
    assert may_start_hook(facts) is may_start(facts)


@each("facts", ALL_FACTS)
def test_hooks_of_a_failure_start_in_an_ended_job_too_and_nothing_else_does_before(
    facts: StatusFacts,
) -> None:
    failing = msgspec.structs.replace(facts, failing=True)
    assert not may_start(failing)
    assert may_start_hook(failing) is (not any([facts.cancelling, facts.held, facts.staged]))
    assert status(failing) == status(facts)


@each("facts", ALL_FACTS)
def test_settling_takes_the_steps_in_the_order_of_the_contract(facts: StatusFacts) -> None:
    for could_start, free, failed, pause, outcome, before, keeps in product((False, True), repeat=7):
        last = {"outcome": outcome, "could_start_before": before, "keeps": keeps}
        settling_context = SettlingContext(
            could_start=could_start, could_start_free=free, failed=failed, pause_on_failure=pause, **last
        )
        step = settle(facts, settling_context)
        if facts.in_flight:
            assert step is None
        elif facts.ended:
            assert step is (Step.APPLY if facts.staged else None), "it came while a hook of the failure ran"
        elif facts.cancelling:
            assert step is Step.CANCEL
        elif facts.staged:
            assert step is Step.APPLY
        elif could_start:
            assert step is (None if free else Step.HOLD_BREAKPOINT)
        elif failed and pause:
            assert step is Step.HOLD_FAILURE
        elif facts.held and (keeps or before or not outcome):
            assert step is None, "a held job ends only as the last thing in flight does"
        else:
            assert step is (Step.FAIL if failed else Step.COMPLETE)


def test_settling_gives_a_failed_job_its_failure_hold_once() -> None:
    held = StatusFacts(held=True, begun=True)
    settling_context = SettlingContext(
        could_start=False, failed=True, pause_on_failure=True, held_for_failure=True
    )
    assert settle(held, settling_context) is None


# docs/design/control.md §3, wholly. The footnotes that are guards here stand behind their words.
REQUESTS = """
    request          | queued     | running     | pausing        | paused         | cancelling | completed | failed         | cancelled
    pause            | hold       | hold        | hold           | hold1          | E502       | E502      | E502           | E502
    pause --now      | hold       | hold, interrupt | hold, interrupt | hold1     | E502       | E502      | E502           | E502
    pause --before   | set        | set         | set            | set            | E502       | set6      | set            | set
    resume           | E502       | E502        | release2       | release2       | E502       | release62 | reset, release2 | reset, release2
    resume --from    | E502       | E502        | E502           | rewind, release2 | E502     | rewind, reset, release2 | rewind, reset, release2 | rewind, reset, release2
    resume --skip/--accept | E502 | E502        | mark, release2 | mark, release2 | E502       | E502      | mark, reset, release2 | mark, reset, release2
    modify           | apply, hold| stage, hold | stage, hold    | apply, hold    | E502       | apply6    | apply          | apply
    modify -r        | apply      | stage       | stage, release2 | apply, release2 | E502     | apply, release62 | apply, reset2 | apply, reset2
    modify --discard | E502       | E502        | undo5          | E502           | E502       | E502      | E502           | E502
    cancel           | cancel     | cancel      | cancel         | cancel         | joins      | E502      | ends hooks8    | E502
    retry            | ends waits7 | ends waits7 | ends waits7   | ends waits7    | E502       | E502      | E502           | E502
"""
WORDS = {
    "hold": Effect.HOLD,
    "release": Effect.RELEASE,
    "reset": Effect.RESET,
    "apply": Effect.REVISE,
    "stage": Effect.REVISE,
    "undo": Effect.UNDO,
    "cancel": Effect.CANCEL,
    "joins": Effect.JOIN,
    "ends waits": Effect.END_WAITS,
    "ends hooks": Effect.END_HOOKS,
    "interrupt": Effect.INTERRUPT,
    "set": Effect.SET,
    "rewind": Effect.REWIND,
    "mark": Effect.MARK,
}
NOTES = {
    "1": Guard.HOLDS_END,
    "2": Guard.IN_LIMITS,
    "5": Guard.STAGED,
    "6": Guard.WOULD_RUN,
    "7": Guard.WAITS,
    "8": Guard.FAILING,
}


def written() -> list[tuple[str, str, str]]:
    head, *lines = [[cell.strip() for cell in line.split("|")] for line in REQUESTS.strip().splitlines()]
    return [(line[0], name, cell) for line in lines for name, cell in zip(head[1:], line[1:], strict=True)]


@each(("request_", "name", "cell"), written())
def test_each_cell_of_the_table_is_that_of_the_contract(request_: str, name: str, cell: str) -> None:
    found = TABLE[Action(request_), JobStatus(name)]
    if cell == "E502":
        assert found == Refusal("E502")
        return
    notes = [char for char in cell if char.isdigit()]
    effects = tuple(WORDS[word.strip(" 125678")] for word in cell.split(","))
    assert found == TransitionRule(effects, tuple(NOTES[note] for note in notes))


def test_the_table_is_total() -> None:
    assert len(written()) == len(TABLE) == len(Action) * len(JobStatus)
    assert set(TABLE) == set(product(Action, JobStatus))

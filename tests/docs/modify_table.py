"""What `mzt modify` does in each status to each change of a score, played through the core and written down.

A job of three sheets, one after the other, is brought to each status; then a modify comes, with and without
`-r` and `--rerun 1`. Nothing here says what should follow: the core is asked.
"""

import sys
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:  # as a script it is found by nobody else
    sys.path.append(TESTS)

from kit.scores import Bench, score, stage  # noqa: E402  it stands there

from marianned.errors import WrongStatus  # noqa: E402
from marianned.formatting import ranges  # noqa: E402
from marianned.lifecycle import Action  # noqa: E402
from marianned.protocol import JobStatus, Outcome  # noqa: E402
from marianned.score.expanded import ExpandedScore  # noqa: E402

BEFORE = ("a", "b", "c")
CHANGES = {
    "prompt of sheet 1 changed": ("A", "b", "c"),
    "a sheet added at the end": ("a", "b", "c", "d"),
    "the last sheet removed": ("a", "b"),
    "nothing": BEFORE,
}
OPTIONS = {
    "": (Action.MODIFY, None),
    " -r": (Action.MODIFY_RESUME, None),
    " --rerun 1": (Action.MODIFY, "1"),
    " --rerun 1 -r": (Action.MODIFY_RESUME, "1"),
}


def chained(prompts: tuple[str, ...]) -> ExpandedScore:
    """Sheets one after the other, known by their stages' names."""
    stages = (
        stage([number] if number else [], prompt=prompt, name=prompt.lower())
        for number, prompt in enumerate(prompts)
    )
    return score(*stages)


def brought_to(status: JobStatus) -> Bench:
    """A job of this status: sheet 1 is done, 2 is in flight, has ended or was ended, 3 has not begun."""
    bench = Bench(chained(BEFORE), checked=False)
    if status is JobStatus.QUEUED:
        return bench
    bench.go()
    bench.end(1)
    match status:
        case JobStatus.PAUSING | JobStatus.PAUSED:
            bench.ask(Action.PAUSE)
        case JobStatus.CANCELLING | JobStatus.CANCELLED:
            bench.ask(Action.CANCEL)
        case JobStatus.COMPLETED:
            bench.play()
        case JobStatus.FAILED:
            bench.fail(2)
        case _:
            pass
    if status is JobStatus.PAUSED:
        bench.end(2)
    elif status is JobStatus.CANCELLED:
        bench.end(2, Outcome.INTERRUPTED)
    assert bench.status is status
    return bench


def said(status: JobStatus, prompts: tuple[str, ...], options: str) -> str:
    """The status that a modify is answered with, and which sheets run from then on; or its refusal."""
    bench = brought_to(status)
    bench.slots = 0
    action, sheets = OPTIONS[options]
    try:
        answer = bench.answer(bench.ask(action, chained(prompts), sheets=sheets))
    except WrongStatus as refused:
        return refused.code
    if not answer.plan:  # nothing differs from the newest revision
        return str(answer.status)
    runs = [line.sheet for line in answer.plan if line.runs and line.sheet is not None]
    return f"{answer.status}: {ranges(runs) if runs else 'none'}"


def modify() -> str:
    """A table for each of the options: a row for each change, a column for each status."""
    written = []
    for options in OPTIONS:
        rows = [
            [change, *(said(status, prompts, options) for status in JobStatus)]
            for change, prompts in CHANGES.items()
        ]
        head = [f"`modify -c FILE{options}`", *JobStatus]
        lines = [head, ["---"] * len(head), *rows]
        written.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(written) + "\n"

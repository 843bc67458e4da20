"""What the random walk over a real daemon has done, in a line each, for whoever reads why it failed."""

from dataclasses import fields, is_dataclass

from plain_scores import Score

LAST_STEPS = 40
LAST_EVENTS = 40


def brief(value):
    """Say a step, a request or a score in few words: what is not as usual of it."""
    if isinstance(value, Score):
        return _score(value)
    if is_dataclass(value):
        given = [(field.name, getattr(value, field.name)) for field in fields(value)]
        usual = type(value)()
        told = [f"{name}={brief(one)}" for name, one in given if one != getattr(usual, name)]
        return f"({', '.join(told)})" if told else ""
    if isinstance(value, tuple):
        return " ".join(filter(None, map(brief, value)))
    return str(value)


def _score(score):
    steps = [
        f"{step.name if step.named else '-'}:{step.prompt}"
        f"{'<' + ','.join(sorted(step.needs)) if step.needs else ''}{'?' + step.skips if step.skips else ''}"
        for step in score.steps
    ]
    loop = score.loop
    told = [
        f"at once {score.at_once}",
        "" if score.fail_fast else "not fail_fast",
        "" if score.on_failure == "fail" else f"on_failure {score.on_failure}",
        f"hooks {','.join(hook.name for hook in score.hooks)}" if score.hooks else "",
        f"after a failure {','.join(hook.name for hook in score.after)}" if score.after else "",
        f"tool {score.tool}" if score.tool else "",
        f"checks {score.checks}" if score.checks else "",
        "" if score.budget is None else f"${score.budget}",
        "" if score.wall is None else f"{score.wall:.0f} s",
        loop
        and f"loop {','.join(sorted(loop.span))} x{loop.rounds} {'exact' if loop.exact else loop.until}"
        f"{' goes on' if loop.goes_on else ''}",
    ]
    return f"[{' '.join(steps)}; {', '.join(filter(None, told))}]"


def story(walk, taken):
    """Say how to take the walk again, what it has done last, and what the job at fault has been told to do."""
    yield f"MARIANNE_LIVE_SEED={walk.seed} MARIANNE_LIVE_STEPS={taken}; the last steps:"
    yield from map(brief, walk.steps[-LAST_STEPS:])
    job = walk.looked_at
    if job is not None:
        yield f"the journal of {job.address}:"
        yield from job.history[-LAST_EVENTS:]
        yield f"its model: {brief(job.model.score)} {job.model.status}, {job.model.sheets}"

"""Scores whose sheets ask instruments that meet limits, and how they do so."""

import yaml

from kit.daemon import AGENTS, score

REFUSAL = "API Error: status 429, too many requests; retry-after: 2\n"


def profile(name, **more):
    """Return the text of a profile that calls the stand-in by this name."""
    command = {"executable": str(AGENTS / "moody"), "subcommand": name}
    errors = {"rate_limit_patterns": ["too many requests"], "auth_error_patterns": ["invalid api key"]}
    told = {"name": name, "kind": "cli", "cli": {"command": command, "errors": errors}}
    return yaml.safe_dump(told | more)


def stage_with_accounts(house):
    """Return a started daemon that knows the instruments `one` and `two`."""
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "one.yaml").write_text(profile("one", credentials=["ONE_API_KEY"], login="one login"))
    (place / "two.yaml").write_text(profile("two"))
    return house.start()


def asking(job, *instruments, **more):
    """Return a score whose sheets ask these instruments in turn, without a single retry."""
    named = dict(enumerate(instruments, 1))
    return score(job, [f"sheet {n}" for n in named], sheet={"per_sheet_instruments": named}, **more)


def limited(stage, *jobs):
    """Let the account `one` meet a limit in the first of these jobs, while the others want it too."""
    mood = stage.home / "mood-one"
    mood.write_text(REFUSAL)
    for job in jobs:
        stage.submit(asking(job, "one", "two"))
        if job == jobs[0]:
            stage.event(job, "limit.met")
    return mood


def tries(ledger, name):
    return [line for line in ledger.lines() if line.startswith(f"try {name} ")]

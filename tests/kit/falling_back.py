"""A sheet with a chain of instruments, and what is seen of its way along it."""

import yaml

from kit.daemon import AGENTS, score


def profile(name, executable):
    """Return the text of a profile that calls this executable with its own name."""
    command = {"executable": executable, "subcommand": name}
    errors = {"auth_error_patterns": ["invalid api key"]}
    return yaml.safe_dump({"name": name, "kind": "cli", "cli": {"command": command, "errors": errors}})


def stage_with_fallbacks(house):
    """Return a started daemon that knows `gone`, which is not installed, and `one` and `two`, which are."""
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    (place / "gone.yaml").write_text(profile("gone", str(house.home / "no-such-tool")))
    for name in ("one", "two"):
        (place / f"{name}.yaml").write_text(profile(name, str(AGENTS / "moody")))
    return house.start()


def chained(*names):
    return score("chained", ["who is it?"]).replace(
        "instrument: cli", f"instrument: {names[0]}\ninstrument_fallbacks: {list(names[1:])}"
    )


def played(stage):
    return [(one["instrument"], one["outcome"]) for one in stage.attempts("chained", 1)]


def moves(stage):
    return [event["text"] for event in stage.journal() if event["type"] == "sheet.fallback"]

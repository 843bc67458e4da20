"""The parts of the spec of an attempt: its environment, its limits, how its tool is asked to stop.

Source: docs/reference/score-format.md §5, §30.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from marianned.conductor.run import walls
from marianned.conductor.run.process import PreparationFailed
from marianned.conductor.services import Services, is_away
from marianned.executors.base import FinalEventRule, GracefulStop, SilenceLimit, Spec
from marianned.instruments import command_line
from marianned.instruments.command_line import effective_output_format
from marianned.instruments.profile import Profile
from marianned.protocol import ErrorCategory, Outcome
from marianned.rows import AttemptRow, Placed, RunRow
from marianned.score.expanded import ExpandedScore, Resources, SheetDefinition
from marianned.score.render.script import script_of

_SOCKET = "MARIANNE_SOCKET"


def environment_of(
    services: Services, profile: Profile, settings: Mapping[str, Any], run: RunRow, directory: Path
) -> dict[str, str]:
    """Return the environment of the checks and hooks of a sheet on this instrument; PWD is theirs to add."""
    env = command_line.build_environment(
        profile, settings, run.workspace, str(directory), services.environ, run.env
    )
    del env["PWD"]
    return env


def variables_of(services: Services, run: RunRow, flight: Placed) -> dict[str, str]:
    """Return the MARIANNE_* variables of what is in flight (§5)."""
    return {
        "MARIANNE_JOB": run.job_name,
        "MARIANNE_RUN": str(run.run),
        **{f"MARIANNE_{name}": str(number) for name, number in flight.numbers.items()},
        "MARIANNE_ATTEMPT_ID": services.attempt_id(flight),
        "MARIANNE_WORKSPACE": run.workspace,
        _SOCKET: str(services.socket),
    }


def final_of(profile: Profile, settings: Mapping[str, Any]) -> FinalEventRule | None:
    """Return what its final event looks like, where its output tells."""
    output = effective_output_format(profile, settings)
    if output.format == "text" or output.final_event is None:
        return None
    last = output.final_event
    return FinalEventRule(
        grace=output.final_grace, event=last.event, where=last.where, goes_on=last.goes_on, idle=last.idle
    )


def stop_of(profile: Profile) -> GracefulStop | None:
    """Return how its tool is asked to stop, if it can be."""
    told = profile.cli.stop if profile.cli else None
    return (
        None if told is None else GracefulStop(number=told.signal_number, file=told.file, seconds=told.wait)
    )


def silence_of(score: ExpandedScore, run: RunRow, cwd: str) -> SilenceLimit | None:
    """Return how long it may show no sign of life, and where those are looked for."""
    limit = score.silence
    if limit is None:
        return None
    return SilenceLimit(
        idle=limit.idle_timeout_seconds,
        interval=limit.check_interval_seconds,
        directories=list(dict.fromkeys([run.workspace, cwd])),
    )


def spec_for_node(services: Services, profile: Profile, spec: Spec) -> Spec:
    """Return the spec of an attempt that runs on a cluster's node, where the daemon's socket is not.

    Raises:
        PreparationFailed: it is to be behind a wall, which stands on the daemon's host only.
    """
    if walls.is_wanted(services, profile):
        raise PreparationFailed(ErrorCategory.REFUSED, walls.NOT_ON_A_NODE)
    env = {name: value for name, value in spec.env.items() if name != _SOCKET}
    return msgspec.structs.replace(spec, env=env)


def node_check_resources(services: Services, attempt: AttemptRow, sheet: SheetDefinition) -> Resources | None:
    """Return what the commands of its checks get on its node; None: there are none, or they run here."""
    there = (sheet.resources.checks or services.settings.slurm.checks) == "with_attempt"
    commands = any(check.type == "command_succeeds" for check in sheet.checks)
    return sheet.resources if there and commands and is_away(attempt) else None


def shell_text(body: str, settings: Mapping[str, Any]) -> str:
    """Return what bash runs; on the same lines as in the body, for bash tells of lines."""
    script = script_of(body, str(settings.get("script", "auto")))
    return f"set -euo pipefail; {script}" if settings.get("errexit") else script


def can_resume(profile: Profile) -> bool:
    """Tell whether its tool can go on in a session of its own."""
    return profile.cli is not None and bool(profile.cli.command.resume_args)


def may_have_final_output(profile: Profile, early: tuple[Outcome, str | None, str | None]) -> bool:
    """Tell whether the output of an interrupted or lost attempt is asked: its final event, its session."""
    told = profile.cli is not None and profile.cli.output.final_event is not None
    return (
        (told or can_resume(profile))
        and early[0] in (Outcome.INTERRUPTED, Outcome.LOST)
        and early[1] in (None, ErrorCategory.LOST)
    )

"""Instruments' programs and keys that this shell has and the daemon lacks: by name, with the cure."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from marianne_cli.context import Invocation
from marianne_cli.service import units
from marianned import paths
from marianned.errors import MarianneError
from marianned.formatting import listing
from marianned.places import SLURM

_PATIENCE = 1.0
_OF_SLURM_SECONDS = 25.0
"""How long the daemon may take to say whether Slurm answers it: it waits 15 s for that itself."""


class MissingInDaemon(NamedTuple):
    """Something that the daemon lacks: what it is, and what to type here so that the daemon gets it."""

    said: str
    hints: list[str]


def missing_for_instruments(
    call: Invocation, instruments: Collection[str] | None, job: str | None = None
) -> list[MissingInDaemon]:
    """Compare what these instruments (null: all) need in the daemon with what this shell has.

    `job` is one that waits for it. Empty where no daemon answers at once.
    """
    try:
        with call.connect(timeout=_PATIENCE) as client:
            found = client.request("instrument.list", {}, once=True)["instruments"]
            pid = int((client.server or {}).get("pid") or 0)
    except (MarianneError, OSError):
        return []
    return list(
        _compare([one for one in found if instruments is None or one["name"] in instruments], pid, job)
    )


def note_missing(call: Invocation, instruments: Collection[str] | None, job: str | None = None) -> list[str]:
    """Note on stderr what the daemon lacks; return what to type."""
    hints: list[str] = []
    for lack in missing_for_instruments(call, instruments, job):
        call.note(f"{lack.said}:")
        for hint in lack.hints:
            call.note(f"  {hint}")
        hints += [hint for hint in lack.hints if hint not in hints]
    return hints


def _compare(instruments: list[Mapping[str, Any]], pid: int, job: str | None) -> Iterator[MissingInDaemon]:
    unit = units.unit_of(pid)
    programs: dict[str, str] = {}
    keys: set[str] = set()
    for one in instruments:
        executable = one.get("executable")  # a daemon of before tells none
        here = shutil.which(Path(executable).expanduser()) if executable else None
        if executable and here and one["binary_path"] is None:
            programs[executable] = here
        usable = one["kind"] == "http" or here or one["binary_path"]
        given = [name for name in one["credentials_of"] if os.environ.get(name)]
        if usable and given and not one["credentials"]:
            keys.add(given[0])
    if programs:
        named = listing([f"'{program}' ({here})" for program, here in programs.items()])
        again = [f"mzt resume {job}"] if job else []
        yield MissingInDaemon(
            f"this shell's PATH has {named}, the daemon's has not", [_path_cure(unit), *again]
        )
    if keys:
        named = listing(sorted(keys))
        verb = "is" if len(keys) == 1 else "are"
        once = [f"mzt resume {job} {' '.join(f'-e {key}' for key in sorted(keys))}"] if job else []
        yield MissingInDaemon(
            f"{named} {verb} set in this shell, not in the daemon", [*once, *_variables_cure(unit, keys)]
        )


def missing_for_slurm(pid: int) -> Iterator[MissingInDaemon]:
    """Compare what Slurm's commands need in the daemon of this pid with what this shell has."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return
    its, unit = dict(pair.split("=", 1) for pair in pairs if "=" in pair), units.unit_of(pid)
    here = shutil.which("sbatch")  # the others lie beside it
    if here and not shutil.which("sbatch", path=its.get("PATH", "")):
        yield MissingInDaemon(
            f"this shell's PATH has 'sbatch' ({here}), the daemon's has not", [_path_cure(unit)]
        )
    if os.environ.get("SLURM_CONF") and "SLURM_CONF" not in its:
        yield MissingInDaemon(
            "SLURM_CONF is set in this shell, not in the daemon", _variables_cure(unit, ["SLURM_CONF"])
        )


def slurm_problem(call: Invocation) -> str | None:
    """Ask the daemon why it can't use Slurm; null: it can, or no daemon answers.

    Its environment is closed to this process, so that only its own look tells what is in there.
    """
    try:
        with call.connect(timeout=_OF_SLURM_SECONDS) as client:
            asked = {"name": "cli", "executor": SLURM}  # a shell is there wherever Slurm is
            (found,) = client.request("instrument.check", asked, once=True)["instruments"]
    except (MarianneError, OSError):
        return None
    problem = str(found["problem"] or "")
    return problem if problem.startswith("Slurm ") else None  # else a finding of its own


def slurm_cure(pid: int) -> list[str]:
    """Return what gives the daemon of this pid what Slurm's commands find here."""
    unit = units.unit_of(pid)
    return _variables_cure(unit, ["SLURM_CONF"]) if os.environ.get("SLURM_CONF") else [_path_cure(unit)]


def _path_cure(unit: units.SystemdUnit | None) -> str:
    """Return what gives the daemon this shell's PATH."""
    return "mzt restart" if unit is None else "mzt service install --now"


def _variables_cure(unit: units.SystemdUnit | None, keys: Collection[str]) -> list[str]:
    if unit is None:
        return ["mzt restart"]
    file = paths.configuration_directory() / "environment"
    return [f"(umask 77; env | grep -E '^({'|'.join(sorted(keys))})=' >> {file})", "mzt restart"]

"""The instrument profiles that a score can name: those built in, the user's, and those beside the score.

A profile is a program that runs as whoever reads it. So only files are read that nobody but this user and
root can have written, in directories of which the same is true; the walk upwards from the score ends at the
first directory of which it is not. Source: docs/reference/score-format.md §23.
"""

import os
from typing import NamedTuple

import msgspec

from marianned.instruments.loader import load_profile
from marianned.instruments.profile import Profile
from marianned.paths import configuration_directory
from marianned.problem import ERROR, Problem, make_problem
from marianned.score.read.reader import FileReader
from marianned.score.read.report import ProblemReport

_HERE = ".marianne"
_INSTRUMENTS = "instruments"


class ProfileSet(NamedTuple):
    """Profiles by name, their warnings by name, and the files of those that are not built in."""

    profiles: dict[str, Profile]
    warnings: dict[str, list[Problem]]
    places: dict[str, str]


def find_profiles(
    directory: str,
    builtin: dict[str, Profile],
    reader: FileReader,
    report: ProblemReport,
    files: dict[str, str],
) -> ProfileSet:
    """Search the places of §23, the later one wins; `files` takes the texts that were read.

    Reported are errors (S405), what replaces a built-in profile (S409), and what is not read because
    it may be somebody else's (S408).
    """
    profiles = dict(builtin)
    warnings: dict[str, list[Problem]] = {}
    places: dict[str, str] = {}
    for place in _profile_directories(directory, reader, report):
        for name in reader.names(place):
            path = os.path.join(place, name)  # noqa: PTH118  a text: the reader does the reading
            text = _read_profile(path, reader, report) if name.endswith(".yaml") else None
            if text is None:
                continue
            files[path] = text
            profile, problems = load_profile(text, path)
            report.problems.extend(problem for problem in problems if problem.severity == ERROR)
            if profile is not None:
                before = profiles.get(profile.name)
                if before is not None and before.contain == "hide":  # a wall stays, whoever replaces it
                    profile = msgspec.structs.replace(profile, contain=before.contain)
                profiles[profile.name] = profile
                places[profile.name] = path
                warnings[profile.name] = [problem for problem in problems if problem.severity != ERROR]
    for name in sorted(places.keys() & builtin.keys()):
        _report(report, "S409", places[name], f"profile '{name}' from here replaces the built-in one")
    return ProfileSet(profiles, warnings, places)


def _profile_directories(directory: str, reader: FileReader, report: ProblemReport) -> list[str]:
    """Return the directories of profiles: the user's, then the one nearest to the score."""
    places = [str(configuration_directory() / _INSTRUMENTS)]
    home = reader.home("")
    if home is not None:
        places.insert(0, os.path.join(home, _HERE, _INSTRUMENTS))  # noqa: PTH118  as above
    places = [place for place in places if _is_trusted(place, reader, report)]
    while True:
        place = os.path.join(directory, _HERE, _INSTRUMENTS)  # noqa: PTH118  as above
        why = reader.reason_to_distrust(directory)
        if why is not None:
            if reader.is_directory(place):
                _report(report, "S408", place, f"the profiles here are not read: of '{directory}', {why}")
            return places
        if reader.is_directory(place) or reader.names(place):
            if place in places or not _is_trusted(place, reader, report):
                return places
            return [*places, place]
        parent = os.path.dirname(directory)  # noqa: PTH120  as above
        if parent == directory:
            return places
        directory = parent


def _is_trusted(place: str, reader: FileReader, report: ProblemReport) -> bool:
    """Tell whether profiles are read here: directory and `.marianne` above it are closed to others."""
    for directory in (os.path.dirname(place), place):  # noqa: PTH120  as above
        why = reader.reason_to_distrust(directory)
        if why is not None:
            if reader.is_directory(place):
                _report(report, "S408", place, f"the profiles here are not read: of '{directory}', {why}")
            return False
    return True


def _read_profile(path: str, reader: FileReader, report: ProblemReport) -> str | None:
    try:
        return reader.read_trusted(path).decode("utf-8")
    except OSError as error:
        _report(report, "S408", path, f"this profile is not read: {error.strerror}")
    except UnicodeDecodeError:
        _report(report, "S408", path, "this profile is not read: it is not UTF-8")
    return None


def _report(report: ProblemReport, code: str, file: str, message: str) -> None:
    report.problems.append(make_problem(code, message, file))

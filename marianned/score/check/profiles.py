"""The instrument profiles that a score can name: those built in, the user's, and those beside the score.

Source: docs/reference/score-format.md §23.
"""

import os
from typing import NamedTuple

from marianned.errors import Problem
from marianned.instruments.loader import load_profile
from marianned.instruments.profile import Profile
from marianned.paths import configuration_directory
from marianned.score.check.settings import read_text
from marianned.score.read.reader import Reader
from marianned.score.read.report import ERROR, Report

_HERE = ".marianne"
_INSTRUMENTS = "instruments"


class Found(NamedTuple):
    """Profiles by name, the warnings that came with them, and the files of those that are not built in."""

    profiles: dict[str, Profile]
    warnings: dict[str, list[Problem]]
    places: dict[str, str]


def find_profiles(
    directory: str, builtin: dict[str, Profile], reader: Reader, report: Report, files: dict[str, str]
) -> Found:
    """Search the places of §23, the later one wins; `files` takes the texts that were read."""
    profiles = dict(builtin)
    warnings: dict[str, list[Problem]] = {}
    places: dict[str, str] = {}
    for place in _places(directory, reader):
        for name in reader.names(place):
            if not name.endswith(".yaml"):
                continue
            path = os.path.join(place, name)  # noqa: PTH118  a text: the reader does the reading
            text = read_text(path, reader)
            if text is None:
                continue
            files[path] = text
            profile, problems = load_profile(text, path)
            report.problems.extend(problem for problem in problems if problem.severity == ERROR)
            if profile is not None:
                profiles[profile.name] = profile
                places[profile.name] = path
                warnings[profile.name] = [problem for problem in problems if problem.severity != ERROR]
    return Found(profiles, warnings, places)


def _places(directory: str, reader: Reader) -> list[str]:
    places = [str(configuration_directory() / _INSTRUMENTS)]
    home = reader.home("")
    if home is not None:
        places.insert(0, os.path.join(home, _HERE, _INSTRUMENTS))  # noqa: PTH118  as above
    while True:
        place = os.path.join(directory, _HERE, _INSTRUMENTS)  # noqa: PTH118  as above
        if reader.names(place):
            return [place] if place in places else [*places, place]
        parent = os.path.dirname(directory)  # noqa: PTH120  as above
        if parent == directory:
            return places
        directory = parent

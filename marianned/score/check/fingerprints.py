"""The definition of a sheet as hashes of its aspects, by which a modify tells what differs.

Source: docs/reference/score-format.md §7.3.
"""

import hashlib
from typing import Any

import msgspec

from marianned.score.check.instruments import ResolvedInstrument
from marianned.score.expanded import Check, Expanded, Sheet
from marianned.score.read.model import Score
from marianned.score.read.variables import pack

_ENCODER = msgspec.json.Encoder(order="sorted")
_TIMES = {"timeout_seconds", "timeout_overrides", "working_directory"}
"""Settings whose effect is a field of the sheet: they are compared by that."""


class Digests:
    """Makes the digests of one score's sheets."""

    def __init__(self, score: Score, expanded: Expanded, files: dict[str, str]) -> None:
        self.score = score
        self.expanded = expanded
        self.files = files
        prompt = expanded.prompt
        self.around = [prompt.stakes, prompt.thinking_method, *prompt.extensions]
        self.retry = digest(expanded.retry)
        self.retries = {stage: digest(retry) for stage, retry in expanded.retries.items()}

    def words(self, sheet: Sheet, chosen: ResolvedInstrument, body: str) -> str:
        """Return the hash of a prompt without white space that says nothing; in scripts most of it does."""
        if chosen.profile.raw_prompt:
            bare = body.strip("\n")
            said = (
                body.rstrip("\n") if bare.startswith("#!") else bare
            )  # only a first line names an interpreter
        else:
            said = "\n".join(line.rstrip() for line in body.split("\n")).strip("\n")
        return digest([said, *self.around, *sheet.extensions])

    def of(self, sheet: Sheet, chosen: ResolvedInstrument, body: str) -> dict[str, str]:
        """Return a hash by aspect; `body` is rendered with what comes from earlier sheets left blank.

        A sheet's number is in none of them, so that a sheet which only moves is the same.
        """
        part = self.score.sheet
        settings = {key: value for key, value in sheet.settings.items() if key not in _TIMES}
        system_prompt = self.files.get(sheet.settings.get("system_prompt_file", ""))
        checks = [_defined(check) for check in sheet.checks]
        return {
            "prompt": digest([body, *self.around, *sheet.extensions]),
            "files": digest([part.prelude, part.cadenzas.get(sheet.sheet, []), system_prompt]),
            "instrument": digest(sheet.instrument),
            "settings": digest([settings, sheet.timeout_seconds, sheet.working_directory]),
            "fallbacks": digest([[profile.name, pack(fallback)] for profile, fallback in chosen.fallbacks]),
            "validations": digest(checks),
            "skip": digest(sheet.skip),
            "retry": self.retries.get(sheet.stage, self.retry),
        }


def _defined(check: Check) -> dict[str, Any]:
    """Return what a check is, without its place, and as it was before there were checks of data."""
    found = {**msgspec.structs.asdict(check), "index": 0}
    if check.data is None:
        del found["data"]
    return found


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(_ENCODER.encode(value)).hexdigest()

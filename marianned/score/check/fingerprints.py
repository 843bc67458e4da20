"""The definition of a sheet as hashes of its aspects, by which a modify tells what differs.

Source: docs/reference/score-format.md §7.3.
"""

import hashlib
from typing import Any

import msgspec

from marianned.score.check.instruments import ResolvedInstrument
from marianned.score.expanded import Check, ExpandedScore, SheetDefinition
from marianned.score.read.model import Score
from marianned.score.read.variables import pack

_ENCODER = msgspec.json.Encoder(order="sorted")
_TIMES = {"timeout_seconds", "timeout_overrides", "working_directory"}
"""Settings whose effect is a field of the sheet: they are compared by that."""


class DigestBuilder:
    """Makes the digests of one score's sheets."""

    def __init__(self, score: Score, expanded: ExpandedScore, files: dict[str, str]) -> None:
        self.score = score
        self.expanded = expanded
        self.files = files
        prompt = expanded.prompt
        self.around = [prompt.stakes, prompt.thinking_method, *prompt.extensions]
        self.retry = digest(expanded.retry)
        self.retries = {stage: digest(retry) for stage, retry in expanded.retries.items()}
        self._known: dict[bytes, str] = {}
        self._of_chosen: dict[int, tuple[ResolvedInstrument, dict[str, str]]] = {}

    def of_wording(self, sheet: SheetDefinition, chosen: ResolvedInstrument, body: str) -> str:
        """Return the hash of a prompt without white space that says nothing; in scripts most of it does."""
        if chosen.profile.raw_prompt:
            bare = body.strip("\n")
            said = (
                body.rstrip("\n") if bare.startswith("#!") else bare
            )  # only a first line names an interpreter
        else:
            said = "\n".join(line.rstrip() for line in body.split("\n")).strip("\n")
        return digest([said, *self.around, *sheet.extensions])

    def by_aspect(self, sheet: SheetDefinition, chosen: ResolvedInstrument, body: str) -> dict[str, str]:
        """Return a hash by aspect; `body` is rendered with what comes from earlier sheets left blank.

        A sheet's number is in none of them, so that a sheet which only moves is the same.
        """
        found = {
            "prompt": digest([body, *self.around, *sheet.extensions]),
            **self._of_instrument(sheet, chosen),
            "validations": self._shared([_check_definition(check) for check in sheet.checks]),
            "skip": self._shared(sheet.skip),
            "retry": self.retries.get(sheet.stage, self.retry),
        }
        if cadenzas := self.score.sheet.cadenzas.get(sheet.sheet):
            found["files"] = self._files(sheet, cadenzas)
        return found

    def _of_instrument(self, sheet: SheetDefinition, chosen: ResolvedInstrument) -> dict[str, str]:
        """Return the digests that are the same for all sheets with one instrument and its settings."""
        known = self._of_chosen.get(id(chosen))
        if known is None:
            settings = {key: value for key, value in sheet.settings.items() if key not in _TIMES}
            fallbacks = [[one.profile.name, pack(one.settings)] for one in chosen.fallbacks]
            aspects = {
                "files": self._files(sheet, []),
                "instrument": digest(sheet.instrument),
                "settings": digest([settings, sheet.timeout_seconds, sheet.working_directory]),
                "fallbacks": digest(fallbacks),
            }
            known = self._of_chosen[id(chosen)] = (chosen, aspects)
        return known[1]

    def _files(self, sheet: SheetDefinition, cadenzas: list[Any]) -> str:
        system_prompt = self.files.get(sheet.settings.get("system_prompt_file", ""))
        return digest([self.score.sheet.prelude, cadenzas, system_prompt])

    def _shared(self, value: Any) -> str:
        """Return the digest of a value that many sheets share; each value is hashed once."""
        written = _ENCODER.encode(value)
        known = self._known.get(written)
        if known is None:
            known = self._known[written] = _sha256(written)
        return known


def _check_definition(check: Check) -> dict[str, Any]:
    """Return a check without its index, in the form that it had before there were checks of data."""
    found = {**msgspec.structs.asdict(check), "index": 0}
    if check.data is None:
        del found["data"]
    return found


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return _sha256(_ENCODER.encode(value))


def _sha256(written: bytes) -> str:
    return hashlib.sha256(written).hexdigest()

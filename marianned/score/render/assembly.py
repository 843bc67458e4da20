"""The whole prompt of an attempt: preamble, body, stakes, extensions, acceptance checks, previous attempt.

Identical inputs give identical prompts: no times, no random ids.
Source: docs/reference/score-format.md §9.4, §15.3.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from marianned.score.expanded import Check, DataCheck, ExpandedScore, SheetDefinition
from marianned.score.read.variables import as_json, unpack
from marianned.score.render.prompt_inputs import InjectedTexts, PreviousAttempt
from marianned.score.render.template import names_used

_SECTIONS = {"skill": "## Skills", "tool": "## Tools", "context": "## Context"}
_INTERRUPTED = """## Interrupted

Your work on this was interrupted, and goes on in this session. What is above is the task as it was, repeated
in case it did not reach you. Look at what is there already, leave what is done as it is, and do the rest."""
_TAIL_LINES = 20
_TAIL_CHARACTERS = 2000
_CHECKED = {
    "file_exists": "the file {target} exists",
    "file_modified": "the file {target} exists and has changed",
    "content_contains": "the file {target} contains the text {pattern}",
    "content_regex": "the file {target} matches the regular expression {pattern}",
    "path_in_scope": "the path {target} lies in {data.source}",
    "field_match": "in the file {target} the field {data.field} is {expected}",
    "file_sha256": "the file {target} has the SHA-256 {data.digest}",
    "csv_unique_key": "in the CSV file {target} no value stands twice in the column {data.field}",
    "command_succeeds": "this command exits with 0: {target}",
}


def assemble_prompt(
    expanded: ExpandedScore,
    sheet: int,
    body: str,
    previous_attempt: PreviousAttempt | None,
    injected: InjectedTexts | None = None,
) -> str:
    """Return the prompt of an attempt of a sheet (its number), made around its rendered body."""
    definition = expanded.sheets[sheet - 1]
    profile = expanded.profiles.get(definition.instrument)
    if profile is not None and profile.raw_prompt:
        return body
    prompt = expanded.prompt
    used = names_used(prompt.template)
    parts = [
        _preamble(expanded, definition),
        *_sections(injected or InjectedTexts()),
        body,
        prompt.stakes if "stakes" not in used else "",
        prompt.thinking_method if "thinking_method" not in used else "",
        *prompt.extensions,
        *definition.extensions,
        _acceptance_section(definition.checks),
        _previous_section(previous_attempt) if previous_attempt else "",
    ]
    return _join_parts(part for part in parts if part)


def _join_parts(parts: Iterable[str]) -> str:
    """Join with one empty line between parts; no part is changed."""
    text = ""
    for part in parts:
        if text and not text.endswith("\n\n"):
            text += "\n" if text.endswith("\n") else "\n\n"
        text += part
    return text


def _preamble(expanded: ExpandedScore, definition: SheetDefinition) -> str:
    movement = f' "{definition.movement}"' if definition.movement else ""
    instance = (
        f", instance {definition.instance} of {definition.fan_count}" if definition.fan_count > 1 else ""
    )
    place = (
        f"sheet {definition.sheet} of {len(expanded.sheets)}, stage {definition.stage}{movement}{instance}"
    )
    lines = [f"[job {expanded.name}] {place}"]
    if definition.label:
        lines.append(definition.label)
    lines.append(
        f"Write everything this sheet produces under {expanded.workspace} unless told otherwise below."
    )
    if expanded.parallel.max_concurrent > 1 and not is_sequential(expanded.sheets):
        lines.append("Other sheets of this job may run at the same time in the same workspace.")
    lines.append("Nobody can answer questions while you run. Leave no process running when you finish.")
    return "\n".join(lines)


def is_sequential(sheets: Sequence[SheetDefinition]) -> bool:
    """Whether every two sheets depend on each other, directly or not: nothing can run in parallel."""
    return has_single_path({sheet.sheet: sheet.needs for sheet in sheets})


def has_single_path(needs: dict[int, tuple[int, ...]]) -> bool:
    """Whether a graph has a path through all of its sheets, which must be free of cycles."""
    unmet = {sheet: len(before) for sheet, before in needs.items()}
    followers: dict[int, list[int]] = {sheet: [] for sheet in needs}
    for sheet, before in needs.items():
        for number in before:
            followers[number].append(sheet)
    ready = [sheet for sheet, count in unmet.items() if not count]
    while len(ready) == 1:
        for sheet in followers[ready.pop()]:
            unmet[sheet] -= 1
            if not unmet[sheet]:
                ready.append(sheet)
    return not ready


def _sections(injected: InjectedTexts) -> Iterator[str]:
    for section, title in _SECTIONS.items():
        pieces = [piece for piece in injected.pieces if piece.section == section]
        if pieces:
            yield _join_parts([title, *(f"[file: {piece.name}]\n{piece.text}" for piece in pieces)])


def _acceptance_section(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    ordered = sorted(checks, key=lambda check: (check.stage, check.index))
    lines = [f"{number}. {describe_check(check)}" for number, check in enumerate(ordered, 1)]
    return "\n".join(["## Acceptance checks", "", *lines])


def describe_check(check: Check) -> str:
    """Say what a check checks: the path or command in full, the pattern, the description."""
    data = check.data or DataCheck()
    expected = json.dumps(as_json(unpack(data.expected)), ensure_ascii=False)
    if check.type == "field_match" and data.source is not None:
        expected = f"that of {data.source}, {data.source_field}"
    text = _CHECKED[check.type].format(
        target=check.target, pattern=check.pattern, data=data, expected=expected
    )
    return f"{text} ({check.description})" if check.description else text


def _previous_section(attempt: PreviousAttempt) -> str:
    if attempt.kind == "resumed":
        return _INTERRUPTED
    lines = ["## Previous attempt", "", f"The attempt before this one ended so: {attempt.ending}"]
    if attempt.kind == "completion" and attempt.passed:
        lines += ["", "These checks pass already. Leave what they check as it is:"]
        lines += [f"- {target}" for target in attempt.passed]
    if attempt.failed:
        lines += ["", "These checks failed. Make them pass:"]
        lines += [f"- {target}: {reason}" for target, reason in attempt.failed]
    tail = "\n".join(attempt.stderr_tail.splitlines()[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]
    if tail:
        lines += ["", "The end of its standard error:", "", tail]
    return "\n".join(lines)

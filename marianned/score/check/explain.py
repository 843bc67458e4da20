"""An expanded score as people and scripts see it: `mzt validate --explain`, sheet by sheet.

Source: docs/reference/score-format.md §26.
"""

import hashlib
from typing import Any

import msgspec

from marianned.instruments import command_line
from marianned.score.check.prompts import SAMPLE
from marianned.score.expanded import Check, ExpandedScore, LoopDefinition, SheetDefinition
from marianned.score.read.model import FILE_CHECKS
from marianned.score.read.reader import DiskReader, FileReader
from marianned.score.render.assembly import assemble_prompt
from marianned.score.render.injected_files import inject, stand_ins
from marianned.score.render.prompt_inputs import (
    InjectedTexts,
    RenderError,
    UpstreamOutputs,
    upstream_sheets,
    visible_outputs,
)
from marianned.score.render.template import INJECTED, Renderer, names_used


def explain(
    expanded: ExpandedScore,
    prompts: bool,  # noqa: FBT001  a door agreed on
    reader: FileReader | None = None,
) -> list[dict[str, Any]]:
    """Return the sheets as plain values; with `prompts`, each with the prompt of its first attempt.

    Bodies are rendered with no outputs of earlier sheets; where a template insists on one, with a sample.
    Injected files are those that `reader` (null: this machine) finds now.
    """
    renderer = Renderer(expanded)
    reader = reader or DiskReader()
    try:
        injects = bool(prompts or names_used(expanded.prompt.template) & INJECTED)
    except RenderError:
        injects = prompts
    sheets: list[dict[str, Any]] = []
    for sheet in expanded.sheets:
        injected = _available_injections(renderer, sheet, reader) if injects else InjectedTexts()
        body = _render_body(renderer, sheet, injected)
        described = _describe_sheet(expanded, sheet, body)
        if prompts:
            described["prompt"] = assemble_prompt(expanded, sheet.sheet, body, None, injected)
        sheets.append(described)
    return sheets


def _available_injections(renderer: Renderer, sheet: SheetDefinition, reader: FileReader) -> InjectedTexts:
    """Return the injected files that exist by now; the run may still create the required ones."""
    optional = [msgspec.structs.replace(item, required=False) for item in sheet.injections]
    return inject(
        renderer,
        msgspec.structs.replace(sheet, injections=tuple(optional)),
        _sample_outputs(renderer, sheet),
        reader,
    )


def _sample_outputs(renderer: Renderer, sheet: SheetDefinition) -> UpstreamOutputs:
    seen = visible_outputs(renderer.expanded, sheet.sheet, upstream_sheets(renderer.expanded, sheet.sheet))
    return UpstreamOutputs(outputs=dict.fromkeys(seen, SAMPLE))


def _render_body(renderer: Renderer, sheet: SheetDefinition, injected: InjectedTexts) -> str:
    try:
        return renderer.body(sheet, UpstreamOutputs(), injected)
    except RenderError:
        pass
    try:
        return renderer.body(sheet, _sample_outputs(renderer, sheet), injected)
    except RenderError:
        return renderer.body(sheet, _sample_outputs(renderer, sheet), stand_ins(sheet, SAMPLE))


def _describe_sheet(expanded: ExpandedScore, sheet: SheetDefinition, body: str) -> dict[str, Any]:
    after = [loop.span for loop in expanded.loops if _waits_for(sheet, loop)]
    return {
        "sheet": sheet.sheet,
        "stage": sheet.stage,
        "instance": sheet.instance,
        "fan_count": sheet.fan_count,
        "start_item": sheet.start_item,
        "end_item": sheet.end_item,
        "dependencies": list(sheet.needs),
        **({"after_loops": after} if after else {}),
        "instrument": sheet.instrument,
        "instrument_config": sheet.settings,
        "fallbacks": [fallback.instrument for fallback in sheet.fallbacks],
        "chain": [
            {"instrument": name, "model": command_line.requested_model(expanded.profiles[name], settings)}
            for name, settings in sheet.instruments_in_turn
        ],
        "loop": _describe_loop(expanded, sheet.stage),
        "raw_prompt": expanded.profiles[sheet.instrument].raw_prompt,
        "body": {"chars": len(body), "sha256": hashlib.sha256(body.encode()).hexdigest()},
        "validations": [_describe_check(check) for check in sheet.checks],
    }


def _waits_for(sheet: SheetDefinition, loop: LoopDefinition) -> bool:
    """Tell whether a sheet outside of a loop starts when the loop has ended: it needs a sheet of it."""
    return not loop.first <= sheet.stage <= loop.last and not set(loop.sheets).isdisjoint(sheet.needs)


def _describe_loop(expanded: ExpandedScore, stage: int) -> dict[str, Any] | None:
    """Return the loop that a stage is part of: its span, how many rounds, and whether exactly so many."""
    loop = expanded.loop_of(stage)
    return None if loop is None else {"span": loop.span, "up_to": loop.rounds, "exact": loop.exact}


def _describe_check(check: Check) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": check.index, "type": check.type, "stage": check.stage}
    if check.type in FILE_CHECKS:
        shown["path"] = check.target
    return shown

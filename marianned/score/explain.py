"""An expanded score as people and scripts see it: `mzt validate --explain`, sheet by sheet.

Source: spec/score-format.md §26.
"""

import hashlib
from typing import Any

from marianned.score.assembly import assemble_prompt
from marianned.score.expanded import Check, Expanded, Sheet
from marianned.score.model import FILE_CHECKS
from marianned.score.prompts import SAMPLE
from marianned.score.template import Previous, Renderer, RenderError, seen_outputs, upstream


def explain(expanded: Expanded, prompts: bool) -> list[dict[str, Any]]:  # noqa: FBT001  a door agreed on
    """Return the sheets as plain values; with `prompts`, each with the prompt of its first attempt.

    Bodies are rendered with no outputs of earlier sheets; where a template insists on one, with a sample.
    """
    renderer = Renderer(expanded)
    sheets: list[dict[str, Any]] = []
    for sheet in expanded.sheets:
        body = _body(renderer, sheet)
        described = _described(expanded, sheet, body)
        if prompts:
            described["prompt"] = assemble_prompt(expanded, sheet.sheet, body, None)
        sheets.append(described)
    return sheets


def _body(renderer: Renderer, sheet: Sheet) -> str:
    try:
        return renderer.body(sheet, Previous())
    except RenderError:
        seen = seen_outputs(renderer.expanded, sheet.sheet, upstream(renderer.expanded, sheet.sheet))
        return renderer.body(sheet, Previous(outputs=dict.fromkeys(seen, SAMPLE)))


def _described(expanded: Expanded, sheet: Sheet, body: str) -> dict[str, Any]:
    return {
        "sheet": sheet.sheet,
        "stage": sheet.stage,
        "instance": sheet.instance,
        "fan_count": sheet.fan_count,
        "start_item": sheet.start_item,
        "end_item": sheet.end_item,
        "dependencies": list(sheet.needs),
        "instrument": sheet.instrument,
        "instrument_config": sheet.settings,
        "fallbacks": [fallback.instrument for fallback in sheet.fallbacks],
        "raw_prompt": expanded.profiles[sheet.instrument].raw_prompt,
        "body": {"chars": len(body), "sha256": hashlib.sha256(body.encode()).hexdigest()},
        "validations": [_check(check) for check in sheet.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": check.index, "type": check.type, "stage": check.stage}
    if check.type in FILE_CHECKS:
        shown["path"] = check.target
    return shown

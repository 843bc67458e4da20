"""Variables of a score that are templates themselves: rendered for a sheet before anything uses them.

They know the names of a template but for what comes from other sheets, files and rounds, and each other.
Source: docs/reference/score-format.md §9.6.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from marianned.score.render.prompt_inputs import RenderError

Render = Callable[[str, dict[str, Any]], str]
Names = Callable[[str], frozenset[str]]


def is_dynamic(source: str) -> bool:
    """Tell whether a text can render to something else than itself."""
    return "{{" in source or "{%" in source


class TemplatedVariables:
    """Those of some variables that are templates, by name as they are, in an order that serves their needs.

    `cyclic` are variables that need each other or themselves: they stay as they are. `names` says which names
    a template takes from outside.
    """

    def __init__(self, variables: Mapping[str, Any], built_in: frozenset[str], names: Names) -> None:
        needs: dict[str, set[str]] = {}
        for name, value in variables.items():
            texts = [text for text in _texts_in(value) if is_dynamic(text)]
            if texts and name not in built_in:
                needs[name] = {one for text in texts for one in _names(text, names)} - built_in
        self.order: list[str] = []
        while free := [name for name in needs if not needs[name] & needs.keys()]:
            self.order += free
            for name in free:
                del needs[name]
        self.cyclic = {
            name: sorted(needs[name] & needs.keys()) for name in needs if _needs_itself(name, needs)
        }
        self.order += [name for name in needs if name not in self.cyclic]
        self.variables = {name: variables[name] for name in self.order}

    def render(
        self, values: dict[str, Any], render_template: Render
    ) -> tuple[dict[str, Any], dict[str, RenderError]]:
        """Return the variables as `values` make them, and why the text of one stays as it is, by name."""
        found: dict[str, Any] = {}
        faults: dict[str, RenderError] = {}

        def text(name: str, source: str) -> str:
            try:
                return render_template(source, {**values, **found}) if is_dynamic(source) else source
            except RenderError as fault:
                faults.setdefault(name, fault)
                return source

        for name, value in self.variables.items():
            found[name] = _map_texts(value, partial(text, name))
        return found, faults


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value if isinstance(value, list) else value.values():
            yield from _texts_in(inner)


def _names(text: str, names: Names) -> frozenset[str]:
    try:
        return names(text)
    except RenderError:
        return frozenset()


def _needs_itself(name: str, needs: Mapping[str, set[str]]) -> bool:
    """Whether a variable needs itself, directly or not."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for other in needs.get(waiting.pop(), set()) - seen:
            seen.add(other)
            waiting.append(other)
    return name in seen


def _map_texts(value: Any, text: Callable[[str], str]) -> Any:
    """Return a value in which each text is what `text` makes of it."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_map_texts(item, text) for item in value]
    if isinstance(value, dict):
        return {key: _map_texts(inner, text) for key, inner in value.items()}
    return value

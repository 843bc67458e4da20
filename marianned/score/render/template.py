"""The body of a sheet: its template rendered with its variables, sandboxed and bounded.

Source: docs/reference/score-format.md §9.1 to §9.3, §11.
"""

import copy
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import jinja2
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox

from marianned.score.expanded import ExpandedScore, SheetDefinition
from marianned.score.read.variables import BUILT_IN, unpack
from marianned.score.render.prompt_inputs import CROSS_SHEET, InjectedTexts, RenderError, UpstreamOutputs
from marianned.score.render.shell_bodies import quote_for_shell, shield_lengths, unquoted_outputs
from marianned.score.render.templated_variables import TemplatedVariables

MOST_OUTPUT = 16 * 1024 * 1024
"""Characters of a rendered body; more is refused."""

_MOST_BITS = 1_000_000
_UNDEFINED = re.compile(r"'([^']+)' is undefined")
_TEMPLATE_FILE = "<template>"

INJECTED = frozenset({"injected_context", "injected_skills", "injected_tools"})
"""Names of a template that hold injected texts."""

_GIVEN_LATE = CROSS_SHEET | INJECTED


class _BlankMapping(dict[Any, str]):
    """An empty mapping in which every key asked for is an empty text."""

    def __missing__(self, key: object) -> str:
        return ""


class _UnknownLoop:
    """`loop` where the loops of a score are wrong: any name of its round is a number."""

    previous: Mapping[Any, str] = _BlankMapping()

    def __getattr__(self, name: str) -> int:
        if name.startswith("_"):
            raise AttributeError(name)
        return 1


class _Sandbox(jinja2.sandbox.SandboxedEnvironment):
    """Refuses `*` and `**` where their result would be huge."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(one, int) and hasattr(other, "__len__") and len(other) * one > MOST_OUTPUT:
                    raise OverflowError("the product is too large")
        elif isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > _MOST_BITS:
            raise OverflowError("the power is too large")
        return super().call_binop(context, operator, left, right)


_ENVIRONMENT = _Sandbox(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
_ENVIRONMENT.filters["sh"] = quote_for_shell


class _CompiledTemplate(NamedTuple):
    template: jinja2.Template
    names: frozenset[str]
    unquoted: tuple[int, ...]
    changes: bool
    """Whether it may change the values that it is given."""


@lru_cache(maxsize=256)
def _compile(source: str) -> _CompiledTemplate:
    try:
        source = shield_lengths(source)
        tree = _ENVIRONMENT.parse(source)
        names = jinja2.meta.find_undeclared_variables(tree)
        template = _ENVIRONMENT.from_string(source)
        template.globals = dict(template.globals)  # it is a chain, which is walked through at each rendering
        return _CompiledTemplate(template, frozenset(names), tuple(unquoted_outputs(tree)), _may_change(tree))
    except jinja2.TemplateSyntaxError as problem:
        raise RenderError("S201", problem.message or "bad syntax", problem.lineno) from None
    except (RecursionError, OverflowError, SyntaxError, ValueError, MemoryError) as problem:
        raise RenderError("S203", f"cannot be compiled: {type(problem).__name__}") from None


def _may_change(tree: jinja2.nodes.Template) -> bool:
    """Tell whether a template calls anything but Jinja's own functions: nothing else changes a value."""
    given = {name.name for name in tree.find_all(jinja2.nodes.Name) if name.ctx != "load"}
    own = _ENVIRONMENT.globals.keys() - given
    called = [call.node for call in tree.find_all(jinja2.nodes.Call)]
    return not all(isinstance(node, jinja2.nodes.Name) and node.name in own for node in called)


def template_fault(source: str) -> RenderError | None:
    """Say what is wrong with the syntax of a template, if anything."""
    try:
        _compile(source)
    except RenderError as fault:
        return fault
    return None


def names_used(source: str | None) -> frozenset[str]:
    """Return the names a template takes from outside; none when there is no template."""
    return _compile(source).names if source else frozenset()


def unquoted_lines(source: str | None) -> tuple[int, ...]:
    """Return the lines on which a template has outputs of earlier sheets without the filter `sh`."""
    return _compile(source).unquoted if source else ()


def render_text(source: str, values: dict[str, Any]) -> str:
    """Render a text with these values alone.

    Raises:
        RenderError: it cannot be rendered.
    """
    template = _compile(source).template
    try:
        text = "".join(_check_size(template.generate(values)))
        if not text.isascii():  # a path of odd bytes may stand there; other halves can't be sent
            text.encode(errors="surrogateescape")
        return text  # noqa: TRY300  the text that can't be encoded is one more failure
    except UnicodeEncodeError as problem:
        what = f"it renders U+{ord(problem.object[problem.start]):04X}, half of a character"
        raise RenderError("S203", what) from None
    except jinja2.UndefinedError as problem:
        message = str(problem.message).replace("'types.SimpleNamespace object'", "'loop'")
        name = _UNDEFINED.search(message)
        raise RenderError("S202", message, _error_line(problem), name[1] if name else None) from None
    except Exception as problem:  # noqa: BLE001  a template can raise whatever Python can
        message = str(problem) or type(problem).__name__
        raise RenderError("S203", message.splitlines()[0][:300], _error_line(problem)) from None


def _check_size(pieces: Iterable[str]) -> Iterator[str]:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MOST_OUTPUT:
            raise OverflowError(f"more than {MOST_OUTPUT} characters")
        yield piece


def _error_line(problem: BaseException) -> int | None:
    line = None
    trace = problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _TEMPLATE_FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def templated_variables(variables: dict[str, Any]) -> TemplatedVariables:
    """Return those of some variables that are templates."""
    return TemplatedVariables(variables, BUILT_IN, names_used)


_NOTHING_INJECTED = InjectedTexts()


class Renderer:
    """Renders the bodies of one score; its template is compiled once.

    With `any_loop` a loop of the score is wrong, so that each sheet may be part of it.
    """

    def __init__(self, expanded: ExpandedScore, *, any_loop: bool = False) -> None:
        self.expanded = expanded
        self.any_loop = any_loop
        self._variables: dict[str, Any] = unpack(expanded.prompt.variables)
        self.templates = templated_variables(self._variables)
        self._templated: tuple[SheetDefinition | None, dict[str, Any], dict[str, RenderError]] = (
            None,
            {},
            {},
        )

    def templated(self, sheet: SheetDefinition) -> tuple[dict[str, Any], dict[str, RenderError]]:
        """Return the variables that are templates as they are for a sheet, and why one can't be rendered."""
        if self.templates.variables and self._templated[0] is not sheet:
            known = {**unpack(self.expanded.prompt.variables), **self.built_in(sheet)}
            self._templated = (sheet, *self.templates.render(known, render_text))
        return self._templated[1:]

    def values(
        self,
        sheet: SheetDefinition,
        previous: UpstreamOutputs,
        injected: InjectedTexts | None = None,
        *,
        source: str | None = None,
    ) -> dict[str, Any]:
        """Return all names a template of this sheet has; fresh values, which it may change.

        Where its `source` is known to change none, the variables are the same each time: there may be as
        many of them as sheets.
        """
        texts = injected or _NOTHING_INJECTED
        shared = source is not None and not _compile(source).changes
        return {
            **(self._variables if shared else unpack(self.expanded.prompt.variables)),
            **(copy.deepcopy(self.templated(sheet)[0]) if self.templates.variables else {}),
            **self.built_in(sheet),
            "previous_outputs": dict(sorted(previous.outputs.items())),
            "previous_files": dict(previous.files),
            "skipped_upstream": list(previous.skipped),
            "injected_context": texts.texts("context"),
            "injected_skills": texts.texts("skill"),
            "injected_tools": texts.texts("tool"),
            **self._loop(sheet, previous.round, dict(sorted(previous.earlier.items()))),
        }

    def built_in(self, sheet: SheetDefinition) -> dict[str, Any]:
        """Return the names of §9.2 whose values are known before the run."""
        expanded = self.expanded
        return {
            "sheet_num": sheet.sheet,
            "total_sheets": len(expanded.sheets),
            "start_item": sheet.start_item,
            "end_item": sheet.end_item,
            "stage": sheet.stage,
            "movement": sheet.stage,
            "instance": sheet.instance,
            "voice": sheet.instance,
            "fan_count": sheet.fan_count,
            "voice_count": sheet.fan_count,
            "total_stages": expanded.total_stages,
            "total_movements": expanded.total_stages,
            "workspace": expanded.workspace,
            "score_dir": expanded.directory,
            "instrument_name": sheet.instrument,
            "stakes": expanded.prompt.stakes,
            "thinking_method": expanded.prompt.thinking_method,
        }

    def _loop(self, sheet: SheetDefinition, number: int, earlier: dict[int, str]) -> dict[str, Any]:
        """Return the name `loop` of a sheet that is played in rounds; nothing for others."""
        if self.any_loop:
            return {"loop": _UnknownLoop()}
        loop = self.expanded.loop_of(sheet.stage)
        if loop is None:
            return {}
        return {"loop": SimpleNamespace(**{"round": number, loop.index: number, "previous": earlier})}

    def body(
        self, sheet: SheetDefinition, previous: UpstreamOutputs, injected: InjectedTexts | None = None
    ) -> str:
        """Render the body of a sheet.

        Raises:
            RenderError: it cannot be rendered.
        """
        source = self.expanded.prompt.template
        if source is None:
            total = len(self.expanded.sheets)
            return f"Process items {sheet.start_item} to {sheet.end_item} (sheet {sheet.sheet} of {total})."
        return render_text(source, self.values(sheet, previous, injected, source=source))

    def definition(self, sheet: SheetDefinition, body: str, blank: InjectedTexts | None = None) -> str:
        """Return the body with what comes from earlier sheets left blank; `body` where that cannot be.

        In a loop it is what the first round is told, and what a later one is. `blank` is an empty text for
        each that is injected.
        """
        source = self.expanded.prompt.template
        used = names_used(source)
        rounds = (1, 2) if "loop" in used and self.expanded.loop_of(sheet.stage) else (1,)
        if not used & _GIVEN_LATE and rounds == (1,):
            return body
        values = self.values(sheet, UpstreamOutputs(), blank, source=source)
        values |= {"previous_outputs": _BlankMapping(), "previous_files": _BlankMapping()}
        try:
            return "".join(
                render_text(source or "", values | self._loop(sheet, number, _BlankMapping()))
                for number in rounds
            )
        except RenderError:
            return body

    def text(self, source: str, sheet: SheetDefinition, previous: UpstreamOutputs | None = None) -> str:
        """Render another template of the score for a sheet.

        Raises:
            RenderError: it cannot be rendered.
        """
        return render_text(source, self.values(sheet, previous or UpstreamOutputs(), source=source))


def capture_patterns(expanded: ExpandedScore, sheet: int) -> list[str]:
    """Return the globs whose files the sheet sees as `previous_files`, absolute.

    Raises:
        RenderError: one cannot be rendered.
    """
    renderer = Renderer(expanded)
    rendered = [
        renderer.text(text, expanded.sheets[sheet - 1]) for text in expanded.cross_sheet.capture_files
    ]
    return [os.path.normpath(os.path.join(expanded.workspace, path)) for path in rendered]  # noqa: PTH118  text

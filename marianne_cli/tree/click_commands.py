"""Forms as Click has them: for help, for what is wrong with a line, for completion, and to read any line."""

import inspect
from typing import TYPE_CHECKING, Any

import click

from marianne_cli import options
from marianne_cli.lines import kinds
from marianne_cli.lines.forms import CommandForm, FreeText, Param, ParameterKind, ParsedLine, without_fields
from marianne_cli.lines.misuse import Misuse

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_EMPTY = "it is empty"
_FIELDS = "mzt.fields"
ARGUMENTS = "mzt.arguments"
"""Where the root context keeps the words that were typed."""


class ClickKind(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A ParameterKind as a parameter type of Click."""

    def __init__(self, kind: ParameterKind) -> None:
        self.name = kind.name
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; a default may be read already."""
        if not isinstance(value, str):
            return value
        if not value and not self._kind.may_be_empty:
            self.fail(_EMPTY, param, ctx)
        try:
            return self._kind.convert(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list["CompletionItem"]:
        """Complete it as its kind does."""
        from click.shell_completion import CompletionItem

        found = self._kind.complete(ctx, param.name or "", incomplete)
        return [CompletionItem(name, help=said) for name, said in found]


class ClickPath(click.Path):
    """A path as Click completes it, which is not empty."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        if value == "":
            self.fail(_EMPTY, param, ctx)
        return super().convert(value, param, ctx)


class ClickNumber(click.IntRange):
    """A whole number in a range, with Click's help and completion, and our error message."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            least = "" if self.min is None else f" from {self.min}"
            bounds = f"{least} to {self.max}" if self.max is not None else f"{least} up" if least else ""
            self.fail(f"'{value}' is not a whole number{bounds}", param, ctx)

    def _describe_range(self) -> str:
        return "" if self.min is self.max is None else super()._describe_range()


class FormCommand(click.Command):
    """A Click command that takes `--json=FIELD,...` apart before Click reads the options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the fields out of the words before they are read as options."""
        try:
            return super().parse_args(ctx, take_fields(ctx, args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # Click forgets it where an option lacks its value
            raise


def take_fields(ctx: click.Context, args: list[str]) -> list[str]:
    """Return the words without the fields of `--json=FIELD,...`, which go into the context."""
    words, fields = without_fields(args)
    if fields is not None:
        ctx.meta[_FIELDS] = fields
    return words


def click_command(form: CommandForm) -> click.Command:
    """Return a form as a command of Click's."""

    def run(**values: Any) -> int:
        context = click.get_current_context()
        root = context.find_root()
        default = click.core.ParameterSource.DEFAULT
        typed = frozenset(name for name in values if context.get_parameter_source(name) is not default)
        try:
            return options.run_command(
                form,
                ParsedLine(values, typed, context.meta.get(_FIELDS)),
                root.params,
                arguments=root.meta.get(ARGUMENTS, ()),
            )
        except Misuse as misuse:
            misuse.command = context.info_name
            raise

    epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in form.examples)
    return FormCommand(
        form.name,
        callback=run,
        params=[_option(param) if param.is_option else _argument(param) for param in form.params],
        help=inspect.getdoc(form.function),
        epilog=epilog,
    )


def _option(param: Param) -> click.Option:
    if param.is_flag:
        as_value: dict[str, Any] = {} if param.value is None else {"flag_value": param.value}
        return click.Option([*param.words], is_flag=True, help=param.help, **as_value)
    combined = param.combined
    return click.Option(
        [*param.words],
        metavar=param.metavar,
        type=_click_type(param.kind),
        multiple=param.multiple,
        required=param.required,
        show_default=param.show_default,
        help=param.help,
        callback=None if combined is None else lambda _ctx, _param, value: combined(value),
        **_default(param),
    )


def _argument(param: Param) -> click.Argument:
    return click.Argument(
        [*param.words],
        metavar=param.metavar,
        type=_click_type(param.kind),
        nargs=-1 if param.multiple else 1,
        required=param.required,
        **_default(param),
    )


def _default(param: Param) -> dict[str, Any]:
    return {} if param.default is None else {"default": param.default}


def _click_type(kind: ParameterKind) -> Any:
    """Return Click's own type where it has one, since messages and completion are its."""
    if isinstance(kind, kinds.OneOf):
        return click.Choice(kind.words)
    if isinstance(kind, kinds.WholeNumber):
        return ClickNumber(kind.least, kind.most)
    if isinstance(kind, kinds.FilePath):
        return ClickPath(file_okay=kind.may_be_file)
    return click.STRING if type(kind) is FreeText else ClickKind(kind)

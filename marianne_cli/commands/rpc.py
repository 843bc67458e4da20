"""`mzt rpc`: call a method of the socket; alone, list them."""

from typing import Any

from marianne_cli import exits, options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianne_cli.screens import render
from marianned.decoding import Undecodable, check_depth, from_json
from marianned.errors import MarianneError


@options.command("rpc", "mzt rpc", 'mzt rpc job.pause \'{"job_id": "release-notes"}\'', "mzt rpc --schema")
@options.argument("method", required=False, kind=kinds.Name())
@options.argument("params", metavar="[JSON]", default="{}")
@options.flag("--schema", help="Print the JSON Schema of a method, or of all.")
def command(call: Invocation, *, method: str | None, params: str, schema: bool) -> CommandOutcome:
    """Call a method of the socket and print its result or error as it came."""
    if schema or method is None:
        return _method_line(method, schema=schema)
    try:
        given = from_json(params)
        check_depth(given)
    except Undecodable as error:
        raise Misuse(f"not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise Misuse("params are a JSON object: they are given by name")
    try:
        result = call.client.request(method, given, once=True)
    except MarianneError as error:
        if call.client.refusal is None:
            raise
        exits.print_json(call.client.refusal)
        return CommandOutcome({}, finding=error.code, exit_status=error.exit_status, printed=True)
    exits.print_json(result)
    return CommandOutcome({}, printed=True)


def _method_line(method: str | None, *, schema: bool) -> CommandOutcome:
    from marianned.protocol import METHODS

    if method is not None and method not in METHODS:
        raise Misuse(f"no method '{method}'; mzt rpc lists them")
    names = list(METHODS) if method is None else [method]
    if schema:
        from marianned.protocol.schema import schema_of

        exits.print_json(
            {
                name: {"params": schema_of(METHODS[name].params), "result": schema_of(METHODS[name].result)}
                for name in names
            }
        )
        return CommandOutcome({}, printed=True)
    rows = [
        (name, "changes" if METHODS[name].changes else "looks", _summary(METHODS[name].params))
        for name in names
    ]
    return CommandOutcome(
        {"message": f"{len(names)} methods", "methods": names}, text=render.fit_lines(render.table(rows))
    )


def _summary(kind: type[Any]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]

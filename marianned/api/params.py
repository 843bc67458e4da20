"""Params read by the type of their method; what is wrong with them in words: the place, what is wanted."""

from typing import Any

from marianned import wire
from marianned.decoding import DEPTH_MOST, JsonDecoder, Undecodable, check_depth
from marianned.formatting import did_you_mean
from marianned.protocol import METHODS, Query
from marianned.protocol.field_errors import describe_field_error, shorten

_DECODERS: dict[str, JsonDecoder[Any]] = {
    name: JsonDecoder[Any](method.params) for name, method in METHODS.items()
}


def read_params(request: wire.Request) -> Query[Any]:
    """Decode the params of a request by the type of its method.

    Raises:
        ProtocolFault: there is no such method, or the params are not of its type.
    """
    decoder = _DECODERS.get(request.method)
    if decoder is None:
        hint = did_you_mean(request.method[:200], METHODS)
        raise wire.ProtocolFault(
            wire.METHOD_NOT_FOUND,
            f"no method '{shorten(request.method)}'{f'; {hint}' if hint else ''}",
            request.id,
            hints=["mzt rpc"],
        )
    try:
        params: Query[Any] = decoder.decode(request.params)
    except Undecodable as error:
        kind = METHODS[request.method].params
        said = describe_field_error(kind, request.params, str(error), whose=request.method, called="params")
        raise _invalid(request, said) from None
    for name in params.__struct_fields__:
        try:
            check_depth(getattr(params, name))
        except Undecodable as error:
            raise _invalid(
                request, f"params.{name}: {error}; at most {DEPTH_MOST} levels are taken"
            ) from None
    return params


def _invalid(request: wire.Request, said: str) -> wire.ProtocolFault:
    hints = [f"mzt rpc {request.method} --schema"]
    return wire.ProtocolFault(wire.INVALID_PARAMS, said, request.id, hints=hints)

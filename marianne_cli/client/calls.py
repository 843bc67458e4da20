"""The named methods, the same on both clients: each makes a request of the protocol and asks it.

A method's arguments are the fields of its request; what they mean is told there, and nowhere twice.
"""

import inspect
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from marianne_cli.client.dialling import current_umask
from marianned import protocol as p
from marianned.places import ExecutorName

P = ParamSpec("P")
A = TypeVar("A", bound=p.Reply)
F = TypeVar("F", bound=Callable[..., Any])


def _with_signature_of(call: F, make: Callable[..., object]) -> F:
    """Give a method the signature and the words of its request: help() and the reference page show them."""
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    call.__doc__ = make.__doc__
    vars(call)["__signature__"] = inspect.Signature([own, *inspect.signature(make).parameters.values()])
    return call


def _blocking_method(make: Callable[P, p.Query[A]]) -> Callable[Concatenate[Any, P], A]:
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> A:
        answer: A = self.ask(make(*args, **kwargs))
        return answer

    return _with_signature_of(call, make)


def _async_method(make: Callable[P, p.Query[A]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, A]]:
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> A:
        answer: A = await self.ask(make(*args, **kwargs))
        return answer

    return _with_signature_of(call, make)


def submission(
    text: str,
    *,
    directory: str,
    file: str | None = None,
    workspace: str | None = None,
    env: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    fresh: bool = False,
    before: str | None = None,
    auto_resume: bool = True,
    executor: ExecutorName | None = None,
    reason: str | None = None,
    key: str | None = None,
) -> p.Submit:
    """Start a run of the score `text`, whose relative paths count from `directory`.

    The rest as in `Submit`; this process's working directory and umask go with it.
    """
    return p.Submit(
        text=text,
        directory=directory,
        file=file,
        submit_directory=os.getcwd(),  # noqa: PTH109  as text, as the wire has it
        workspace=workspace,
        env=dict(env or {}),
        variables=dict(variables or {}),
        labels=list(labels),
        umask=current_umask(),
        fresh=fresh,
        before=before,
        auto_resume=auto_resume,
        executor=executor,
        reason=reason,
        key=key,
    )


class ClientMethods:
    """The named methods of the blocking client; each raises MarianneError where it is refused."""

    daemon_status = _blocking_method(p.GetDaemon)
    stop = _blocking_method(p.Stop)
    reload = _blocking_method(p.Reload)
    submit = _blocking_method(submission)
    status = _blocking_method(p.GetJob)
    graph = _blocking_method(p.ReadGraph)
    list = _blocking_method(p.ListJobs)
    wait = _blocking_method(p.WaitFor)
    pause = _blocking_method(p.Pause)
    resume = _blocking_method(p.Resume)
    modify = _blocking_method(p.Modify)
    cancel = _blocking_method(p.Cancel)
    retry = _blocking_method(p.Retry)
    history = _blocking_method(p.ReadHistory)
    attempts = _blocking_method(p.ReadAttempts)
    why = _blocking_method(p.ExplainJob)
    revisions = _blocking_method(p.ReadRevisions)
    remove = _blocking_method(p.Remove)
    backup = _blocking_method(p.WriteBackup)
    read_output = _blocking_method(p.ReadOutput)
    search_output = _blocking_method(p.SearchOutput)
    read_events = _blocking_method(p.ReadEvents)
    validate = _blocking_method(p.Validate)
    instruments = _blocking_method(p.ListInstruments)
    check_instruments = _blocking_method(p.CheckInstruments)
    clear_rate_limits = _blocking_method(p.ClearLimits)


class AsyncClientMethods:
    """The named methods of the anyio client, which are those of `ClientMethods`."""

    daemon_status = _async_method(p.GetDaemon)
    stop = _async_method(p.Stop)
    reload = _async_method(p.Reload)
    submit = _async_method(submission)
    status = _async_method(p.GetJob)
    graph = _async_method(p.ReadGraph)
    list = _async_method(p.ListJobs)
    wait = _async_method(p.WaitFor)
    pause = _async_method(p.Pause)
    resume = _async_method(p.Resume)
    modify = _async_method(p.Modify)
    cancel = _async_method(p.Cancel)
    retry = _async_method(p.Retry)
    history = _async_method(p.ReadHistory)
    attempts = _async_method(p.ReadAttempts)
    why = _async_method(p.ExplainJob)
    revisions = _async_method(p.ReadRevisions)
    remove = _async_method(p.Remove)
    backup = _async_method(p.WriteBackup)
    read_output = _async_method(p.ReadOutput)
    search_output = _async_method(p.SearchOutput)
    read_events = _async_method(p.ReadEvents)
    validate = _async_method(p.Validate)
    instruments = _async_method(p.ListInstruments)
    check_instruments = _async_method(p.CheckInstruments)
    clear_rate_limits = _async_method(p.ClearLimits)

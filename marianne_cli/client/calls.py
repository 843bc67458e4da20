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


def _like(call: F, make: Callable[..., object]) -> F:
    """Give a method the signature and the words of its request: help() and the reference page show them."""
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    call.__doc__ = make.__doc__
    vars(call)["__signature__"] = inspect.Signature([own, *inspect.signature(make).parameters.values()])
    return call


def _named(make: Callable[P, p.Query[A]]) -> Callable[Concatenate[Any, P], A]:
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> A:
        answer: A = self.ask(make(*args, **kwargs))
        return answer

    return _like(call, make)


def _awaited(make: Callable[P, p.Query[A]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, A]]:
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> A:
        answer: A = await self.ask(make(*args, **kwargs))
        return answer

    return _like(call, make)


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


class Calls:
    """The named methods of the blocking client; each raises MarianneError where it is refused."""

    daemon_status = _named(p.GetDaemon)
    stop = _named(p.Stop)
    reload = _named(p.Reload)
    submit = _named(submission)
    status = _named(p.GetJob)
    graph = _named(p.ReadGraph)
    list = _named(p.ListJobs)
    wait = _named(p.WaitFor)
    pause = _named(p.Pause)
    resume = _named(p.Resume)
    modify = _named(p.Modify)
    cancel = _named(p.Cancel)
    retry = _named(p.Retry)
    history = _named(p.ReadHistory)
    attempts = _named(p.ReadAttempts)
    why = _named(p.ExplainJob)
    revisions = _named(p.ReadRevisions)
    remove = _named(p.Remove)
    backup = _named(p.WriteBackup)
    read_output = _named(p.ReadOutput)
    search_output = _named(p.SearchOutput)
    read_events = _named(p.ReadEvents)
    validate = _named(p.Validate)
    instruments = _named(p.ListInstruments)
    check_instruments = _named(p.CheckInstruments)
    clear_rate_limits = _named(p.ClearLimits)


class AsyncCalls:
    """The named methods of the anyio client, which are those of `Calls`."""

    daemon_status = _awaited(p.GetDaemon)
    stop = _awaited(p.Stop)
    reload = _awaited(p.Reload)
    submit = _awaited(submission)
    status = _awaited(p.GetJob)
    graph = _awaited(p.ReadGraph)
    list = _awaited(p.ListJobs)
    wait = _awaited(p.WaitFor)
    pause = _awaited(p.Pause)
    resume = _awaited(p.Resume)
    modify = _awaited(p.Modify)
    cancel = _awaited(p.Cancel)
    retry = _awaited(p.Retry)
    history = _awaited(p.ReadHistory)
    attempts = _awaited(p.ReadAttempts)
    why = _awaited(p.ExplainJob)
    revisions = _awaited(p.ReadRevisions)
    remove = _awaited(p.Remove)
    backup = _awaited(p.WriteBackup)
    read_output = _awaited(p.ReadOutput)
    search_output = _awaited(p.SearchOutput)
    read_events = _awaited(p.ReadEvents)
    validate = _awaited(p.Validate)
    instruments = _awaited(p.ListInstruments)
    check_instruments = _awaited(p.CheckInstruments)
    clear_rate_limits = _awaited(p.ClearLimits)

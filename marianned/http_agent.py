"""Asks a model over HTTP: the program that plays a sheet whose instrument is of kind http.

    python -I -S http_agent.py ASK.json < PROMPT

Prints one JSON object, `{"result", "error", "usage": {"input_tokens", "output_tokens", "cached_tokens"},
"model"}`, and exits with 0 when there is a result. Text in, text out, no tools; it tries once: waiting and
trying again are the daemon's business. It imports nothing of ours, so that it starts in a moment.
Source: docs/reference/score-format.md §23.6.
"""

import http.client
import json
import os
import resource
import sys
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

_ANSWER_MOST = 8 * 1024 * 1024
_MEMORY_MOST = 1024**3
"""Bytes of address space: JSON of a few megabytes can unfold to gigabytes."""
_SAID_MOST = 2_000
_MAX_TOKENS = 16_384
"""What Anthropic's API must be told, where the score says nothing."""


class RequestRefused(Exception):
    """The service has not answered, or not with a result; the message says what it said."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes to the address that it was given for, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def anthropic(ask: dict[str, Any], prompt: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return headers and body of a question to a service like Anthropic's."""
    headers = {"anthropic-version": "2023-06-01"}
    if ask["key"]:
        headers["x-api-key"] = ask["key"]
    body = {
        "model": ask["model"],
        "max_tokens": ask["max_tokens"] or _MAX_TOKENS,
        "messages": [{"role": "user", "content": prompt}],
    }
    if ask["system"]:
        body["system"] = ask["system"]
    return headers, body


def openai(ask: dict[str, Any], prompt: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return headers and body of a question to a service like OpenAI's (chat completions)."""
    headers = {"authorization": f"Bearer {ask['key']}"} if ask["key"] else {}
    system = [{"role": "system", "content": ask["system"]}] if ask["system"] else []
    body = {"model": ask["model"], "messages": [*system, {"role": "user", "content": prompt}]}
    if ask["max_tokens"]:
        body["max_tokens"] = ask["max_tokens"]
    return headers, body


def read_anthropic(answer: dict[str, Any]) -> tuple[str, str | None, dict[str, Any]]:
    """Return the text of an answer, why it is cut, and the tokens that it took."""
    text = "".join(part.get("text", "") for part in answer["content"] if part.get("type") == "text")
    usage = answer.get("usage") or {}
    parts = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    read = sum(usage.get(part) or 0 for part in parts) if "input_tokens" in usage else None
    cut = "max_tokens" if answer.get("stop_reason") == "max_tokens" else None
    return text, cut, _usage(read, usage.get("output_tokens"), usage.get("cache_read_input_tokens"))


def read_openai(answer: dict[str, Any]) -> tuple[str, str | None, dict[str, Any]]:
    """Return the text of an answer, why it is cut, and the tokens that it took."""
    choice = answer["choices"][0]
    usage = answer.get("usage") or {}
    cut = "max_tokens" if choice.get("finish_reason") == "length" else None
    text = choice["message"].get("content") or ""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return text, cut, _usage(usage.get("prompt_tokens"), usage.get("completion_tokens"), cached)


def _usage(tokens_in: Any, tokens_out: Any, cached: Any) -> dict[str, Any]:
    """Return the tokens as they are printed; `cached_tokens` are among `input_tokens`."""
    used = {"input_tokens": tokens_in, "output_tokens": tokens_out}
    return used if cached is None else {**used, "cached_tokens": cached}


_FAMILIES = {"anthropic": (anthropic, read_anthropic), "openai": (openai, read_openai)}


def ask_model(ask: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Ask once; return the object to print.

    Raises:
        RequestRefused: there is no result.
    """
    if ask["family"] not in _FAMILIES:
        raise RequestRefused(f"the schema family '{ask['family']}' is not supported")
    ask["key"] = os.environ.get(ask["key_env"] or "", "").strip()
    if ask["key_env"] and not ask["key"]:
        raise RequestRefused(f"not authenticated: {ask['key_env']} is not set")
    if not (ask["key"].isascii() and (ask["key"].isprintable() or not ask["key"])):
        raise RequestRefused(f"not authenticated: {ask['key_env']} has characters that no key has")
    make, read = _FAMILIES[ask["family"]]
    headers, body = make(ask, prompt)
    if ask["temperature"] is not None:
        body["temperature"] = ask["temperature"]
    answer = _request_json(ask["url"], headers, body, ask["timeout_seconds"])
    try:
        text, cut, usage = read(answer)
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise RequestRefused(f"not an answer of the family {ask['family']}: {_error_text(answer)}") from None
    if cut:
        taken = usage["output_tokens"]
        raise RequestRefused(f"the answer was cut off after {taken} tokens; {cut} allows no more")
    return {"result": text, "error": None, "usage": usage, "model": answer.get("model")}


def _request_json(url: str, headers: dict[str, str], body: dict[str, Any], timeout: float) -> Any:
    if not url.lower().startswith(("http://", "https://")):
        raise RequestRefused(f"{_without_credentials(url)} is not a web address")
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})  # noqa: S310  the profile's own address
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=timeout) as reply:
            said = reply.read(_ANSWER_MOST + 1)
    except urllib.error.HTTPError as error:
        raise RequestRefused(_refusal(error.code, error.headers, _body(error))) from None
    except http.client.HTTPException as error:
        what = type(error).__name__
        raise RequestRefused(
            f"{_without_credentials(url)} answers with something else than HTTP: {what}"
        ) from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        why = getattr(reason, "strerror", None) or reason
        raise RequestRefused(f"{_without_credentials(url)} does not answer: {_error_text(why)}") from None
    except ValueError:  # of headers: its text shows them, and so the key
        raise RequestRefused(
            f"{_without_credentials(url)} can't be asked: the address or a header can't be sent as it is"
        ) from None
    if len(said) > _ANSWER_MOST:
        raise RequestRefused(
            f"{_without_credentials(url)} answers with more than {_ANSWER_MOST // 1024**2} MiB"
        )
    try:
        return json.loads(said)
    except ValueError:
        raise RequestRefused(
            f"{_without_credentials(url)} answers with no JSON: {_error_text(said.decode(errors='replace'))}"
        ) from None
    except RecursionError:
        raise RequestRefused(
            f"{_without_credentials(url)} answers with JSON that is nested too deeply"
        ) from None


def _body(error: urllib.error.HTTPError) -> bytes:
    """Return what came of a refusal's words; a connection that breaks meanwhile takes the rest."""
    try:
        return error.read(_ANSWER_MOST)
    except (OSError, ValueError, http.client.HTTPException):
        return b""


def _without_credentials(url: str) -> str:
    """Return an address without the user and password that it may have."""
    scheme, slashes, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{place.rpartition('@')[2]}{slash}{path}"


def _refusal(status: int, headers: Message, body: bytes) -> str:
    """Say what a service says when it refuses: its status, its words, and when to come again."""
    text = body.decode(errors="replace")
    try:
        error = json.loads(text)["error"]
        said = error if isinstance(error, str) else error["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = text
    again = headers.get("retry-after")
    return f"status {status}: {_error_text(said)}" + (
        f" (retry-after: {_error_text(again)[:100]})" if again else ""
    )


def _error_text(what: Any) -> str:
    return " ".join(str(what).split())[:_SAID_MOST]


def main(file: str) -> int:
    """Ask what `file` says with the prompt from standard input; print the answer."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    least = _MEMORY_MOST if most == resource.RLIM_INFINITY else min(_MEMORY_MOST, most)
    resource.setrlimit(resource.RLIMIT_AS, (least, most))
    ask = json.loads(Path(file).read_text(encoding="utf-8"))
    try:
        told = ask_model(ask, sys.stdin.buffer.read().decode(errors="surrogateescape"))
    except MemoryError:
        told = {
            "result": None,
            "error": "the answer needs too much memory",
            "usage": {},
            "model": ask["model"],
        }
    except RequestRefused as refused:
        told = {"result": None, "error": str(refused), "usage": {}, "model": ask["model"]}
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if told["error"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

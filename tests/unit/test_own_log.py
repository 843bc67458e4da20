"""The log: lines of JSON in a file that is turned over, and no secret in any of them."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from marianned import logs


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    before = list(root.handlers)
    logs.to_file(tmp_path)
    yield tmp_path / "marianned.log"
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()


def lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_record_is_a_line_of_json_with_what_it_is_about(log: Path) -> None:
    logging.getLogger("marianned.test").warning("two\nlines", extra={"job": "notes", "sheet": 2})
    (line,) = lines(log)
    told = {
        "level": "warning",
        "logger": "marianned.test",
        "message": "two\nlines",
        "job": "notes",
        "sheet": 2,
    }
    assert told.items() <= line.items()


@pytest.mark.parametrize(
    "secret", ["sk-abcdefgh12345678", "ghp_abcdefghij1234567890", "AKIAABCDEFGHIJKLMNOP", "an environment's value"]
)  # fmt: skip
def test_a_secret_is_masked_in_message_and_traceback(log: Path, secret: str) -> None:
    logs.hide(["an environment's value"])
    try:
        int(f"key {secret} is refused")
    except ValueError:
        logging.getLogger("marianned.test").exception("told with %s and token=%s", secret, "abc")
    text = log.read_text()
    assert secret not in text
    assert "token=***" in text
    assert "key *** is refused" in lines(log)[0]["traceback"]


def test_a_read_given_up_in_the_moment_it_is_ready_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    asyncios = logging.getLogger("asyncio")
    asyncios.addFilter(logs.is_news)
    loop = asyncio.new_event_loop()
    given_up: asyncio.Future[None] = loop.create_future()
    given_up.cancel()
    try:
        loop.call_soon(given_up.set_result, None)
        loop.call_soon(int, "no number")
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
        asyncios.removeFilter(logs.is_news)
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [ValueError]


def test_what_comes_after_bearer_is_masked_and_common_words_are_not() -> None:
    logs.hide(["dev"])
    assert logs.masked("Authorization: Bearer abc.def-123456; a token of the dev team") == (
        "Authorization: Bearer ***; a token of the dev team"
    )


HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202eevil\n  next"


def test_what_a_log_tells_writes_no_terminal(log: Path) -> None:
    logging.getLogger("marianned.test").warning("said: %s", HOSTILE)
    assert log.read_text().rstrip("\n").isprintable()
    assert lines(log)[0]["message"] == f"said: {HOSTILE}"
    record = logging.LogRecord("marianned.test", logging.INFO, "", 1, "said: %s", (HOSTILE,), None)
    shown = logs._MaskingFormatter("%(message)s").format(record)
    assert shown == "said: \\x1b]52;c;aGk=\\x07\\x1b[2J\\x9b31m\\u202eevil\n  next"


def test_a_full_file_is_put_aside(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (handler,) = [one for one in logging.getLogger().handlers if getattr(one, "baseFilename", "") == str(log)]
    monkeypatch.setattr(handler, "maxBytes", 300)
    for number in range(20):
        logging.getLogger("marianned.test").warning("line %d", number)
    assert sorted(file.name for file in log.parent.iterdir()) == [
        "marianned.log", "marianned.log.1", "marianned.log.2", "marianned.log.3"
    ]  # fmt: skip

"""The native protocol of systemd's journal: fields to search by, and what happens without it."""

import logging
import os
import socket
import struct
import subprocess
import sys

import pytest

from marianned.protocol import Event
from marianned.systemd import journal


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "j"))
        bound.settimeout(5)
        yield bound


@pytest.fixture
def handler(listener):
    made = journal.JournalHandler(listener.getsockname())
    yield made
    made.close()


def received(listener):
    """Read one datagram of the protocol, written a second time."""
    data, fields = listener.recv(1 << 18), {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + length], data[9 + length :]
        fields[name.decode()] = value.decode()
    return fields


def record(level, text, **extra):
    made = logging.LogRecord("marianned.x", level, __file__, 7, text, (), None, "here")
    made.__dict__.update(extra)
    return made


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (logging.CRITICAL, "2"),
        (logging.ERROR, "3"),
        (logging.WARNING, "4"),
        (logging.INFO, "6"),
        (logging.DEBUG, "7"),
    ],
)
def test_a_record_has_syslogs_priority(listener, handler, level, number):
    handler.emit(record(level, "words"))
    fields = received(listener)
    assert (fields["MESSAGE"], fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]) == (
        "words",
        number,
        "marianned",
    )


def test_a_record_names_its_job_sheet_and_attempt_where_it_has_them(listener, handler):
    handler.emit(record(logging.INFO, "two\nlines", job="a", sheet=3, attempt=2))
    fields = received(listener)
    assert (fields["MESSAGE"], fields["JOB"], fields["SHEET"], fields["ATTEMPT"]) == (
        "two\nlines",
        "a",
        "3",
        "2",
    )
    handler.emit(record(logging.INFO, "words"))
    assert "JOB" not in received(listener)


def test_a_task_that_works_for_a_job_need_not_name_it(listener, handler):
    token = journal.current_job.set("mine")
    try:
        handler.emit(record(logging.INFO, "words"))
    finally:
        journal.current_job.reset(token)
    assert received(listener)["JOB"] == "mine"


def test_committed_events_are_told_with_their_fields(listener, handler, monkeypatch):
    monkeypatch.setattr(journal._logger, "handlers", [handler])
    monkeypatch.setattr(journal._logger, "propagate", False)
    monkeypatch.setattr(journal._logger, "level", logging.INFO)
    journal.log_events(
        [Event(event=9, recorded_at="", type="sheet.failed", job_id="a", run=1, sheet=2, text="no")]
    )
    fields = received(listener)
    assert (fields["MESSAGE"], fields["PRIORITY"], fields["EVENT"], fields["SHEET"]) == (
        "a: no",
        "4",
        "9",
        "2",
    )


def test_a_message_too_long_for_a_datagram_is_cut(listener, handler):
    handler.emit(record(logging.INFO, "x" * 10_000_000))
    assert 100_000 < len(received(listener)["MESSAGE"]) < 200_000


def test_stderr_that_is_not_the_journal_gets_plain_lines():
    said = subprocess.run(
        [sys.executable, "-c", "import logging; from marianned import logs; print(logs.set_up()); logging.error('words')"],
        env=os.environ | {"JOURNAL_STREAM": "1:2"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "False\n"
    assert said.stderr.endswith(" ERROR root: words\n")


def test_what_a_journal_does_not_take_is_on_stderr_with_its_priority(listener, handler, capfd):
    listener.close()
    handler.emit(record(logging.ERROR, "two\nlines"))
    assert capfd.readouterr().err == "<3>two\n<3>lines\n"

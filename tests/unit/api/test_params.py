"""What is wrong with params is said in our words: the place, what is wanted, what is near."""

import msgspec
import pytest
from kit.tables import each

from marianned.api.params import read_params
from marianned.decoding import DEPTH_MOST
from marianned.wire import ProtocolFault, Request

SAID = [
    ("conjure", "{}", "no method 'conjure'"),
    ("job.pauze", "{}", "no method 'job.pauze'; did you mean 'job.pause'?"),
    ("job.pause", "{}", "params.job_id: job.pause needs it, text of 1-120 characters"),
    ("job.pause", '{"job": "x"}', "params.job: unknown parameter of job.pause; did you mean 'job_id'?"),
    ("job.pause", '{"job_id": "x", "colour": 1}', "params.colour: unknown parameter of job.pause"),
    ("job.pause", '{"job_id": 3}', "params.job_id: text of 1-120 characters is wanted, not 3"),
    ("job.pause", '{"job_id": ""}', "params.job_id: text of 1-120 characters is wanted, not an empty one"),
    ("job.pause", '{"job_id": "%s"}' % ("x" * 5000), "params.job_id: text of 1-120 characters is wanted, not one of 5,000"),
    ("job.pause", '{"job_id": "x", "timeout": -1}', "params.timeout: a number from 0 to 216000000000 is wanted, not -1"),
    ("job.pause", '{"job_id": "x", "timeout": "5s"}', "params.timeout: a number from 0 to 216000000000 is wanted, not text"),
    ("job.pause", '{"job_id": "x", "wait": null}', "params.wait: true or false is wanted, not null"),
    ("job.pause", '{"job_id": "x", "for": []}', "params.for: a number from 0 to 216000000000 or null is wanted, not a list"),
    ("job.resume", '{"job_id": "x", "env": {"A": 1}}', "params.env: an object of text of at most 131000 characters without zero bytes by names without '=' is wanted, not an object"),
    ("job.resume", '{"job_id": "x", "env": {"A=": "1"}}', "params.env: an object of text of at most 131000 characters without zero bytes by names without '=' is wanted, not an object"),
    ("score.validate", '{"text": "", "submit_directory": "/", "directory": "\\u0000"}', "params.directory: text of at most 4096 characters without zero bytes is wanted, not one with '\\x00'"),
    ("job.resume", '{"job_id": "x", "over_budget": 0}', "params.over_budget: a number above 0 or null is wanted, not 0"),
    ("job.wait", '{"job_id": "x", "words": [1]}', "params.words: a list of text is wanted, not a list"),
    ("daemon.stop", '{"mode": "now"}', "params.mode: 'detach' or 'drain' or 'kill' or 'stay' is wanted, not text"),
    ("events.read", '{"limit": 0}', "params.limit: a whole number from 1 to 1000 is wanted, not 0"),
    ("events.read", '{"after": 1' + "0" * 30 + "}", "params.after: a whole number from 0 to 9007199254740992 is wanted, not "
      "1" + "0" * 30),
    ("job.wait", '{"job_id": "x", "timeout": 1e999}', "params.timeout: a number from 0 to 216000000000 or null is wanted, not a value that can't be read"),
    ("job.pause", '{"job_id": "x", "' + "n" * 99 + '": 1}', "params." + "n" * 39 + "…: unknown parameter of job.pause"),
]  # fmt: skip


@each(("method", "params", "said"), SAID)
def test_what_is_wrong_is_said_with_its_place_and_what_is_wanted(method: str, params: str, said: str) -> None:
    with pytest.raises(ProtocolFault) as caught:
        read_params(Request(id=1, method=method, params=msgspec.Raw(params.encode())))
    assert caught.value.message == said
    assert caught.value.hints == (["mzt rpc"] if "no method" in said else [f"mzt rpc {method} --schema"])


def test_values_that_workers_could_not_be_sent_are_refused_with_their_place() -> None:
    for depth, refused in ((DEPTH_MOST, False), (600, True), (900, True)):
        values = '{"text": "", "submit_directory": "/", "directory": "/", "variables": {"v": %s}}' % (
            "[" * depth + "]" * depth
        )
        request = Request(id=1, method="score.validate", params=msgspec.Raw(values.encode()))
        if not refused:
            read_params(request)
            continue
        with pytest.raises(ProtocolFault) as caught:
            read_params(request)
        assert (
            caught.value.message == "params.variables: it is nested too deeply; at most 100 levels are taken"
        )
        assert caught.value.hints == ["mzt rpc score.validate --schema"]


def test_bytes_that_are_no_text_are_told_without_a_fall() -> None:
    for params in (
        b'{"job_id": "\xff"}',
        b'{"\xff": 1}',
        b'{"job_id": "x", "reason": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ):
        with pytest.raises(ProtocolFault):
            read_params(Request(id=1, method="job.pause", params=msgspec.Raw(params)))

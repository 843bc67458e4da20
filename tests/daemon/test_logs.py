"""log.read and log.follow: what attempts printed, by byte."""

import pytest
from kit.daemon import plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def read(daemon, job, sheet, **params):
    return daemon.rpc("log.read", job_id=job, sheet=sheet, **params)


def test_a_script_too_long_for_an_argument_is_run_all_the_same(daemon, ledger):
    body = plain(1) + "\n" + "# words\n" * 20_000
    daemon.submit(score("solo", [body]))
    assert daemon.wait_for("solo", "ended")["status"] == "completed", daemon.attempts("solo", 1)
    ledger.once(1)
    assert read(daemon, "solo", 1, stream="prompt")["size"] == len(body)

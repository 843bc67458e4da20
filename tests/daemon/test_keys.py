"""Keys: the same request again gets the first answer and changes nothing."""

import pytest
from kit.daemon import gated, plain, score

pytestmark = pytest.mark.one_daemon


def test_a_key_lasts_over_a_kill(daemon, ledger):
    daemon.gate(1)
    text = score("keyed", [gated(1), plain(2)])
    started = daemon.submit(text, key="s")
    ledger.wait_for("start 1")
    first = daemon.rpc("job.pause", job_id="keyed", key="p")
    daemon.kill()
    daemon.start()
    assert daemon.rpc("job.pause", job_id="keyed", key="p") == first
    assert daemon.submit(text, key="s")["run"] == started["run"] == 1
    assert daemon.refusal("job.pause", job_id="keyed", key="p", reason="other").code == "E510"
    assert len(daemon.status("keyed")["holds"]) == 1

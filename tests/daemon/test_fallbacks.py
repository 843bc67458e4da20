"""A sheet goes on with the next instrument of its chain, once, over a pause and a crash."""

import pytest
from kit.falling_back import chained, moves, played, stage_with_fallbacks

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


@pytest.fixture
def stage(house):
    return stage_with_fallbacks(house)


def test_where_it_has_come_to_outlives_a_pause_and_a_kill(stage, ledger):
    (stage.home / "mood-two").write_text("the first answer is always wrong\n")
    text = chained("gone", "two").replace("max_retries: 0", "max_retries: 1\n  base_delay_seconds: 1")
    stage.submit(text)
    ledger.wait_for("try two chained")
    stage.rpc("job.pause", job_id="chained", wait=True)
    stage.kill()
    (stage.home / "mood-two").unlink()
    stage.start()
    assert stage.status("chained")["status"] == "paused"
    assert stage.status("chained")["sheets"][0]["instrument"] == "two"
    stage.rpc("job.resume", job_id="chained")
    assert stage.wait_for("chained", "ended")["status"] == "completed"
    assert played(stage) == [("gone", "failed"), ("two", "failed"), ("two", "succeeded")]
    assert len(moves(stage)) == 1

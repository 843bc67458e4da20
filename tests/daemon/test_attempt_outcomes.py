"""What the end of an attempt means: validations, retries, completions, timeouts, context of earlier sheets."""

import pytest
from kit.daemon import gated, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


@pytest.mark.own_daemon("it is set up")
def test_an_attempt_that_takes_too_long_is_ended_and_timed_out(house, ledger):
    house.configure("kill_grace = 0.2\n")
    house.start()
    house.gate(1)
    body = "trap 'note asked to end' TERM; " + gated(1) + "; note went on; " + gated(1)
    house.submit(score("solo", [body], instrument_config={"timeout_seconds": 0.5}))
    house.wait_for("solo", "failed")
    attempt = house.attempts("solo", 1)[0]
    assert (attempt["outcome"], house.status("solo")["sheets"][0]["error_category"]) == (
        "timed_out",
        "timeout",
    )
    assert "end 1" not in ledger.lines()
    assert house.processes("MARIANNE_JOB=solo") == []


def test_an_executable_that_is_missing_fails_the_sheet_at_once(house):
    directory = house.home / "config" / "marianne" / "instruments"
    directory.mkdir(parents=True)
    (directory / "gone.yaml").write_text(
        "name: gone\nkind: cli\ncli:\n  command: {executable: no-such-agent}\n  output: {format: text}\n"
    )
    house.start()
    house.submit(score("solo", ["true"], instrument="gone", retry={"max_retries": 3}))
    house.wait_for("solo", "failed")
    sheet = house.status("solo")["sheets"][0]
    assert (sheet["error_category"], sheet["attempt_count"]) == ("unavailable", 1)
    assert "no-such-agent" in sheet["error_message"]

"""A rate limit is met once and waited for by all jobs of that account; others go on, and time or hand ends it."""

import pytest
import yaml
from kit.accounts import REFUSAL, asking, limited, stage_with_accounts, tries
from kit.daemon import plain, score


@pytest.fixture
def stage(house):
    return stage_with_accounts(house)


def test_all_jobs_of_the_account_wait_others_go_on_and_a_hand_ends_it(stage, ledger):
    mood = limited(stage, "a", "b")
    stage.submit(asking("c", "two"))
    assert stage.wait_for("c", "ended")["status"] == "completed"
    first, second = stage.status("a")["sheets"][0], stage.status("b")["sheets"][0]
    assert (first["status"], first["waiting_for"]) == ("waiting", "rate_limit")
    assert (second["status"], second["waiting_for"], second["attempt_count"]) == ("pending", "rate_limit", 0)
    assert second["until_at"] == first["until_at"]
    assert stage.status("b")["next"]["code"] == "rate_limit"
    (limit,) = stage.rpc("daemon.status")["rate_limits"]
    assert (limit["instrument"], limit["model"], limit["waiting"]) == ("one", None, 2)
    told = {one["name"]: one for one in stage.rpc("instrument.list")["instruments"]}
    assert (told["one"]["limited_until_at"], told["two"]["limited_until_at"]) == (limit["until_at"], None)
    (reason,) = stage.rpc("job.why", job_id="b")["reasons"]
    assert reason["code"] == "rate_limit"
    assert "waits for the rate limit of one" in reason["text"]
    assert reason["hints"] == ["mzt clear-rate-limits one"]
    assert tries(ledger, "one") == ["try one a"]

    mood.unlink()
    assert stage.rpc("instrument.clear_limits", instrument="two")["cleared"] == 0
    reply = stage.rpc("instrument.clear_limits", instrument="one", reason="plan upgraded")
    assert (reply["cleared"], reply["message"]) == (1, "1 rate limit ended")
    for job in ("a", "b"):
        assert stage.wait_for(job, "ended")["status"] == "completed"
    outcomes = [attempt["outcome"] for attempt in stage.attempts("a", 1)]
    assert outcomes == ["rate_limited", "succeeded"], "no try was used: there is none beside the first"
    assert sorted(tries(ledger, "one")) == ["try one a", "try one a", "try one b"]
    assert stage.rpc("daemon.status")["rate_limits"] == []
    cleared = [event for event in stage.journal() if event["type"] == "limit.cleared"]
    assert [event["reason"] for event in cleared] == ["plan upgraded"]


def test_an_instrument_nobody_knows_has_no_limit_to_clear(stage):
    assert stage.refusal("instrument.clear_limits", instrument="on").code == "E510"
    assert stage.rpc("instrument.clear_limits")["cleared"] == 0


def test_a_job_that_shall_not_wait_is_held_and_the_others_wait_all_the_same(stage):
    (stage.home / "mood-one").write_text(REFUSAL)
    stage.submit(asking("a", "one"), auto_resume=False)
    assert stage.wait_for("a", "paused")["holds"][0]["cause"] == "rate_limit"
    stage.submit(asking("b", "one"))
    assert stage.status("b")["sheets"][0]["waiting_for"] == "rate_limit"


def test_refused_credentials_hold_the_job_once_and_name_them(stage, ledger):
    mood = stage.home / "mood-one"
    mood.write_text("401: invalid API key\n")
    together = {"enabled": True, "max_concurrent": 2}
    stage.submit(asking("a", "one", "one", parallel=together))
    held = stage.wait_for("a", "paused")
    (hold,) = held["holds"]
    assert hold["cause"] == "auth"
    said = "exit code 1: 401: invalid API key"
    assert hold["reason"] == f"one refuses its credentials (ONE_API_KEY or 'one login'): {said}"
    assert said in stage.rpc("job.why", job_id="a")["reasons"][0]["text"]
    assert stage.statuses("a") == ["pending", "pending"]
    mood.unlink()
    stage.rpc("job.resume", job_id="a", env={"ONE_API_KEY": "mended"})
    assert stage.wait_for("a", "ended")["status"] == "completed"


def test_a_model_has_only_so_many_attempts_over_all_jobs(house, ledger):
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    command = {"executable": "bash", "prompt_flag": "-c", "prompt_via_stdin": False, "extra_flags": []}
    models = [{"name": "small", "max_concurrent": 1}]
    told = {
        "name": "narrow",
        "kind": "cli",
        "raw_prompt": True,
        "models": models,
        "cli": {"command": command},
    }
    (place / "narrow.yaml").write_text(yaml.safe_dump(told))
    house.start()
    first, second = house.gate("a"), house.gate("b")
    for job in ("a", "b"):
        text = score(job, [f'note start {job}; read _ < "$HOME/gate-{job}"; note end {job}'])
        house.submit(text.replace("instrument: cli", "instrument: narrow\ninstrument_config: {model: small}"))
    ledger.wait_for("start a")
    house.submit(score("c", [plain("c")]))
    assert house.wait_for("c", "ended")["status"] == "completed"
    assert "start b" not in ledger.lines()
    second.open()
    first.open()
    for job in ("a", "b"):
        assert house.wait_for(job, "ended")["status"] == "completed"
    lines = [line for line in ledger.lines() if not line.endswith(" c")]
    assert lines == ["start a", "end a", "start b", "end b"]

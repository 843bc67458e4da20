"""Injected files in a run: read when the attempt starts, missed with a warning, or missed too much."""

import base64

from kit.daemon import score


def agents(daemon):
    """Give the daemon an agent: bash, which reads its prompt as a script, from a line `BEGIN` on."""
    directory = daemon.home / "config" / "marianne" / "instruments"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "player.yaml").write_text(
        "name: player\nkind: cli\ncli:\n  command: {executable: bash, extra_flags: [], prompt_via_stdin: true}\n"
        "  output: {format: text}\n"
    )


def prompt_of(daemon, job, sheet):
    read = daemon.rpc(
        "log.read", job_id=job, sheet=sheet, attempt=None, stream="prompt", offset=0, limit=100_000
    )
    return base64.b64decode(read["data"]).decode()


def test_a_file_that_an_earlier_sheet_made_is_in_the_prompt_of_the_next(daemon):
    agents(daemon)
    text = score(
        "fed",
        ["echo fresh > made.md", "true"],
        sheet={"prelude": [{"file": "made.md", "as": "context"}], "per_sheet_instruments": {2: "player"}},
    )
    submitted = daemon.submit(text)
    assert [problem["code"] for problem in submitted["problems"]] == ["S504", "S302"]
    daemon.wait_for("fed", "ended")
    assert "## Context\n\n[file: made.md]\nfresh\n\ntrue" in prompt_of(daemon, "fed", 2)
    assert prompt_of(daemon, "fed", 1) == "echo fresh > made.md"
    assert daemon.status("fed")["problems"] == []


def test_a_missing_file_is_told_by_an_event_and_by_status_and_a_required_one_fails_its_sheet(daemon):
    agents(daemon)
    (daemon.home / "bin.dat").write_bytes(b"\xff")
    sheet = {
        "prelude": [{"file": "gone.md", "as": "skill"}],
        "cadenzas": {2: [{"directory": "nowhere", "as": "tool", "required": True}]},
    }
    cross = {"capture_files": [str(daemon.home / "bin.dat")]}
    bodies = ["note start 1", "note start 2"]
    daemon.submit(score("starved", bodies, sheet=sheet, instrument="player", cross_sheet=cross))
    daemon.wait_for("starved", "failed")
    warned = [event["text"] for event in daemon.journal("starved") if event["type"] == "attempt.warned"]
    assert f"sheet 1: captured files are left out: '{daemon.home}/bin.dat' (not UTF-8)" in warned
    assert "sheet 1: the file 'gone.md' is not there" in warned
    status = daemon.status("starved")
    told = [(problem["code"], problem["message"], problem["sheets"]) for problem in status["problems"]]
    assert ("S601", "the file 'gone.md' is not there", [1]) in told
    assert status["sheets"][1]["error_category"] == "config"
    assert "the directory 'nowhere' is not there, and it is required" in status["sheets"][1]["error_message"]

"""What somebody changes in the workspace of a job that stands still: told by name, and a reason to refuse."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kit.daemon import Gate, gated, plain, score

from marianned.conductor.core import drift

WRITES = "echo 1 > made; mkdir -p below; echo 1 > below/other; ln -s made link; "


@pytest.fixture
def place(daemon):
    """The workspace of a job that is paused after its first sheet, which has written there."""
    return paused(daemon, score("duo", [WRITES + gated(1), plain(2)]))


def paused(daemon, text):
    gate = daemon.gate(1)
    reply = daemon.submit(text)
    daemon.ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo")
    gate.open()
    daemon.wait_for("duo", "paused")
    assert isinstance(gate, Gate)
    return Path(reply["workspace"])


def told(daemon):
    """What status says: each file and what became of it."""
    seen = daemon.status("duo")["drift"]
    assert seen["unwatched"] is None
    return {one["path"]: one["how"] for one in seen["changes"]}


def test_what_the_job_itself_wrote_is_none_of_it(daemon, place):
    seen = daemon.status("duo")["drift"]
    assert (seen["changes"], seen["total"], seen["unwatched"]) == ([], 0, None)
    reply = daemon.rpc("job.resume", job_id="duo", expect_clean=True)
    assert reply["drift"] == seen
    assert daemon.wait_for("duo", "completed")["status"] == "completed"
    assert daemon.status("duo")["drift"] is None
    assert list((daemon.state / "workspaces").iterdir()) == []


def test_files_that_were_changed_made_or_taken_away_are_named(daemon, place):
    (place / "made").write_text("longer")
    (place / "new").touch()
    (place / "below" / "other").unlink()
    assert told(daemon) == {"made": "changed", "new": "added", "below/other": "removed"}
    before = daemon.status("duo")
    refused = daemon.refusal("job.resume", job_id="duo", expect_clean=True)
    assert refused.code == "E502"
    assert refused.message == (
        "'duo' is paused; its workspace was changed since then: below/other (gone), made, new (new)"
    )
    assert refused.hints == ["mzt status duo", "mzt resume duo"]
    assert daemon.status("duo") == before
    assert daemon.rpc("job.resume", job_id="duo")["drift"] == before["drift"]


def test_a_time_alone_is_a_change_but_of_a_file_whose_content_counts(daemon):
    check = {"type": "file_exists", "path": "{workspace}/made"}
    place = paused(daemon, score("duo", [WRITES + gated(1), plain(2)], validations=[check]))
    for name in ("made", "below/other"):
        os.utime(place / name, (1, 1))
    assert told(daemon) == {"below/other": "changed"}
    times = (place / "made").stat().st_mtime_ns
    (place / "made").write_text("2\n")  # as long as before, and as old
    os.utime(place / "made", ns=(times, times))
    assert told(daemon)["made"] == "changed"


def test_odd_entries_and_names_are_told_and_nothing_is_opened_or_followed(daemon, place):
    os.mkfifo(place / "pipe")
    (place / "away").symlink_to("/")
    (place / "link").unlink()
    (place / "link").symlink_to("elsewhere")
    (place / "two\nlines").touch()
    (place / os.fsdecode(b"\xff\xfe")).touch()
    (place / "made").unlink()
    (place / "made").mkdir()
    assert told(daemon) == {
        "pipe": "added",
        "away": "added",
        "link": "changed",
        "two\nlines": "added",
        "\\xff\\xfe": "added",
        "made": "removed",
    }


def test_a_pause_outlives_the_daemon_and_so_does_what_is_known(daemon, place):
    (place / "new").touch()
    daemon.kill()
    daemon.start()
    assert told(daemon) == {"new": "added"}
    shutil.rmtree(place)
    seen = daemon.status("duo")["drift"]
    assert (seen["total"], seen["unwatched"]) == (0, f"'{place}' is not there")


@pytest.mark.parametrize("found", ["nothing", "rubbish", "a pipe", "a bomb"])
def test_what_is_remembered_is_a_claim(daemon, place, found):
    (record,) = (daemon.state / "workspaces").iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    record.unlink()
    if found == "rubbish":
        record.write_bytes(b"\x78\x9crubbish")
    elif found == "a pipe":
        os.mkfifo(record)
    elif found == "a bomb":
        import zlib

        record.write_bytes(zlib.compress(b"\0" * 64 * 1024**2))
    assert daemon.status("duo")["drift"] is None
    refused = daemon.refusal("job.resume", job_id="duo", expect_clean=True)
    assert "is not known: nothing was remembered" in refused.message
    daemon.rpc("job.resume", job_id="duo")
    daemon.wait_for("duo", "completed")


def test_what_is_too_much_is_not_watched_and_says_so(daemon, monkeypatch):
    monkeypatch.setattr(drift, "_ENTRIES_MOST", 2)
    paused(daemon, score("duo", [WRITES + gated(1), plain(2)]))
    assert daemon.status("duo")["drift"]["unwatched"] == "too many files to watch: more than 2"
    refused = daemon.refusal("job.resume", job_id="duo", expect_clean=True)
    assert "is not known: too many files to watch" in refused.message


def test_what_takes_too_long_holds_nothing_up(daemon, monkeypatch):
    monkeypatch.setattr(drift, "_SECONDS", 0.0)
    paused(daemon, score("duo", [WRITES + gated(1), plain(2)]))
    assert "takes longer than" in daemon.status("duo")["drift"]["unwatched"]


def test_only_so_many_are_named_and_all_are_counted(daemon, place):
    for number in range(30):
        (place / f"new-{number:02}").touch()
    seen = daemon.status("duo")["drift"]
    assert (len(seen["changes"]), seen["total"]) == (20, 30)
    refused = daemon.refusal("job.resume", job_id="duo", expect_clean=True)
    assert refused.message.endswith("new-03 (new), new-04 (new) (+25 more)")


def test_what_git_ignores_is_not_watched(daemon):
    home = daemon.home / "duo-work"
    home.mkdir()
    git = ["git", "-C", str(home), "-c", "user.name=a", "-c", "user.email=b"]
    (home / ".gitignore").write_text("*.log\ncache/\n")
    (home / "tracked").touch()
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    place = paused(daemon, score("duo", [WRITES + gated(1), plain(2)], workspace=str(home)))
    assert place == home
    (place / "cache").mkdir()
    for name in ("a.log", "cache/b", "new"):
        (place / name).touch()
    (place / "tracked").unlink()
    subprocess.run([*git, "status", "-s"], check=True, capture_output=True)  # it writes its index
    assert told(daemon) == {"new": "added", "tracked": "removed"}
    shutil.rmtree(place / ".git")
    assert daemon.status("duo")["drift"]["unwatched"] == f"git no longer lists the files of '{place}'"


def test_a_job_that_failed_tells_what_was_changed_since(daemon):
    reply = daemon.submit(score("duo", ["exit 1"]))
    daemon.wait_for("duo", "failed")
    Path(reply["workspace"], "mended").touch()
    assert told(daemon) == {"mended": "added"}
    assert daemon.rpc("job.resume", job_id="duo")["drift"]["total"] == 1


def test_a_pause_file_that_is_put_there_is_none_of_it(daemon, place):
    (place / ".marianne-pause-duo").touch()
    (place / ".marianne-pause-other").touch()
    assert told(daemon) == {}


def test_what_is_remembered_goes_with_its_run(daemon, place):
    assert len(list((daemon.state / "workspaces").iterdir())) == 1
    daemon.rpc("job.cancel", job_id="duo", wait=True)
    daemon.rpc("job.remove", job_id="duo")
    assert list((daemon.state / "workspaces").iterdir()) == []


def test_what_a_chained_job_does_there_is_its_own(daemon):
    gate = daemon.gate(9)
    (daemon.home / "child.yaml").write_text(
        score("child", ["echo 1 > of-the-child; " + gated(9)], workspace=str(daemon.home / "duo-work"))
    )
    chain = [{"type": "run_job", "job_path": "child.yaml"}]
    daemon.submit(score("duo", [plain(1)], on_success=chain))
    daemon.ledger.wait_for("start 9")
    daemon.rpc("job.pause", job_id="duo", wait=True)
    assert daemon.status("duo")["drift"]["unwatched"] == "'child@1' works there, which it waits for"
    gate.open()
    daemon.wait_for("child", "completed")
    daemon.event("duo", "hook.completed")
    assert told(daemon) == {}
    daemon.rpc("job.resume", job_id="duo", expect_clean=True)
    daemon.wait_for("duo", "completed")

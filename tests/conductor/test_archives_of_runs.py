"""Workspace life (docs/reference/score-format.md §19): a fresh start moves what lies in the workspace, all of it or nothing."""

from kit.archiving import archived, files, work
from kit.daemon import gated, plain, score


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def run(daemon, text, **params):
    reply = daemon.submit(text, **params)
    daemon.wait_for(reply["job_id"], "completed", "failed")
    return reply


ODD = ["draft 'one' \"two\" ü", "notes\nof today"]


def test_a_fresh_start_archives_and_keeps_what_it_shall(daemon):
    text = archived("arch", [plain(1)])
    run(daemon, text)
    place = work(daemon)
    assert files(place) == {}  # nothing is archived where nothing is
    for name in [*ODD, ".iteration", ".marianne-note", ".coverage"]:
        (place / name).write_text("7")
    (place / "deep" / "er").mkdir(parents=True)
    (place / "deep" / "er" / "x").write_text("x")
    (place / "dangling").symlink_to("nowhere")
    run(daemon, text)
    assert "archive" not in names(place)  # no fresh start
    run(daemon, text, fresh=True)
    kept = {".iteration": "7", ".marianne-note": "7", ".coverage": "7"}
    moved = {f"archive/iteration-7/{name}": "7" for name in ODD} | {"archive/iteration-7/deep/er/x": "x"}
    assert files(place) == kept | moved
    assert (place / "archive" / "iteration-7" / "dangling").is_symlink()
    assert daemon.event("arch", "workspace.archived")["text"].endswith("archive/iteration-7")
    (place / "more").write_text("m")
    run(daemon, text, fresh=True)
    assert (place / "archive" / "iteration-7-1" / "more").exists()
    run(daemon, text, fresh=True)
    assert names(place / "archive") == ["iteration-7", "iteration-7-1"]


def test_names_patterns_and_most(daemon):
    text = archived(
        "arch",
        [plain(1)],
        archive_dir="old runs/ü",
        archive_naming="timestamp",
        max_archives=2,
        preserve_patterns=["keep*", "sub/**"],
    )
    place = work(daemon)
    place.mkdir()
    for number in range(3):
        for name in ("keep-me", "go", ".iteration"):
            (place / name).write_text(str(number))
        (place / "sub").mkdir(exist_ok=True)
        run(daemon, text, fresh=True)
    archives = sorted((place / "old runs" / "ü").iterdir())
    assert names(place) == ["keep-me", "old runs", "sub"]
    assert [(archive / "go").read_text() for archive in archives] == ["1", "2"]
    assert all(archive.name.startswith("archive-2") for archive in archives)


def refusal(daemon, text):
    where = {"directory": str(daemon.home), "submit_directory": str(daemon.home)}
    return daemon.refusal("job.submit", text=text, fresh=True, **where)


def test_a_move_that_fails_starts_nothing(daemon, ledger):
    place = work(daemon)
    place.mkdir()
    (place / "a").write_text("a")
    (place / "z").write_text("a file, so that no directory can be made in it")
    refused = refusal(daemon, archived("arch", [plain(1)], archive_dir="z/y"))
    assert (refused.code, "can't be moved" in refused.message) == ("E508", True)
    assert refusal(daemon, archived("arch", [plain(1)], archive_dir=".")).code == "E508"
    assert (place / "a").read_text() == "a"
    assert ledger.lines() == []
    assert daemon.refusal("job.status", job_id="arch").code == "E501"


def test_it_is_refused_while_another_job_uses_the_workspace(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("other", [gated(1)], workspace="./arch-work"))
    ledger.wait_for("start 1")
    (work(daemon) / "its").write_text("own")
    text = archived("arch", [plain(2)])
    refused = refusal(daemon, text)
    assert (refused.code, "'other'" in refused.message) == ("E502", True)
    assert (work(daemon) / "its").read_text() == "own"
    daemon.gate(1).open()
    daemon.wait_for("other", "completed")
    run(daemon, text, fresh=True)
    assert not (work(daemon) / "its").exists()


def test_a_score_that_chains_to_itself_archives_each_time(daemon, ledger):
    body = 'test ! -e "$HOME/twice" || exit 1; test ! -e "$HOME/once" || touch "$HOME/twice"; touch "$HOME/once" made'
    hook = {"type": "run_job", "job_path": "arch.yaml", "detached": True, "fresh": True}
    concert = {
        "enabled": True,
        "cooldown_between_jobs_seconds": 0,
        "concert_log_path": str(daemon.home / "log"),
    }
    daemon.submit(
        score(
            "arch", [body], workspace_lifecycle={"archive_on_fresh": True}, on_success=[hook], concert=concert
        )
    )
    daemon.event(None, "job.failed", run=3)
    assert [path.name for path in sorted(work(daemon).glob("archive/*/*"))] == ["made", "made"]

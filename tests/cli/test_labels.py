"""Labels: several jobs at once, by what they have in common."""

import pytest
from home_for_tests import GATED, SCORE

pytestmark = pytest.mark.one_daemon


def names(answer):
    return [job["job_id"] for job in answer["jobs"]]


@pytest.mark.own_daemon("its runs are counted from 1")
def test_jobs_are_found_by_the_labels_of_their_score_and_of_their_run(home):
    text = SCORE.format(name="a", body=GATED, words="")
    (home.path / "a.yaml").write_text(text.replace("name: a\n", "name: a\nlabels: [nightly, docs]\n"))
    assert home.json("run", "a.yaml", "-l", "ann")["labels"] == ["nightly", "docs", "ann"]
    home.mzt("run", home.score("b", GATED), "--label", "nightly")
    home.mzt("run", home.score("c", GATED))
    assert sorted(names(home.json("list", "-l", "nightly"))) == ["a", "b"]
    assert names(home.json("list", "-l", "nightly", "-l", "ann")) == ["a"]
    assert names(home.json("list", "-l", "other")) == []
    assert "labels nightly, docs, ann" in home.mzt("status", "a").stdout

    paused = home.json("pause", "-l", "nightly", "--reason", "deploy")["results"]
    assert [one["job_id"] for one in paused] == ["a", "b"]
    assert home.json("status", "c")["status"] != "pausing"
    nobody = home.mzt("pause", "-l", "nihgtly")
    assert (nobody.stdout, nobody.stderr) == ("", "mzt: no job to do it with\n")
    home.mzt("pause", "-l", "nightly", "c", code=2)
    home.let_go(1)
    home.mzt("wait", "-l", "ann", "--for", "paused", "-t", "20", code=None)

    refused = home.mzt("cancel", "-l", "nightly", code=2)
    assert "to cancel 2 jobs with label nightly without being asked, add -y" in refused.stderr
    home.mzt("cancel", "-l", "nightly", "-y", "--wait")
    home.mzt("remove", "-l", "nightly", code=2)
    assert sorted(home.json("remove", "-l", "docs", "--dry-run")["would_remove"]) == ["a@1"]
    home.mzt("remove", "-l", "nightly", "-y")
    assert names(home.json("list", "-a")) == ["c"]


def test_a_modify_brings_the_labels_of_its_score_and_leaves_those_of_the_run(home):
    text = SCORE.format(name="a", body=GATED, words="")
    (home.path / "a.yaml").write_text(text.replace("name: a\n", "name: a\nlabels: [old]\n"))
    home.mzt("run", "a.yaml", "-l", "mine", "--before", "1")
    home.mzt("wait", "a", "--for", "paused", "-t", "20")
    (home.path / "a.yaml").write_text(text.replace("name: a\n", "name: a\nlabels: [new]\n"))
    assert home.json("modify", "a", "-c", "a.yaml")["labels"] == ["new", "mine"]


def test_what_is_no_label_is_refused_with_its_place(home):
    text = SCORE.format(name="a", body="true", words="")
    (home.path / "a.yaml").write_text(text.replace("name: a\n", "name: a\nlabels: [two words]\n"))
    assert "a.yaml:2:10: error S013" in home.mzt("validate", "a.yaml", code=1).stdout
    assert "is not a label" in home.mzt("list", "-l", "two words", code=2).stderr

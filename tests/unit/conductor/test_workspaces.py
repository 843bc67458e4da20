"""A workspace is made with the caller's umask, and nothing that somebody else puts there has its mode changed."""

import os
from pathlib import Path

from marianned.conductor.requests.new_run import make_workspace


def test_it_and_its_parents_are_made_as_the_caller_would(tmp_path):
    make_workspace(tmp_path / "a" / "b", 0o027)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o750, 0o750]


def test_a_link_that_comes_first_leaves_what_it_leads_to_as_it_is(tmp_path, monkeypatch):
    private = tmp_path / "ssh"
    private.mkdir(mode=0o700)
    real = os.mkdir

    def later(path, *words, **more):
        Path(path).symlink_to(private)
        real(path, *words, **more)

    monkeypatch.setattr(os, "mkdir", later)
    make_workspace(tmp_path / "work", 0o022)
    assert private.stat().st_mode & 0o777 == 0o700

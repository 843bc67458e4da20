"""Where this start's attempts lie: made only where all attempts really lie, and made again when it is deleted."""

import re
import shlex
import shutil
import subprocess

import pytest

from marianned import files
from marianned.conductor.capacity import incarnation_directory, mounts
from marianned.store.incarnations import Incarnation


@pytest.fixture
def place(tmp_path):
    """The directory of attempts, on a file system that can be away; the database lies elsewhere."""
    return tmp_path / "mount" / "attempts"


def incarnation(place, number):
    return Incarnation(daemon_id="d", number=number, token="t", attempts=str(place))


def started(place, number, *before):
    """Return the directory of a start, with what the database knows of earlier ones: their places."""
    current = incarnation(place, number)
    known = [incarnation(one, n) for n, one in enumerate(before, 1)]
    return incarnation_directory.IncarnationDirectory(current, [*known, current], place.parents[1] / "state")


def test_the_first_start_makes_a_place_that_is_not_there(place):
    ours = started(place, 1)
    assert ours.why_missing() is None
    assert ours.own == place / "d-1-t"
    assert [one.stat().st_mode & 0o777 for one in (place, ours.own)] == [0o700, 0o700]


@pytest.mark.parametrize("stands", ["nothing", "an empty directory", "another's", "a dangling link"])
def test_a_start_in_a_place_without_what_earlier_ones_have_left_makes_nothing_there(place, stands):
    if stands == "a dangling link":
        place.parent.mkdir()
        place.symlink_to(place.parent / "away")
    elif stands != "nothing":
        place.mkdir(mode=0o755, parents=True)
    if stands == "another's":
        (place / "e-7-t").mkdir()
    ours = started(place, 2, place)
    ours.check()
    empty = place.is_dir()
    told = (
        "has nothing of this daemon in it, as where its file system is not mounted"
        if empty
        else "is not there"
    )
    assert ours.why_missing().startswith(f"'{place}' {told}; bring it back")
    known, state = [incarnation(place, 1)], place.parents[1] / "state"
    assert incarnation_directory.describe_absence(place, known, state) == f"'{place}' {told}"
    assert incarnation_directory.describe_absence(place, [incarnation(place / "b", 1)], state) is None, (
        "none has lain there"
    )
    assert incarnation_directory.describe_absence(place, known, place.parent) is None, (
        "it is beside the database"
    )
    assert [*place.glob("*")] == ([place / "e-7-t"] if stands == "another's" else [])


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """What says on this host what is to be mounted, and what is."""
    for name, file in (("_FSTAB", "fstab"), ("_MOUNTED", "mountinfo")):
        (tmp_path / file).write_text("")
        monkeypatch.setattr(mounts, name, tmp_path / file)
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(mounts, "_UNITS", tmp_path / "units")
    return tmp_path


def should_be_mounted(tables, by, name):
    """Have a table or a unit name it as a mount; return which file does."""
    where = tables / name
    if by == "fstab":
        line = f"server:/x {str(where).replace(' ', chr(92) + '040')} nfs rw 0 0"
        (tables / by).write_text(f"# {where} none\n\nUUID=7 none swap sw 0 0\n{line}\n")
        return tables / by
    told = subprocess.run(["systemd-escape", "-p", where], capture_output=True, text=True, check=True)
    unit = tables / "units" / f"{told.stdout.strip()}.mount"
    unit.write_text("[Mount]\n")
    return unit


@pytest.mark.parametrize("by", ["fstab", "unit"])
@pytest.mark.parametrize("stands", ["nothing", "an empty directory"])
def test_a_new_place_is_not_made_where_something_is_to_be_mounted_and_is_not(tables, by, stands):
    if by == "unit" and shutil.which("systemd-escape") is None:
        pytest.skip("systemd-escape is not installed")
    place = tables / ".a share-ü" / "attempts"
    if stands != "nothing":
        place.parent.mkdir()
    file = should_be_mounted(tables, by, place.parent.name)
    ours = started(place, 1)
    ours.check()
    told = f"'{place.parent}' is not mounted, though {file} names it as a mount"
    assert ours.why_missing().startswith(f"{told}; bring it back; ")
    assert incarnation_directory.describe_absence(place, [], tables / "state") == told
    assert not place.exists()
    escaped = str(place.parent).replace(" ", chr(92) + "040")
    (tables / "mountinfo").write_text(f"36 35 0:50 / {escaped} rw,relatime shared:1 - nfs server:/x rw\n")
    assert ours.why_missing() is None
    assert ours.own.is_dir()


def test_what_it_says_of_a_mount_that_is_not_to_be_waited_for_ends_that(tables):
    place = tables / "share" / "attempts"
    should_be_mounted(tables, "fstab", "share")
    ours = started(place, 1)
    (command,) = re.findall("mkdir [^;]*", ours.why_missing())
    subprocess.run(shlex.split(command), check=True, umask=0o022)
    assert ours.why_missing() is None


def test_what_is_mounted_elsewhere_and_tables_that_are_not_there_say_nothing(tables, monkeypatch):
    should_be_mounted(tables, "fstab", "other")
    assert started(tables / "share" / "attempts", 1).why_missing() is None
    for name in ("_FSTAB", "_MOUNTED", "_UNITS"):
        monkeypatch.setattr(mounts, name, tables / "nowhere")
    assert started(tables / "other" / "attempts", 1).why_missing() is None


def test_it_is_made_as_soon_as_the_place_is_back(place):
    assert started(place, 1).why_missing() is None
    elsewhere = place.with_name("elsewhere")
    place.rename(elsewhere)
    ours = started(place, 2, place)
    assert ours.why_missing()
    elsewhere.rename(place)
    assert ours.why_missing() is None
    assert ours.own.is_dir()


def test_what_it_says_of_a_place_that_is_gone_for_good_ends_that(place):
    ours = started(place, 2, place)
    assert ours.why_missing().partition(" type: ")[2] == f"findmnt -T {place}", "that does no harm"
    (command,) = re.findall("mkdir [^;]*", ours.why_missing())
    subprocess.run(shlex.split(command), check=True, umask=0o022)
    assert ours.why_missing() is None
    shutil.rmtree(ours.own)
    assert ours.why_missing() is None


def test_the_directory_of_an_earlier_release_tells_the_place_too(place):
    (place / "d-1-t").mkdir(mode=0o700, parents=True)
    place.chmod(0o700)
    assert started(place, 3, place, place).why_missing() is None


def test_another_place_by_the_settings_is_made(place):
    ours = started(place, 2, place.with_name("before"))
    assert ours.why_missing() is None


def test_one_that_vanishes_alone_is_made_again_and_one_that_goes_with_its_place_is_not(place):
    ours = started(place, 1)
    ours.why_missing()
    ours.own.rmdir()
    assert ours.why_missing() is None
    assert ours.own.is_dir()
    shutil.rmtree(place)
    place.mkdir(mode=0o700)
    assert ours.why_missing()
    assert [*place.iterdir()] == []


def test_beside_the_database_it_is_always_made(tmp_path):
    place = tmp_path / "state" / "attempts"
    current = incarnation(place, 2)
    ours = incarnation_directory.IncarnationDirectory(
        current, [incarnation(place, 1), current], tmp_path / "state"
    )
    assert ours.why_missing() is None
    shutil.rmtree(place)
    assert ours.why_missing() is None


def test_a_place_that_is_open_to_others_is_refused_at_a_start_and_told_later(place):
    started(place, 1).why_missing()
    place.chmod(0o755)
    ours = started(place, 2, place)
    with pytest.raises(files.UnsuitableFile):
        ours.check()
    assert ours.why_missing() == f"'{place}': it is open to others; type: chmod 700 {place}"


def test_a_file_in_a_new_place_is_refused_and_one_that_came_later_is_told(place):
    place.parent.mkdir()
    place.write_text("")
    with pytest.raises(files.UnsuitableFile, match="not a directory"):
        started(place, 1).check()
    ours = started(place, 2, place)
    ours.check()
    assert ours.why_missing() == f"'{place}' is not a directory; move it away, then bring back what was there"


def test_a_place_that_is_read_only_is_told_until_it_can_be_written(place):
    (place / "d-1-t").mkdir(mode=0o700, parents=True)
    place.chmod(0o700)
    mounted = ["mount", "--bind", str(place), str(place)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        subprocess.check_call(["mount", "-o", "remount,bind,ro", str(place)])
        ours = started(place, 2, place)
        said = f"'{ours.own}' can't be made: Read-only file system; look at it, type: findmnt -T {place}"
        assert ours.why_missing() == said
        subprocess.check_call(["mount", "-o", "remount,bind,rw", str(place)])
        assert ours.why_missing() is None
    finally:
        subprocess.check_call(["umount", str(place)])


def test_of_an_earlier_start_nothing_is_made(place):
    ours = started(place, 2)
    ours.why_missing()
    before = place / "d-1-t"
    assert ours.why_missing(before).startswith(f"'{before}' is not there; bring it back")
    assert not before.exists()
    before.mkdir()
    assert ours.why_missing(before) is None

"""The one place where files are opened that somebody else can write, and that there is no other."""

import ast
import os
import re
from pathlib import Path

import pytest
from kit import trees

import marianned
from marianned import files

HOUSE = Path(marianned.__file__).parent


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "secret").write_text("sk-secret")
    return tmp_path / "work"


def test_a_regular_file_is_read_and_a_larger_one_refused(work):
    (work / "a").write_bytes(b"12345")
    assert files.read(work / "a", 5) == b"12345"
    assert files.head(work / "a", 3) == (b"123", 5)
    assert files.tail(work / "a", 2) == b"45"
    with pytest.raises(files.UnsuitableFile, match="larger than 4 bytes"):
        files.read(work / "a", 4)


def kinds(place):
    os.mkfifo(place / "pipe")
    (place / "directory").mkdir()
    (place / "link to a pipe").symlink_to("pipe")
    (place / "device").symlink_to("/dev/zero")
    return ["pipe", "directory", "link to a pipe", "device"]


def test_nothing_but_a_regular_file_is_opened_and_nothing_waits(work):
    for name in kinds(work):
        for act in (
            lambda path: files.read(path, 10),
            files.open_regular,
            lambda path: files.read_trusted(path, 10),
            lambda path: files.append(path, b"x", 0o600),
        ):
            with pytest.raises(files.UnsuitableFile, match="not a regular file"):
                act(work / name)
        assert files.tail(work / name, 10) == b""


def test_a_name_that_none_can_have_is_an_error_like_others(work):
    for act in (lambda path: files.read(path, 10), files.distrusted):
        with pytest.raises(OSError, match="characters"):
            act(f"{work}/a\0b")
    assert files.names("a\0b") == []


def test_a_link_may_stay_inside_and_not_lead_out(work):
    (work / "here").write_text("mine")
    (work / "inside").symlink_to(work / "here")
    (work / "outside").symlink_to("../secret")
    (work / "elsewhere").symlink_to("..")
    assert files.read(work / "inside", 100, below=work) == b"mine"
    for name in ("outside", "elsewhere/secret"):
        with pytest.raises(files.UnsuitableFile, match="a link leads out of"):
            files.read(work / name, 100, below=work)
    assert files.read(work / "outside", 100) == b"sk-secret"


def test_the_directory_itself_may_be_a_link(work):
    (work / "a").write_text("mine")
    other = work.parent / "other"
    other.symlink_to(work)
    assert files.read(other / "a", 100, below=other) == b"mine"
    sibling = work.parent / "work-2"
    sibling.mkdir()
    (sibling / "a").write_text("not mine")
    (work / "b").symlink_to(sibling / "a")
    with pytest.raises(files.UnsuitableFile):
        files.read(work / "b", 100, below=work)


def test_what_is_appended_to_lies_below(work):
    files.append(work / "log", b"1\n", 0o600, below=work)
    files.append(work / "log", b"2\n", 0o600, below=work)
    assert (work / "log").read_text() == "1\n2\n"
    (work / "bad").symlink_to(work.parent / "secret")
    (work / "dangling").symlink_to(work.parent / "new")
    (work / "up").symlink_to("..")
    for name in ("bad", "dangling", "up/new"):
        with pytest.raises(OSError):  # noqa: PT011  which one is the kernel's business
            files.append(work / name, b"x", 0o600, below=work)
    assert (work.parent / "secret").read_text() == "sk-secret"
    assert not (work.parent / "new").exists()


def test_a_private_file_replaces_a_link_and_follows_none(work):
    (work / "prompt").symlink_to(work.parent / "secret")
    files.write_private(work / "prompt", b"hello")
    assert (work / "prompt").read_bytes() == b"hello"
    assert (work / "prompt").stat().st_mode & 0o777 == 0o600
    assert (work.parent / "secret").read_text() == "sk-secret"
    assert [path.name for path in work.iterdir()] == ["prompt"]


def test_whatever_has_a_name_is_removed_and_nothing_behind_it(work):
    (work / "deep" / "er").mkdir(parents=True)
    os.mkfifo(work / "deep" / "er" / "pipe")
    (work / "deep" / "link").symlink_to(work.parent)
    names = [*kinds(work), "deep"]
    (work / "up").symlink_to("..")
    for name in [*names, "up"]:
        files.remove_tree(work / name)
    assert list(work.iterdir()) == []
    assert (work.parent / "secret").exists()
    with pytest.raises(FileNotFoundError):
        files.remove_tree(work / "gone")


def test_what_others_can_write_is_not_trusted(work):
    file = work / "a"
    file.write_text("x")
    for mode, trusted in ((0o644, True), (0o600, True), (0o666, False), (0o662, False)):
        file.chmod(mode)
        work.chmod(mode | 0o711)
        assert (files.distrusted(work) is None) is trusted
        if trusted:
            assert files.read_trusted(file, 10) == b"x"
        else:
            with pytest.raises(files.UnsuitableFile, match="others can write it"):
                files.read_trusted(file, 10)
    assert files.distrusted(work / "gone") is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to others")
def test_what_another_user_or_group_owns_is_not_trusted(work):
    file = work / "a"
    file.write_text("x")
    os.chown(file, 4001, 0)
    with pytest.raises(files.UnsuitableFile, match="it belongs to"):
        files.read_trusted(file, 10)
    os.chown(file, 0, 4001)
    file.chmod(0o664)
    with pytest.raises(files.UnsuitableFile, match="group 4001 can write it"):
        files.read_trusted(file, 10)
    file.chmod(0o644)
    assert files.read_trusted(file, 10) == b"x"


def test_a_private_directory_is_ones_own_and_closed(work):
    work.chmod(0o700)
    files.check_private(work)
    for mode in (0o701, 0o710, 0o750, 0o777):
        work.chmod(mode)
        with pytest.raises(files.UnsuitableFile, match="open to others"):
            files.check_private(work)
    work.chmod(0o700)
    (work / "file").touch()
    with pytest.raises(files.UnsuitableFile, match="not a directory"):
        files.check_private(work / "file")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to others")
def test_a_private_directory_is_not_where_somebody_else_can_put_another(work):
    ours = work / "ours"
    ours.mkdir(mode=0o700)
    files.check_private(ours)
    work.chmod(0o1777)
    files.check_private(ours)  # as in /tmp: nobody can take it away
    (work / "link").symlink_to(ours)
    files.check_private(work / "link")
    os.chown(work / "link", 4001, 4001, follow_symlinks=False)
    with pytest.raises(files.UnsuitableFile, match=r"link' belongs to"):
        files.check_private(work / "link")
    work.chmod(0o777)
    with pytest.raises(files.UnsuitableFile, match="others than root can write"):
        files.check_private(ours)
    work.chmod(0o755)
    os.chown(work, 4001, 4001)
    with pytest.raises(files.UnsuitableFile, match=r"work' belongs to"):
        files.check_private(ours)


OTHER_WAYS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "touch", "mkstemp", "fdopen"}
SAID = re.compile(rf"\b(?:{'|'.join(OTHER_WAYS)})\b")
ALLOWED = {
    "files.py": "the place itself",
    "http_agent.py": "a program of its own: the file that the daemon has just written for it",
    "moment.py": "/proc",
    "conductor/queries/jobs.py": "/proc",
    "conductor/workspace/archives.py": "handles within an opened directory",
    "executors/forkserver.py": "/proc/self/mem",
    "executors/host/forking.py": "opens a socket, no file",
    "executors/attempt_files.py": "spec.json and claim, made exclusively",
    "executors/host/local.py": "/proc",
    "executors/shim.py": "imports nothing of ours; opens exclusively what it makes",
    "executors/children.py": "imports nothing of ours; /proc",
    "executors/final_event.py": "imports nothing of ours; opened by the descriptor of the runner",
    "executors/limit.py": "imports nothing of ours; O_NOFOLLOW, O_NONBLOCK, its kind is looked at",
    "executors/order.py": "imports nothing of ours; O_NOFOLLOW, O_NONBLOCK, a few bytes",
    "executors/silence.py": "imports nothing of ours; /proc",
    "executors/host/traces.py": "/proc",
    "executors/programs.py": "programs shipped here",
    "conductor/run/attempt.py": "a program shipped here",
    "api/attempt_callers.py": "/proc",
    "code_images.py": "a file in memory",
    "holder.py": "the state directory, without waiting; /proc",
    "nursery.py": "/dev/null, a pipe that it was given, and libraries that it has loaded",
    "probe.py": "/proc",
    "standard_streams.py": "/dev/null",
    "worker_pool.py": "/proc",
    "notifications.py": "opens addresses of the web",
    "instruments/loader.py": "profiles shipped with the program",
    "logs.py": "a descriptor of files.open_to_append",
    "lock.py": "the state directory, which is closed to others; without following links",
    "store/opening.py": "the state directory, and files shipped with the program",
    "store/copies.py": "a backup, made exclusively",
    "store/sql.py": "files shipped with the program",
    "workers.py": "a descriptor of files.open_regular",
}


def other_ways(file: Path) -> list[str]:
    """Return the calls in a module that open or make files."""
    found: list[str] = []
    if not SAID.search(file.read_text()):
        return found  # what is not named is not called: most modules need not be read closely
    for node in ast.walk(trees.tree_of(file)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None)
            if getattr(node.func, "id", None) == "open":
                name = "open"
            of = (
                ast.unparse(node.func.value).rpartition(".")[2]
                if isinstance(node.func, ast.Attribute)
                else ""
            )
            if name in OTHER_WAYS and of not in (
                "files",
                "opening",
                "self",
                "opener",
                "reader",
                "scheduler",
                "_scheduler",
            ):
                found.append(f"{file.relative_to(HOUSE)}:{node.lineno} {name}")
    return found


def test_nothing_in_the_daemon_opens_a_file_any_other_way():
    found = [
        line
        for file in sorted(HOUSE.rglob("*.py"))
        if str(file.relative_to(HOUSE)) not in ALLOWED and "systemd" not in file.parts
        for line in other_ways(file)
    ]
    assert found == [], "use marianned/files.py, which asks what lies there before it reads it"

"""Runs whose workspaces are archived by the next fresh one, and what lies there."""

from kit.daemon import score


def archived(name, bodies, workspace=None, **lifecycle):
    top = {"workspace": workspace} if workspace else {}
    return score(name, bodies, workspace_lifecycle={"archive_on_fresh": True, **lifecycle}, **top)


def work(house, name="arch"):
    return house.home / f"{name}-work"


def files(directory):
    """Return what lies below a directory, and what is in it."""
    return {
        str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()
    }

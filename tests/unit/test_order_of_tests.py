"""How the tests themselves are shared out (tests/kit/order.py)."""

from pathlib import Path
from types import SimpleNamespace

from kit import order


def item(name, *marks, place="unit"):
    marked = [SimpleNamespace(name=mark) for mark in marks]
    return SimpleNamespace(name=name, path=Path(place) / "test_it.py", iter_markers=lambda: marked)


def test_each_share_begins_with_what_is_long_and_what_shares_a_cluster_is_in_as_many_as_are_said(monkeypatch):
    monkeypatch.setitem(order.TOGETHER, "slurm", 3)
    items = [item(f"{n}") for n in range(30)]
    items += [item(f"s{n}", "slurm", "slow") for n in range(4)]
    items += [item(f"w{n}", place="web") for n in range(3)]
    items += [item(f"c{n}", "crash") for n in range(6)]
    names = [one.name for one in order.arranged(items, 4)]
    assert sorted(names) == sorted(one.name for one in items)
    shares = [names[:10], names[10:21], names[21:32], names[32:]]
    assert [[name for name in share if not name.isdecimal()] for share in shares] == [
        ["s0", "s3", "c1", "c5"], ["s1", "c2"], ["s2", "c3"], ["w0", "w1", "w2", "c0", "c4"],
    ]  # fmt: skip
    assert not any(name.isdecimal() for share in shares for name in share[:2])


def test_of_a_few_that_are_all_alike_none_is_lost():
    items = [item(f"s{n}", "slurm") for n in range(5)] + [item("1")]
    assert len(order.arranged(items, 4)) == 6

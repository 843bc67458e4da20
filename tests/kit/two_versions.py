"""A score and the one that takes its place."""

from kit.daemon import gated, plain, score


def first(name="trio"):
    return score(name, [gated(1), plain(2), plain(3)])


def second(name="trio"):
    return score(name, [gated(1), "note start 2; note new 2; note end 2", plain(3), plain(4)])

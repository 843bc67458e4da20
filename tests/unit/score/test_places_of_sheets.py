"""Where sheets run, and what they get there: stage over instrument over score."""

from kit.tables import each
from scores import compiled, expanded, score

THERE = "executor: {type: slurm, partition: main, cpus: 2, arguments: [--x]}\n"


def resources(text):
    return [sheet.resources for sheet in expanded(text).sheets]


def test_the_score_says_it_for_all_and_a_stage_for_itself():
    text = score() + THERE + "movements: {2: {executor: local}, 3: {executor: {partition: big}}}\n"
    whole = expanded(text)
    assert whole.executor == "slurm"
    assert [sheet.resources.executor for sheet in whole.sheets] == [None, "local", None, None]
    assert [sheet.resources.partition for sheet in whole.sheets] == ["main", "main", "big", "main"]


def test_a_stage_wins_over_the_instrument_key_by_key_and_arguments_follow_each_other():
    own = "instrument: own\ninstruments: {own: {profile: cli, executor: {type: slurm, cpus: 4, arguments: [--y]}}}\n"
    text = score(instrument=None) + own + THERE + "movements: {2: {executor: {cpus: 8, arguments: [--z]}}}\n"
    first, second, *_ = resources(text)
    assert (first.executor, first.cpus, first.arguments) == ("slurm", 4, ("--x", "--y"))
    assert (second.executor, second.cpus, second.arguments) == ("slurm", 8, ("--x", "--y", "--z"))


def test_a_key_of_a_nearer_place_wins_over_an_argument_of_a_wider_one():
    wide = "executor: {type: slurm, arguments: [--partition=main, --hold]}\n"
    text = (
        score() + wide + "movements: {2: {executor: {partition: big}}, 3: {executor: {arguments: [-pbig]}}}\n"
    )
    told = [(one.partition, one.arguments) for one in resources(text)[:3]]
    assert told == [
        (None, ("--partition=main", "--hold")),
        ("big", ("--hold",)),
        (None, ("--hold", "-pbig")),
    ]


def test_it_is_no_aspect_of_a_sheet():
    def digests(text):
        return [sheet.digests for sheet in expanded(text).sheets]

    assert digests(score()) == digests(score() + THERE)


@each(
    "given",
    ["executor: moon", "executor: {cpus: 0}", "executor: {memory: lots}", "executor: {arguments: [x]}"],
)
def test_what_no_cluster_takes_is_refused(given):
    assert compiled(score() + given + "\n").expanded is None

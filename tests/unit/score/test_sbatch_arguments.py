"""Which arguments of sbatch a score or a site may not give, however they are written, and what is said of them."""

import pytest
from kit.tables import each
from scores import compiled, marked, score

from marianned.config import ConfigError, load_settings
from marianned.score.read import sbatch

KEPT = {
    "--test-only": "test-only",
    "--test-o": "test-only",
    "--parsable": "parsable",
    "--wrap=true": "wrap",
    "--wr": "wrap",
    "--array=0-9": "array",
    "-a0-9": "array",
    "--wait": "wait",
    "-W": "wait",
    "-HW": "wait",
    "-sOvW": "wait",
    "--requeue": "requeue",
    "--no-req": "no-requeue",
    "--output=x": "output",
    "-o/dev/stdout": "output",
    "-e": "error",
    "--job-n": "job-name",
    "-Jx": "job-name",
    "--export=NONE": "export",
    "--export-f=x": "export-file",
    "-D/tmp": "chdir",
    "-Mall": "clusters",
    "-Q": "quiet",
    "--uid=1": "uid",
    "-V": "version",
    "--usage": "usage",
}
MAY = [
    *(
        "--hold",
        "-H",
        "--account=lab7",
        "-Alab7",
        "-pW",
        "-kW",
        "-wo",
        "-Lx:Q",
        "--gres=gpu:1",
        "-t90",
        "--time=5",
    ),
    *(
        "--exclusive",
        "--exclude=n1",
        "--nodes=1",
        "--mem=4G",
        "--wckey=a",
        "--wait-all-nodes=1",
        "--comment=--wrap",
    ),
    *("--nice", "--reservation=a", "--begin=now+1hour", "--dependency=singleton", "-v", "--error-codes"),
]


@each(("word", "name"), KEPT.items())
def test_what_is_ours_or_makes_something_else_of_a_job_is_refused_as_sbatch_reads_it(word, name):
    said = sbatch.reason_to_refuse(word)
    assert said is not None
    assert f"'--{name}'" in said


@each("word", MAY)
def test_all_others_may_be_given(word):
    assert sbatch.reason_to_refuse(word) is None


@each("word", ["-", "--"])
def test_what_is_no_option_is_refused(word):
    assert sbatch.reason_to_refuse(word) == f"'{word}' is no option of sbatch's"


@each(
    "given",
    [
        "executor: {type: slurm, arguments: [--hold, «--test-o]}\n",
        "movements: {2: {executor: {type: slurm, arguments: [«--test-o]}}}\n",
        "instruments: {own: {profile: tool, executor: {arguments: [«--test-o]}}}\n",
    ],
)
def test_a_score_is_told_where_it_stands_and_what_to_do(given):
    text, line, column = marked(score() + given)
    (problem,) = [one for one in compiled(text).problems if one.severity == "error"]
    assert (problem.code, problem.line, problem.column, problem.hint) == ("S412", line, column, "remove it")
    assert (
        problem.message
        == "'--test-o' is sbatch's '--test-only'; it can't be given here: nothing would be submitted"
    )


def test_so_is_the_setting(tmp_path):
    (tmp_path / "config.toml").write_text('[slurm]\narguments = ["--account=a", "--wait"]\n')
    with pytest.raises(ConfigError) as error:
        load_settings(tmp_path)
    said = "'--wait' can't be given here: sbatch would not answer before the job has ended; remove it"
    assert str(error.value) == f"{tmp_path}/config.toml:2:13: 'slurm.arguments': {said}"


@pytest.mark.parametrize("word", ["n9", "nosuch", "script.sh"])
def test_what_is_no_option_is_told_how_one_is_written_in_score_and_setting(word, tmp_path):
    said = f"'{word}' is not an option; one begins with -, and has its value in the same word: --nodelist=n9"
    problems = compiled(score() + f"executor: {{type: slurm, arguments: [-w, {word}]}}\n").problems
    assert [one.message for one in problems if one.severity == "error"] == [said]
    (tmp_path / "config.toml").write_text(f'[slurm]\narguments = ["-w", "{word}"]\n')
    with pytest.raises(ConfigError, match=f"'slurm.arguments': {said}"):
        load_settings(tmp_path)


BEATEN = [
    ("partition", "--partition=a", "-pa", "--part=a"),
    ("account", "--account=a", "-Aa"),
    ("qos", "--qos=a", "-qa"),
    ("cpus", "--cpus-per-task=2", "-c2", "--cpus-per-gpu=2"),
    ("memory", "--mem=1G", "--mem-per-cpu=1G", "--mem-per-gpu=1G"),
    ("gpus", "--gpus=1", "-G1"),
    ("constraint", "--constraint=a", "-Ca"),
    ("time_limit", "--time=5", "-t5", "--time-min=5"),
]


@each(("key", "word"), [(key, word) for key, *words in BEATEN for word in words])
def test_what_a_nearer_place_says_by_a_key_or_an_argument_a_wider_one_does_not(key, word):
    others = [one for other, *words in BEATEN if other != key for one in words]
    others += ["--hold", "--comment=p", "--nodelist=n1", "-pa" if key != "partition" else "-H"]
    wide = [*others[:3], word, *others[3:]]
    assert sbatch.arguments_in_force(wide, {key}, ()) == others
    assert sbatch.arguments_in_force(wide, (), [word]) == others
    assert sbatch.arguments_in_force(wide, {"executor", "arguments"}, ["--hold"]) == wide


def test_of_letters_in_one_word_only_the_one_that_is_beaten_is_left_out():
    assert sbatch.arguments_in_force(["-Hpa", "-Hva"], {"partition"}, ()) == ["-H", "-Hva"]
    assert sbatch.arguments_in_force(["-pa"], (), ["-Hpb"]) == []

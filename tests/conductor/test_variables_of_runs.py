"""What a sheet is given, and who can see it."""

from kit.daemon import gated, plain, score
from kit.tables import each


def test_a_sheet_has_its_names_and_numbers(daemon, ledger):
    body = (
        'note "$MARIANNE_JOB" "$MARIANNE_RUN" "$MARIANNE_SHEET" "$MARIANNE_STAGE" "$MARIANNE_INSTANCE"'
        ' "$MARIANNE_ATTEMPT" "$MARIANNE_WORKSPACE" "$MARIANNE_SOCKET" "$PWD"'
    )
    daemon.submit(
        score(
            "fan", ["true", body, body], sheet={"total_items": 2, "fan_out": {2: 2}, "dependencies": {2: [1]}}
        )
    )
    daemon.wait_for("fan", "completed")
    place = daemon.home / "fan-work"
    assert ledger.lines() == [
        f"fan 1 2 2 1 1 {place} {daemon.socket} {place}",
        f"fan 1 3 2 2 1 {place} {daemon.socket} {place}",
    ]


def test_every_attempt_has_an_id_of_its_own(daemon, ledger):
    body = 'note id "$MARIANNE_ATTEMPT_ID"'
    daemon.submit(score("duo", [body, body]))
    daemon.wait_for("duo", "completed")
    daemon.submit(score("duo", [body, body]))
    daemon.wait_for("duo", "completed")
    assert len(set(ledger.lines())) == 4


@each("seed", ["'", '"', "$HOME", "`id`", "\\", "ü", "two\nlines", "{{ x }}"])
def test_a_variable_arrives_byte_for_byte(daemon, ledger, seed):
    daemon.submit(score("solo", ['printf %s "$ODD" > odd']), env={"ODD": f"a{seed}b"})
    daemon.wait_for("solo", "completed")
    assert (daemon.home / "solo-work" / "odd").read_text() == f"a{seed}b"


def test_a_job_does_not_see_the_variables_of_another(daemon, ledger):
    daemon.submit(score("one", ['note "one $KEY"']), env={"KEY": "first"})
    daemon.submit(score("two", ['note "two $KEY"']))
    daemon.wait_for("one", "completed")
    daemon.wait_for("two", "completed")
    assert sorted(ledger.lines()) == ["one first", "two "]


def test_they_last_over_a_kill(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), 'note "$KEY"; ' + plain(2)]), env={"KEY": "kept"})
    ledger.wait_for("start 1")
    daemon.kill()
    daemon.start()
    daemon.gate(1).open()
    daemon.wait_for("duo", "completed")
    assert "kept" in ledger.lines()

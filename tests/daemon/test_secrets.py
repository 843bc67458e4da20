"""What is given as environment is nowhere to be read: not in the log, not in the journal, not in a reply."""

import json

from daemon_for_tests import score

SECRET = "hunter2-and-more"


def test_a_secret_of_the_environment_is_in_no_log_event_or_reply(house):
    house.environment["OWN_API_TOKEN"] = "own-" + SECRET
    house.start()
    house.submit(score("solo", ["test -n $DEPLOY_KEY"]), env={"DEPLOY_KEY": SECRET})
    house.wait_for("solo", "completed")
    replies = [
        house.journal(),
        house.rpc("job.status", job_id="solo", sheets="1"),
        house.rpc("job.history", job_id="solo"),
        house.rpc("job.list"),
        house.rpc("job.revisions", job_id="solo", revision=1),
        house.rpc("job.why", job_id="solo"),
        house.rpc("daemon.status", metrics=True),
    ]
    assert SECRET not in json.dumps(replies)
    house.stop()
    written = (house.state / "marianned.log").read_text()
    assert all(json.loads(line)["message"] for line in written.splitlines())
    assert "has stopped" in written
    assert SECRET not in written + house.log.read_text()
    house.start()

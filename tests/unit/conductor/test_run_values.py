"""Values that a run is given: kept with its revisions, over a modify and a restart; plans and hints know them."""

import pytest
from kit.conducting import ME, conducting
from kit.memory import MemoryExecutor

from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.queries.on_record import RecordQueries
from marianned.errors import BadRequest, InvalidScore, NameTaken
from marianned.protocol import GetJob, Modify, Pause, ReadHistory, ReadRevisions, Resume

SCORE = """\
name: a
workspace: ./out
instrument: cli
parameters:
  color: {required: true}
  count: {default: 1}
  api_token: {default: none}
sheet: {size: 1, total_items: 2}
prompt: {template: "echo {% if stage == 2 %}{{ color }}{% endif %} {{ stage }}", variables: {idle: x}}
"""
GIVEN = {"color": "red", "api_token": "sekret-1"}
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_pool")]


class Asking:
    """The questions a test asks of a house."""

    def __init__(self, house):
        self.house = house
        self.queries = JobQueries(house.conductor, 0)

    async def status(self):
        return await self.queries.job_status(ME, GetJob(job_id="a"))

    async def history(self):
        return [one.text for one in (await self.queries.job_history(ME, ReadHistory(job_id="a"))).entries]

    async def revisions(self):
        asked = await RecordQueries(self.house.services, self.queries).job_revisions(
            ME, ReadRevisions(job_id="a")
        )
        return {one.revision: one.variables for one in asked.revisions}

    async def modify(self, **params):
        return await self.house.control.modify(ME, Modify(job_id="a", **params))


def codes(told):
    """The problems of a reply or refusal, but for that the score checks nothing."""
    return [one.code for one in told.problems if one.code != "S504"]


async def script_of_two(executor):
    """What the attempt of sheet 2 that runs is to run."""
    return ((await executor.started(2)).directory / "prompt").read_text().strip()


async def paused_after_one(house):
    """Submit the score with values; sheet 1 ends, then the job is paused."""
    await house.submit(SCORE, variables=GIVEN)
    first = await house.executor.started(1)
    await house.control.pause(ME, Pause(job_id="a"))
    house.executor.finish(first)
    await house.until("a", "paused")


async def test_a_submission_without_a_required_value_is_refused_and_leaves_nothing(tmp_path):
    async with conducting(tmp_path, MemoryExecutor()) as house:
        with pytest.raises(InvalidScore) as refused:
            await house.submit(SCORE)
        assert codes(refused.value) == ["S217"]
        assert await house.store.records.run("a") is None


async def test_values_are_kept_over_a_pause_a_restart_and_a_modify_and_are_shown(tmp_path):
    executor = MemoryExecutor()
    async with conducting(tmp_path, executor) as house:
        await paused_after_one(house)
    async with conducting(tmp_path, executor) as house:
        asking = Asking(house)
        assert (await asking.status()).variables == {"color": "red", "api_token": "***"}
        assert "submitted: 2 sheets, color=red, api_token=***" in await asking.history()
        new = SCORE.replace("{default: 1}", "{default: 7}").replace("echo", "printf")
        reply = await asking.modify(text=new, directory=str(tmp_path), resume=True)
        assert codes(reply) == []
        assert await script_of_two(executor) == "printf red 2"
        executor.play()
        await house.until("a", "completed")
        assert (await asking.status()).hints[1] == "mzt run FILE --fresh --vars-file FILE"


async def test_a_modify_of_values_alone_is_a_revision_of_the_same_text_whose_plan_names_them(tmp_path):
    executor = MemoryExecutor()
    async with conducting(tmp_path, executor) as house:
        await paused_after_one(house)
        asking = Asking(house)
        plan = await asking.modify(variables={"color": "blue"}, plan=True)
        assert [(line.action, line.why) for line in plan.plan] == [
            ("kept", "definition unchanged"),
            ("changed", "prompt differs (color)"),
        ]
        assert plan.hints == ["mzt modify a --var color=blue -r --wait --expect 1"]
        assert (await asking.modify(variables={"color": "red"})).changed is False
        assert (await asking.modify(variables={"idle": "y"})).new_revision == 2
        await asking.modify(variables={"color": "blue"}, resume=True)
        assert await script_of_two(executor) == "echo blue 2"
        assert (await asking.status()).variables == {"color": "blue", "api_token": "***", "idle": "y"}
        assert await asking.revisions() == {
            1: {"color": "red", "api_token": "***"},
            2: {"color": "red", "api_token": "***", "idle": "y"},
            3: {"color": "blue", "api_token": "***", "idle": "y"},
        }
        assert "modify and resume asked: revision 3, color=blue" in await asking.history()


async def test_a_completed_sheet_that_a_value_changes_is_kept_and_told_by_its_name(tmp_path):
    executor = MemoryExecutor(lambda _spec: 3 if _spec.env["MARIANNE_SHEET"] == "2" else 0)
    async with conducting(tmp_path, executor) as house:
        await house.submit(
            SCORE.replace("stage == 2", "stage") + "retry: {max_retries: 0}\n", variables=GIVEN
        )
        await house.until("a", "failed")
        plan = await Asking(house).modify(variables={"color": "blue"}, plan=True)
        assert [(line.action, line.why) for line in plan.plan] == [
            ("kept-changed", "prompt differs (color); completed, stays"),
            ("changed", "prompt differs (color)"),
        ]
        with pytest.raises(NameTaken) as taken:
            await house.submit(SCORE, variables={"color": "it's"})
        assert taken.value.hints[-1] == """mzt run FILE --fresh --var 'color=it'"'"'s'"""


async def test_a_staged_value_is_taken_back_and_a_revision_brings_its_text_not_its_values(tmp_path):
    executor = MemoryExecutor()
    async with conducting(tmp_path, executor) as house:
        await house.submit(SCORE, variables=GIVEN)
        first = await executor.started(1)
        asking = Asking(house)
        await asking.modify(variables={"color": "blue"})
        await asking.modify(discard=True)
        assert (await asking.status()).variables["color"] == "red"
        await asking.modify(
            text=SCORE.replace("echo", "printf"), directory=str(tmp_path), variables={"color": "green"}
        )
        await asking.modify(revision=1, resume=True)
        executor.finish(first)
        assert await script_of_two(executor) == "echo green 2"


async def test_a_value_whose_name_is_gone_is_kept_with_a_warning_and_a_new_required_one_is_an_error(tmp_path):
    async with conducting(tmp_path, MemoryExecutor()) as house:
        await paused_after_one(house)
        asking = Asking(house)
        without = SCORE.replace("  api_token: {default: none}\n", "")
        reply = await asking.modify(text=without, directory=str(tmp_path))
        assert codes(reply) == ["S219"]
        with pytest.raises(InvalidScore) as refused:
            await asking.modify(
                text=SCORE.replace("count: {default: 1}", "count: {required: true}"), directory="/"
            )
        assert codes(refused.value) == ["S217"]
        with pytest.raises(InvalidScore) as refused:
            await asking.modify(variables={"colour": "blue"})
        assert [one.hint for one in refused.value.problems if one.code == "S216"] == ["did you mean 'color'?"]
        with pytest.raises(BadRequest):
            await asking.modify(variables={"color": "blue"}, discard=True)


async def test_a_fresh_run_starts_from_the_defaults(tmp_path):
    executor = MemoryExecutor(lambda _spec: 0)
    async with conducting(tmp_path, executor) as house:
        await house.submit(SCORE, variables={**GIVEN, "count": "5"})
        await house.until("a", "completed")
        await house.submit(SCORE, variables={"color": "blue"}, fresh=True)
        await house.until("a", "completed")
        assert (await Asking(house).status()).variables == {"color": "blue"}
        await house.control.resume(ME, Resume(job_id="a", from_="2"))


async def test_a_chained_job_is_not_handed_the_values(tmp_path):
    (tmp_path / "b.yaml").write_text(SCORE.replace("name: a", "name: b"))
    parent = (
        SCORE
        + "on_success: [{type: run_job, job_path: b.yaml}]\nconcert: {cooldown_between_jobs_seconds: 0.01}\n"
    )
    async with conducting(tmp_path, MemoryExecutor(lambda _spec: 0)) as house:
        reply = await house.submit(parent, variables=GIVEN)
        assert codes(reply) == ["S306"]
        await house.until("a", "completed", "failed")
        assert await house.store.records.run("b") is None

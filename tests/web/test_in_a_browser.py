"""The page in a real Chromium, where one is there: by mouse, by keyboard alone, read by axe, and attacked.

With MARIANNE_PICTURES=1 the pictures of docs/how-to/watch-in-the-browser.md are taken anew.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from kit.daemon import gated, plain, score
from open_pages import DESK, PHONE, Tab, has, look_at, page_of, settled

from marianne_cli.faces import addresses

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no chromium: apt-get install --no-install-recommends chromium"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
    pytest.mark.timeout(300),
]
AXE = "axe-core@4.14.1"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
TAKING = bool(os.environ.get("MARIANNE_PICTURES"))
LAUNCHES = 4


@pytest.fixture(scope="module")
def browser():
    """One for these tests, and not a moment longer: as long as it lives its loop runs in this very thread."""
    from playwright.sync_api import Error, sync_playwright  # not for each worker that collects this file

    with sync_playwright() as driver:
        rules = "MAP evil.example 127.0.0.1"
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules={rules}"]
        # on a busy machine its watchdog takes the process that draws for hung, and chromium ends itself (SIGTRAP)
        arguments += ["--disable-gpu", "--disable-gpu-watchdog", "--disable-software-rasterizer"]
        for left in reversed(range(LAUNCHES)):
            try:
                made = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
                break
            except Error:
                if not left:
                    raise
        yield made
        made.close()


@pytest.fixture(scope="module")
def tab(browser, dashboard):
    return Tab(browser, dashboard)


def picture(page, name):
    if TAKING:
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def status(page, word):
    page.wait_for_selector(f".job-head .pill.s-{word}")


def changed(text):
    return text.replace("note start 4", "note start four")


def test_pause_edit_plan_modify_resume_by_mouse(tab, daemon):
    gate = daemon.gate("mouse")
    daemon.submit(score("by-mouse", [plain(1), gated("mouse"), plain(3), plain(4)]))
    daemon.ledger.wait_for("start mouse")
    with tab.page() as page:
        page.click('[data-job="by-mouse"]')
        page.fill(".reason", "better words")
        page.click('.job-head [data-offer="pause"]')
        status(page, "pausing")
        gate.open()
        status(page, "paused")
        assert "better words" in page.inner_text(".holds")
        picture(page, "paused")
        page.click('[data-tab="score"]')
        page.wait_for_selector("textarea")
        text = page.input_value("textarea")
        page.fill("textarea", text.replace("note start 4", "note ["))
        page.fill("textarea", "name: [\n" + text)
        page.click("text=Plan this change")
        page.wait_for_selector(".gutter .error")
        page.fill("textarea", changed(text))
        page.click("text=Plan this change")
        page.wait_for_selector('[data-sheet="4"][data-status="changed"]')
        assert page.get_attribute('[data-sheet="1"]', "data-status") == "kept"
        assert daemon.status("by-mouse")["revision"] == 1, "nothing is changed yet"
        picture(page, "plan")
        page.click("text=Apply and resume")
        status(page, "completed")
        assert daemon.status("by-mouse")["revision"] == 2
        assert "start four" in daemon.ledger.lines()
        page.click('[data-tab="score"]')
        page.click("text=Compare")
        page.wait_for_selector(".diff .differs")
        page.click('[data-tab="timeline"]')
        page.wait_for_selector("g.bar.r-2")


def test_what_was_compared_of_one_job_is_not_shown_as_another_s_and_gives_way_to_the_editor(tab, daemon):
    for name in ("twofold", "beside-it"):
        daemon.submit(score(name, ["true", "true"]), before="1")
        daemon.wait_for(name, "paused")
    daemon.modify("twofold", score("twofold", ["true", "echo two"]))
    with tab.page() as page:
        look_at(page, "#/job/twofold?tab=score")
        page.click("text=Compare")
        page.wait_for_selector(".diff .differs")
        page.keyboard.press("e")
        page.wait_for_selector("textarea:focus")
        page.click("text=Compare")
        page.wait_for_selector(".diff .differs")
        look_at(page, "#/job/beside-it?tab=score")
        page.wait_for_selector("textarea")
        assert "name: beside-it" in page.input_value("textarea")


def test_pause_edit_plan_modify_resume_by_keyboard_alone(tab, daemon):
    gate = daemon.gate("keys")
    daemon.submit(score("by-keys", [plain(1), gated("keys"), plain(3), plain(4)]))
    daemon.ledger.wait_for("start keys")
    with tab.page() as page:
        keys = page.keyboard
        page.wait_for_selector('[data-job="by-keys"]')
        keys.press("j")
        for _ in range(40):
            if page.evaluate("document.activeElement.dataset.job") == "by-keys":
                break
            keys.press("j")
        keys.press("Enter")
        page.wait_for_selector(".job-head")
        keys.press("p")
        status(page, "pausing")
        gate.open()
        status(page, "paused")
        keys.press("e")
        page.wait_for_selector("textarea:focus")
        keys.press("Control+Home")
        keys.type("description: by keys\n")
        keys.press("Control+Enter")
        page.wait_for_selector(".plan-bar button.strong:focus")
        keys.press("Enter")
        status(page, "completed")
        assert daemon.status("by-keys")["description"] == "by keys"
        keys.press("?")
        page.wait_for_selector("dialog[open]")
        keys.press("Escape")
        page.wait_for_selector("dialog", state="detached")


FAN = r"""
name: fan
description: Fifty reviews, then one summary
workspace: ./fan-work
instrument: cli
sheet: {size: 1, total_items: 3, fan_out: {2: 50}}
parallel: {enabled: true, max_concurrent: 12, fail_fast: false}
retry: {max_retries: 0}
prompt:
  template: |
    {% if stage == 2 %}echo "reading change {{ instance }}"; printf "\033[31mno colour\033[0m <b>bold</b>\n"; note start fan-{{ instance }}
    {% if instance <= 16 %}{% if instance == 7 %}echo "change 7 has no test" >&2; exit 3{% endif %}
    {% else %}read _ < "$HOME/gate-fan"{% endif %}{% endif %}
    true
"""


def test_a_running_fan_out_a_failure_with_its_evidence_and_a_breakpoint(tab, daemon):
    daemon.gate("fan")
    daemon.submit(FAN)
    for instance in range(17, 29):
        daemon.ledger.wait_for(f"start fan-{instance}")
    with tab.page() as page:
        page.click('[data-job="fan"]')
        page.wait_for_selector('[data-stage="2"] .cells')
        page.locator(".cell[data-status=running]").nth(10).wait_for()
        assert page.locator('[data-stage="2"] .cell').count() == 50
        page.click('[aria-label="Pause before stage 3"]')
        page.wait_for_selector('[data-stage="3"] .break.on')
        assert [one["sheet"] for one in daemon.status("fan")["breakpoints"]] == [52]
        picture(page, "fan-out")
        page.click('[data-tab="output"]')
        page.wait_for_selector(".lines >> text=/^28\\| reading change 27/")
        page.click('[data-tab="graph"]')
        page.click('[data-sheet="8"]')
        page.wait_for_selector(".panel .error")
        page.wait_for_selector(".lines .k-stderr")
        has(page, ".lines", "change 7 has no test")
        has(page, ".lines", "<b>bold</b>")
        picture(page, "failed")
        address = page.url
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_selector(".panel .error")
        page.fill(".panel .find", "no test")
        has(page, ".panel .hits", re.compile("^1 line$"))
    daemon.rpc("job.cancel", job_id="fan")
    daemon.wait_for("fan", "cancelled")


WIDE = """\
name: very-wide
workspace: ./very-wide-work
instrument: cli
sheet: {size: 1, total_items: 1, fan_out: {1: 900}}
parallel: {enabled: true, max_concurrent: 4}
prompt: {template: "true"}
"""
NEXT_FRAME = """() => {
    document.querySelector('[data-stage="1"] .fold').click();
    return new Promise(done => requestAnimationFrame(() => done(document.querySelectorAll(".cell").length)));
}"""


def test_a_stage_of_many_sheets_is_unfolded_piece_by_piece(tab, daemon):
    daemon.submit(WIDE, before="1.all")
    daemon.wait_for("very-wide", "paused")
    with tab.page() as page:
        look_at(page, "#/job/very-wide")
        page.wait_for_selector('[data-stage="1"] .fold')
        assert page.locator(".cell").count() == 0
        assert page.evaluate(NEXT_FRAME) <= 400
        page.locator(".cell").nth(899).wait_for()
        assert page.locator(".cell").count() == 900
        for sheet in (7, 888):
            page.click(f'.cell[data-sheet="{sheet}"]')
            page.wait_for_selector(f'.panel[aria-label="Sheet {sheet}"]')
            chosen = page.locator(".cell[aria-pressed=true]")
            assert [one.get_attribute("data-sheet") for one in chosen.all()] == [str(sheet)]
        daemon.rpc("job.pause", job_id="very-wide", before="1.all", clear=True)
        page.locator(".cell.marked").first.wait_for(state="detached")


def test_a_pause_that_ends_by_itself_waits_and_needs_nobody(tab, daemon):
    gate = daemon.gate("rests")
    daemon.submit(score("rests", [gated("rests"), plain("behind")]))
    daemon.submit(score("stays", [plain("stays")]), before="1")
    daemon.ledger.wait_for("start rests")
    daemon.rpc("job.pause", job_id="rests", **{"for": 3600})
    gate.open()
    for name in ("rests", "stays"):
        daemon.wait_for(name, "paused")
    with tab.page() as page:
        for name, group in (("rests", "Waiting"), ("stays", "Needs a person")):
            page.wait_for_selector(f'.jobs section:has([data-job="{name}"]) h2 >> text={group}')


def test_the_times_of_the_timeline_stand_above_its_lanes(tab, daemon):
    daemon.submit(score("in-time", ["true"] * 3))
    daemon.wait_for("in-time", "completed")
    with tab.page() as page:
        look_at(page, "#/job/in-time?tab=timeline")
        page.wait_for_selector("g.bar")
        times, lanes = page.locator(".ticks").bounding_box(), page.locator(".lane-bars").bounding_box()
        assert times["y"] + times["height"] <= lanes["y"] + 1
        assert abs(times["x"] - lanes["x"]) < 2


def test_an_address_opens_at_what_it_names_and_nothing_is_said_that_is_not_known(browser, daemon, dashboard):
    daemon.submit(score("named-by-address", ["true", "exit 3"]))
    daemon.wait_for("named-by-address", "failed")
    of_job = dashboard.new_address("named-by-address")
    of_sheet = addresses.address_of_job(dashboard.new_address(), "named-by-address", 2)
    with page_of(browser, dashboard) as page:
        for address, wanted in ((of_job, ".job-head"), (of_sheet, '.panel[aria-label="Sheet 2"]')):
            page.context.clear_cookies()
            page.goto("about:blank")
            page.goto(address)
            page.wait_for_selector(wanted)
            assert "#t=" not in page.url
        look_at(page, "#/job/named-by-address?sheet=9999")
        has(page, ".panel .error", "9999")
        look_at(page, "#/")
        page.locator(".jobs-find").fill("no such job")
        has(page, ".jobs .empty", "matches")
        page.keyboard.press("Escape")
        page.wait_for_selector('[data-job="named-by-address"]')
        page.context.clear_cookies()
        page.reload()
        has(page, ".banner", "This page has no session")
        has(page, ".home", "Nothing is known yet")
        has(page, ".jobs .empty", "No job is known yet")


VIEWS = [
    "",
    "?tab=output",
    "?tab=timeline",
    "?tab=journal",
    "?tab=score",
    "?tab=why",
    "?tab=runs",
    "?sheet=2",
    "?sheet=2&view=checks",
    "?sheet=2&view=prompt",
]


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    place = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    told = npm and subprocess.run([npm, "pack", "--silent", AXE], cwd=place, capture_output=True, timeout=120, check=False)  # fmt: skip
    if not told or told.returncode:
        pytest.skip("axe-core can't be had by npm pack")
    (packed,) = place.glob("*.tgz")
    with tarfile.open(packed) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


SERIOUS = {"serious", "critical"}
OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that can find another thing in another scheme: only colours differ there."""
IMPACTS = "axe._audit.rules.filter(rule => rule.enabled).map(rule => [rule.id, rule.impact])"
WHOLE = {"include": [["html"]]}
BESIDE_THE_JOBS = {"exclude": [[".jobs"]]}
"""What stands beside the list of jobs, which is the same in each view of a job."""


def problems(page, axe, where=WHOLE):
    """Return what is serious of what stands there, in both schemes."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    rules = [name for name, impact in page.evaluate(IMPACTS) if impact in SERIOUS]  # of three, two
    assert {*OF_COLOURS} < {*rules}
    told = []
    for scheme, asked in (("dark", OF_COLOURS), ("light", rules)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no colour on its way to another
        options = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": asked}}
        found = page.evaluate(f"axe.run({json.dumps(where)}, {json.dumps(options)}).then(found => found.violations)")  # fmt: skip
        told += [(scheme, one["id"], one["nodes"][0]["html"][:150], one["nodes"][0]["failureSummary"][:300]) for one in found if one["impact"] in SERIOUS]  # fmt: skip
    return told


def test_axe_finds_nothing_serious_on_any_view(tab, daemon, axe):
    daemon.submit(score("read-aloud", ["echo told; echo more >&2", "exit 3", "true"]))
    daemon.wait_for("read-aloud", "ended")
    with tab.page() as page:
        assert problems(page, axe) == []
        for view in VIEWS:
            look_at(page, f"#/job/read-aloud{view}")
            page.wait_for_selector(".job-head")
            settled(page)
            where = BESIDE_THE_JOBS if view else WHOLE
            assert (view, problems(page, axe, where)) == (view, [])
        look_at(page, "#/job/read-aloud?tab=score")
        page.click("text=Plan this change")
        page.wait_for_selector(".plan-bar")
        assert problems(page, axe, BESIDE_THE_JOBS) == []
        page.keyboard.press("Escape")
        page.click('[data-offer="remove"]')
        page.wait_for_selector("dialog[open]")
        assert problems(page, axe) == []
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        page.emulate_media(reduced_motion="no-preference")


def test_a_read_only_page_shows_everything_and_offers_nothing(browser, daemon, start):
    daemon.submit(score("only-looked-at", ["exit 3", "true"]))
    daemon.wait_for("only-looked-at", "ended")
    with page_of(browser, start("--read-only")) as page:
        look_at(page, "#/job/only-looked-at?sheet=1")
        page.wait_for_selector(".panel [data-offer]")
        assert page.locator("[data-offer]:not(:disabled), .break:not(:disabled)").count() == 0
        page.keyboard.press("r")
        assert "read-only" in page.inner_text(".top")
    assert daemon.status("only-looked-at")["status"] == "failed"


def test_why_is_told_of_a_run_that_is_named(tab, daemon):
    daemon.submit(score("named", ["exit 3"]))
    daemon.wait_for("named", "ended")
    with tab.page() as page:
        for address in ("named@1", "named"):
            look_at(page, f"#/job/{address}?tab=why")
            page.wait_for_selector(".why .evidence")


def test_a_phone_needs_no_scrolling_sideways(tab, daemon):
    daemon.submit(score("on-a-phone", ["true", "exit 3"]))
    daemon.wait_for("on-a-phone", "ended")
    with tab.page() as page:
        page.set_viewport_size(PHONE)
        page.emulate_media(color_scheme="dark")
        page.click('[data-job="on-a-phone"]')
        page.wait_for_selector("[data-sheet]")
        for view in VIEWS:
            look_at(page, f"#/job/on-a-phone{view}")
            settled(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 375, view
        picture(page, "phone")
        look_at(page, "#/job/never-there")
        page.wait_for_selector("text=no job 'never-there'")
        page.click(".back")
        page.wait_for_selector('[data-job="on-a-phone"]')
        page.set_viewport_size(DESK)
        page.emulate_media(color_scheme="light")


def test_a_rebound_name_and_another_page_get_nothing(browser, daemon, dashboard):
    from playwright.sync_api import Error

    token = re.search(r"#t=([\w-]+)", dashboard.new_address())[1]
    context = browser.new_context()
    page = context.new_page()
    statuses = []
    page.on("response", lambda answer: statuses.append(answer.status))
    with pytest.raises(Error, match="ERR_HTTP_RESPONSE_CODE_FAILURE"):
        page.goto(f"http://evil.example:{dashboard.port}/#t={token}")
    assert statuses == [421]
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{dashboard.port}/")
    page.wait_for_selector(".banner")
    assert "no session" in page.inner_text(".banner")
    other = context.new_page()
    other.route(
        "http://attacker.test/", lambda route: route.fulfill(body="<p>hello", content_type="text/html")
    )
    other.goto("http://attacker.test/")
    tried = other.evaluate(
        """async (origin) => {
            const tries = [fetch(origin + '/ask', {method: 'POST', credentials: 'include', body: '{}'}),
                fetch(origin + '/stream', {credentials: 'include'}),
                fetch(origin + '/ask', {method: 'POST', headers: {'Content-Type': 'application/json', 'X-Mzt': '1'}, body: '{}'})];
            return (await Promise.allSettled(tries)).map(one => one.status);
        }""",
        dashboard.origin,
    )
    assert tried == ["rejected"] * 3
    context.close()


HOSTILE = "<img src=x onerror=window.hurt=1><script>window.hurt=1</script>"


def test_html_scripts_escapes_and_turned_text_stay_text(tab, daemon):
    turned = "\u202egnp.exe"
    body = f"printf '%s\\n' '{HOSTILE}'; printf '\\033]0;owned\\007\\033[31mred\\033[0m {turned}\\n'; exit 3"
    daemon.submit(score("hostile", [body, plain(2)], description=HOSTILE))
    daemon.wait_for("hostile", "ended")
    with tab.page() as page:
        look_at(page, "#/job/hostile?sheet=1")
        has(page, ".lines", "red")
        told = page.inner_text(".lines")
        assert HOSTILE in told
        assert not re.search("[\x1b\x07\u202e]", told)
        assert turned not in page.inner_text("body")
        for view in VIEWS:
            look_at(page, f"#/job/hostile{view}")
            settled(page)
        page.click('[data-tab="score"]')
        page.wait_for_selector("textarea")
        page.click("text=Plan this change")
        page.wait_for_selector(".note-box.bad, .plan-bar")
        assert page.evaluate("window.hurt") is None
        assert page.evaluate("document.querySelectorAll('#page img, #page script').length") == 0
        look_at(page, "#/job/%E2%80%AEgnp%1B[31m")
        has(page, ".empty.bad", "no job")
        assert not re.search("[\x1b\u202e]", page.inner_text("body"))
        blocked = page.evaluate(
            "try { document.body.innerHTML = '<p>'; 'done' } catch (error) { error.name }"
        )
        assert blocked == "TypeError", "trusted types"
        page.wrong[:] = [said for said in page.wrong if "TrustedHTML" not in said]


def test_a_restart_of_the_daemon_is_survived_without_reload_gap_or_lie(tab, daemon):
    gate = daemon.gate("restart")
    daemon.submit(score("over-restarts", [plain("before"), gated("restart"), plain("after")]))
    daemon.ledger.wait_for("start restart")
    with tab.page() as page:
        page.click('[data-job="over-restarts"]')
        page.wait_for_selector('[data-sheet="2"][data-status="running"]')
        page.evaluate("window.same = true")
        daemon.stop()
        page.wait_for_selector(".banner")
        assert "has not answered" in page.inner_text(".banner")
        page.wait_for_selector('.job-head [data-offer="pause"]:disabled')
        assert page.locator("[data-offer]:not(:disabled), .break:not(:disabled)").count() == 0
        assert "nothing can be asked now" in page.inner_text(".job-head .offers")
        page.keyboard.press("p")
        page.wait_for_selector(".notes >> text=nothing can be asked now")
        gate.open()
        daemon.ledger.wait_for("end restart")
        daemon.start()
        page.wait_for_selector(".banner", state="detached")
        status(page, "completed")
        page.wait_for_selector('[data-sheet="3"][data-status="completed"]')
        page.click('[data-tab="journal"]')
        page.wait_for_selector(".entries >> text=sheet 3")
        assert page.evaluate("window.same") is True


AT_ONCE = """keys => {
    for (const key of keys) document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}"""


def test_several_jobs_are_asked_at_once_and_what_is_refused_keeps_no_other_back(tab, daemon):
    gates = [daemon.gate(f"bulk-{number}") for number in range(3)]
    for number in range(3):
        daemon.submit(score(f"bulk-{number}", [gated(f"bulk-{number}"), plain("behind")]))
        daemon.ledger.wait_for(f"start bulk-{number}")
    with tab.page() as page:
        page.wait_for_selector('[data-job="bulk-2"]')
        page.fill(".jobs-find", "bulk-")
        page.click('[data-all="pause"]')
        assert "Pause 3 jobs" in page.inner_text("dialog")
        assert "mzt pause bulk-" in page.inner_text("dialog code")
        page.fill("dialog .reason", "<b>all</b> of them")
        daemon.rpc("job.cancel", job_id="bulk-1")
        page.click("dialog .ends")
        page.wait_for_selector(".notes .bad >> text=1 of 3 refused")
        for gate in gates:
            gate.open()
        for number in (0, 2):
            paused = daemon.wait_for(f"bulk-{number}", "paused")
            assert paused["holds"][0]["reason"] == "<b>all</b> of them"
        page.wait_for_selector('[data-all="resume"] >> text=3 jobs')  # it hears of all jobs once a second
        page.locator(".jobs-find").blur()
        page.keyboard.press("C")
        page.wait_for_selector("dialog >> text=Resume")
        page.keyboard.press("Escape")
        assert {daemon.status(f"bulk-{number}")["status"] for number in (0, 2)} == {"paused"}
        page.keyboard.press("C")
        page.wait_for_selector("dialog h2 >> text=Resume")
        page.evaluate(AT_ONCE, ["Escape", "X"])  # before the page hears that the dialog has ended
        page.wait_for_selector("dialog h2 >> text=Cancel")
        page.evaluate(AT_ONCE, ["Escape", "C"])
        page.wait_for_selector("dialog h2 >> text=Resume")
        assert "Resume 3 jobs" in page.inner_text("dialog")
        page.click("dialog .ends")
        for number in (0, 2):
            daemon.wait_for(f"bulk-{number}", "completed")


def test_the_runs_of_a_job_are_listed_and_opened(tab, daemon):
    daemon.submit(score("again", ["exit 3"]))
    daemon.wait_for("again", "ended")
    daemon.submit(score("again-but-another", ["true"]))
    daemon.submit(score("again", ["true"]), fresh=True)
    daemon.wait_for("again", "completed")
    with tab.page() as page:
        look_at(page, "#/job/again")
        page.wait_for_selector(".job-head")
        page.keyboard.press("7")
        page.wait_for_selector("[data-run]")
        assert [row.get_attribute("data-run") for row in page.locator("[data-run]").all()] == ["2", "1"]
        assert page.get_attribute('[data-run="2"]', "aria-current") == "true"
        page.click('[data-run="1"] a')
        status(page, "cancelled")
        assert "run 1" in page.inner_text(".facts-line")
        assert [one.inner_text() for one in page.locator(".job-head [data-offer]").all()] == ["Remove"]
        page.click('[data-sheet="1"]')
        page.wait_for_selector(".panel .attempts")
        assert page.locator(".panel [data-offer], .break:not(:disabled)").count() == 0

// One job: where it stands and why, what is safe, what can be asked; under it graph, timeline, journal, score.
import { html, signal, useEffect } from "./lib.js";
import { Glyph } from "./glyphs.js";
import { Line, Offers } from "./acting.js";
import { Graph } from "./graph.js";
import { Journal } from "./journal.js";
import { Log } from "./log.js";
import { ask } from "./net.js";
import { PlanBar, PlanLines, Score } from "./score.js";
import { Runs } from "./runs.js";
import { Panel } from "./sheet.js";
import { Timeline } from "./timeline.js";
import { sheetChanges, daemon, go, href, job, known, now, plan, problem, route, sheets } from "./store.js";
import { age, between, cost, moment, next, plural, visible, who } from "./text.js";

export const TABS = { graph: "Graph", output: "Output", timeline: "Timeline", journal: "Journal", score: "Score", why: "Why", runs: "Runs" };

function Safe({ told }) {
  const words = { edit_files: "edit files", stop_daemon: "stop the daemon", switch_off: "power off" };
  return html`<ul class="safe" aria-label="Safe to">
    <li class="label">safe to</li>
    ${Object.entries(words).map(([key, word]) => html`<li class=${told[key] ? "yes" : "no"}><i aria-hidden="true"></i>${word} <b>${told[key] ? "yes" : "no"}</b></li>`)}
  </ul>`;
}

const CAUSES = {
  user: "Paused",
  breakpoint: "Breakpoint",
  failure: "A failure pauses it",
  auth: "A tool is not logged in",
  rate_limit: "Rate limit",
  budget: "The budget is used up",
  time: "The time is used up",
};

function Holds({ state }) {
  if (!state.holds.length) return null;
  const lift = state.hints.find((hint) => hint.startsWith("mzt resume")) ?? `mzt resume ${state.job_id}`;
  return html`<ul class="holds" aria-label="Holds">${state.holds.map((hold) => html`<li>
    <${Glyph} of="paused" /><div><b>${CAUSES[hold.cause] ?? hold.cause}</b>${hold.owner ? ` by ${visible(who(hold.owner))}` : ""}, since ${moment(hold.held_at)}
      ${hold.reason && html` <q>${visible(hold.reason)}</q>`}
      <p class="lift"><small>${hold.ends_at ? `ends by itself at ${moment(hold.ends_at)}, or by` : "lifted by whoever may use this daemon:"}</small> <${Line} text=${lift} /></p></div></li>`)}</ul>`;
}

function sentence(state) {
  const since = `${state.status} since ${moment(state.status_since_at)} (${age(state.status_since_at)})`;
  const coming = next(state.next);
  if (coming) return `${since}; ${coming}`;
  if (state.nothing_left) return `${since}; ${state.nothing_left}`;
  if (state.status === "completed") return `${since}; took ${between(state.timing.created_at, state.timing.completed_at)}`;
  if (["paused", "failed", "cancelled"].includes(state.status)) return `${since}; stays so until someone resumes it`;
  return since;
}

const failure = (state) => (state.status === "failed" ? state.message.replace(/^[^;]*; /, "") : "");

function Drift({ told }) {
  if (!told?.total) return null;
  const files = told.changes.map((one) => `${one.path}${one.how === "changed" ? "" : ` (${one.how})`}`);
  return html`<p class="note">Changed in the workspace since then, by somebody else: ${visible(files.slice(0, 6).join(", "))}${told.total > 6 ? ` and ${told.total - 6} more` : ""}</p>`;
}

// It opens on what failed: one click from the job to the sheet.
function Failed() {
  void sheetChanges.value;
  const found = sheets().filter((one) => one.status === "failed");
  if (!found.length || route.value.sheet) return null;
  return html`<p class="row">${found.slice(0, 6).map((one) => html`<button class="small ends" onClick=${() => go({ tab: "graph", sheet: one.sheet, hook: null, attempt: null, view: "output" })}>Open sheet ${one.sheet}</button>`)}
    ${found.length > 6 && html`<span class="note">and ${found.length - 6} more failed</span>`}</p>`;
}

// On a phone the list is a page of its own, and this the way to it.
function Back() {
  return html`<a class="back link" href="#/">‹ Jobs</a>`;
}

function Head() {
  const state = job.value;
  void now.value;
  const done = state.progress;
  const facts = [`${done.completed.toLocaleString("en")} of ${plural(done.total, "sheet")}`, `run ${state.run}`, `revision ${state.revision}${state.staged_revision ? `, ${state.staged_revision} staged` : ""}`, cost(state.cost), ...done.loops.map((loop) => `loop ${loop.span}: round ${loop.round} of ${loop.up_to}`)];
  const other = (name, word) => html`<a class="link" href=${href({ job: name, sheet: null, hook: null, attempt: null })}>${word}</a>`;
  return html`<header class=${`job-head s-${state.status}`}>
    <${Back} />
    <div class="title"><h1><${Glyph} of=${state.status} /> ${visible(state.job_name)}</h1><span class=${`pill s-${state.status}`}>${state.status}</span>
      <span class="stretch"></span><${Safe} told=${state.safe_to} /></div>
    ${state.description && html`<p class="about">${visible(state.description)}</p>`}
    <p class="sentence">${visible(sentence(state))}</p>
    ${failure(state) && html`<p class="error">${visible(failure(state))}</p>`}
    <${Drift} told=${state.drift} />
    <${Failed} />
    ${state.hindered_by.map((why) => html`<p class="error">${visible(why)}</p>`)}
    <svg class="progress" viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label=${`${done.percent} % done`}><rect width=${done.percent} height="1" /></svg>
    <p class="facts-line">${facts.filter(Boolean).map((fact) => html`<span>${fact}</span>`)}
      ${state.run > 1 && other(`${state.job_name}@${state.run - 1}`, "the run before")}${state.job_id !== state.job_name && other(state.job_name, "the newest run")}
      <span title=${state.workspace} class="place">${visible(state.workspace)}</span></p>
    <${Holds} state=${state} />
    <${Offers} />
  </header>`;
}

// What was answered last, and of which address; `wrong` where it was refused.
const told = signal({ of: null });

function Why() {
  const { job: named } = route.value;
  const stamp = `${job.value?.status}/${job.value?.holds.length}/${job.value?.timing.completed_at ?? Math.floor(now.value / 4000)}`;
  useEffect(() => {
    let left = false;
    ask("job.why", { job_id: named }).then((reply) => !left && (told.value = { of: named, reply }), (wrong) => !left && (told.value = { of: named, wrong }));
    return () => (left = true);
  }, [named, stamp, daemon.value.up]);
  const { of, reply, wrong } = told.value;
  if (of !== named) return html`<p class="empty">Asking …</p>`;
  if (wrong) return html`<p class="empty bad">${visible(wrong.message)}</p>`;
  return html`<section class="why" aria-label="Why">
    <ul>${reply.reasons.map((one) => html`<li><p><b>${visible(one.text)}</b></p>
      <p class="note">${one.code}, since ${moment(one.since_at)}${one.until_at ? `, until ${moment(one.until_at)} at the latest` : ""}${one.unblocked_by === "nobody" ? "" : one.unblocked_by === "caller" ? "; you end it" : `; ended by: ${one.unblocked_by}`}</p>
      ${one.hints.map((hint) => html`<${Line} text=${hint} />`)}
      ${one.sheets.slice(0, 12).map((sheet) => html`<button class="small" onClick=${() => go({ tab: "graph", sheet })}>sheet ${sheet}</button>`)}</li>`)}</ul>
    ${reply.errors.map((one) => html`<article class="evidence"><h3><${Glyph} of="failed" /> ${one.sheet ? `Sheet ${one.sheet}` : `Hook ${one.hook}`}, attempt ${one.attempt}: ${visible(one.error_message ?? one.outcome)}</h3>
      <p class="note">${[one.instrument, `revision ${one.revision}`, one.exit_code !== null && `exit code ${one.exit_code}`, one.signal, moment(one.ended_at)].filter(Boolean).join(", ")}</p>
      ${one.validations.filter((check) => check.result !== "passed").map((check) => html`<p class="error">${check.description ?? check.type}: ${check.reason}</p>`)}
      ${one.stdout_tail && html`<pre>${visible(one.stdout_tail)}</pre>`}
      ${one.stderr_tail && html`<pre class="stderr">${visible(one.stderr_tail)}</pre>`}
      ${one.sheet && html`<button class="small" onClick=${() => go({ tab: "graph", sheet: one.sheet, attempt: one.attempt })}>Open the sheet</button>`}</article>`)}
  </section>`;
}

function Hooks() {
  const hooks = job.value.hooks ?? [];
  if (!hooks.length) return null;
  return html`<section class="hooks" aria-label="Hooks"><h2>${hooks.some((hook) => !hook.after_failure) ? "Then" : "If it fails"}</h2>
    ${hooks.map((hook) => html`<button class=${`row-cell s-${hook.status}`} key=${hook.hook} aria-pressed=${route.value.hook === hook.hook} onClick=${() => go({ hook: hook.hook, sheet: null, attempt: null })}>
      <${Glyph} of=${hook.status} /><span class="name">${visible(hook.label)}</span><span class="word">${hook.after_failure ? "on failure" : hook.waiting_for ?? hook.status}</span></button>`)}</section>`;
}

// Everything that is in flight, and what starts meanwhile: the window for the night.
function Output() {
  if (route.value.sheet || route.value.hook) return html`<p class="empty">The output of one ${route.value.hook ? "hook" : "sheet"} is shown beside this. <button class="small" onClick=${() => go({ sheet: null, hook: null, attempt: null })}>Show that of all</button></p>`;
  return html`<section class="output" aria-label="Output of all that runs"><${Log} /></section>`;
}

const BODY = { graph: () => html`<${PlanBar} /><${Graph} /><${PlanLines} />${!plan.value && html`<${Hooks} />`}`, output: Output, timeline: Timeline, journal: Journal, score: Score, why: Why, runs: Runs };

export function Job() {
  const { job: named, tab, sheet, hook } = route.value;
  if (problem.value) return html`<main class="main"><${Back} /><p class="empty bad">${problem.value.message}</p></main>`;
  if (!job.value) return html`<main class="main" aria-busy="true"><${Back} /><p class="empty">${!known.value ? "Nothing is known of it yet." : daemon.value.up ? `Reading ${visible(named)} …` : "The daemon is away."}</p></main>`;
  const Body = BODY[tab] ?? BODY.graph;
  const failed = job.value.status === "failed" || job.value.holds.some((hold) => hold.cause === "failure");
  return html`<main class="main"><${Head} />
    <nav class="tabs" aria-label="Views">${Object.entries(TABS).map(([key, word], place) => html`<a class="tab" href=${href({ tab: key, find: "" })} aria-current=${tab === key ? "page" : null} data-tab=${key}
      title=${`${word} (${place + 1})`} onClick=${(event) => {
        event.preventDefault();
        go({ tab: key, find: "" });
      }}>${word}${key === "why" && failed ? " •" : ""}</a>`)}</nav>
    <div class=${`split ${sheet || hook ? "with-panel" : ""}`}><div class="body"><${Body} /></div><${Panel} /></div>
  </main>`;
}

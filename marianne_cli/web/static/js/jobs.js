// The jobs: those that need a person first, then what is active, then what has ended.
import { html, signal } from "./lib.js";
import { Glyph } from "./glyphs.js";
import { confirmForAll } from "./acting.js";
import { go, href, idle, known, now, route, rows, addNote } from "./store.js";
import { age, cost, next, plural, visible } from "./text.js";

export const find = signal("");
const frozen = signal(null);
const SHOWN = 300;

const GROUPS = { "needs you": "Needs a person", running: "Running", waiting: "Waiting", ended: "Ended" };

const since = (row) => row.status_since_at;

function Row({ row }) {
  void now.value;
  const here = route.value.job === row.job_id;
  return html`<li><a class=${`job-row s-${row.status}`} href=${href({ job: row.job_id, sheet: null, hook: null, attempt: null, find: "", tab: "graph", view: "output", filter: "" })}
    aria-current=${here ? "page" : null} data-job=${row.job_id}>
    <${Glyph} of=${row.status} title=${row.status} />
    <span class="name">${visible(row.job_name)}</span>
    <span class="amount">${row.progress.completed}/${row.progress.total}</span>
    <svg class="progress" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect width=${row.progress.percent} height="1" /></svg>
    <span class="word">${visible(statusWord(row))}</span>
    <span class="since">${cost(row.cost) || age(row.status_since_at)}</span>
  </a></li>`;
}

function statusWord(row) {
  if (row.hold) return `${row.hold.cause === "user" ? "paused" : row.hold.cause.replace("_", " ")}${row.hold.reason ? `: ${row.hold.reason}` : ""}`;
  if (row.status === "failed") return row.message.replace(/^[^;]*; /, "");
  return next(row.next) || row.status;
}

function filteredRows() {
  const wanted = find.value.toLowerCase();
  const all = [...(frozen.value ?? rows.value).values()].map((row) => (frozen.value ? rows.value.get(row.job_name) ?? row : row));
  return all.filter((row) => !wanted || `${row.job_name} ${row.status} ${row.labels.join(" ")}`.toLowerCase().includes(wanted));
}

const offersNamed = (kept, name) => kept.flatMap((row) => row.offers.filter((offer) => offer.name === name));

// Ask something of all jobs that are shown and take it.
export function requestForAll(name) {
  const offers = offersNamed(filteredRows(), name);
  if (idle.value) addNote({ bad: true, text: idle.value });
  else if (offers.length) confirmForAll(name, offers);
  else addNote({ bad: true, text: `None of the jobs shown takes it now: ${name}.` });
}

const ALL = { pause: "Pause", resume: "Resume", cancel: "Cancel" };

function BulkActions({ kept }) {
  const counts = Object.keys(ALL).map((name) => [name, offersNamed(kept, name).length]).filter(([, count]) => count > 1);
  if (!counts.length) return null;
  return html`<div class="row several" role="group" aria-label="All jobs shown">
    ${counts.map(([name, count]) => html`<button class="small" key=${name} data-all=${name} disabled=${idle.value !== ""} title=${idle.value || `${ALL[name]} all that are shown and take it`} onClick=${() => requestForAll(name)}>${ALL[name]} ${plural(count, "job")}</button>`)}</div>`;
}

export function Jobs() {
  const kept = filteredRows();
  return html`<nav class="jobs" aria-label="Jobs">
    <div class="log-bar"><input type="search" class="find jobs-find" placeholder="Filter the jobs" aria-label="Filter the jobs" value=${find.value} onInput=${(event) => (find.value = event.target.value)} />
      <button class="small" aria-pressed=${frozen.value !== null} title="Keep the order as it is" onClick=${() => (frozen.value = frozen.value ? null : new Map(rows.value))}>Freeze</button></div>
    <${BulkActions} kept=${kept} />
    ${Object.entries(GROUPS).map(([group, title]) => {
      const found = kept.filter((row) => row.group === group);
      if (!frozen.value) found.sort((a, b) => (since(a) < since(b) ? 1 : -1));
      return found.length > 0 && html`<section><h2>${title} <small>${found.length}</small></h2><ul>${found.slice(0, SHOWN).map((row) => html`<${Row} key=${row.job_name} row=${row} />`)}</ul>
        ${found.length > SHOWN && html`<p class="note">and ${found.length - SHOWN} more: filter to see them</p>`}</section>`;
    })}
    ${rows.value.size === 0 && html`<p class="empty">${known.value ? html`No jobs yet. Start one: <code>mzt run FILE</code>` : "No job is known yet."}</p>`}
    ${rows.value.size > 0 && kept.length === 0 && html`<p class="empty">None of ${rows.value.size} jobs matches.</p>`}
  </nav>`;
}

const NAMED = 8;

export function NoJobOpen() {
  if (!known.value) return html`<main class="main home"><h1>Nothing is known yet</h1></main>`;
  const waiting = [...rows.value.values()].filter((row) => row.group === "needs you");
  return html`<main class="main home"><h1>${waiting.length ? `${waiting.length === 1 ? "One job needs" : `${waiting.length} jobs need`} a person` : "Nothing needs you"}</h1>
    <p class="note">Choose a job at the left, or with <kbd>j</kbd> <kbd>k</kbd> and <kbd>Enter</kbd>. <kbd>?</kbd> shows all keys.</p>
    ${waiting.slice(0, NAMED).map((row) => html`<button class=${`row-cell s-${row.status}`} onClick=${() => go({ job: row.job_id })}><${Glyph} of=${row.status} /><span class="name">${visible(row.job_name)}</span><span class="word">${visible(statusWord(row))}</span></button>`)}
    ${waiting.length > NAMED && html`<p class="note">and ${waiting.length - NAMED} more, in the list of jobs</p>`}</main>`;
}
